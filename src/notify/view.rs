//! What a message shows: the alert with every text cleaned, every number and time formatted and
//! every list cut to a length that a person reads. Templates only lay it out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::engine::alert::{Alert, MovedSignal, NOT_MEASURED, NOT_REPORTED, NamedCause, State};
use crate::format;
use crate::rules::{Steps, UNEXPLAINED};
use crate::time::{Span, Timestamp};

/// A leading cause below this is not called clear: the others together are as probable.
const CLEAR_MIN: f64 = 0.5;
/// Later than this after its tick, a message says so.
const LATE_AFTER: Span = Span::from_mins(5);
/// Longest text of one field, in characters.
const TEXT_CHARS_MAX: usize = 600;
/// Longest link, in characters; queries make them long.
const LINK_CHARS_MAX: usize = 4_000;
/// Longest subject, in characters; phones show half of it.
const SUBJECT_CHARS_MAX: usize = 160;
/// Entries of any list shown.
const LIST_MAX: usize = 12;
/// What is told of the cause that leads.
const LEADING: Reasons = Reasons { supports: 6, against: 4, unknown: 3 };
/// What is told of the others: enough to see why they do not lead.
const OTHER: Reasons = Reasons { supports: 2, against: 2, unknown: 0 };

/// An alert as its messages show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// `firing`, `updated`, `resolved`.
    pub state: &'static str,
    /// `notice`, `warning`, `critical`.
    pub severity: &'static str,
    /// The word that comes first: `Warning`, `Updated: critical`, `Resolved`.
    pub word: String,
    /// The subject of a mail.
    pub subject: String,
    /// The service it is about.
    pub service: String,
    /// The others in it, joined; empty when there are none.
    pub others: String,
    /// What happens.
    pub title: String,
    /// When it was decided.
    pub at: String,
    /// When it began.
    pub began: String,
    /// Where the beginning can lie.
    pub began_range: String,
    /// How long it lasted, once it is over.
    pub lasted: Option<String>,
    /// How long is left; never once it is over.
    pub left: Option<String>,
    /// How late this message is, if it is.
    pub late: Option<String>,
    /// Whether the first of `causes` is a known one, as probable as all others together.
    pub clear: bool,
    /// Causes considered, most probable first.
    pub causes: Vec<Cause>,
    /// What else changed.
    pub changes: Vec<String>,
    /// Label values that explain it.
    pub breakdown: Vec<String>,
    /// Lists of steps that are not empty, in the order to take them.
    pub steps: Vec<StepList>,
    /// The signals that moved.
    pub signals: Vec<Signal>,
    /// How many signals more moved.
    pub signals_more: usize,
    /// What was looked at and found normal.
    pub checked: Vec<String>,
    /// Where to look further; only addresses that a browser opens safely.
    pub links: Vec<Link>,
    /// Id of the incident.
    pub incident: String,
}

/// A cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// Its name in words.
    pub name: String,
    /// How sure, as a number.
    pub probability: String,
    /// How sure, in words.
    pub likelihood: &'static str,
    /// What is to blame.
    pub culprit: String,
    /// The strongest evidence for it.
    pub supports: Vec<String>,
    /// The strongest evidence against it.
    pub against: Vec<String>,
    /// What could not be looked up; of the leading cause only.
    pub unknown: Vec<String>,
    /// What nobody measures or reports; of the leading cause only.
    pub blind: Option<String>,
}

/// How many entries of a cause's lists are told.
#[derive(Clone, Copy)]
struct Reasons {
    supports: usize,
    against: usize,
    unknown: usize,
}

/// A signal that moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Signal {
    /// Service and name.
    pub name: String,
    /// Labels that tell it apart; may be empty.
    pub labels: String,
    /// `up`, `down` or `silent`.
    pub direction: String,
    /// Its value now.
    pub now: String,
    /// What was expected.
    pub expected: String,
    /// When it began to move.
    pub onset: String,
    /// How often a normal day would show this.
    pub chance: String,
}

/// One of the six lists of steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepList {
    /// Its heading.
    pub name: &'static str,
    /// Its steps.
    pub items: Vec<String>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it leads to.
    pub name: String,
    /// The address.
    pub url: String,
}

impl View {
    /// The view of an alert for a reader at `now`. Distances in time are counted from the
    /// alert's own tick, so that the text of an alert is always the same.
    pub fn new(alert: &Alert, now: Timestamp) -> Self {
        let by = alert.at;
        let over = alert.state == State::Resolved;
        let [earliest, latest] = alert.started_at_range;
        Self {
            state: alert.state.name(),
            severity: alert.severity.name(),
            word: word(alert),
            subject: subject(alert),
            service: clean(&alert.service),
            others: joined(alert.services.iter().filter(|s| **s != alert.service)),
            title: clean(&alert.title),
            at: format::clock(by, now),
            began: format::moment(alert.started_at, by),
            began_range: format!(
                "between {} and {}",
                format::clock(earliest, by),
                format::clock(latest, by)
            ),
            lasted: over.then(|| (by - alert.started_at).rough()),
            left: (!over).then(|| left(alert)).flatten(),
            late: (now - by > LATE_AFTER).then(|| (now - by).rough()),
            clear: alert
                .causes
                .first()
                .is_some_and(|c| c.id != UNEXPLAINED && c.probability >= CLEAR_MIN),
            causes: causes(&alert.causes),
            changes: list(alert.changes.iter().map(|change| {
                format!(
                    "{} of {}: {}, {}",
                    change.kind,
                    change.service,
                    change.what,
                    format::moment(change.at, by)
                )
            })),
            breakdown: list(alert.breakdown.iter().map(|part| {
                format!(
                    "{} {}: {} of {}, usually {}",
                    part.label,
                    part.value,
                    format::share(part.share),
                    part.signal,
                    format::share(part.usual_share)
                )
            })),
            steps: steps(&alert.steps, over),
            signals: alert.signals.iter().take(LIST_MAX).map(|s| signal(s, by)).collect(),
            signals_more: alert.signals.len().saturating_sub(LIST_MAX),
            checked: list(alert.checked.iter()),
            links: links(&alert.links),
            incident: clean(&alert.incident),
        }
    }
}

/// The subject of an alert's mail: state first, because lists of mails cut the end off.
pub fn subject(alert: &Alert) -> String {
    let tag = match alert.state {
        State::Firing => alert.severity.name().to_owned(),
        State::Updated => format!("{}, updated", alert.severity),
        State::Resolved => "resolved".to_owned(),
    };
    clip(&clean(&format!("[{tag}] {}: {}", alert.service, alert.title)), SUBJECT_CHARS_MAX)
}

/// One line without control characters: none can end a header, colour a terminal or turn the
/// direction of writing.
pub fn clean(text: &str) -> String {
    clean_to(text, TEXT_CHARS_MAX)
}

fn clean_to(text: &str, chars_max: usize) -> String {
    let line: String = text
        .chars()
        .take(4 * chars_max)
        .map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c })
        .filter(|c| !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .collect();
    clip(&line.split_whitespace().collect::<Vec<_>>().join(" "), chars_max)
}

fn clip(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max - 1).collect();
    short.push('…');
    short
}

fn word(alert: &Alert) -> String {
    let severity = alert.severity.name();
    match alert.state {
        State::Firing => {
            let (first, rest) = severity.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        }
        State::Updated => format!("Updated: {severity}"),
        State::Resolved => "Resolved".to_owned(),
    }
}

fn left(alert: &Alert) -> Option<String> {
    let forecast = alert.forecast.as_ref()?;
    let by = alert.at;
    let (earliest, latest) = forecast.range;
    let mut text = format!(
        "{} crosses its {} at {}, ",
        forecast.signal,
        forecast.crosses,
        format::moment(forecast.at, by)
    );
    let _ = match latest {
        Some(latest) => write!(
            text,
            "between {} and {}",
            format::clock(earliest, by),
            format::clock(latest, by)
        ),
        None => write!(text, "not before {}", format::clock(earliest, by)),
    };
    Some(clean(&text))
}

fn causes(causes: &[NamedCause]) -> Vec<Cause> {
    let told = std::iter::once(LEADING).chain(std::iter::repeat(OTHER));
    causes.iter().take(LIST_MAX).zip(told).map(|(c, told)| cause(c, told)).collect()
}

fn cause(cause: &NamedCause, told: Reasons) -> Cause {
    let (failed, blind) = unknown(&cause.unknown);
    Cause {
        name: clean(&cause.id.replace(['-', '_'], " ")),
        probability: format::probability(cause.probability),
        likelihood: format::likelihood(cause.probability),
        culprit: clean(&with_labels(&cause.culprit.service, &cause.culprit.labels)),
        supports: strongest(&cause.evidence_for, told.supports),
        against: strongest(&cause.against, told.against),
        unknown: strongest(failed, told.unknown),
        blind: blind.filter(|_| told.unknown > 0).map(|blind| clean(blind)),
    }
}

/// Reasons come with the strongest first; those left out are weaker, and are in the alert's JSON.
fn strongest(reasons: &[String], most: usize) -> Vec<String> {
    reasons.iter().take(most).map(|reason| clean(reason)).collect()
}

/// Failed look-ups, and apart from them the blind spots.
fn unknown(unknown: &[String]) -> (&[String], Option<&String>) {
    let is_blind = |text: &str| [NOT_MEASURED, NOT_REPORTED].iter().any(|h| text.starts_with(h));
    match unknown.split_last() {
        Some((last, failed)) if is_blind(last) => (failed, Some(last)),
        _ => (unknown, None),
    }
}

/// The service with those labels that say more than its name.
fn with_labels(service: &str, labels: &BTreeMap<String, String>) -> String {
    let more = label_text(labels.iter().filter(|(_, value)| *value != service));
    if more.is_empty() { service.to_owned() } else { format!("{service} ({more})") }
}

fn label_text<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    labels.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

fn signal(signal: &MovedSignal, by: Timestamp) -> Signal {
    let unit = signal.unit.as_deref();
    Signal {
        name: clean(&format!("{} {}", signal.service, signal.signal)),
        labels: clean(&label_text(signal.labels.iter())),
        direction: clean(&signal.direction),
        now: clean(&format::optional(signal.now, unit)),
        expected: clean(&format::optional(signal.expected, unit)),
        onset: format::clock(signal.onset, by),
        chance: format::chance(signal.p_value),
    }
}

/// The lists that have steps. Once an incident is over, only those that keep it from returning.
fn steps(steps: &Steps, over: bool) -> Vec<StepList> {
    let now = [
        ("First ten minutes", &steps.first_ten_minutes),
        ("Compare", &steps.compare),
        ("Reproduce", &steps.reproduce),
        ("Fix", &steps.fix),
        ("Verify", &steps.verify),
        ("Avoid", &steps.avoid),
    ];
    let later = [("Fix, so that it does not come back", &steps.fix), ("Verify", &steps.verify)];
    let chosen = if over { &later[..] } else { &now[..] };
    chosen
        .iter()
        .filter(|(_, items)| !items.is_empty())
        .map(|(name, items)| StepList { name, items: list(items.iter()) })
        .collect()
}

/// Only web addresses: others could run something when clicked.
fn links(links: &BTreeMap<String, String>) -> Vec<Link> {
    links
        .iter()
        .filter(|(_, url)| url.starts_with("https://") || url.starts_with("http://"))
        .filter(|(_, url)| url.chars().count() <= LINK_CHARS_MAX)
        .take(LIST_MAX)
        .map(|(name, url)| Link { name: clean(name), url: clean_to(url, LINK_CHARS_MAX) })
        .collect()
}

fn joined<'a>(names: impl Iterator<Item = &'a String>) -> String {
    list(names).join(", ")
}

/// Cleaned, and cut with a word about the rest.
fn list(mut items: impl Iterator<Item = impl AsRef<str>>) -> Vec<String> {
    let mut shown: Vec<String> =
        items.by_ref().take(LIST_MAX).map(|item| clean(item.as_ref())).collect();
    let more = items.count();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown
}
