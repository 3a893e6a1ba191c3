//! Ingest: samples become one value per block and series. Peers are folded into the service's
//! typical peer, so that a service whose instances come and go keeps its baseline.

mod gather;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::archive::{Archive, Run};
use crate::engine::baseline::{Baseline, Load};
use crate::engine::detect::apart::Apart;
use crate::engine::detect::creep::Levels;
use crate::engine::detect::drift::Drift;
use crate::engine::detect::statistic::Family;
use crate::engine::history::History;
use crate::engine::open::{Newest, OpenBlock, Partial};
use crate::engine::peer::Peer;
use crate::engine::places::{Places, Way, Ways, index, reserve_one};
use crate::rules::{Role, Signal};
use crate::series::{Batch, Sample, Series, SeriesId};
use crate::stats::robust::median;
use crate::time::Timestamp;

/// Peers remembered per series; more are folded into the middle but not told apart.
pub const PEERS_MAX: usize = 500;
/// Stands for a peer's name where any of them is meant.
const ANY_PEER: &str = "*";

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
    /// Members, in order of name.
    pub peers: Vec<Peer>,
    /// The newest value before the open block.
    pub newest: Newest,
    /// What came of the open block before the ways to it were forgotten.
    #[serde(skip)]
    open: Option<Box<Partial>>,
    /// The ways to it.
    #[serde(skip)]
    ways: Ways,
    /// True when the source could not ask for it during the open block.
    pub unasked: bool,
    /// Set where its values are not samples, but how far one peer of another series is apart.
    pub apart: Option<Box<Apart>>,
    /// The block since which it was asked for without a break.
    pub asked_from: i64,
    /// True when it used to report before its service fell silent the last time.
    pub silenced: bool,
}

/// All series, in order of first appearance, and the way from a sample to its series.
#[derive(Clone, Debug, Default)]
pub struct Tracks {
    /// The series.
    pub all: Vec<Tracked>,
    /// From a series to that of the distances between its peers.
    apart: BTreeMap<SeriesId, usize>,
    /// From a sample to its place in `all`.
    places: Places,
    /// What came since the newest block closed.
    open: OpenBlock,
    groups: BTreeMap<SeriesId, usize>,
    /// True while no place in `all` has changed since services were last told their series.
    pub enrolled: bool,
}

/// Most series that are tracked; what comes beyond is left out and counted.
pub const SERIES_MAX: usize = 1_000_000;
/// Events in a block from which on their number is known to within a fifth; of shares, so many times
/// what is usual where there is any.
const EVENTS_KNOWN: f64 = 25.0;

impl Tracks {
    /// Takes in one tick. Returns how many samples were beyond [`SERIES_MAX`].
    ///
    /// Whatever the order of arrival, the same data gives the same state: what is known goes where
    /// it belongs, and what is new is made in order of series.
    pub fn take(&mut self, now: Timestamp, signals: &[Signal], batch: &Batch) -> u64 {
        if self.places.is_full(batch.samples.len()) {
            self.forget_ways();
        }
        let mut beyond = 0;
        let mut strangers: Vec<&Sample> = Vec::new();
        self.places.begin(signals, &batch.traffic);
        self.open.begin(now, self.places.len());
        for sample in &batch.samples {
            match self.places.find(&sample.series) {
                Some(way) => self.put(way, sample.value),
                None => strangers.push(sample),
            }
        }
        // All series of a service side by side: they are judged together.
        strangers.sort_unstable_by_key(|sample| (&sample.series.service, sample.series.id));
        for sample in strangers {
            match self.way(signals, &sample.series) {
                Some(way) => self.put(way, sample.value),
                None => beyond += 1,
            }
        }
        if self.places.is_out_of_order(batch.samples.len()) {
            self.keep_open();
            let moved = self.places.reorder(&batch.samples);
            for tracked in &mut self.all {
                tracked.ways = tracked.ways.map(|way| moved[index(way)]);
            }
        }
        beyond
    }

    /// Puts a value where it belongs.
    fn put(&mut self, way: Way, value: f64) {
        if way.too_calm {
            // Not believed, and not missing either.
            self.all[way.place].unasked = true;
        } else {
            self.open.put(way.number, value);
        }
    }

    /// Where a sample goes, its series and peer made if they are new; none beyond the limit or
    /// when its signal is not in the rules.
    fn way(&mut self, signals: &[Signal], series: &Arc<Series>) -> Option<Way> {
        if let Some(way) = self.places.find(series) {
            return Some(way);
        }
        let signal = signals.iter().position(|signal| signal.name == series.signal)?;
        let group = without_peer(series, &signals[signal]);
        let place = match self.groups.get(&group.id) {
            Some(&place) => place,
            None if self.all.len() >= SERIES_MAX => return None,
            None => self.track(group, signal, signals[signal].role),
        };
        let tracked = &mut self.all[place];
        if series.id == tracked.series.id {
            // One copy for source and engine, also after a restart.
            tracked.series = Arc::clone(series);
        }
        let way = self.places.add(series, place, &signals[signal]);
        if !way.too_calm {
            let (peer, is_new) = tracked.place_of(series.peer.as_deref());
            if let Some(peer) = peer.filter(|_| is_new) {
                self.places.make_room(tracked.ways, peer);
            }
            self.places.meet(way, peer, &mut tracked.ways);
        }
        Some(way)
    }

    /// A new series. Returns its place.
    fn track(&mut self, series: Arc<Series>, signal: usize, role: Role) -> usize {
        let place = self.all.len();
        self.groups.insert(series.id, place);
        reserve_one(&mut self.all);
        self.all.push(Tracked::new(series, signal, role));
        self.enrolled = false;
        place
    }

    /// Closes the open block of every series. What has become complete goes to the archive first.
    pub fn close(&mut self, block: i64, blocks_max: i64, archive: &mut dyn Archive) {
        let mut runs: BTreeMap<i64, Vec<(SeriesId, Run)>> = BTreeMap::new();
        let (mut came, mut values) = (Partial::default(), Vec::new());
        for tracked in &mut self.all {
            if let Some((run, values)) = tracked.history.complete(block) {
                runs.entry(run).or_default().push((tracked.series.id, values));
            }
            if tracked.apart.is_some() {
                continue;
            }
            came.gather(tracked, &self.places, &self.open, &mut values);
            if tracked.close(block, blocks_max, &mut came, &mut values) {
                self.places.forget(&mut tracked.ways);
            }
        }
        self.open.clear();
        for (run, mut series) in runs {
            series.sort_unstable_by_key(|&(id, _)| id);
            archive.keep(run, &mut series.into_iter());
        }
    }

    /// Forgets all ways: each series is looked up once more.
    fn forget_ways(&mut self) {
        self.keep_open();
        self.places.clear();
        for tracked in &mut self.all {
            tracked.ways = None;
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
        self.forget_ways();
        self.all.retain_mut(|tracked| {
            let known = signals.iter().position(|signal| signal.name == tracked.series.signal);
            if let Some(signal) = known {
                tracked.signal = signal;
                tracked.role = signals[signal].role;
            }
            let came = || tracked.open.as_ref().is_some_and(|open| !open.ticks.is_empty());
            known.is_some() && (tracked.history.first().is_some() || came())
        });
        self.enrolled = false;
        let all = self.all.iter().zip(0..);
        self.apart = all
            .clone()
            .filter_map(|(tracked, place)| Some((tracked.apart.as_ref()?.of, place)))
            .collect();
        self.groups = all.map(|(tracked, place)| (tracked.series.id, place)).collect();
    }

    /// Takes in the series of another engine, as far as there is room.
    pub fn adopt(&mut self, mut other: Self) {
        // The ways to them were that engine's.
        other.forget_ways();
        let room = SERIES_MAX.saturating_sub(self.all.len());
        self.all.extend(other.all.into_iter().take(room));
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
            peers: Vec::new(),
            newest: Newest::default(),
            open: None,
            ways: None,
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

    /// The place of a peer among its peers, and whether it was made just now; none where peers are
    /// not told apart.
    fn place_of(&mut self, name: Option<&str>) -> (Option<usize>, bool) {
        let Some(name) = name else { return (None, false) };
        match self.peers.binary_search_by(|peer| (*peer.name).cmp(name)) {
            Ok(place) => (Some(place), false),
            Err(_) if self.peers.len() >= PEERS_MAX => (None, false),
            Err(place) => {
                self.peers.reserve_exact(1);
                self.peers.insert(place, Peer::new(name));
                if let Some(open) = &mut self.open {
                    open.peers.insert(place, Vec::new());
                }
                (Some(place), true)
            }
        }
    }

    /// The peer of a name.
    pub fn peer(&self, name: &str) -> Option<&Peer> {
        let place = self.peers.binary_search_by(|peer| (*peer.name).cmp(name)).ok()?;
        Some(&self.peers[place])
    }

    /// Closes its open block, of which `came` is here. True when peers were forgotten.
    fn close(
        &mut self,
        block: i64,
        blocks_max: i64,
        came: &mut Partial,
        values: &mut Vec<f64>,
    ) -> bool {
        self.open = None;
        if !came.is_empty() {
            self.newest = came.newest;
        }
        values.clear();
        values.extend(came.ticks.iter().copied().map(f64::from));
        let asked = values.len();
        self.history.push(block, median(values).unwrap_or(f64::NAN), blocks_max);
        for (peer, values) in self.peers.iter_mut().zip(&mut came.peers) {
            peer.close(block, values, asked);
        }
        let before = self.peers.len();
        self.peers.retain(|peer| !peer.is_gone(block));
        self.peers.len() < before
    }

    /// Where events are counted: what the series stands at, in its own unit. That is the newest block
    /// where it has enough of them, and else the level that its score is about.
    pub fn events(&self, load: Load) -> Option<f64> {
        let (baseline, level) = (self.baseline.as_ref()?, self.drift.events()?);
        let newest = self.history.at(self.history.end() - 1);
        let is_known = baseline.event(load).is_some_and(|event| newest >= EVENTS_KNOWN * event);
        Some(if is_known { newest } else { level * baseline.unit_load(load) })
    }

    /// Signals that measure the same thing count once: families, not metrics, vote.
    pub fn family(&self) -> Family<'_> {
        let role = if self.role == Role::LatencyTypical { Role::Latency } else { self.role };
        // Custom signals have nothing in common but the word.
        let name = if role == Role::Custom { self.series.signal.as_str() } else { "" };
        (role, &self.series.labels, name)
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
