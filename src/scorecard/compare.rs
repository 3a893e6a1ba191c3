//! Two sets of rules over the same past: what the one would gain over the other, and cost.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::record::{Case, Record, SLACK};
use super::score::{Fate, Figures, Scorecard, Tally};
use crate::engine::alert::Severity;
use crate::time::{Span, Timestamp};

/// The value of every comparison's `schema` field.
pub const COMPARISON_SCHEMA: &str = "grayflag.comparison/v1";
/// A difference in time below this is none: incidents move on in blocks of five minutes.
const SPAN_MIN: Span = Span::from_mins(5);

/// Two replays of the same range. Pairs are this one first, then the other.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Always [`COMPARISON_SCHEMA`].
    pub schema: &'static str,
    /// The numbers that matter, where it is known what really happened.
    pub figures: Option<[Figures; 2]>,
    /// Incidents told, of any severity.
    pub told: [usize; 2],
    /// Incidents that interrupted somebody.
    pub alerts: [usize; 2],
    /// Incidents that really happened and that the two did not tell alike.
    pub incidents: Vec<Difference>,
    /// Told by this one only.
    pub only_this: Vec<Alone>,
    /// Told by the other only.
    pub only_other: Vec<Alone>,
    /// Told by both, with another severity or cause.
    pub changed: Vec<Changed>,
    /// By signal, where the two differ.
    pub signals: Vec<SignalDifference>,
}

/// An incident that really happened and was not told alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// When it began.
    pub onset: Timestamp,
    /// Its service.
    pub service: String,
    /// What became of it.
    pub fate: [Fate; 2],
    /// By how much this one was earlier; negative if it was later, none if one of them missed it.
    pub earlier: Option<Span>,
    /// The leading causes.
    pub causes: [Option<String>; 2],
}

/// What only one of them told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alone {
    /// Its id.
    pub incident: String,
    /// When it was told.
    pub at: Timestamp,
    /// Its service.
    pub service: String,
    /// The highest that it came to.
    pub severity: Severity,
    /// Its one line.
    pub title: String,
    /// Whether nothing that really happened explains it; none where that is not known.
    pub is_false: Option<bool>,
}

/// What both told, but not alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// Its service.
    pub service: String,
    /// When each told it.
    pub at: [Timestamp; 2],
    /// The highest that each came to.
    pub severity: [Severity; 2],
    /// The last leading cause of each.
    pub causes: [Option<String>; 2],
}

/// A signal that does not give and cost the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignalDifference {
    /// Its name.
    pub name: String,
    /// What it gave and cost.
    pub tally: [Tally; 2],
}

impl Comparison {
    /// Compares two replays of the same range, with their scorecards where there are any. Cost:
    /// O(cases²) at worst, O(cases · open at a time) in order of time.
    pub fn new(records: [&Record; 2], scorecards: Option<[&Scorecard; 2]>) -> Self {
        let pairs = pairs(records);
        let paired = |side: usize| -> BTreeSet<usize> {
            pairs.iter().map(|pair| if side == 0 { pair.0 } else { pair.1 }).collect()
        };
        let alone = |side: usize| -> Vec<Alone> {
            let paired = paired(side);
            let cases = records[side].cases.iter().enumerate();
            cases
                .filter(|(place, _)| !paired.contains(place))
                .map(|(_, case)| alone(case, scorecards.map(|both| both[side])))
                .collect()
        };
        let changed = pairs.iter().filter_map(|&(this, other)| {
            changed([&records[0].cases[this], &records[1].cases[other]])
        });
        let alerts = |record: &Record| record.cases.iter().filter(|c| c.alerted.is_some()).count();
        Self {
            schema: COMPARISON_SCHEMA,
            figures: scorecards.map(|both| both.map(|card| card.figures.clone())),
            told: records.map(|record| record.cases.len()),
            alerts: records.map(alerts),
            incidents: scorecards.map(differences).unwrap_or_default(),
            only_this: alone(0),
            only_other: alone(1),
            changed: changed.collect(),
            signals: scorecards.map(signals).unwrap_or_default(),
        }
    }
}

/// Places of the cases that are the same trouble in both: about a service in common, at the same
/// time.
fn pairs(records: [&Record; 2]) -> Vec<(usize, usize)> {
    let span = |case: &Case, record: &Record| {
        (case.opened - SLACK, case.resolved.unwrap_or(record.to) + SLACK)
    };
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    for (place, case) in records[0].cases.iter().enumerate() {
        let (from, to) = span(case, records[0]);
        let same = records[1].cases.iter().enumerate().find(|(other_place, other)| {
            let (other_from, other_to) = span(other, records[1]);
            !taken.contains(other_place)
                && from <= other_to
                && other_from <= to
                && !case.services.is_disjoint(&other.services)
        });
        if let Some((other, _)) = same {
            taken.insert(other);
            found.push((place, other));
        }
    }
    found
}

fn alone(case: &Case, scorecard: Option<&Scorecard>) -> Alone {
    Alone {
        incident: case.id.clone(),
        at: case.opened,
        service: case.service.clone(),
        severity: case.severity,
        title: case.turns.last().map_or_else(String::new, |turn| turn.title.clone()),
        is_false: scorecard.map(|card| card.false_alarms.contains(&case.id)),
    }
}

fn changed(cases: [&Case; 2]) -> Option<Changed> {
    let cause = |case: &Case| case.turns.last().and_then(|turn| turn.causes.first().cloned());
    let changed = Changed {
        service: cases[0].service.clone(),
        at: cases.map(|case| case.opened),
        severity: cases.map(|case| case.severity),
        causes: cases.map(cause),
    };
    let same = changed.severity[0] == changed.severity[1] && changed.causes[0] == changed.causes[1];
    (!same).then_some(changed)
}

/// Both were given the same incidents, so they stand in the same order.
fn differences(scorecards: [&Scorecard; 2]) -> Vec<Difference> {
    let [this, other] = scorecards.map(|card| card.incidents.iter());
    let differences = this.zip(other).filter_map(|(this, other)| {
        let both = [this, other];
        let caught = this.caught.as_ref().zip(other.caught.as_ref());
        let earlier = caught.map(|(this, other)| other.at - this.at);
        let causes = both.map(|one| one.caught.as_ref().and_then(|caught| caught.cause.clone()));
        let late = earlier.is_some_and(|span| SPAN_MIN.as_millis() <= span.as_millis().abs());
        let differs = this.fate != other.fate || late || causes[0] != causes[1];
        differs.then(|| Difference {
            onset: this.truth.onset,
            service: this.truth.service.clone(),
            fate: both.map(|one| one.fate),
            earlier,
            causes,
        })
    });
    differences.collect()
}

fn signals(scorecards: [&Scorecard; 2]) -> Vec<SignalDifference> {
    let by_name = |card: &Scorecard| -> BTreeMap<String, Tally> {
        card.signals.iter().map(|tally| (tally.name.clone(), tally.clone())).collect()
    };
    let both = scorecards.map(by_name);
    let names: BTreeSet<&String> = both.iter().flat_map(BTreeMap::keys).collect();
    let difference = |name: &String| {
        let none = || Tally { name: name.clone(), ..Tally::default() };
        let tally = [0, 1].map(|side: usize| both[side].get(name).cloned().unwrap_or_else(none));
        (tally[0] != tally[1]).then(|| SignalDifference { name: name.clone(), tally })
    };
    names.into_iter().filter_map(difference).collect()
}
