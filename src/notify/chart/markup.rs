//! Writes SVG. Every text that comes from outside goes through [`escape`], and nothing else of it
//! gets into the markup: coordinates are numbers, classes are our own.

use std::fmt::Write as _;

use crate::notify::view::clean;

/// Where a text stands in relation to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture that is being written.
#[derive(Debug, Default)]
pub(super) struct Markup {
    out: String,
}

impl Markup {
    /// A text on one line.
    pub(super) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.out,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            Number(at.0),
            Number(at.1),
            escape(text)
        );
    }

    /// A line through the points, or an area if its class has a filling.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() < 2 {
            return;
        }
        let mut to = 'M';
        let _ = write!(self.out, "<path class=\"{class}\" d=\"");
        for &(x, y) in points {
            let _ = write!(self.out, "{to}{} {}", Number(x), Number(y));
            to = 'L';
        }
        self.out.push_str("\"/>\n");
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.path(class, &[from, to]);
    }

    /// A round dot.
    pub(super) fn dot(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let (x, y) = (Number(at.0), Number(at.1));
        let _ = writeln!(
            self.out,
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{}\"/>",
            Number(radius)
        );
    }

    /// The picture of this size, with the texts that stand for it where it cannot be seen.
    pub(super) fn finish(
        self,
        (width, height): (f64, f64),
        style: &str,
        (title, description): (&str, &str),
    ) -> String {
        let style =
            if style.is_empty() { String::new() } else { format!("<style>{style}</style>\n") };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"gf\" role=\"img\" \
             viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
             <title>{}</title>\n<desc>{}</desc>\n{style}\
             <rect class=\"gf-ground\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            escape(title),
            escape(description),
            self.out
        )
    }

    /// The picture without ground and style, with the one text that stands for it.
    pub(super) fn small(self, (width, height): (f64, f64), about: &str) -> String {
        format!(
            "<svg class=\"gf gf-small\" role=\"img\" aria-label=\"{}\" \
             viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             preserveAspectRatio=\"none\">\n{}</svg>\n",
            escape(about),
            self.out
        )
    }
}

/// A coordinate with a digit behind the point; what is no number is nowhere.
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = if self.0.is_finite() { self.0.clamp(-1e5, 1e5) } else { -1e5 };
        let tenths = (value * 10.0).round() / 10.0 + 0.0;
        write!(f, "{tenths}")
    }
}

/// A text that says nothing but itself in XML, whatever it is: no markup, no control characters,
/// nothing invisible, and no code point that XML forbids.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Behind the specials that `clean` takes out: no characters, or none that XML knows.
            '\u{fffc}'..='\u{ffff}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// About how wide a text is at this size. Browsers use the fonts that they have, so that nobody
/// can know; this is the width in the font of our own pictures, rounded up.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| size * advance(c)).sum()
}

fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '|' | '\'' | '.' | ',' | ':' | ';' | '!' | ' ' | 'I' => 0.31,
        'f' | 't' | 'r' | '-' | '(' | ')' | '/' => 0.38,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.9,
        'A'..='Z' | '_' | '\u{7f}'..='\u{1fff}' => 0.68,
        '0'..='9' => 0.58,
        '\0'..='~' => 0.56,
        '\u{2010}'..='\u{2025}' => 0.6,
        _ => 1.05,
    }
}

/// The text, cut with an ellipsis where it is wider than there is room.
pub(super) fn fit(text: &str, size: f64, room: f64) -> String {
    let text = clean(text);
    if width(&text, size) <= room {
        return text;
    }
    let mut left = room - width("…", size);
    let mut cut: String = text
        .chars()
        .take_while(|&c| {
            left -= size * advance(c);
            left >= 0.0
        })
        .collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            escape("a<b>\"c\" & 'd'\n\u{0}\u{200b}\u{202e}\u{ffff}e"),
            "a&lt;b&gt;&quot;c&quot; &amp; &#39;d&#39; e"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        assert_eq!(fit("latency", 10.0, 100.0), "latency");
        let cut = fit(&"latency ".repeat(20), 10.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 100.0, "{cut}");
        assert_eq!(fit("latency", 10.0, 0.0), "…");
    }
}
