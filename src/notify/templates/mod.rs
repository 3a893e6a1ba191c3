//! Template files that lay messages out: grayflag's own, and users' in their place.

mod samples;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::message::Ink;
use super::view::View;
use crate::engine::alert::Alert;
use crate::time::Timestamp;

/// Templates, ready to lay out what they are given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Templates {
    environment: Arc<Environment<'static>>,
    zone: TimeZone,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the template `{name}`: {detail}")]
pub struct TemplateError {
    /// Which one.
    pub name: String,
    /// What is wrong with it.
    pub detail: String,
    /// Where in it, in bytes, as far as that is known.
    pub place: Option<Range<usize>>,
}

/// The templates that grayflag comes with. What follows the dot says how values are made inert:
/// `html`, `slack` (Slack's mrkdwn) and `telegram` (the tags that Telegram knows) by their rules,
/// `md` as Markdown, `txt` and `teams` (lines; those that begin with `# ` are headings) not at all.
pub const BUILT_IN: [(&str, &str); 13] = [
    ("mail.txt", include_str!("mail.txt")),
    ("mail.html", include_str!("mail.html")),
    ("chat.slack", include_str!("chat.slack")),
    ("chat.md", include_str!("chat.md")),
    ("chat.telegram", include_str!("chat.telegram")),
    ("chat.teams", include_str!("chat.teams")),
    ("chat.txt", include_str!("chat.txt")),
    ("digest.txt", include_str!("digest.txt")),
    ("digest.html", include_str!("digest.html")),
    ("digest.slack", include_str!("digest.slack")),
    ("digest.md", include_str!("digest.md")),
    ("digest.telegram", include_str!("digest.telegram")),
    ("digest.teams", include_str!("digest.teams")),
];
/// Steps of work that one rendering may take; the largest message needs a tenth.
const FUEL: u64 = 200_000;
/// Width at which texts are broken.
const COLUMNS: usize = 78;

/// Grayflag's own; what is wrong with them otherwise, which a test rules out.
static OWN: LazyLock<Templates> = LazyLock::new(|| {
    // A template that cannot be read is missing, and its messages carry the facts plainly.
    Templates::with(&[])
        .unwrap_or_else(|_| Templates { environment: Arc::default(), zone: TimeZone::UTC })
});

impl Default for Templates {
    fn default() -> Self {
        OWN.clone()
    }
}

impl Templates {
    /// Grayflag's own templates, with others in place of those of the same name.
    ///
    /// # Errors
    ///
    /// When one is not a template.
    pub fn with(others: &[(String, String)]) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| TemplateError::new("all", &error))?);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(escape_of);
        environment.set_formatter(write_inert);
        environment.add_filter("hang", hang);
        environment.add_filter("href", href);
        let own = BUILT_IN.iter().map(|(name, source)| (*name, *source));
        let others = others.iter().map(|(name, source)| (name.as_str(), source.as_str()));
        for (name, source) in own.chain(others) {
            let added = environment.add_template_owned(name.to_owned(), source.to_owned());
            added.map_err(|error| TemplateError::new(name, &error))?;
        }
        Ok(Self { environment: Arc::new(environment), zone: TimeZone::UTC })
    }

    /// The same templates for readers in a zone.
    #[must_use]
    pub fn in_zone(self, zone: TimeZone) -> Self {
        Self { zone, ..self }
    }

    /// Where the readers are.
    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// An alert as these templates show it to a reader at `now`.
    pub fn view(&self, alert: &Alert, now: Timestamp) -> View {
        View::in_zone(alert, now, &self.zone)
    }

    /// Lays a template out for every sample incident.
    ///
    /// # Errors
    ///
    /// The first complaint.
    pub fn try_out(&self, name: &str) -> Result<(), TemplateError> {
        for sample in samples::of(name) {
            self.lay_out(name, &sample, &Ink::default())
                .map_err(|error| TemplateError::new(name, &error))?;
        }
        Ok(())
    }

    /// Lays out a view, which templates know as `a`, with further values `more`, which they know
    /// as `ink`.
    ///
    /// # Errors
    ///
    /// What the template complains of.
    pub(super) fn render(
        &self,
        name: &str,
        view: &impl Serialize,
        more: &impl Serialize,
    ) -> Result<String, String> {
        self.lay_out(name, view, more).map_err(|error| chain(&error))
    }

    fn lay_out(
        &self,
        name: &str,
        view: &impl Serialize,
        more: &impl Serialize,
    ) -> Result<String, minijinja::Error> {
        let template = self.environment.get_template(name)?;
        template.render(context! { a => Serde(view), ink => Serde(more) })
    }
}

impl TemplateError {
    fn new(name: &str, error: &minijinja::Error) -> Self {
        let what = error.kind().to_string();
        let detail = match error.detail() {
            Some(detail) => format!("{what}: {detail}"),
            None => what,
        };
        Self { name: name.to_owned(), detail, place: error.range() }
    }
}

fn escape_of(name: &str) -> AutoEscape {
    match name.rsplit('.').next() {
        Some("html") => AutoEscape::Html,
        Some(suffix @ ("slack" | "md" | "telegram")) => {
            AutoEscape::Custom(suffix.to_owned().into())
        }
        _ => AutoEscape::None,
    }
}

/// Writes a value so that the reader's program takes it as text and nothing else.
fn write_inert(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    let AutoEscape::Custom(format) = state.auto_escape() else {
        return minijinja::escape_formatter(out, state, value);
    };
    let text = value.to_string();
    let text = if value.is_safe() { text } else { inert(format, &text) };
    out.write_str(&text).map_err(minijinja::Error::from)
}

/// A text that a program reading templates of this suffix takes as text and nothing else.
pub(super) fn inert(suffix: &str, text: &str) -> String {
    match suffix {
        "slack" => slack(text),
        "md" => markdown(text),
        "telegram" => telegram(text),
        _ => text.to_owned(),
    }
}

/// Slack's three characters as entities; a zero-width space keeps its marks from meaning anything.
fn slack(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => inert.push_str("&amp;"),
            '<' => inert.push_str("&lt;"),
            '>' => inert.push_str("&gt;"),
            '*' | '_' | '~' | '`' => inert.extend(['\u{200b}', c, '\u{200b}']),
            c => inert.push(c),
        }
    }
    inert
}

/// The four entities that Telegram knows.
fn telegram(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// An address that cannot end the place in which it stands, whatever surrounds it.
fn href(state: &State<'_, '_>, address: &str) -> Value {
    let mut inert = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '<' | '>' | '|' | '(' | ')' | '[' | ']' | '"' | '\'' | '`' | '\\' | ' ' => {
                let _ = write!(inert, "%{:02X}", u32::from(c));
            }
            c => inert.push(c),
        }
    }
    let entities = match state.auto_escape() {
        AutoEscape::Custom(format) => matches!(format.as_ref(), "slack" | "telegram"),
        AutoEscape::Html => true,
        _ => false,
    };
    Value::from_safe_string(if entities { inert.replace('&', "&amp;") } else { inert })
}

/// A backslash before everything that Markdown could take as a mark.
fn markdown(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | ':' | '/' | '%' | '\'' | '"' | '?')
        {
            inert.push('\\');
        }
        inert.push(c);
    }
    inert
}

/// Breaks a text into lines, those after the first indented by `indent`.
#[expect(clippy::needless_pass_by_value, reason = "filters take their arguments so")]
fn hang(text: String, indent: usize) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    let mut used = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && used + 1 + length > COLUMNS {
            lines.push(word.to_owned());
            used = indent + length;
        } else {
            if !line.is_empty() {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
