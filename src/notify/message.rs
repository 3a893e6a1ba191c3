//! Lays an alert out as text and HTML. A template that fails never stops an alert: the message
//! then says what failed and carries the facts plainly.

use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::view::{self, View};
use crate::engine::alert::Alert;
use crate::time::Timestamp;

/// A message ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// For any reader.
    pub text: String,
    /// The same, laid out; none when its template failed.
    pub html: Option<String>,
    /// What the templates complained of, for the log and a metric.
    pub failure: Option<String>,
}

/// The templates of a message.
#[derive(Clone, Debug)]
pub struct Templates {
    environment: Arc<Environment<'static>>,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the template `{name}`")]
pub struct TemplateError {
    /// Which one.
    name: &'static str,
    /// What is wrong with it.
    source: minijinja::Error,
}

/// Escape codes in a text for a terminal; all empty without colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Ink {
    /// Before what must be seen first.
    pub(super) strong: &'static str,
    /// Before what can be skipped.
    pub(super) faint: &'static str,
    /// Before the word of state.
    pub(super) tone: &'static str,
    /// After each of them.
    pub(super) end: &'static str,
}

/// The templates that grayflag comes with.
static EMBEDDED: LazyLock<Result<Templates, String>> = LazyLock::new(|| {
    Templates::new(include_str!("templates/mail.txt"), include_str!("templates/mail.html"))
        .map_err(|error| chain(&error))
});
/// Steps of work that one rendering may take; the largest message needs a tenth.
const FUEL: u64 = 200_000;
/// Width at which texts are broken.
const COLUMNS: usize = 78;

impl Templates {
    /// Reads templates of one's own.
    ///
    /// # Errors
    ///
    /// When one is not a template.
    pub fn new(text: &str, html: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment
            .set_syntax(syntax.map_err(|source| TemplateError { name: "mail.txt", source })?);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|name| {
            if name.rsplit('.').next() == Some("html") {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        environment.add_filter("hang", hang);
        for (name, source) in [("mail.txt", text), ("mail.html", html)] {
            environment
                .add_template_owned(name, source.to_owned())
                .map_err(|source| TemplateError { name, source })?;
        }
        Ok(Self { environment: Arc::new(environment) })
    }

    /// The message about an alert to a reader at `now`.
    pub fn message(&self, alert: &Alert, now: Timestamp) -> Message {
        let view = View::new(alert, now);
        let subject = view.subject.clone();
        let html = self.render("mail.html", &view, Ink::default());
        match (self.render("mail.txt", &view, Ink::default()), html) {
            (Ok(text), Ok(html)) => Message { subject, text, html: Some(html), failure: None },
            (Ok(text), Err(failure)) => {
                Message { subject, text, html: None, failure: Some(failure) }
            }
            (Err(failure), html) => Message {
                subject,
                text: plain(alert, &failure),
                html: html.ok(),
                failure: Some(failure),
            },
        }
    }

    fn render(&self, name: &str, view: &View, ink: Ink) -> Result<String, String> {
        self.environment
            .get_template(name)
            .and_then(|template| {
                template.render(context! {
                    a => Serde(view),
                    ink => Serde(ink),
                })
            })
            .map_err(|error| chain(&error))
    }
}

/// The message about an alert, in grayflag's own templates.
pub fn message(alert: &Alert, now: Timestamp) -> Message {
    match &*EMBEDDED {
        Ok(templates) => templates.message(alert, now),
        Err(failure) => Message {
            subject: view::subject(alert),
            text: plain(alert, failure),
            html: None,
            failure: Some(failure.clone()),
        },
    }
}

/// The text alone.
pub(super) fn text(alert: &Alert, ink: Ink) -> String {
    let view = View::new(alert, alert.at);
    match &*EMBEDDED {
        Ok(templates) => templates.render("mail.txt", &view, ink),
        Err(failure) => Err(failure.clone()),
    }
    .unwrap_or_else(|failure| plain(alert, &failure))
}

/// What is sent when a template failed: everything, in no layout.
fn plain(alert: &Alert, failure: &str) -> String {
    let steps: Vec<String> =
        alert.steps.first_ten_minutes.iter().map(|s| format!("- {}", view::clean(s))).collect();
    format!(
        "{}\n\n{}\n\nThis message could not be laid out: {}\nThe alert as data:\n\n{}\n",
        view::subject(alert),
        steps.join("\n"),
        view::clean(failure),
        alert.to_json()
    )
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
