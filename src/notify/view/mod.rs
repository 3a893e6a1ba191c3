//! What a message shows: the alert with every text cleaned, every number and time formatted and
//! every list cut to a length that a person reads. Templates only lay it out.

mod causes;
mod changes;
mod signals;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::subject::{subject, word};
use crate::engine::alert::{Alert, BreakdownValue, MovedSignal, NamedCause, Severity, State};
use crate::engine::chart::Chart;
use crate::format;
use crate::rules::Role;
use crate::time::{Span, Timestamp};
pub use causes::Cause;
use causes::{causes, rival};
pub use changes::lateness;
use changes::{changed, names, undone};
pub use signals::{Signal, is_felt};
use signals::{signals, silences, split};

/// Later than this after its tick, a message says so.
const LATE_AFTER: Span = Span::from_mins(5);
/// Longest text of one field, in characters.
const TEXT_CHARS_MAX: usize = 600;
/// Longest link, in characters; queries make them long.
const LINK_CHARS_MAX: usize = 4_000;
/// Entries of any list shown.
const LIST_MAX: usize = 12;
/// What was found normal, at most: the most telling comes first.
const CHECKED_MAX: usize = 3;
/// Steps of a list that whoever was told before gets again.
const AGAIN_MAX: usize = 2;
/// Signals shown, each with its values.
const SIGNALS_MAX: usize = 8;
/// Reasons for the leading cause that every message shows.
const REASONS_READ: usize = 3;

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
    /// The others in it, each with its loudest signal, joined; empty when there are none.
    pub others: String,
    /// What happens, after what changed since the last message.
    pub title: String,
    /// What changed since the last message; only in an update.
    pub news: Option<String>,
    /// What happens, without `news`.
    pub headline: String,
    /// When it was decided.
    pub at: String,
    /// When it began.
    pub began: String,
    /// Where the beginning can lie.
    pub began_range: String,
    /// Whether it can lie further off than a few minutes.
    pub began_vague: bool,
    /// The last change before it was over, where that is none of those that may have begun it.
    pub undone: Option<String>,
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
    /// What else it could be, and what speaks against that, where the next best of the known causes
    /// is too improbable to be among `causes`.
    pub rival: Option<String>,
    /// When the numbers of causes were taken, where that is before `at`.
    pub named_at: Option<String>,
    /// Whether users are affected, and by what that is known; may be empty.
    pub users: String,
    /// What else changed.
    pub changes: Vec<String>,
    /// Label values that explain it.
    pub breakdown: Vec<String>,
    /// Lists of steps that are not empty, in the order to take them.
    pub steps: Vec<StepList>,
    /// The signals that moved, without those that fell silent: first those that somebody feels.
    pub signals: Vec<Signal>,
    /// How many signals more moved.
    pub signals_more: usize,
    /// The signals that fell silent, those of a service and time together.
    pub silent: Vec<String>,
    /// What was looked at and found normal; never once it is over.
    pub checked: Vec<String>,
    /// Where to look further; only addresses that a browser opens safely.
    pub links: Vec<Link>,
    /// Id of the incident.
    pub incident: String,
    /// The day and time whose numbers these are.
    pub as_of: String,
    /// Whether a picture of the signals goes with the message.
    pub picture: bool,
}

/// One of the six lists of steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepList {
    /// Its heading.
    pub name: &'static str,
    /// Its steps.
    pub items: Vec<String>,
    /// Whether it is to be read before the reasons for the cause.
    pub first: bool,
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
    /// The view of an alert for a reader at `now`, with times of UTC.
    pub fn new(alert: &Alert, now: Timestamp) -> Self {
        Self::in_zone(alert, now, &TimeZone::UTC)
    }

    /// The view of an alert for a reader at `now`, with times of a zone. Distances in time are
    /// counted from the alert's own tick, so that the text of an alert is always the same.
    pub fn in_zone(alert: &Alert, now: Timestamp, zone: &TimeZone) -> Self {
        let by = alert.at;
        let over = alert.state == State::Resolved;
        let clock = |at| format::clock(at, by, zone);
        let [earliest, latest] = alert.started_at_range.map(clock);
        let (news, headline) = alert.news();
        let (silent, moved) = split(&alert.signals);
        let clear = alert.causes.first().is_some_and(NamedCause::is_clear);
        let told = causes(alert);
        let leading = told.first().filter(|_| clear);
        let reasons = leading.map_or(&[][..], |leading| &leading.supports);
        // What stands in the reasons that every message shows is not told again.
        let reasons = &reasons[..reasons.len().min(REASONS_READ)];
        let undone = undone(alert, zone);
        let changes = alert.changes.iter().filter(|change| {
            Some(*change) != undone && !reasons.iter().any(|r| names(r, change, zone))
        });
        let breakdown =
            alert.breakdown.iter().filter(|part| !reasons.iter().any(|r| shows(r, (alert, part))));
        let changed = |change| changed(change, by, zone);
        let changes = list(changes.map(|change| changed(change) + &lateness(change, alert)));
        let breakdown = list(breakdown.map(|part| divided(alert, part)));
        Self {
            state: alert.state.name(),
            severity: alert.severity.name(),
            word: word(alert),
            subject: subject(alert, zone),
            service: clean(&alert.service),
            others: others(alert),
            title: clean(&alert.title),
            news: news.map(clean),
            headline: clean(headline),
            at: format::clock(by, now, zone),
            began: format::moment(alert.started_at, by, zone),
            began_vague: earliest != latest,
            began_range: if earliest == latest {
                "to within 5m".to_owned()
            } else {
                format!("at the earliest {earliest}, at the latest {latest}")
            },
            undone: undone.map(|change| clean(&changed(change))),
            lasted: over.then(|| (by - alert.started_at).rough()),
            left: (!over).then(|| left(alert, zone)).flatten(),
            late: (now - by > LATE_AFTER).then(|| (now - by).rough()),
            clear,
            causes: told,
            rival: rival(alert),
            named_at: alert.named_at.map(clock),
            users: clean(&alert.users),
            changes,
            breakdown,
            steps: steps(alert),
            signals: signals(&moved, clock),
            signals_more: moved.len().saturating_sub(SIGNALS_MAX),
            silent: silences(&silent, clock),
            checked: some(alert.checked.iter().filter(|_| !over), CHECKED_MAX),
            links: links(&alert.links),
            incident: clean(&alert.incident),
            as_of: format::date_and_clock(by, zone),
            picture: false,
        }
    }
}

impl View {
    /// Adds what the signals did, each drawn in a line of text.
    pub(super) fn add_trends(&mut self, chart: &Chart, draw: fn(&[Option<f32>]) -> String) {
        for panel in &chart.panels {
            let names = [&panel.service, &panel.signal].map(|name| clean(name));
            let labels = clean(&label_text(panel.labels.iter()));
            let told = self.signals.iter_mut().find(|told| {
                [&told.service, &told.signal] == [&names[0], &names[1]] && told.labels == labels
            });
            if let Some(signal) = told {
                signal.trend = draw(&panel.values);
            }
        }
    }
}

/// One line of what can be seen: nothing in it can end a header, colour a terminal, turn the
/// direction of writing or hide in a name.
pub fn clean(text: &str) -> String {
    format::one_line(text, TEXT_CHARS_MAX)
}

fn left(alert: &Alert, zone: &TimeZone) -> Option<String> {
    let forecast = alert.forecast.as_ref()?;
    let (earliest, _) = forecast.range;
    let clock = |at| format::clock(at, alert.at, zone);
    let at = format::moment(forecast.at, alert.at, zone);
    let when = match forecast.known_latest(alert.at) {
        Some(latest) => format!("at {at}, between {} and {}", clock(earliest), clock(latest)),
        None => format!("not before {}; when is not known yet", clock(earliest)),
    };
    let of = |s: &&MovedSignal| forecast.is_about(&s.service, &s.signal);
    let what = match alert.signals.iter().find(of) {
        Some(moved) => format!("{} of {}", moved.subject(), moved.service),
        None => format!("{} of {}", forecast.signal, forecast.service),
    };
    Some(clean(&format!("{what} crosses its {} {when}", forecast.crosses)))
}

/// The other services, each with the loudest of its signals, one that is felt if it has any, or who
/// is to blame for it.
fn others(alert: &Alert) -> String {
    let blamed = alert.causes.first().map(|cause| cause.culprit.service.as_str());
    let loudest = |service: &String| {
        let mut own = alert.signals.iter().filter(|signal| signal.service == *service);
        own.clone().find(|signal| is_felt(signal)).or_else(|| own.next())
    };
    let told = |service: &String| match loudest(service) {
        Some(signal) => {
            let what = signal.subject();
            if signal.now.is_none() {
                return format!("{service} ({what} {})", signal.direction);
            }
            let values = [signal.now, signal.expected];
            let [now, usual] = format::optional_pair(values, signal.unit.as_deref());
            let against = || format!(", {} {usual}", signal.against());
            let usual = signal.expected.map_or_else(String::new, |_| against());
            format!("{service} ({what} {now}{usual})")
        }
        None if blamed == Some(service) => format!("{service} (the culprit)"),
        None => service.clone(),
    };
    let others = alert.services.iter().filter(|service| **service != alert.service);
    list(others.map(told)).join(", ")
}

/// The service with those labels that say more than its name.
fn with_labels(service: &str, labels: &BTreeMap<String, String>) -> String {
    let more = label_text(labels.iter().filter(|(_, value)| *value != service));
    if more.is_empty() { service.to_owned() } else { format!("{service} ({more})") }
}

fn label_text<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    labels.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// A label value that holds more than its share, as a line.
fn divided(alert: &Alert, part: &BreakdownValue) -> String {
    let BreakdownValue { label, value, service, .. } = part;
    let of = if service.is_empty() { "" } else { " of " };
    let [share, usual] = [part.share, part.usual_share].map(format::share);
    format!(
        "{label} {value}{of}{service}: {share} of the {}, usually {usual}",
        subject_of(alert, part)
    )
}

/// Whether a reason tells what a label value holds, be it as it was when the cause was named.
fn shows(reason: &str, (alert, part): (&Alert, &BreakdownValue)) -> bool {
    let whose = clean(&format!("{} {}", part.label, part.value));
    reason.strip_prefix(&whose).is_some_and(|rest| rest.starts_with(' '))
        && reason.contains(part.service.as_str())
        && reason.contains(&format!("% of the {}", subject_of(alert, part)))
}

/// What is divided among label values, in words where they are known: a percentile has no parts,
/// the time behind it has.
fn subject_of<'a>(alert: &'a Alert, part: &'a BreakdownValue) -> &'a str {
    if !part.of.is_empty() {
        return &part.of;
    }
    let moved = alert.signals.iter().find(|signal| signal.signal == part.signal);
    match moved.and_then(|moved| Role::from_name(&moved.role)) {
        Some(Role::Latency | Role::LatencyTypical) => "time spent",
        _ => moved.map_or(&part.signal, MovedSignal::subject),
    }
}

/// The lists that have steps, in the order to take them. What one does later and in quiet is left
/// to the pages, and whoever was told of the cause before gets what to do next. Once an incident is
/// over, only what keeps it from returning counts.
fn steps(alert: &Alert) -> Vec<StepList> {
    let steps = &alert.steps;
    let again = alert.state == State::Updated && alert.named_at.is_some();
    let lists = [
        ("First ten minutes", &steps.first_ten_minutes),
        ("Compare", &steps.compare),
        ("Fix", &steps.fix),
        ("Verify", &steps.verify),
        ("Avoid", &steps.avoid),
    ];
    let later = [("Fix, so that it does not come back", &steps.fix), ("Verify", &steps.verify)];
    let chosen = match alert.state {
        State::Resolved => later.to_vec(),
        _ if again => lists.into_iter().filter(|(name, _)| *name != "Compare").collect(),
        _ => lists.to_vec(),
    };
    // While users suffer, or when the cause is known, what helps comes before why.
    let urgent = again || alert.severity == Severity::Critical;
    chosen
        .into_iter()
        .filter(|(_, items)| !items.is_empty())
        .enumerate()
        .map(|(place, (name, items))| {
            let first = place == 0 || (urgent && name == "Fix");
            let told = if again && name == "Verify" { AGAIN_MAX } else { items.len() };
            StepList { name, items: list(items.iter().take(told)), first }
        })
        .collect()
}

/// Only web addresses: others could run something when clicked.
fn links(links: &BTreeMap<String, String>) -> Vec<Link> {
    links
        .iter()
        .filter(|(_, url)| url.starts_with("https://") || url.starts_with("http://"))
        .filter(|(_, url)| url.chars().count() <= LINK_CHARS_MAX)
        .take(LIST_MAX)
        .map(|(name, url)| Link { name: clean(name), url: format::one_line(url, LINK_CHARS_MAX) })
        .collect()
}

/// Cleaned, and cut with a word about the rest.
fn list(items: impl Iterator<Item = impl AsRef<str>>) -> Vec<String> {
    some(items, LIST_MAX)
}

/// The same for so many.
fn some(mut items: impl Iterator<Item = impl AsRef<str>>, most: usize) -> Vec<String> {
    let mut shown: Vec<String> =
        items.by_ref().take(most).map(|item| clean(item.as_ref())).collect();
    let more = items.count();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown
}
