//! The way from a sample to where its series is kept, remembered in the order in which the source
//! answers: a backend gives the same rows in the same order at nearly every tick, so that the
//! next sample is nearly always that of the next place.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use crate::rules::Signal;
use crate::series::{Sample, Series, SeriesId, stable_hash};

/// Places are put in a new order of arrival when more than one sample in so many was not where it
/// was expected.
const MISSED_SHARE: usize = 8;

/// Series remembered, peers told apart.
const KNOWN_MAX: usize = 1_000_000;

/// Where a sample goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Its number, which is its row in the open block.
    pub number: usize,
    /// Place of the series in which it is folded.
    pub place: usize,
    /// True when its service has less traffic than the signal asks for: a p99 of three requests
    /// is noise.
    pub too_calm: bool,
}

/// The first of the ways to a series, one per peer.
pub type Ways = Option<Number>;

/// The number of a way and one, so that none takes no memory of its own.
pub type Number = NonZeroU32;

/// A series as the source gives it, peer included.
#[derive(Clone, Debug)]
struct Known {
    series: Arc<Series>,
    place: u32,
    /// Number of the floor of traffic that it needs, from one.
    floor: Option<NonZeroU32>,
    /// The next way to the same series.
    next: Ways,
    /// Which of the series' peers it comes from, from one; none where peers are not told apart.
    peer: Option<NonZeroU16>,
    /// True once it is one of the ways to its series: its peer is made.
    met: bool,
}

/// Where the series of samples are kept, by order of arrival and by id.
#[derive(Clone, Debug, Default)]
pub struct Places {
    known: Vec<Known>,
    by_id: BTreeMap<SeriesId, u32>,
    /// What comes next if this tick is like the last.
    next: usize,
    /// Samples of this tick that were not where they were expected.
    missed: usize,
    /// Series that are new at this tick.
    added: usize,
    floors: Floors,
}

/// The number of a floor, and how much is enough.
type Floor = (usize, f64);

/// Which services have as much traffic as a signal asks for.
#[derive(Clone, Debug, Default)]
struct Floors {
    /// In the order in which the last tick's samples of traffic came.
    arrived: Vec<(Arc<Series>, Option<Floor>)>,
    /// By hash of signal and service: number, and how much is enough.
    by_id: BTreeMap<SeriesId, Floor>,
    /// By number, at this tick.
    reached: Vec<bool>,
}

impl Places {
    /// A tick begins, with what the queries for floors of traffic answered. A service that they do
    /// not name has no traffic.
    ///
    /// Cost: O(1) per sample of traffic in the order of the last tick, else O(log n).
    pub fn begin(&mut self, signals: &[Signal], traffic: &[Sample]) {
        (self.next, self.missed, self.added) = (0, 0, 0);
        self.floors.begin(signals, traffic);
    }

    /// Where a sample goes; none for a series, or a peer, that was not met before.
    ///
    /// Cost: O(1) for a sample that comes in the order of the last ticks, else O(log n).
    pub fn find(&mut self, series: &Arc<Series>) -> Option<Way> {
        let is_next = self
            .known
            .get(self.next)
            .is_some_and(|next| Arc::ptr_eq(&next.series, series) || next.series.id == series.id);
        if !is_next {
            self.missed += 1;
            self.next = *self.by_id.get(&series.id)? as usize;
        }
        self.next += 1;
        let known = &self.known[self.next - 1];
        let way = self.floors.way(self.next - 1, known);
        (known.met || way.too_calm).then_some(way)
    }

    /// Remembers where the samples of a new series go. It is to be met next, unless it is too
    /// calm.
    pub fn add(&mut self, series: &Arc<Series>, place: usize, signal: &Signal) -> Way {
        self.added += 1;
        let floor = self.floors.by_id.get(&floor_id(series)).copied();
        let floor = floor.or_else(|| self.floors.add(series, signal));
        let floor = floor.and_then(|(place, _)| NonZeroU32::new(narrow(place) + 1));
        let number = *self.by_id.entry(series.id).or_insert(narrow(self.known.len())) as usize;
        let place = narrow(place);
        let known =
            Known { series: series.clone(), place, floor, next: None, peer: None, met: false };
        let way = self.floors.way(number, &known);
        if number < self.known.len() {
            self.known[number] = known;
        } else {
            reserve_one(&mut self.known);
            self.known.push(known);
        }
        way
    }

    /// A way becomes the first of its series' `ways`; `peer` is the place of its peer among those
    /// of the series.
    pub fn meet(&mut self, way: Way, peer: Option<usize>, ways: &mut Ways) {
        let known = &mut self.known[way.number];
        known.peer = peer.and_then(|peer| NonZeroU16::new(u16::try_from(peer).ok()? + 1));
        known.met = true;
        known.next = std::mem::replace(ways, NonZeroU32::new(narrow(way.number) + 1));
    }

    /// A peer was put among those of a series: the places of those after it move on.
    pub fn make_room(&mut self, ways: Ways, peer: usize) {
        let mut next = ways;
        while let Some(number) = next {
            let known = &mut self.known[index(number)];
            known.peer = known.peer.map(|at| {
                let moves = usize::from(at.get()) > peer;
                at.saturating_add(u16::from(moves))
            });
            next = known.next;
        }
    }

    /// Peers of a series were forgotten: whoever comes is met anew.
    pub fn forget(&mut self, ways: &mut Ways) {
        while let Some(number) = ways.take() {
            let known = &mut self.known[index(number)];
            known.met = false;
            *ways = known.next;
        }
    }

    /// The ways to a series: their numbers, and the places of their peers where these are told
    /// apart.
    pub fn of(&self, ways: Ways) -> impl Iterator<Item = (usize, Option<usize>)> {
        let known = move |number: Number| &self.known[index(number)];
        std::iter::successors(ways, move |&number| known(number).next).map(move |number| {
            let peer = known(number).peer.map(|peer| usize::from(peer.get()) - 1);
            (index(number), peer)
        })
    }

    /// How many ways are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether so many more ways are known than a tick has samples that all should be forgotten:
    /// peers come and go for years, and it costs one look-up each.
    pub fn is_full(&self, samples: usize) -> bool {
        self.known.len() > KNOWN_MAX.max(2 * samples)
    }

    /// Whether too much of a tick's samples was not where it was expected, and something was new.
    pub fn is_out_of_order(&self, samples: usize) -> bool {
        self.added > 0 && self.missed * MISSED_SHARE > samples
    }

    /// Puts the ways of what `samples` brought in their order, those of other series behind them.
    /// Returns the new number of each, by the old one.
    ///
    /// Cost: O(n log n).
    pub fn reorder(&mut self, samples: &[Sample]) -> Vec<Number> {
        let mut new: Vec<Ways> = vec![None; self.known.len()];
        let arrived = samples.iter().filter_map(|sample| self.by_id.get(&sample.series.id));
        let mut order: Vec<u32> = Vec::with_capacity(self.known.len());
        for number in arrived.copied().chain(0..narrow(self.known.len())) {
            let new = &mut new[number as usize];
            if new.is_none() {
                order.push(number);
                *new = NonZeroU32::new(narrow(order.len()));
            }
        }
        let new: Vec<Number> = new.into_iter().flatten().collect();
        self.known = order.into_iter().map(|number| self.known[number as usize].clone()).collect();
        for number in self.by_id.values_mut() {
            *number = new[*number as usize].get() - 1;
        }
        for known in &mut self.known {
            known.next = known.next.map(|next| new[index(next)]);
        }
        new
    }

    /// Forgets everything: each series is looked up once more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Floors {
    fn way(&self, number: usize, known: &Known) -> Way {
        let reached = |floor: NonZeroU32| self.reached[floor.get() as usize - 1];
        let too_calm = known.floor.is_some_and(|floor| !reached(floor));
        Way { number, place: known.place as usize, too_calm }
    }

    fn begin(&mut self, signals: &[Signal], traffic: &[Sample]) {
        self.reached.fill(false);
        self.arrived.truncate(traffic.len());
        for (place, Sample { series, value }) in traffic.iter().enumerate() {
            let floor = match self.arrived.get(place) {
                Some((last, floor)) if Arc::ptr_eq(last, series) => *floor,
                _ => self.arrive(place, signals, series),
            };
            if let Some((floor, least)) = floor {
                self.reached[floor] |= *value >= least;
            }
        }
    }

    /// Looks up the floor of a sample of traffic and remembers where it came.
    fn arrive(&mut self, place: usize, signals: &[Signal], series: &Arc<Series>) -> Option<Floor> {
        let signal = || signals.iter().find(|signal| signal.name == series.signal);
        let known = self.by_id.get(&floor_id(series)).copied();
        let floor = known.or_else(|| self.add(series, signal()?));
        self.arrived.truncate(place);
        self.arrived.push((series.clone(), floor));
        floor
    }

    /// Remembers a signal's floor for a service; none if it has none.
    fn add(&mut self, series: &Series, signal: &Signal) -> Option<Floor> {
        let floor = (self.reached.len(), signal.min_traffic.as_ref()?.at_least);
        self.reached.push(false);
        self.by_id.insert(floor_id(series), floor);
        Some(floor)
    }
}

/// Makes room for one more in what may hold a million: by doubling, half of it would lie idle.
pub fn reserve_one<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 32 + 1);
    }
}

/// The place that a number stands for.
pub fn index(number: Number) -> usize {
    number.get() as usize - 1
}

/// In half the memory: places and ways are a few millions.
fn narrow(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX - 1)
}

/// What a signal's series of one service have in common.
fn floor_id(series: &Series) -> SeriesId {
    SeriesId(stable_hash(&[&series.signal, &series.service]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Labels;

    fn series(n: usize) -> Arc<Series> {
        let labels = Labels::from([("part".to_owned(), n.to_string())]);
        Arc::new(Series::new("requests", "web", None, None, labels))
    }

    fn signal() -> Signal {
        let (mut set, _) = crate::rules::load(&crate::rules::builtin_lab());
        set.signals.retain(|signal| signal.name == "lab-traffic");
        set.signals.remove(0)
    }

    fn meet(places: &mut Places, series: &Arc<Series>, place: usize, signal: &Signal) {
        let way = places.add(series, place, signal);
        places.meet(way, None, &mut None);
    }

    #[test]
    fn every_series_is_found_in_whatever_order_it_comes() {
        let (mut places, signal) = (Places::default(), signal());
        let all: Vec<Arc<Series>> = (0..20).map(series).collect();
        let samples = |order: &[usize]| -> Vec<Sample> {
            order.iter().map(|&n| Sample { series: all[n].clone(), value: 1.0 }).collect()
        };
        // Made in another order than that of arrival, as by id.
        places.begin(&[], &[]);
        for n in (0..20).rev() {
            assert_eq!(places.find(&all[n]), None);
            meet(&mut places, &all[n], n, &signal);
        }
        let order: Vec<usize> = (0..20).map(|n| n * 7 % 20).collect();
        assert!(places.is_out_of_order(order.len()));
        places.reorder(&samples(&order));
        for order in [order.clone(), order.iter().skip(3).copied().rev().collect(), order] {
            places.begin(&[], &[]);
            for n in order {
                // The same series, bound anew.
                let found = places.find(&series(n)).map(|way| way.place);
                assert_eq!(found, Some(n));
            }
        }
        assert_eq!(places.missed, 0, "the last tick came as the first had");
        places.clear();
        assert_eq!(places.find(&all[0]), None);
    }
}
