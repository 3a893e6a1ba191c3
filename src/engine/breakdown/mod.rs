//! Which label values explain trouble: what to ask about, and what came of it.
//!
//! The engine cannot ask a backend. It keeps questions, whoever drives it answers them, and the
//! answers count from the next block on.

mod divide;
mod levels;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::detect::drift::Direction;
use crate::format::one_line;
use crate::rules::{Rules, Signal, Worse};
use crate::series::{Answer, Question};
use crate::time::{Span, Timestamp};

use divide::{divide, inseparable};
pub use levels::{POINTS_MAX, Sums, Windows};

/// What happened longer ago than this is left out of the levels since the onset: by then
/// everything has moved.
pub const SINCE_MAX: Span = Span::from_hours(1);
/// A level needs at least this long, whatever the onset.
const SINCE_MIN: Span = Span::from_mins(15);
/// An onset longer ago than this has no usual level before it that still counts.
const ONSET_MAX: Span = Span::WEEK;
/// Questions that are open at the same time.
pub const QUESTIONS_MAX: usize = 12;
/// Signals of one service that are asked about at a time.
const SIGNALS_MAX: usize = 2;
/// Labels of one signal that are asked about, the first ones.
const LABELS_MAX: usize = 3;
/// A service that is only near its threshold is asked about this often.
const NEAR_PAUSE: Span = Span::from_mins(30);
/// An open incident may be asked about again after this long.
const NAMING_PAUSE: Span = Span::from_mins(10);
/// How often the same is asked in one incident: when it opens, and three times more.
const TIMES_MAX: u32 = 4;
/// What was learned is forgotten after this long, unless an incident is open.
const KEPT: Span = Span::from_hours(2);
/// Things asked about that are remembered; beyond, the ones asked longest ago are forgotten.
const REMEMBERED_MAX: usize = 10_000;
/// How a line begins that says by which labels nothing is known.
pub const NOTHING_KNOWN: &str = "cannot be split by ";
/// Characters of a reason that a backend gives.
const REASON_CHARS_MAX: usize = 200;

/// Questions, and what is known from the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakdowns {
    open: Vec<Question>,
    about: BTreeMap<Subject, Asked>,
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Subject {
    service: String,
    signal: String,
    label: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Asked {
    at: Timestamp,
    /// Since when the cause was looked for of the incident for which it was asked; none if it was
    /// not yet one.
    incident: Option<Timestamp>,
    /// How often it was asked for that.
    times: u32,
    known: Option<Known>,
}

/// What is known about one label of one signal of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// What was asked.
    pub question: Question,
    /// What came of it, or why nobody knows, as the end of a sentence: the backend did not say, or
    /// its values cannot be told apart.
    pub division: Result<Division, String>,
}

/// How a signal is divided among the values of a label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Division {
    /// How many values there are.
    pub values: usize,
    /// Those that explain the move, strongest first; often none.
    pub explaining: Vec<Dominant>,
}

/// A label value that explains a move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dominant {
    /// The value.
    pub value: String,
    /// Whether it holds more than usual, or lost some of its share.
    pub direction: Direction,
    /// Its share of the signal since the onset, 0 to 1.
    pub share: f64,
    /// Its share of the signal before, 0 to 1.
    pub usual_share: f64,
    /// By what values of several labels are compared.
    pub strength: f64,
}

/// A service that is worth asking about.
#[derive(Clone, Debug)]
pub struct Topic<'a> {
    /// Its name.
    pub service: String,
    /// When its trouble began.
    pub onset: Timestamp,
    /// Since when the incident's cause is looked for; none while there is no incident.
    pub incident: Option<Timestamp>,
    /// What to ask about, in this order.
    pub signals: Vec<&'a Signal>,
}

impl Breakdowns {
    /// The questions that wait for an answer, in the order in which they were posed.
    pub fn open(&self) -> &[Question] {
        &self.open
    }

    /// Poses what is due: what was asked the least for its incident, and of that the first topics
    /// first. Questions that nobody answered since the last call are dropped.
    pub fn ask(&mut self, now: Timestamp, topics: &[Topic<'_>]) {
        self.open.clear();
        let mut due: Vec<(u32, usize, Subject)> = Vec::new();
        for (place, topic) in topics.iter().enumerate() {
            let of_signals = topic.signals.iter().map(|signal| self.due(topic, signal, now));
            let chosen = of_signals.filter(|due| !due.is_empty()).take(SIGNALS_MAX).flatten();
            due.extend(chosen.map(|subject| (self.times(&subject, topic), place, subject)));
        }
        due.sort_by_key(|(times, place, _)| (*times, *place));
        for (_, place, subject) in due.into_iter().take(QUESTIONS_MAX) {
            self.pose(subject, &topics[place], now);
        }
    }

    /// What is due about one signal.
    fn due(&self, topic: &Topic<'_>, signal: &Signal, now: Timestamp) -> Vec<Subject> {
        let labels = signal.breakdown.iter().flat_map(|b| &b.by).take(LABELS_MAX);
        let subjects = labels.map(|label| Subject {
            service: topic.service.clone(),
            signal: signal.name.clone(),
            label: label.clone(),
        });
        subjects.filter(|subject| self.is_due(subject, topic.incident, now)).collect()
    }

    /// How often it was asked for the topic's incident.
    fn times(&self, subject: &Subject, topic: &Topic<'_>) -> u32 {
        let asked = self.about.get(subject).filter(|asked| asked.incident == topic.incident);
        asked.map_or(0, |asked| asked.times)
    }

    fn is_due(&self, subject: &Subject, incident: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(asked) = self.about.get(subject) else { return true };
        match incident {
            None => now - asked.at >= NEAR_PAUSE,
            Some(_) if asked.incident != incident => true,
            Some(_) => asked.times < TIMES_MAX && now - asked.at >= NAMING_PAUSE,
        }
    }

    fn pose(&mut self, subject: Subject, topic: &Topic<'_>, now: Timestamp) {
        let onset = topic.onset.min(now - SINCE_MIN).max(now - ONSET_MAX);
        let Subject { service, signal, label } = subject.clone();
        self.open.push(Question { signal, service, label, onset, until: now });
        let incident = topic.incident;
        let times = self.times(&subject, topic).saturating_add(1);
        let known = self.about.remove(&subject).and_then(|before| before.known);
        self.about.insert(subject, Asked { at: now, incident, times, known });
    }

    /// Takes an answer to an open question; any other is ignored. A failure does not take back
    /// what was known before.
    pub fn take(&mut self, rules: &Rules, answer: &Answer) {
        let Some(place) = self.open.iter().position(|open| *open == answer.question) else {
            return;
        };
        let question = self.open.remove(place);
        let subject = Subject {
            service: question.service.clone(),
            signal: question.signal.clone(),
            label: question.label.clone(),
        };
        let signal = rules.signal(&question.signal);
        let (Some(signal), Some(asked)) = (signal, self.about.get_mut(&subject)) else { return };
        let division = match &answer.values {
            Ok(values) => {
                divide(signal, &question, values).ok_or_else(|| inseparable(values).to_owned())
            }
            Err(reason) => {
                // The backend's own words, which may be a page of HTML.
                let reason = one_line(reason, REASON_CHARS_MAX);
                Err(format!("it could not be looked up ({reason})"))
            }
        };
        let was_known = asked.known.as_ref().is_some_and(|known| known.division.is_ok());
        if division.is_ok() || !was_known {
            asked.known = Some(Known { question, division });
        }
    }

    /// Forgets what is old, but nothing about the services that are `in_trouble`.
    pub fn forget(&mut self, now: Timestamp, in_trouble: &BTreeSet<&str>) {
        self.about.retain(|subject, asked| {
            now - asked.at <= KEPT || in_trouble.contains(subject.service.as_str())
        });
        while self.about.len() > REMEMBERED_MAX {
            let oldest = self.about.iter().min_by_key(|(_, asked)| asked.at);
            let Some(oldest) = oldest.map(|(subject, _)| subject.clone()) else { return };
            self.about.remove(&oldest);
        }
    }

    /// What is known about a service, in order of signal and label.
    pub fn known<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Known> + Clone {
        let about = self.about.iter().filter(move |(subject, _)| subject.service == service);
        about.filter_map(|(_, asked)| asked.known.as_ref())
    }
}

/// The labels by which nothing is known, a line for each reason: `cannot be split by tenant or
/// route: no query gives it`. What is known of one signal is known by that label.
pub fn nothing_known<'a>(all: impl Iterator<Item = &'a Known> + Clone) -> Vec<String> {
    let answered: BTreeSet<&str> =
        all.clone().filter(|k| k.division.is_ok()).map(|k| k.question.label.as_str()).collect();
    let mut labels: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for known in all {
        let (label, Err(reason)) = (known.question.label.as_str(), &known.division) else {
            continue;
        };
        let told = labels.values().any(|told| told.contains(&label));
        if !told && !answered.contains(label) {
            labels.entry(reason).or_default().push(label);
        }
    }
    let line = |(reason, labels): (&str, Vec<&str>)| {
        format!("{NOTHING_KNOWN}{}: {reason}", alternatives(&labels))
    };
    labels.into_iter().map(line).collect()
}

/// `tenant, route or version`.
pub fn alternatives(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Which way a label value stands out that is to blame for a signal's trouble. More traffic of one
/// value is trouble; less of it is a value that left.
pub const fn toward_trouble(worse: Worse) -> Direction {
    match worse {
        Worse::Up | Worse::Either => Direction::Up,
        Worse::Down => Direction::Down,
    }
}

#[cfg(test)]
mod tests;
