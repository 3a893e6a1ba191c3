//! Ingest: samples become one value per block and series. Peers are folded into the service's
//! typical peer, so that a service whose instances come and go keeps its baseline.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::engine::baseline::Baseline;
use crate::engine::detect::drift::Drift;
use crate::engine::detect::statistic::Family;
use crate::engine::history::History;
use crate::rules::{Role, Signal};
use crate::series::{Batch, Sample, Series, SeriesId};
use crate::stats::robust::median;
use crate::time::Timestamp;

/// Peers remembered per series; more are folded into the middle but not told apart.
pub const PEERS_MAX: usize = 500;
/// Blocks remembered per peer: the last hour, enough to compare versions.
const PEER_BLOCKS: usize = 12;
/// A peer that was silent for this many blocks is forgotten: a day.
const PEER_GONE_BLOCKS: i64 = 288;

/// One series of a service with all its peers, and everything known about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tracked {
    /// The series without its peer label.
    pub series: Series,
    /// Position of its signal in the rules.
    #[serde(skip)]
    pub signal: usize,
    /// Its role, from the rules.
    pub role: Role,
    /// What it did.
    pub history: History,
    /// What it is expected to do; none while it is too young.
    pub baseline: Option<Baseline>,
    /// How far it has moved.
    pub drift: Drift,
    /// Members, by peer value.
    pub peers: BTreeMap<String, Peer>,
    /// The newest value.
    pub latest: Option<f64>,
    /// The tick of the newest value.
    seen: Option<Timestamp>,
    /// Values of the ticks of the open block.
    block: Vec<f64>,
    /// The newest tick's values, one per peer, until the tick is complete.
    #[serde(skip)]
    tick: Vec<f64>,
    /// True when the source could not ask for it during the open block.
    pub unasked: bool,
}

/// One interchangeable member of a service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peer {
    /// Block values, oldest first, at most an hour.
    pub recent: VecDeque<(i64, f64)>,
    block: Vec<f64>,
}

/// All series, in order of first appearance, and the way from a sample to its series.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tracks {
    /// The series.
    pub all: Vec<Tracked>,
    /// From a sample's series id, peer included, to its place in `all`.
    #[serde(skip)]
    places: BTreeMap<SeriesId, usize>,
    #[serde(skip)]
    groups: BTreeMap<SeriesId, usize>,
}

/// Most series that are tracked; what comes beyond is left out and counted.
pub const SERIES_MAX: usize = 1_000_000;

impl Tracks {
    /// Takes in one tick. Returns how many samples were beyond [`SERIES_MAX`].
    pub fn take(&mut self, now: Timestamp, signals: &[Signal], batch: &Batch) -> u64 {
        let mut beyond = 0;
        let mut touched = Vec::with_capacity(batch.samples.len());
        let busy = busy_enough(signals, batch);
        // In order of series, whatever the order of arrival: the same data, the same state.
        let mut ordered: Vec<&Sample> = batch.samples.iter().collect();
        ordered.sort_unstable_by_key(|sample| sample.series.id);
        for sample in ordered {
            let Some(place) = self.place(signals, &sample.series) else {
                beyond += 1;
                continue;
            };
            let tracked = &mut self.all[place];
            let who = (sample.series.signal.as_str(), sample.series.service.as_str());
            if signals[tracked.signal].min_traffic.is_some() && !busy.contains(&who) {
                // A p99 of three requests is noise: not believed, and not missing either.
                tracked.unasked = true;
                continue;
            }
            if tracked.tick.is_empty() {
                touched.push(place);
            }
            tracked.tick.push(sample.value);
            if let Some(peer) = &sample.series.peer
                && (tracked.peers.len() < PEERS_MAX || tracked.peers.contains_key(peer))
            {
                tracked.peers.entry(peer.clone()).or_default().block.push(sample.value);
            }
        }
        for place in touched {
            let tracked = &mut self.all[place];
            let value = median(&mut tracked.tick);
            tracked.tick.clear();
            tracked.latest = value;
            tracked.seen = Some(now);
            tracked.block.extend(value);
        }
        beyond
    }

    /// Where a sample's series is kept, made if it is new; none beyond the limit or when its
    /// signal is not in the rules.
    fn place(&mut self, signals: &[Signal], series: &Series) -> Option<usize> {
        if let Some(&place) = self.places.get(&series.id) {
            return Some(place);
        }
        let signal = signals.iter().position(|signal| signal.name == series.signal)?;
        let group = without_peer(series, &signals[signal]);
        let place = match self.groups.get(&group.id) {
            Some(&place) => place,
            None if self.all.len() >= SERIES_MAX => return None,
            None => {
                self.groups.insert(group.id, self.all.len());
                self.all.push(Tracked::new(group, signal, signals[signal].role));
                self.all.len() - 1
            }
        };
        // Peers come and go for years; forgetting the whole map costs one look-up each.
        if self.places.len() >= SERIES_MAX {
            self.places.clear();
        }
        self.places.insert(series.id, place);
        Some(place)
    }

    /// Closes the open block of every series.
    pub fn close(&mut self, block: i64, blocks_max: usize) {
        for tracked in &mut self.all {
            let value = median(&mut tracked.block).unwrap_or(f64::NAN);
            tracked.block.clear();
            tracked.history.push(block, value, blocks_max);
            for peer in tracked.peers.values_mut() {
                if let Some(value) = median(&mut peer.block) {
                    peer.recent.push_back((block, value));
                    peer.block.clear();
                }
                while peer.recent.len() > PEER_BLOCKS {
                    peer.recent.pop_front();
                }
            }
            tracked.peers.retain(|_, peer| {
                peer.recent.back().is_some_and(|&(last, _)| block - last < PEER_GONE_BLOCKS)
            });
        }
    }

    /// Marks the series of signals that could not be asked: their silence means nothing.
    pub fn mark_unasked(&mut self, signal: &str) {
        for tracked in self.all.iter_mut().filter(|tracked| tracked.series.signal == signal) {
            tracked.unasked = true;
        }
    }

    /// Drops series that were silent for as long as the history reaches back, or whose signal
    /// left the rules, and finds the others' signals again.
    pub fn retain_known(&mut self, signals: &[Signal]) {
        self.all.retain_mut(|tracked| {
            let known = signals.iter().position(|signal| signal.name == tracked.series.signal);
            if let Some(signal) = known {
                tracked.signal = signal;
                tracked.role = signals[signal].role;
            }
            known.is_some() && (tracked.history.first().is_some() || !tracked.block.is_empty())
        });
        self.places.clear();
        self.groups = self
            .all
            .iter()
            .enumerate()
            .map(|(place, tracked)| (tracked.series.id, place))
            .collect();
    }
}

impl Tracked {
    fn new(series: Series, signal: usize, role: Role) -> Self {
        Self {
            series,
            signal,
            role,
            history: History::default(),
            baseline: None,
            drift: Drift::default(),
            peers: BTreeMap::new(),
            latest: None,
            seen: None,
            block: Vec::new(),
            tick: Vec::new(),
            unasked: false,
        }
    }

    /// Whether it had a value at `now`.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.seen == Some(now)
    }

    /// Signals that measure the same thing count once: families, not metrics, vote.
    pub fn family(&self) -> Family<'_> {
        let role = if self.role == Role::LatencyTypical { Role::Latency } else { self.role };
        // Custom signals have nothing in common but the word.
        let name = if role == Role::Custom { self.series.signal.as_str() } else { "" };
        (role, &self.series.labels, name)
    }
}

/// Signals and services with as much traffic at this tick as the signal asks for. A service that
/// the traffic query does not name has none.
fn busy_enough<'a>(signals: &[Signal], batch: &'a Batch) -> BTreeSet<(&'a str, &'a str)> {
    let floor = |name: &str| {
        let signal = signals.iter().find(|signal| signal.name == name)?;
        signal.min_traffic.as_ref().map(|traffic| traffic.at_least)
    };
    batch
        .traffic
        .iter()
        .filter(|sample| floor(&sample.series.signal).is_some_and(|least| sample.value >= least))
        .map(|sample| (sample.series.signal.as_str(), sample.series.service.as_str()))
        .collect()
}

fn without_peer(series: &Series, signal: &Signal) -> Series {
    let mut labels = series.labels.clone();
    if let Some(peer) = &signal.peer {
        labels.remove(peer);
    }
    Series::new(&series.signal, &series.service, None, series.dependency.clone(), labels)
}
