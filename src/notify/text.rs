//! An alert as text for a terminal: what `demo` and `replay` print. It is the mail's text.

use jiff::tz::TimeZone;

use super::message::{self, Ink};
use crate::engine::alert::{Alert, Severity, State};

/// How a text is dressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to colour it with the escape codes of terminals.
    pub colour: bool,
}

/// The alert as text with times of a zone, ending in a line break.
pub fn render(alert: &Alert, style: Style, zone: &TimeZone) -> String {
    message::text(alert, if style.colour { ink(alert) } else { Ink::default() }, zone)
}

fn ink(alert: &Alert) -> Ink {
    let tone = match (alert.state, alert.severity) {
        (State::Resolved, _) => "\u{1b}[1;32m",
        (_, Severity::Critical) => "\u{1b}[1;31m",
        (_, Severity::Warning) => "\u{1b}[1;33m",
        (_, Severity::Notice) => "\u{1b}[1;36m",
    };
    Ink { strong: "\u{1b}[1m", faint: "\u{1b}[2m", tone, end: "\u{1b}[0m" }
}
