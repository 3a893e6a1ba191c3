//! The way from a sample to where its series is kept, remembered in the order in which the source
//! answers: a backend gives the same rows in the same order at nearly every tick, so that the
//! next sample is nearly always that of the next place.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
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
    /// Place of the series in which it is folded.
    pub place: usize,
    /// True when no other sample is folded into the same series.
    pub alone: bool,
    /// True when its service has less traffic than the signal asks for: a p99 of three requests
    /// is noise.
    pub too_calm: bool,
}

/// A series as the source gives it, peer included.
#[derive(Clone, Debug)]
struct Known {
    series: Arc<Series>,
    place: usize,
    /// Number of the floor of traffic that it needs, from one.
    floor: Option<NonZeroU32>,
    alone: bool,
}

/// Where the series of samples are kept, by order of arrival and by id.
#[derive(Clone, Debug, Default)]
pub struct Places {
    known: Vec<Known>,
    by_id: BTreeMap<SeriesId, usize>,
    /// What comes next if this tick is like the last.
    next: usize,
    /// Samples of this tick that were not where they were expected.
    missed: usize,
    /// Series that are new at this tick.
    added: usize,
    floors: Floors,
}

/// Which services have as much traffic as a signal asks for.
#[derive(Clone, Debug, Default)]
struct Floors {
    /// By hash of signal and service: number, and how much is enough.
    by_id: BTreeMap<SeriesId, (usize, f64)>,
    /// By number, at this tick.
    reached: Vec<bool>,
}

impl Places {
    /// A tick begins, with what the queries for floors of traffic answered. A service that they do
    /// not name has no traffic.
    ///
    /// Cost: O(log n) per sample of traffic.
    pub fn begin(&mut self, signals: &[Signal], traffic: &[Sample]) {
        (self.next, self.missed, self.added) = (0, 0, 0);
        self.floors.reached.fill(false);
        for Sample { series, value } in traffic {
            let signal = || signals.iter().find(|signal| signal.name == series.signal);
            let known = self.floors.by_id.get(&floor_id(series)).copied();
            if let Some((floor, least)) = known.or_else(|| self.floors.add(series, signal()?)) {
                self.floors.reached[floor] |= *value >= least;
            }
        }
    }

    /// Where a sample goes; none for a series that was not met before.
    ///
    /// Cost: O(1) for a sample that comes in the order of the last ticks, else O(log n).
    pub fn find(&mut self, series: &Arc<Series>) -> Option<Way> {
        let is_next = self
            .known
            .get(self.next)
            .is_some_and(|next| Arc::ptr_eq(&next.series, series) || next.series.id == series.id);
        if !is_next {
            self.missed += 1;
            self.next = *self.by_id.get(&series.id)?;
        }
        self.next += 1;
        self.known.get(self.next - 1).map(|known| self.floors.way(known))
    }

    /// Remembers where the samples of a new series go.
    pub fn add(&mut self, series: &Arc<Series>, place: usize, signal: &Signal) -> Way {
        // Peers come and go for years; forgetting all of them costs one look-up each.
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
            self.by_id.clear();
            self.floors = Floors::default();
        }
        self.added += 1;
        let alone = signal.peer.is_none() && series.peer.is_none();
        let floor = self.floors.by_id.get(&floor_id(series)).copied();
        let floor = floor.or_else(|| self.floors.add(series, signal));
        let floor = floor.and_then(|(place, _)| NonZeroU32::new(u32::try_from(place).ok()? + 1));
        self.by_id.insert(series.id, self.known.len());
        let known = Known { series: series.clone(), place, alone, floor };
        let way = self.floors.way(&known);
        self.known.push(known);
        way
    }

    /// A tick ends: if too much was not where it was expected, and something was new, what
    /// `samples` brought is put in their order.
    ///
    /// Cost: O(1), or O(n log n) when it does.
    pub fn end(&mut self, samples: &[Sample]) {
        if self.added == 0 || self.missed * MISSED_SHARE <= samples.len() {
            return;
        }
        let mut old: Vec<Option<Known>> =
            std::mem::take(&mut self.known).into_iter().map(Some).collect();
        for sample in samples {
            let place = self.by_id.get(&sample.series.id);
            self.known.extend(place.and_then(|&place| old[place].take()));
        }
        self.known.extend(old.into_iter().flatten());
        for (place, known) in self.known.iter().enumerate() {
            self.by_id.insert(known.series.id, place);
        }
    }

    /// Forgets everything: each series is looked up once more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Floors {
    fn way(&self, known: &Known) -> Way {
        let reached = |floor: NonZeroU32| self.reached[floor.get() as usize - 1];
        let too_calm = known.floor.is_some_and(|floor| !reached(floor));
        Way { place: known.place, alone: known.alone, too_calm }
    }

    /// Remembers a signal's floor for a service; none if it has none.
    fn add(&mut self, series: &Series, signal: &Signal) -> Option<(usize, f64)> {
        let floor = (self.reached.len(), signal.min_traffic.as_ref()?.at_least);
        self.reached.push(false);
        self.by_id.insert(floor_id(series), floor);
        Some(floor)
    }
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
            places.add(&all[n], n, &signal);
        }
        let order: Vec<usize> = (0..20).map(|n| n * 7 % 20).collect();
        places.end(&samples(&order));
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
