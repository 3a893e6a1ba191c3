//! What was known when: everything that happened around the incident, in order of time.

use super::{Case, Noticed, Record, Watched, Witness};
use crate::course::Sight;
use crate::engine::alert::{Alert, MovedSignal, NamedCause, Severity, State};
use crate::engine::diagnose::UNEXPLAINED;
use crate::engine::stirs::STIR_MIN;
use crate::format;
use crate::time::{Span, Timestamp};

/// Signals told when they were first seen to move; the table of signals has the others.
const SIGHTS_MAX: usize = 8;
/// Changes told, the nearest to the beginning.
const CHANGES_MAX: usize = 12;
/// Deliveries and words of people told.
const RECORDED_MAX: usize = 40;
/// After this long below the height of a stir, the next one is another story.
const PAUSE: Span = Span::from_hours(1);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Happened {
    pub(super) at: Timestamp,
    pub(super) kind: Kind,
    pub(super) words: String,
    pub(super) origin: Origin,
}

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Weak,
    Signal,
    Change,
    Told(Severity),
    Over,
    Delivery,
    Words,
    Users,
}

/// How it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The replay shows it.
    Replay,
    /// The state file remembers it.
    Record,
    /// Both do.
    Both,
    /// Somebody says so.
    People,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Weak => "weak sign",
            Self::Signal => "signal",
            Self::Change => "change",
            Self::Told(severity) => severity.name(),
            Self::Over => "resolved",
            Self::Delivery => "delivery",
            Self::Words => "people",
            Self::Users => "users",
        }
    }
}

impl Origin {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Record => "state file",
            Self::Both => "both",
            Self::People => "told",
        }
    }
}

/// Everything that happened, in order of time; what comes at the same instant in the order of
/// cause and effect.
pub(super) fn timeline(
    case: &Case<'_>,
    watched: &Watched,
    noticed: Option<Noticed>,
) -> Vec<Happened> {
    let mut all: Vec<Happened> = changes(case, watched);
    all.extend(weak(case, watched));
    all.extend(sights(case, watched).into_iter().take(SIGHTS_MAX).map(|sight| seen(case, sight)));
    all.extend(told(case, watched));
    if let Some(record) = &case.record {
        all.extend(recorded(record));
    }
    all.extend(noticed.map(|noticed| {
        Happened {
            at: noticed.at,
            kind: Kind::Users,
            words: match noticed.by {
                Witness::Asked | Witness::File => "users noticed".to_owned(),
                Witness::Objective => {
                    "users noticed, as far as signals show: latency, errors or queue \
                                   age beyond the objective for 15m"
                        .to_owned()
                }
            },
            origin: if noticed.by == Witness::Objective { Origin::Replay } else { Origin::People },
        }
    }));
    all.sort_by_key(|happened| happened.at);
    all
}

/// The first word of the replay about it.
pub(super) fn first_word<'w>(case: &Case<'_>, watched: &'w Watched) -> Option<&'w Alert> {
    watched.alerts.iter().find(|alert| case.subject.has(alert))
}

/// When the first of its services came near to a notice, in the run of weak signs that led up to
/// the first word, or that was strongest where there was none.
pub(super) fn first_stir(case: &Case<'_>, watched: &Watched) -> Option<(Timestamp, String)> {
    let word = first_word(case, watched).map(|alert| alert.at);
    let courses = case.subject.services.iter().filter_map(|name| {
        let course = watched.courses.all.get(name)?;
        let until = word.or(course.peak.as_ref().map(|look| look.at))?;
        let mut start: Option<(Timestamp, Timestamp)> = None;
        for point in course.path.iter().take_while(|point| point.at <= until) {
            if point.reach.notice() >= STIR_MIN {
                start = match start {
                    Some((first, last)) if point.at - last <= PAUSE => Some((first, point.at)),
                    _ => Some((point.at, point.at)),
                };
            }
        }
        let (first, last) = start?;
        (until - last <= PAUSE).then(|| (first, name.clone()))
    });
    courses.min()
}

fn weak(case: &Case<'_>, watched: &Watched) -> Option<Happened> {
    let (at, service) = first_stir(case, watched)?;
    if first_word(case, watched).is_some_and(|alert| alert.at <= at) {
        return None;
    }
    let share = format::share(STIR_MIN);
    let words = format!("{service} reaches {share} of what a notice takes");
    Some(Happened { at, kind: Kind::Weak, words, origin: Origin::Replay })
}

/// The signals of its services that were seen to move, each as it was seen last before the end, in
/// order of sight; of incidents only what these told of.
pub(super) fn sights<'w>(case: &Case<'_>, watched: &'w Watched) -> Vec<&'w Sight> {
    let told = || watched.alerts.iter().filter(|alert| case.subject.has(alert));
    let over = told().filter(|alert| alert.state == State::Resolved).map(|alert| alert.at).max();
    let began = case.subject.shown.started_at - PAUSE;
    let is_told = |one: &MovedSignal| {
        let mut signals = told().flat_map(|alert| &alert.signals);
        case.subject.incidents.is_empty() || signals.any(|signal| is_same(signal, one))
    };
    let courses = case.subject.services.iter().filter_map(|name| watched.courses.all.get(name));
    let within = |sight: &&Sight| over.is_none_or(|over| sight.at <= over) && began <= sight.until;
    let mut sights: Vec<&Sight> = Vec::new();
    for sight in courses.flat_map(|course| &course.sights).filter(within) {
        if is_told(&sight.signal) && !sights.iter().any(|s| is_same(&s.signal, &sight.signal)) {
            sights.push(sight);
        }
    }
    sights.sort_by_key(|sight| (sight.at, sight.onset));
    sights
}

/// Whether both are of one series.
pub(super) fn is_same(a: &MovedSignal, b: &MovedSignal) -> bool {
    a.service == b.service && a.signal == b.signal && a.labels == b.labels
}

fn seen(case: &Case<'_>, sight: &Sight) -> Happened {
    let signal = &sight.signal;
    let unit = signal.unit.as_deref();
    let [now, usual] = [signal.now, signal.expected].map(|value| format::optional(value, unit));
    let words = format!(
        "{} {}{} goes {}, since {}: {now}, {} {usual}",
        signal.service,
        signal.signal,
        labels(&signal.labels),
        signal.direction,
        format::clock(signal.onset, case.at, case.zone),
        signal.against(),
    );
    Happened { at: sight.at, kind: Kind::Signal, words, origin: Origin::Replay }
}

/// The values of labels, behind a name.
pub(super) fn labels(labels: &std::collections::BTreeMap<String, String>) -> String {
    let values: Vec<&str> = labels.values().map(String::as_str).collect();
    if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) }
}

fn changes(case: &Case<'_>, watched: &Watched) -> Vec<Happened> {
    let began = case.subject.shown.started_at;
    let [from, to] = watched.window;
    let near = |change: &&crate::series::Change| {
        case.subject.services.contains(&change.service) && from <= change.at && change.at <= to
    };
    let mut changes: Vec<_> = watched.changes.iter().filter(near).collect();
    changes.sort_by_key(|change| (change.at - began).as_millis().abs());
    let told = changes.into_iter().take(CHANGES_MAX).map(|change| Happened {
        at: change.at,
        kind: Kind::Change,
        words: format!("{} of {}: {}", change.kind.name(), change.service, change.what),
        origin: Origin::Replay,
    });
    told.collect()
}

/// What was told, by the replay, in truth, or both.
fn told(case: &Case<'_>, watched: &Watched) -> Vec<Happened> {
    let recorded = || case.record.iter().flat_map(|record| &record.alerts);
    let replayed: Vec<&Alert> =
        watched.alerts.iter().filter(|alert| case.subject.has(alert)).collect();
    let in_both = |alert: &Alert| recorded().any(|other| other.id() == alert.id());
    let mut all: Vec<Happened> = replayed
        .iter()
        .map(|alert| word(alert, if in_both(alert) { Origin::Both } else { Origin::Replay }))
        .collect();
    let alone = recorded().filter(|alert| replayed.iter().all(|other| other.id() != alert.id()));
    all.extend(alone.map(|alert| word(alert, Origin::Record)));
    all
}

fn word(alert: &Alert, origin: Origin) -> Happened {
    let kind = match alert.state {
        State::Resolved => Kind::Over,
        State::Firing | State::Updated => Kind::Told(alert.severity),
    };
    let words = match (alert.state, alert.news()) {
        (State::Resolved, _) => format!("it is over: {}", alert.service),
        (_, (Some(news), _)) => format!("{news}; {}", named(alert)),
        (_, (None, title)) => format!("{title}; {}", named(alert)),
    };
    Happened { at: alert.at, kind, words, origin }
}

/// What an alert takes for the cause.
pub(super) fn named(alert: &Alert) -> String {
    let Some(cause) = alert.causes.first() else { return "no cause was named".to_owned() };
    let sure = format::probability(cause.probability);
    if is_clear(alert) {
        format!("{} of {} ({sure})", cause.id, cause.culprit.service)
    } else if cause.id == UNEXPLAINED {
        "no cause is clear".to_owned()
    } else {
        format!("no cause is clear, perhaps {} of {} ({sure})", cause.id, cause.culprit.service)
    }
}

/// Whether an alert names a cause clearly.
pub(super) fn is_clear(alert: &Alert) -> bool {
    alert.causes.first().is_some_and(NamedCause::is_clear)
}

/// What the state file remembers beside alerts.
fn recorded(record: &Record) -> Vec<Happened> {
    let by = |by: &Option<String>| by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let happened = |at, kind, words| Happened { at, kind, words, origin: Origin::Record };
    let messages = record.messages.iter().map(|message| {
        let (at, what) = match (message.state.as_str(), message.done_at) {
            ("done", Some(at)) => (at, "delivered to"),
            ("dead", Some(at)) => (at, "given up for"),
            ("superseded", Some(at)) => (at, "held until something newer took its place, for"),
            _ => (message.created_at, "not delivered yet to"),
        };
        let state = message.id.split('/').nth(1).unwrap_or("message");
        let held =
            message.held_by.as_ref().map_or_else(String::new, |by| format!(", held by {by}"));
        happened(at, Kind::Delivery, format!("{state} {what} {}{held}", message.receiver))
    });
    let acknowledged = record
        .acknowledged
        .iter()
        .map(|(_, word)| happened(word.at, Kind::Words, format!("acknowledged{}", by(&word.by))));
    let said = record.said.iter().map(|(_, said)| {
        let cause = said.cause.as_ref().map_or_else(String::new, |cause| format!(" ({cause})"));
        let note = said.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        happened(
            said.at,
            Kind::Words,
            format!("called {}{cause}{}{note}", said.verdict, by(&said.by)),
        )
    });
    messages.chain(acknowledged).chain(said).take(RECORDED_MAX).collect()
}
