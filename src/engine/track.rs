//! Ingest: samples become one value per block and series. Peers are folded into the service's
//! typical peer, so that a service whose instances come and go keeps its baseline.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::archive::{Archive, Run};
use crate::engine::baseline::{Baseline, Load};
use crate::engine::detect::apart::{Apart, Distance, SETTLING_BLOCKS};
use crate::engine::detect::creep::Levels;
use crate::engine::detect::drift::Drift;
use crate::engine::detect::statistic::Family;
use crate::engine::history::{History, narrow};
use crate::engine::places::{Places, Way};
use crate::rules::{Role, Signal};
use crate::series::{Batch, Sample, Series, SeriesId};
use crate::stats::robust::median;
use crate::time::Timestamp;

/// Peers remembered per series; more are folded into the middle but not told apart.
pub const PEERS_MAX: usize = 500;
/// Blocks remembered per peer: the last hour, enough to compare versions.
const PEER_BLOCKS: usize = 12;
/// Stands for a peer's name where any of them is meant.
const ANY_PEER: &str = "*";
/// A peer that was silent for this many blocks is forgotten: a day.
const PEER_GONE_BLOCKS: i64 = 288;

/// One series of a service with all its peers, and everything known about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tracked {
    /// The series without its peer label.
    // Shared with the source where there are no peers.
    #[serde(with = "shared")]
    pub series: Arc<Series>,
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
    /// Where it was in the last weeks.
    pub levels: Levels,
    /// Members, by peer value.
    pub peers: BTreeMap<String, Peer>,
    /// The newest value.
    pub latest: Option<f64>,
    /// The tick of the newest value.
    seen: Option<Timestamp>,
    /// Values of the ticks of the open block, as precise as the history.
    block: Vec<f32>,
    /// True when the source could not ask for it during the open block.
    pub unasked: bool,
    /// Set where its values are not samples, but how far one peer of another series is apart.
    pub apart: Option<Box<Apart>>,
    /// The block since which it was asked for without a break.
    pub asked_from: i64,
    /// True when it used to report before its service fell silent the last time.
    pub silenced: bool,
}

/// One interchangeable member of a service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peer {
    /// Block values, oldest first, at most an hour.
    pub recent: VecDeque<(i64, f64)>,
    /// How far it is from the others.
    pub distance: Distance,
    /// First block of those in which it was there for most ticks; none when it was not just now.
    since: Option<i64>,
    block: Vec<f64>,
}

/// All series, in order of first appearance, and the way from a sample to its series.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tracks {
    /// The series.
    pub all: Vec<Tracked>,
    /// From a series to that of the distances between its peers.
    #[serde(skip)]
    apart: BTreeMap<SeriesId, usize>,
    /// From a sample to its place in `all`.
    #[serde(skip)]
    places: Places,
    #[serde(skip)]
    groups: BTreeMap<SeriesId, usize>,
    /// True while no place in `all` has changed since services were last told their series.
    #[serde(skip)]
    pub enrolled: bool,
}

/// Most series that are tracked; what comes beyond is left out and counted.
pub const SERIES_MAX: usize = 1_000_000;

impl Tracks {
    /// Takes in one tick. Returns how many samples were beyond [`SERIES_MAX`].
    ///
    /// Whatever the order of arrival, the same data gives the same state: what is known goes where
    /// it belongs, and what is new is made in order of series.
    pub fn take(&mut self, now: Timestamp, signals: &[Signal], batch: &Batch) -> u64 {
        let mut beyond = 0;
        let mut shared: Vec<(usize, f64)> = Vec::new();
        let mut strangers: Vec<&Sample> = Vec::new();
        self.places.begin(signals, &batch.traffic);
        for sample in &batch.samples {
            let way = self.places.find(&sample.series);
            if !way.is_some_and(|way| self.put(now, way, sample, &mut shared)) {
                strangers.push(sample);
            }
        }
        strangers.sort_unstable_by_key(|sample| sample.series.id);
        for sample in strangers {
            let Some(way) = self.way(signals, &sample.series) else {
                beyond += 1;
                continue;
            };
            if let Some(peer) = sample.series.peer.as_ref().filter(|_| !way.too_calm)
                && self.all[way.place].peers.len() < PEERS_MAX
            {
                self.all[way.place].peers.entry(peer.clone()).or_default();
            }
            self.put(now, way, sample, &mut shared);
        }
        self.fold(now, shared);
        self.places.end(&batch.samples);
        beyond
    }

    /// Puts a sample where it belongs; false when it comes from a peer that must be made first.
    fn put(
        &mut self,
        now: Timestamp,
        way: Way,
        sample: &Sample,
        shared: &mut Vec<(usize, f64)>,
    ) -> bool {
        let tracked = &mut self.all[way.place];
        if way.too_calm {
            // Not believed, and not missing either.
            tracked.unasked = true;
        } else if way.alone {
            tracked.tick(now, Some(sample.value).filter(|value| value.is_finite()));
        } else {
            if let Some(name) = &sample.series.peer {
                let full = tracked.peers.len() >= PEERS_MAX;
                match tracked.peers.get_mut(name) {
                    Some(peer) => peer.block.push(sample.value),
                    None if !full => return false,
                    None => {}
                }
            }
            shared.push((way.place, sample.value));
        }
        true
    }

    /// Folds the peers of each series into the typical one.
    fn fold(&mut self, now: Timestamp, mut shared: Vec<(usize, f64)>) {
        shared.sort_unstable_by_key(|&(place, _)| place);
        let mut values = Vec::new();
        for peers in shared.chunk_by(|a, b| a.0 == b.0) {
            values.clear();
            values.extend(peers.iter().map(|&(_, value)| value));
            self.all[peers[0].0].tick(now, median(&mut values));
        }
    }

    /// Where a sample goes, its series made if it is new; none beyond the limit or when its
    /// signal is not in the rules.
    fn way(&mut self, signals: &[Signal], series: &Arc<Series>) -> Option<Way> {
        if let Some(way) = self.places.find(series) {
            return Some(way);
        }
        let signal = signals.iter().position(|signal| signal.name == series.signal)?;
        let group = without_peer(series, &signals[signal]);
        let place = match self.groups.get(&group.id) {
            Some(&place) => place,
            None if self.all.len() >= SERIES_MAX => return None,
            None => {
                self.groups.insert(group.id, self.all.len());
                if self.all.len() == self.all.capacity() {
                    // By doubling, half of the room would lie idle.
                    self.all.reserve_exact(self.all.len() / 8 + 1);
                }
                self.all.push(Tracked::new(group, signal, signals[signal].role));
                self.enrolled = false;
                self.all.len() - 1
            }
        };
        if series.id == self.all[place].series.id {
            // One copy for source and engine, also after a restart.
            self.all[place].series = Arc::clone(series);
        }
        Some(self.places.add(series, place, &signals[signal]))
    }

    /// Closes the open block of every series. What has become complete goes to the archive first.
    pub fn close(&mut self, block: i64, blocks_max: i64, archive: &mut dyn Archive) {
        self.archive(block, archive);
        let mut ticks = Vec::new();
        for tracked in self.all.iter_mut().filter(|tracked| tracked.apart.is_none()) {
            ticks.clear();
            ticks.extend(tracked.block.drain(..).map(f64::from));
            let asked = ticks.len();
            let value = median(&mut ticks).unwrap_or(f64::NAN);
            tracked.history.push(block, value, blocks_max);
            for peer in tracked.peers.values_mut() {
                // A scrape that failed is no restart; one that is short is told by other signals.
                if peer.block.len() * 2 <= asked {
                    peer.restarted();
                } else if asked > 0 {
                    peer.since.get_or_insert(block);
                }
                if let Some(value) = median(&mut peer.block) {
                    peer.recent.push_back((block, value));
                }
                peer.block.clear();
                while peer.recent.len() > PEER_BLOCKS {
                    peer.recent.pop_front();
                }
            }
            tracked.peers.retain(|_, peer| {
                peer.recent.back().is_some_and(|&(last, _)| block - last < PEER_GONE_BLOCKS)
            });
        }
    }

    /// Hands over the runs that are complete now that `block` closes.
    fn archive(&self, block: i64, archive: &mut dyn Archive) {
        let mut runs: BTreeMap<i64, Vec<(SeriesId, Run)>> = BTreeMap::new();
        for tracked in &self.all {
            if let Some((run, values)) = tracked.history.complete(block) {
                runs.entry(run).or_default().push((tracked.series.id, values));
            }
        }
        for (run, mut series) in runs {
            series.sort_unstable_by_key(|&(id, _)| id);
            archive.keep(run, &mut series.into_iter());
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
        self.enrolled = false;
        let all = self.all.iter().zip(0..);
        self.apart = all
            .clone()
            .filter_map(|(tracked, place)| Some((tracked.apart.as_ref()?.of, place)))
            .collect();
        self.groups = all.map(|(tracked, place)| (tracked.series.id, place)).collect();
    }

    /// Where the distances between the peers of a series are kept, made when it is new; none
    /// beyond the limit.
    pub fn apart_from(&mut self, place: usize, peer_label: &str) -> Option<usize> {
        let Tracked { series, signal, role, .. } = &self.all[place];
        if let Some(&known) = self.apart.get(&series.id) {
            return Some(known);
        }
        if self.all.len() >= SERIES_MAX {
            return None;
        }
        // No peer: any of them. The label keeps it apart from the series of the typical peer.
        let mut labels = series.labels.clone();
        labels.insert(peer_label.to_owned(), ANY_PEER.to_owned());
        let Series { signal: name, service, dependency, .. } = &**series;
        let apart = Apart { of: series.id, farthest: None };
        let distances = Series::new(name, service, None, dependency.clone(), labels);
        let distances = Arc::new(distances);
        let new =
            Tracked { apart: Some(Box::new(apart)), ..Tracked::new(distances, *signal, *role) };
        self.apart.insert(series.id, self.all.len());
        self.all.push(new);
        self.enrolled = false;
        Some(self.all.len() - 1)
    }
}

impl Tracked {
    fn new(series: Arc<Series>, signal: usize, role: Role) -> Self {
        Self {
            series,
            signal,
            role,
            history: History::default(),
            baseline: None,
            drift: Drift::default(),
            levels: Levels::default(),
            peers: BTreeMap::new(),
            latest: None,
            seen: None,
            block: Vec::new(),
            unasked: false,
            apart: None,
            asked_from: i64::MIN,
            silenced: false,
        }
    }

    /// Its values over the blocks `from..to`, NaN where there is none.
    pub fn past(&self, archive: &dyn Archive, from: i64, to: i64) -> Vec<f64> {
        self.history.window(archive, self.series.id, from, to)
    }

    /// Takes in the value of one tick.
    fn tick(&mut self, now: Timestamp, value: Option<f64>) {
        self.latest = value;
        self.seen = Some(now);
        self.block.extend(value.map(narrow));
    }

    /// Where events are counted: the level that its score is about, in its own unit.
    pub fn events(&self, load: Load) -> Option<f64> {
        Some(self.drift.events()? * self.baseline.as_ref()?.unit_load(load))
    }

    /// When it last had a value.
    pub fn seen(&self) -> Option<Timestamp> {
        self.seen
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

impl Peer {
    /// It was away or began anew: what it was like before says nothing about it.
    pub fn restarted(&mut self) {
        self.since = None;
        self.distance = None;
    }

    /// Whether a block is the first in which it is there.
    pub fn came_at(&self, block: i64) -> bool {
        self.since == Some(block)
    }

    /// Its value at a block, once it has been there for an hour without a break.
    pub fn settled_at(&self, block: i64) -> Option<f64> {
        let settled = self.since.is_some_and(|since| block - since >= SETTLING_BLOCKS);
        let newest = self.recent.back().filter(|(at, _)| settled && *at == block);
        newest.map(|&(_, value)| value)
    }
}

fn without_peer(series: &Arc<Series>, signal: &Signal) -> Arc<Series> {
    if series.peer.is_none() {
        return Arc::clone(series);
    }
    let mut labels = series.labels.clone();
    if let Some(peer) = &signal.peer {
        labels.remove(peer);
    }
    let dependency = series.dependency.clone();
    Arc::new(Series::new(&series.signal, &series.service, None, dependency, labels))
}

/// A shared series in a snapshot: as if it were not shared.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::series::Series;

    pub(super) fn serialize<S: Serializer>(series: &Series, to: S) -> Result<S::Ok, S::Error> {
        series.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Series>, D::Error> {
        Series::deserialize(from).map(Arc::new)
    }
}
