//! The open block: what came at each of its ticks, in the order in which the source answers.
//!
//! A tick only appends to one column, so that it costs no more than reading the batch does. What
//! the samples mean for their series is worked out when the block closes, or when somebody asks.

use serde::{Deserialize, Serialize};

use crate::engine::history::narrow;
use crate::time::Timestamp;

/// The samples of the open block: a column per tick, a row per way from a sample to its series.
#[derive(Clone, Debug, Default)]
pub struct OpenBlock {
    /// Oldest first. Those from `len` on are room for the ticks to come.
    columns: Vec<Column>,
    len: usize,
}

/// The samples of one tick.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// When they came.
    pub at: Timestamp,
    /// NaN where none came; infinite where it was no number.
    values: Vec<f64>,
}

/// What the open block has of one series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// The newest value and when it came.
    pub newest: Newest,
    /// Values of its ticks, as precise as the history.
    pub ticks: Vec<f32>,
    /// The same of each of its peers, in order of peers, and as precise as they came.
    pub peers: Vec<Vec<f64>>,
}

/// The newest value of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Newest {
    /// None where what came was no number.
    pub value: Option<f64>,
    /// The tick at which something came.
    pub seen: Option<Timestamp>,
}

impl OpenBlock {
    /// A tick begins, of which samples by `ways` ways are expected.
    ///
    /// Cost: O(ways), a few bytes each in order of memory.
    pub fn begin(&mut self, at: Timestamp, ways: usize) {
        if self.len == self.columns.len() {
            self.columns.push(Column::default());
        }
        let column = &mut self.columns[self.len];
        self.len += 1;
        column.at = at;
        column.values.clear();
        column.widen(ways);
    }

    /// Takes in a sample of this tick. Of two by the same way the larger counts, whichever comes
    /// first. Cost: O(1).
    pub fn put(&mut self, way: usize, value: f64) {
        let Some(column) = self.len.checked_sub(1).map(|newest| &mut self.columns[newest]) else {
            return;
        };
        column.widen(way + 1);
        let value = if value.is_finite() { value } else { f64::INFINITY };
        // The larger of a value and NaN is the value.
        column.values[way] = column.values[way].max(value);
    }

    /// Ticks so far, oldest first.
    pub fn ticks(&self) -> &[Column] {
        &self.columns[..self.len]
    }

    /// Forgets everything but the room that it took.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl Column {
    /// What came by a way.
    pub fn at(&self, way: usize) -> Option<f64> {
        self.values.get(way).copied().filter(|value| !value.is_nan())
    }

    fn widen(&mut self, ways: usize) {
        let have = self.values.len();
        if ways <= have {
            return;
        }
        if ways > self.values.capacity() {
            // By doubling, half of the room would lie idle.
            self.values.reserve_exact(ways - have + ways / 16);
        }
        self.values.resize(ways, f64::NAN);
    }
}

impl Partial {
    /// Begins anew, for a series of so many peers, with what was kept of its block. What is here
    /// of more peers is left as it was: room for another series.
    pub fn restart(&mut self, peers: usize, kept: Option<&Self>) {
        self.newest = kept.map_or(Newest::default(), |kept| kept.newest);
        self.ticks.clear();
        self.ticks.extend(kept.iter().flat_map(|kept| &kept.ticks));
        if self.peers.len() < peers {
            self.peers.resize_with(peers, Vec::new);
        }
        for (place, values) in self.peers.iter_mut().enumerate().take(peers) {
            values.clear();
            let kept = kept.and_then(|kept| kept.peers.get(place));
            values.extend(kept.into_iter().flatten());
        }
    }

    /// Takes in the value of one tick; none when what came was no number.
    pub fn tick(&mut self, at: Timestamp, value: Option<f64>) {
        self.newest = Newest { value, seen: Some(at) };
        self.ticks.extend(value.map(narrow));
    }

    /// True while nothing came.
    pub fn is_empty(&self) -> bool {
        self.newest.seen.is_none()
    }
}

impl Newest {
    /// The value, if it came at `now`.
    pub fn at(self, now: Timestamp) -> Option<f64> {
        self.value.filter(|_| self.is_current(now))
    }

    /// Whether something came at `now`.
    pub fn is_current(self, now: Timestamp) -> bool {
        self.seen == Some(now)
    }
}
