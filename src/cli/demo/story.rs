//! The story as text: what happened in order of time, the alert as a person gets it, and who
//! knew when. It depends on what is told alone.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::told::{Told, concerns, grouped};
use super::verdict;
use crate::engine::alert::{Alert, Severity, State};
use crate::format;
use crate::lab::{Noticed, Objective};
use crate::notify::text::{self, Style};
use crate::rules::UNEXPLAINED;
use crate::time::{Span, Timestamp};

/// Lines are broken before this column.
const COLUMNS: usize = 100;
/// Where the sentences of the story begin.
const INDENT: usize = 33;

/// The whole text, ending in a line break.
pub(super) fn story(told: &Told, style: Style) -> String {
    let mut text = String::new();
    let pen = Pen(style);
    opening(&mut text, told, pen);
    heading(&mut text, pen, "WHAT HAPPENED");
    for event in events(told) {
        event.write(&mut text, told.onset, pen);
    }
    if let Some(alert) = told.most_telling() {
        let words = format!("WHAT GRAYFLAG SENT ON {}", clock(alert.at));
        heading(&mut text, pen, &words);
        text.push_str(&text::render(alert, style, &TimeZone::UTC));
    }
    heading(&mut text, pen, "WHO KNEW WHEN");
    text.push_str(&verdict::table(told));
    text.push('\n');
    paragraph(&mut text, &verdict::terms());
    text.push('\n');
    for sentence in verdict::verdicts(told) {
        paragraph(&mut text, &sentence);
    }
    text.push_str(
        "\nMore: `grayflag demo --list` shows other faults, `--seed N` gives another fleet.\n",
    );
    text
}

fn opening(text: &mut String, told: &Told, pen: Pen) {
    let title = format!("{}: {}", told.fault.id, told.fault.about);
    let _ = writeln!(text, "{}\n", pen.strong(&title));
    let about = format!(
        "A simulated fleet of six services, seed {}. grayflag read three weeks of its history over \
         HTTP, {} samples of {} series, and then lived through the incident minute by minute. It \
         knows nothing else. Times are UTC; the incident begins on {}.",
        told.seed,
        grouped(told.figures.samples),
        told.figures.series,
        told.onset.to_jiff().strftime("%A, %-d %B %Y"),
    );
    paragraph(text, &about);
}

/// Writes with colour, or without.
#[derive(Clone, Copy)]
struct Pen(Style);

impl Pen {
    fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn heading(text: &mut String, pen: Pen, words: &str) {
    let _ = writeln!(text, "\n{}\n", pen.strong(words));
}

fn paragraph(text: &mut String, words: &str) {
    text.push_str(&wrapped(words, 0));
    text.push('\n');
}

/// Breaks words into lines, all but the first indented.
fn wrapped(words: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut used = indent;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if text.is_empty() {
            used += length;
        } else if COLUMNS < used + 1 + length {
            let _ = write!(text, "\n{:indent$}", "");
            used = indent + length;
        } else {
            text.push(' ');
            used += 1 + length;
        }
        text.push_str(word);
    }
    text
}

/// The time between two instants as a reader of their clocks reckons it.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Span {
    to.floor_to(Span::MINUTE) - from.floor_to(Span::MINUTE)
}

/// `Mon 11:35`.
pub(super) fn clock(at: Timestamp) -> String {
    at.to_jiff().strftime("%a %H:%M").to_string()
}

/// Something that happened.
struct Event {
    at: Timestamp,
    /// Whose doing or word it is.
    who: &'static str,
    /// Escape code of `who`.
    ink: &'static str,
    words: String,
}

impl Event {
    fn write(&self, text: &mut String, onset: Timestamp, pen: Pen) {
        let since = match between(onset, self.at) {
            Span::ZERO => String::new(),
            since if since < Span::ZERO => since.rough(),
            since => format!("+{}", since.rough()),
        };
        let who = pen.paint(self.ink, &format!("{:9}", self.who));
        let words = wrapped(&self.words, INDENT);
        let _ = writeln!(text, "  {:9}  {since:>7}  {who}  {words}", clock(self.at));
    }
}

/// Everything that happened, in order of time.
fn events(told: &Told) -> Vec<Event> {
    let mut events = vec![Event {
        at: told.onset,
        who: "fault",
        ink: "1",
        words: format!("The cause begins to change: {}. Nobody can see it yet.", told.fault.about),
    }];
    events.extend(told.alerts.iter().map(|alert| said(told, alert)));
    for (who, firings) in [("threshold", &told.threshold), ("burn rate", &told.burn_rate)] {
        events.extend(told.first_of(firings).map(|firing| Event {
            at: firing.from,
            who,
            ink: "35",
            words: format!("This alert would fire: {}.", firing.reason),
        }));
    }
    events.extend(told.noticed.map(|Noticed { at, objective }| Event {
        at,
        who: "users",
        ink: "1;31",
        words: format!("Users notice: {}.", missed(objective)),
    }));
    events.push(Event {
        at: told.end,
        who: "end",
        ink: "2",
        words: match told.noticed {
            Some(_) => "The story ends here.".to_owned(),
            None => "Users have noticed nothing. The story ends here.".to_owned(),
        },
    });
    // Stable: what happens in the same minute keeps the order above.
    events.sort_by_key(|event| event.at);
    events
}

/// What users missed.
fn missed(objective: Objective) -> &'static str {
    match objective {
        Objective::Browse => "pages are slow or fail, and were for five minutes",
        Objective::Order => "orders are slow or fail, and were for five minutes",
        Objective::Mail => "mails are more than 15 minutes late",
    }
}

/// One alert in one sentence.
fn said(told: &Told, alert: &Alert) -> Event {
    let (who, ink) = match (alert.state, alert.severity) {
        (State::Resolved, _) => ("resolved", "32"),
        (_, Severity::Notice) => ("notice", "1;36"),
        (_, Severity::Warning) => ("warning", "1;33"),
        (_, Severity::Critical) => ("critical", "1;31"),
    };
    let service = &alert.service;
    let earlier = told.alerts.iter().take_while(|one| !std::ptr::eq(*one, alert));
    let before = earlier.filter(|one| one.incident == alert.incident).last();
    let mut words = match (alert.state, before) {
        (State::Resolved, _) => format!("grayflag says that it is over: {service}"),
        (State::Updated, Some(before)) => {
            format!("grayflag adds to {service}: {}", news(before, alert))
        }
        (State::Firing | State::Updated, _) => {
            let others = alert.services.iter().filter(|other| *other != service);
            let others: Vec<&str> = others.map(String::as_str).collect();
            let with = if others.is_empty() {
                String::new()
            } else {
                format!(" with {}", others.join(", "))
            };
            format!("grayflag tells of {service}{with}: {}", named(alert))
        }
    };
    if alert.state != State::Resolved && !concerns(alert, told.fault, told.onset) {
        words.push_str(". A false one: it has nothing to do with the fault");
    }
    words.push('.');
    Event { at: alert.at, who, ink, words }
}

/// What an alert says that the one before did not.
fn news(before: &Alert, alert: &Alert) -> String {
    let mut parts = Vec::new();
    if alert.severity != before.severity {
        parts.push(match alert.severity {
            Severity::Notice => "a notice now".to_owned(),
            Severity::Warning => "a warning now".to_owned(),
            Severity::Critical => "critical now".to_owned(),
        });
    }
    let joined = alert.services.iter().filter(|service| !before.services.contains(service));
    parts.extend(joined.map(|service| format!("{service} is in it too")));
    let lead = |alert: &Alert| alert.causes.first().map(|cause| cause.id.clone());
    if parts.is_empty() || lead(alert) != lead(before) {
        parts.push(named(alert));
    }
    parts.join("; ")
}

/// What an alert takes for the cause.
fn named(alert: &Alert) -> String {
    let Some(cause) = alert.causes.first() else { return "no clear cause".to_owned() };
    let sure = format::probability(cause.probability);
    if cause.id == UNEXPLAINED {
        format!("no clear cause ({sure})")
    } else if !cause.is_clear() {
        format!("no clear cause, perhaps {} of {} ({sure})", cause.id, cause.culprit.service)
    } else {
        format!("{} of {} ({sure})", cause.id, cause.culprit.service)
    }
}
