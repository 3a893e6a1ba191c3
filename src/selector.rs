//! The part of PromQL that needs no backend: plain selectors, `metric{label="value",other!="value"}`,
//! and names of series in the same form.

use crate::series::Labels;

/// Matchers that one selector may have.
const MATCHERS_MAX: usize = 32;

/// A plain selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    metric: String,
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Matcher {
    label: String,
    /// False for `!=`.
    equal: bool,
    value: String,
    /// Where its operator stands, in bytes of the text.
    at: usize,
}

/// Why a text is no plain selector, or no name of a series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct SelectorError {
    reason: &'static str,
    /// In bytes of the text.
    pub at: usize,
}

impl Selector {
    /// Reads a plain selector.
    ///
    /// # Errors
    ///
    /// Anything else, and where it stops being one.
    pub fn parse(query: &str) -> Result<Self, SelectorError> {
        let mut reader = Reader { query, at: 0 };
        let read = reader.name(is_metric).ok_or("expected a metric name");
        let read = read.and_then(|metric| Ok(Self { metric, matchers: reader.matchers()? }));
        read.map_err(|reason| SelectorError { reason, at: reader.at })
    }

    /// The metric's name.
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// True if the series is one of those selected. A label that is not there equals "".
    pub fn matches(&self, metric: &str, labels: &Labels) -> bool {
        let holds =
            |m: &Matcher| (labels.get(&m.label).map_or("", String::as_str) == m.value) == m.equal;
        self.metric == metric && self.matchers.iter().all(holds)
    }
}

/// Reads the name of a series, `name{label="value"}`. The name may be that of a rule too: letters,
/// digits, `_`, `:`, `-` and `.`.
///
/// # Errors
///
/// Anything else, and where it stops being one.
pub fn series_name(text: &str) -> Result<(String, Labels), SelectorError> {
    let mut reader = Reader { query: text, at: 0 };
    let mut read = || {
        let name = reader.name(is_rule).ok_or("expected a name")?;
        let mut labels = Labels::new();
        for Matcher { label, equal, value, at } in reader.matchers()? {
            if !equal {
                reader.at = at;
                return Err("a series has labels, `label=\"value\"`, and no other operator");
            }
            if labels.insert(label, value).is_some() {
                reader.at = at;
                return Err("a label is there twice");
            }
        }
        Ok((name, labels))
    };
    read().map_err(|reason| SelectorError { reason, at: reader.at })
}

fn is_label(n: usize, c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || (n > 0 && c.is_ascii_digit())
}

fn is_metric(n: usize, c: char) -> bool {
    c == ':' || is_label(n, c)
}

fn is_rule(n: usize, c: char) -> bool {
    is_metric(n, c) || c.is_ascii_digit() || matches!(c, '-' | '.')
}

/// Where reading has come to.
struct Reader<'a> {
    query: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The matchers in braces, up to the end of the text.
    fn matchers(&mut self) -> Result<Vec<Matcher>, &'static str> {
        let mut matchers = Vec::new();
        if self.eat("{") {
            while !self.eat("}") {
                if matchers.len() == MATCHERS_MAX {
                    return Err("too many matchers");
                }
                matchers.push(self.matcher()?);
                if !self.eat(",") {
                    if !self.eat("}") {
                        return Err("expected `,` or `}`");
                    }
                    break;
                }
            }
        }
        self.space();
        if self.rest().is_empty() { Ok(matchers) } else { Err("unexpected text") }
    }

    fn matcher(&mut self) -> Result<Matcher, &'static str> {
        let label = self.name(is_label).ok_or("expected a label name")?;
        let at = self.at;
        let equal = if self.eat("!=") {
            false
        } else if self.rest().starts_with("=~") || !self.eat("=") {
            return Err("expected `=` or `!=`");
        } else {
            true
        };
        Ok(Matcher { label, equal, value: self.text()?, at })
    }

    fn name(&mut self, fits: fn(usize, char) -> bool) -> Option<String> {
        self.space();
        let chars = self.rest().chars().enumerate();
        let name: String = chars.take_while(|&(n, c)| fits(n, c)).map(|(_, c)| c).collect();
        self.at += name.len();
        (!name.is_empty()).then_some(name)
    }

    fn text(&mut self) -> Result<String, &'static str> {
        self.space();
        let mut chars = self.rest().char_indices();
        let Some((_, quote @ ('"' | '\''))) = chars.next() else {
            return Err("expected a quoted value");
        };
        let mut text = String::new();
        while let Some((n, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += n + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, c @ ('\\' | '"' | '\''))) => text.push(c),
                    _ => return Err("unknown escape"),
                },
                c => text.push(c),
            }
        }
        Err("the value has no end")
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &str {
        self.query.get(self.at..).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_selectors_match_as_promql_does() {
        let labels = Labels::from([("service".to_owned(), "web \"x\"".to_owned())]);
        for (query, expected) in [
            ("lab_errors", true),
            (" lab_errors { } ", true),
            (r#"lab_errors{service="web \"x\""}"#, true),
            (r#"lab_errors{service='web "x"',}"#, true),
            (r#"lab_errors{service!="web"}"#, true),
            (r#"lab_errors{service="web"}"#, false),
            // A label that is not there is the empty text.
            (r#"lab_errors{peer="",queue!="a"}"#, true),
            ("lab_error", false),
        ] {
            let selector = Selector::parse(query).unwrap();
            assert_eq!(selector.matches("lab_errors", &labels), expected, "{query}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_place() {
        for (query, at) in [
            ("", 0),
            ("rate(lab_errors[5m])", 4),
            ("lab_errors[5m]", 10),
            ("lab_errors offset 5m", 11),
            ("lab_errors > 3", 11),
            (r#"lab_errors{a=~"b"}"#, 12),
            (r#"lab_errors{a="b}"#, 13),
            (r#"lab_errors{a="b" b="c"}"#, 17),
            ("lab_errors{=\"b\"}", 11),
            ("{__name__=\"lab_errors\"}", 0),
            ("läb_errors", 1),
        ] {
            let error = Selector::parse(query).unwrap_err();
            assert_eq!(error.at, at, "{query}: {error}");
        }
    }

    #[test]
    fn series_have_labels_and_nothing_else() {
        let (name, labels) = series_name(r#"signal:http-p99.x{service="web",zone='a'}"#).unwrap();
        assert_eq!(name, "signal:http-p99.x");
        assert_eq!(labels.into_iter().collect::<Vec<_>>().len(), 2);
        for (text, at) in
            [("", 0), (r#"a{b!="c"}"#, 3), (r#"a{b="1",b="2"}"#, 9), ("a{b}", 3), ("a b", 2)]
        {
            assert_eq!(series_name(text).unwrap_err().at, at, "{text}");
        }
    }
}
