//! What to ask a backend, and which series its rows are: made once from the rules, then kept
//! from reading to reading so that labels are copied only for series not met before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::table::Wanted;
use crate::rules::{ChangeBy, ChangeRule, Rules, Signal, Worse};
use crate::series::{Labels, Series};
use crate::time::Span;

/// Series known at the same time, over all queries.
pub const SERIES_MAX: usize = 1_000_000;

/// Series known at the same time of one query.
pub const SERIES_PER_QUERY_MAX: usize = 200_000;

/// Everything that is asked of a backend, built once from the rules.
#[derive(Debug)]
pub struct ReadPlan {
    pub(super) queries: Arc<[Query]>,
    pub(super) known: Vec<Known>,
    pub(super) changes: Arc<[ChangeRule]>,
    /// How many series all of `known` has.
    pub(super) total: usize,
    /// The number of the current reading.
    reading: u64,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    series: usize,
    series_per_query: usize,
}

/// One query and what its rows mean.
#[derive(Debug)]
pub(super) struct Query {
    pub asked: Asked,
    /// How messages call it.
    pub name: String,
    pub promql: String,
    pub delay: Span,
    pub wanted: Wanted,
    /// What becomes of several rows that are one series.
    pub merge: Merge,
    binding: Binding,
}

/// For what a query is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The values of the signal.
    Signal(Arc<str>),
    /// Whether the signal's services have enough traffic.
    Traffic(Arc<str>),
    /// The change rule at this index.
    Change(usize),
    /// Who calls whom.
    Topology,
}

/// What becomes of several rows that are one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// The largest counts.
    Largest,
    /// The smallest counts.
    Smallest,
    /// They are parts of a whole.
    Sum,
}

/// Whose row it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Series(Arc<Series>),
    Change { service: Arc<str>, what: Arc<str> },
    Call { client: Arc<str>, server: Arc<str> },
}

/// Where a signal's labels stand among the wanted ones.
#[derive(Clone, Debug, Default)]
struct Binding {
    peer: Option<usize>,
    dependency: Option<usize>,
}

/// The series of one query that were met so far, by fingerprint of their texts.
#[derive(Debug, Default)]
pub(super) struct Known {
    slots: Vec<Slot>,
    by_fingerprint: BTreeMap<u128, usize>,
    /// The slot after the last one found: backends answer in the same order each time.
    next: usize,
}

#[derive(Debug)]
struct Slot {
    fingerprint: u128,
    key: Key,
    /// The reading in which it was last met.
    met: u64,
}

impl ReadPlan {
    /// Everything that `rules` want to know.
    pub fn new(rules: &Rules) -> Self {
        let mut queries = Vec::new();
        for signal in &rules.signals {
            queries.push(signal_query(signal));
            queries.extend(traffic_query(signal));
        }
        for (index, rule) in rules.changes.iter().enumerate() {
            queries.push(change_query(index, rule));
        }
        queries.extend(rules.topology.as_deref().map(topology_query));
        Self {
            known: queries.iter().map(|_| Known::default()).collect(),
            queries: queries.into(),
            changes: rules.changes.clone().into(),
            total: 0,
            reading: 0,
            limits: Limits { series: SERIES_MAX, series_per_query: SERIES_PER_QUERY_MAX },
        }
    }

    /// How many series were met in recent readings: tells how long a reading can be.
    pub fn series_len(&self) -> usize {
        self.total
    }

    /// Starts a reading. Near the limit it makes room: members that are gone for good would
    /// otherwise fill it up in months.
    pub(super) fn begin(&mut self) {
        self.reading += 1;
        let crowded = self.limits.series / 2 <= self.total
            || self.known.iter().any(|known| self.limits.series_per_query / 2 <= known.slots.len());
        if crowded {
            let last = self.reading - 1;
            self.known.iter_mut().for_each(|known| known.keep_met_since(last));
            self.total = self.known.iter().map(|known| known.slots.len()).sum();
        }
    }

    /// The slot and key of a row of query `query`; `None` beyond the limits.
    pub(super) fn slot(
        &mut self,
        query: usize,
        fingerprint: u128,
        texts: impl FnOnce() -> Vec<String>,
    ) -> Option<(usize, &Key)> {
        let known = &mut self.known[query];
        let slot = if let Some(slot) = known.find(fingerprint) {
            slot
        } else {
            let full = self.limits.series <= self.total
                || self.limits.series_per_query <= known.slots.len();
            if full {
                return None;
            }
            let key = self.queries[query].key(&texts());
            known.slots.push(Slot { fingerprint, key, met: 0 });
            known.by_fingerprint.insert(fingerprint, known.slots.len() - 1);
            self.total += 1;
            known.slots.len() - 1
        };
        known.next = slot + 1;
        known.slots[slot].met = self.reading;
        Some((slot, &known.slots[slot].key))
    }
}

impl Known {
    fn find(&self, fingerprint: u128) -> Option<usize> {
        match self.slots.get(self.next) {
            Some(slot) if slot.fingerprint == fingerprint => Some(self.next),
            _ => self.by_fingerprint.get(&fingerprint).copied(),
        }
    }

    fn keep_met_since(&mut self, reading: u64) {
        self.slots.retain(|slot| reading <= slot.met);
        self.by_fingerprint =
            self.slots.iter().enumerate().map(|(index, slot)| (slot.fingerprint, index)).collect();
        self.next = 0;
    }
}

impl Query {
    /// Whose row it is that has these texts.
    fn key(&self, texts: &[String]) -> Key {
        let text = |index: usize| texts.get(index).map_or("", String::as_str);
        match &self.asked {
            Asked::Signal(signal) => {
                let given = |index: usize| Some(text(index).to_owned()).filter(|t| !t.is_empty());
                // The service's own label is not repeated among the labels.
                let labels: Labels = (1..self.wanted.names.len())
                    .filter_map(|index| Some((self.wanted.names[index].clone(), given(index)?)))
                    .collect();
                let peer = self.binding.peer.and_then(given);
                let dependency = self.binding.dependency.and_then(given);
                Key::Series(Arc::new(Series::new(signal, text(0), peer, dependency, labels)))
            }
            Asked::Traffic(signal) => {
                Key::Series(Arc::new(Series::new(signal, text(0), None, None, Labels::new())))
            }
            Asked::Change(_) => Key::Change { service: text(0).into(), what: text(1).into() },
            Asked::Topology => Key::Call { client: text(0).into(), server: text(1).into() },
        }
    }
}

fn signal_query(signal: &Signal) -> Query {
    let mut names = vec![signal.service.clone()];
    let mut place = |label: &String| {
        names.iter().position(|name| name == label).unwrap_or_else(|| {
            names.push(label.clone());
            names.len() - 1
        })
    };
    let binding = Binding {
        peer: signal.peer.as_ref().map(&mut place),
        dependency: signal.dependency.as_ref().map(&mut place),
    };
    for label in &signal.split {
        place(label);
    }
    Query {
        asked: Asked::Signal(signal.name.as_str().into()),
        name: format!("signal `{}`", signal.name),
        promql: signal.query.clone(),
        delay: signal.delay,
        wanted: Wanted { names, required: 1, rest: false },
        merge: if signal.worse == Worse::Down { Merge::Smallest } else { Merge::Largest },
        binding,
    }
}

fn traffic_query(signal: &Signal) -> Option<Query> {
    signal.min_traffic.as_ref().map(|traffic| Query {
        asked: Asked::Traffic(signal.name.as_str().into()),
        name: format!("min_traffic of signal `{}`", signal.name),
        promql: traffic.query.clone(),
        delay: signal.delay,
        wanted: Wanted { names: vec![signal.service.clone()], required: 1, rest: false },
        merge: Merge::Sum,
        binding: Binding::default(),
    })
}

fn change_query(index: usize, rule: &ChangeRule) -> Query {
    let mut names = vec![rule.service.clone()];
    let rest = match &rule.by {
        ChangeBy::Appears(label) => {
            names.push(label.clone());
            false
        }
        ChangeBy::Timestamp | ChangeBy::Step => true,
    };
    Query {
        asked: Asked::Change(index),
        name: format!("{} change query `{}`", rule.kind, rule.query),
        promql: rule.query.clone(),
        delay: Span::ZERO,
        wanted: Wanted { required: names.len(), names, rest },
        merge: Merge::Largest,
        binding: Binding::default(),
    }
}

fn topology_query(promql: &str) -> Query {
    let names = vec!["client".to_owned(), "server".to_owned()];
    Query {
        asked: Asked::Topology,
        name: "topology query".to_owned(),
        promql: promql.to_owned(),
        delay: Span::ZERO,
        wanted: Wanted { names, required: 2, rest: false },
        merge: Merge::Largest,
        binding: Binding::default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rules::{MinTraffic, Role};

    pub(crate) fn signal(name: &str) -> Signal {
        Signal::plain(name, Role::Latency)
    }

    #[test]
    fn labels_are_bound_as_the_signal_declares() {
        let mut queue = signal("queue-age");
        queue.peer = Some("instance".to_owned());
        queue.dependency = Some("server".to_owned());
        queue.split = vec!["queue".to_owned(), "server".to_owned()];
        queue.min_traffic = Some(MinTraffic { query: "t".to_owned(), at_least: 1.0 });
        let mut plan = ReadPlan::new(&Rules { signals: vec![queue], ..Rules::default() });
        assert_eq!(plan.queries[0].wanted.names, ["service", "instance", "server", "queue"]);
        let texts = || ["web", "1", "db", ""].map(str::to_owned).to_vec();
        let Some((0, Key::Series(series))) = plan.slot(0, 7, texts) else { panic!() };
        assert_eq!(series.to_string(), r#"queue-age{service="web",instance="1",server="db"}"#);
        assert_eq!((series.peer.as_deref(), series.dependency.as_deref()), (Some("1"), Some("db")));
        // Known now: its labels are not asked for again.
        let (slot, _) = plan.slot(0, 7, || panic!("labels copied twice")).unwrap();
        assert_eq!((slot, plan.series_len()), (0, 1));
        let Some((0, Key::Series(traffic))) = plan.slot(1, 7, || vec!["web".to_owned()]) else {
            panic!()
        };
        assert_eq!(traffic.to_string(), r#"queue-age{service="web"}"#);
    }

    #[test]
    fn the_limit_holds_and_series_that_are_gone_make_room() {
        let rules = Rules { signals: vec![signal("a"), signal("b")], ..Rules::default() };
        let mut plan = ReadPlan::new(&rules);
        plan.limits = Limits { series: 6, series_per_query: 4 };
        let met = |plan: &mut ReadPlan, query, numbers: std::ops::Range<u128>| {
            numbers
                .filter(|&n| plan.slot(query, n, || vec![n.to_string()]).is_some())
                .collect::<Vec<_>>()
        };
        plan.begin();
        assert_eq!(met(&mut plan, 0, 0..5), [0, 1, 2, 3]);
        assert_eq!(met(&mut plan, 1, 0..5), [0, 1]);
        plan.begin();
        // Those that are known keep their place although others come first.
        assert_eq!(met(&mut plan, 0, 2..9), [2, 3]);
        plan.begin();
        assert_eq!(plan.series_len(), 2);
        assert_eq!(met(&mut plan, 0, 3..9), [3, 4, 5]);
    }
}
