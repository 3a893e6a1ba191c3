//! Lays an alert out as text and HTML. A template that fails never stops an alert: the message
//! then says what failed and carries the facts plainly.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::chart;
use super::templates::Templates;
use super::view::{self, View};
use crate::engine::alert::Alert;
use crate::engine::chart::Chart;
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
    /// What `html` shows as [`PICTURE`], as PNG.
    pub picture: Option<Vec<u8>>,
    /// What the templates complained of, for the log and a metric.
    pub failure: Option<String>,
}

/// How the laid out part calls the picture of the signals.
pub const PICTURE: &str = "signals";

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

impl Templates {
    /// The message about an alert to a reader at `now`.
    pub fn message(&self, alert: &Alert, now: Timestamp) -> Message {
        self.illustrated(alert, None, now)
    }

    /// An alert as these templates show it, with what its signals did in lines of text.
    pub(super) fn charted(&self, alert: &Alert, chart: Option<&Chart>, now: Timestamp) -> View {
        let mut view = self.view(alert, now);
        if let Some(chart) = chart {
            view.add_trends(chart, chart::sparkline);
        }
        view
    }

    /// The message about an alert of which something can be drawn.
    pub fn illustrated(&self, alert: &Alert, chart: Option<&Chart>, now: Timestamp) -> Message {
        let picture = chart.and_then(|chart| chart::png(chart, alert, self.zone()));
        let mut view = self.charted(alert, chart, now);
        view.picture = picture.is_some();
        let subject = view.subject.clone();
        let html = self.render("mail.html", &view, &Ink::default());
        let text = self.render("mail.txt", &view, &Ink::default());
        let failure = text.as_ref().err().or(html.as_ref().err()).cloned();
        let text = text.unwrap_or_else(|failure| plain(alert, &subject, &failure));
        Message { subject, text, html: html.ok(), picture, failure }
    }
}

/// The text alone, in grayflag's own layout.
pub(super) fn text(alert: &Alert, ink: Ink, zone: &TimeZone) -> String {
    let view = View::in_zone(alert, alert.at, zone);
    let laid = Templates::default().render("mail.txt", &view, &ink);
    laid.unwrap_or_else(|failure| plain(alert, &view.subject, &failure))
}

/// What is sent when a template failed: everything, in no layout.
pub(super) fn plain(alert: &Alert, subject: &str, failure: &str) -> String {
    let steps: Vec<String> =
        alert.steps.first_ten_minutes.iter().map(|s| format!("- {}", view::clean(s))).collect();
    format!(
        "{}\n\n{}\n\nThis message could not be laid out: {}\nThe alert as data:\n\n{}\n",
        subject,
        steps.join("\n"),
        view::clean(failure),
        alert.to_json()
    )
}
