//! What the samples of the open block come to, series by series: worked out when it closes, when
//! somebody asks, and for a snapshot.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Tracked, Tracks};
use crate::engine::open::{Column, Newest, OpenBlock, Partial};
use crate::engine::places::Places;
use crate::stats::robust::median;

impl Tracks {
    /// The newest value of a series.
    pub fn newest(&self, tracked: &Tracked) -> Newest {
        let came = |column: &Column| -> Vec<f64> {
            self.places.of(tracked.ways).filter_map(|(way, _)| column.at(way)).collect()
        };
        for column in self.open.ticks().iter().rev() {
            let mut values = came(column);
            if !values.is_empty() {
                return Newest { value: median(&mut values), seen: Some(column.at) };
            }
        }
        tracked.open.as_ref().map_or(tracked.newest, |open| open.newest)
    }

    /// What the open block has of each series, by place.
    fn partials(&self) -> impl Iterator<Item = (usize, Partial)> {
        let partial = |tracked: &Tracked| {
            let mut came = Partial::default();
            came.gather(tracked, &self.places, &self.open, &mut Vec::new());
            came
        };
        let all = self.all.iter().map(partial).enumerate();
        all.filter(|(_, partial)| !partial.is_empty())
    }

    /// Puts what the open block has beside each series: the ways to it are about to change.
    pub(super) fn keep_open(&mut self) {
        let partials: Vec<(usize, Partial)> = self.partials().collect();
        for (place, partial) in partials {
            self.all[place].open = Some(Box::new(partial));
        }
        self.open.clear();
    }
}

impl Partial {
    /// What the open block has of a series: peers are folded into the middle one, tick by tick.
    /// `values` is room to work in.
    pub(super) fn gather(
        &mut self,
        tracked: &Tracked,
        places: &Places,
        open: &OpenBlock,
        values: &mut Vec<f64>,
    ) {
        self.restart(tracked.peers.len(), tracked.open.as_deref());
        let mut ways = places.of(tracked.ways);
        if let (Some((way, None)), None) = (ways.next(), ways.next()) {
            // Nobody to share a tick with, as most series: its value is that of the tick.
            for column in open.ticks() {
                if let Some(value) = column.at(way) {
                    self.tick(column.at, Some(value).filter(|value| value.is_finite()));
                }
            }
            return;
        }
        for column in open.ticks() {
            values.clear();
            for (way, peer) in places.of(tracked.ways) {
                let Some(value) = column.at(way) else { continue };
                values.push(value);
                if let Some(peer) = peer {
                    self.peers[peer].push(value);
                }
            }
            if !values.is_empty() {
                self.tick(column.at, median(values));
            }
        }
    }
}

// What the open block has goes into a snapshot series by series: the order in which a source
// answers is none of its business.
impl Serialize for Tracks {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let open: Vec<(usize, Partial)> = self.partials().collect();
        (&self.all, open).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Tracks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (mut all, open) = <(Vec<Tracked>, Vec<(usize, Partial)>)>::deserialize(from)?;
        for (place, partial) in open {
            if let Some(tracked) = all.get_mut(place) {
                tracked.open = Some(Box::new(partial));
            }
        }
        Ok(Self { all, ..Self::default() })
    }
}
