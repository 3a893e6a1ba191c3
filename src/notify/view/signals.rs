//! The signals of an alert as its messages show them: first what somebody feels.

use serde::Serialize;

use super::{SIGNALS_MAX, clean, label_text, list};
use crate::engine::alert::MovedSignal;
use crate::engine::diagnose::FELT;
use crate::format;
use crate::rules::Role;
use crate::time::Timestamp;

/// A signal that moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Signal {
    /// Whose, and what moved, in words: `checkout p99 latency`.
    pub name: String,
    /// Whose.
    pub service: String,
    /// Its name in the rules.
    pub signal: String,
    /// Labels that tell it apart; may be empty.
    pub labels: String,
    /// `up` or `down`.
    pub direction: String,
    /// Its value now.
    pub now: String,
    /// What was expected.
    pub expected: String,
    /// Whose that is: `usually`, or `the others` of a peer that is apart.
    pub against: String,
    /// When it began to move.
    pub onset: String,
    /// How often a normal day would show this.
    pub chance: String,
    /// Its last hours in one line of blocks; empty where nothing can be drawn.
    pub trend: String,
}

/// Those that fell silent, and those that moved: first those that somebody feels.
pub(super) fn split(signals: &[MovedSignal]) -> (Vec<&MovedSignal>, Vec<&MovedSignal>) {
    let (silent, mut moved): (Vec<_>, Vec<_>) =
        signals.iter().partition(|signal| signal.direction == "silent");
    moved.sort_by_key(|signal| !is_felt(signal));
    (silent, moved)
}

/// Whether somebody who waits for the service feels a signal.
pub fn is_felt(signal: &MovedSignal) -> bool {
    FELT.iter().any(|role| role.name() == signal.role)
}

/// The first of those that moved.
pub(super) fn signals(moved: &[&MovedSignal], clock: impl Fn(Timestamp) -> String) -> Vec<Signal> {
    told_apart(moved.iter().take(SIGNALS_MAX).map(|s| signal(s, clock(s.onset))).collect())
}

fn signal(signal: &MovedSignal, onset: String) -> Signal {
    let values = [signal.now, signal.expected];
    let [now, expected] = format::optional_pair(values, signal.unit.as_deref());
    Signal {
        name: clean(&format!("{} {}", signal.service, what(signal))),
        service: clean(&signal.service),
        signal: clean(&signal.signal),
        labels: clean(&label_text(signal.labels.iter())),
        direction: clean(&signal.direction),
        now: clean(&now),
        expected: clean(&expected),
        against: signal.against().to_owned(),
        onset,
        chance: format::chance(signal.p_value),
        trend: String::new(),
    }
}

/// What moved, in words; a percentile says which: that of a dashboard may be another.
fn what(signal: &MovedSignal) -> String {
    let subject = signal.subject();
    // What has no words but its name tells it there, and what is typical is the median.
    let is_told = subject == signal.signal || signal.role == Role::LatencyTypical.name();
    match signal.percentile().filter(|_| !is_told) {
        Some(percentile) => format!("{percentile} {subject}"),
        None => subject.to_owned(),
    }
}

/// Signals that are called alike get their names in the rules.
fn told_apart(mut signals: Vec<Signal>) -> Vec<Signal> {
    let called = |one: &Signal| (one.name.clone(), one.labels.clone());
    let all: Vec<_> = signals.iter().map(called).collect();
    for signal in &mut signals {
        let own = called(signal);
        if all.iter().filter(|other| **other == own).count() > 1 {
            signal.name = clean(&format!("{} ({})", signal.name, signal.signal));
        }
    }
    signals
}

/// What fell silent, in one line for each service and time.
pub(super) fn silences(
    silent: &[&MovedSignal],
    clock: impl Fn(Timestamp) -> String,
) -> Vec<String> {
    let mut groups: Vec<(&str, Timestamp, Vec<String>)> = Vec::new();
    for signal in silent {
        let labels = label_text(signal.labels.iter());
        let name = match labels.as_str() {
            "" => signal.signal.clone(),
            labels => format!("{} ({labels})", signal.signal),
        };
        match groups.iter_mut().find(|g| g.0 == signal.service && g.1 == signal.onset) {
            Some((.., names)) => names.push(name),
            None => groups.push((&signal.service, signal.onset, vec![name])),
        }
    }
    let told = |(service, since, names): &(&str, Timestamp, Vec<String>)| {
        format!("{service}, since {}: {}", clock(*since), list(names.iter()).join(", "))
    };
    list(groups.iter().map(told))
}
