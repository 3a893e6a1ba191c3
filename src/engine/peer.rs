//! One interchangeable member of a service, as one of its series sees it.

use serde::{Deserialize, Serialize};

use crate::engine::detect::apart::{Distance, SETTLING_BLOCKS};
use crate::stats::block::narrow;
use crate::stats::robust::median;

/// Blocks remembered per peer: the last hour, enough to compare versions.
const PEER_BLOCKS: usize = 12;
/// A peer that was silent for this many blocks is forgotten: a day.
const PEER_GONE_BLOCKS: i64 = 288;

/// One interchangeable member of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// What its label says.
    pub name: Box<str>,
    /// Its newest block values.
    pub recent: Recent,
    /// How far it is from the others.
    pub distance: Distance,
    /// First block of those in which it was there for most ticks; none when it was not just now.
    since: Option<i32>,
}

/// The newest block values of a peer, at most an hour of them.
// Side by side, not in a list: there may be a million of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// Oldest first.
    values: [f64; PEER_BLOCKS],
    blocks: [i32; PEER_BLOCKS],
    len: u8,
}

impl Peer {
    /// A peer of which nothing is known yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), recent: Recent::default(), distance: None, since: None }
    }

    /// Closes a block: `values` are those of its ticks, `asked` how often the series had a value.
    pub fn close(&mut self, block: i64, values: &mut [f64], asked: usize) {
        // A scrape that failed is no restart; one that is short is told by other signals.
        if values.len() * 2 <= asked {
            self.restarted();
        } else if asked > 0 {
            self.since.get_or_insert(narrow(block));
        }
        if let Some(value) = median(values) {
            self.recent.push(block, value);
        }
    }

    /// It was away or began anew: what it was like before says nothing about it.
    pub fn restarted(&mut self) {
        self.since = None;
        self.distance = None;
    }

    /// Whether a block is the first in which it is there.
    pub fn came_at(&self, block: i64) -> bool {
        self.since.is_some_and(|since| i64::from(since) == block)
    }

    /// Its value at a block, once it has been there for an hour without a break.
    pub fn settled_at(&self, block: i64) -> Option<f64> {
        let settled = self.since.is_some_and(|since| block - i64::from(since) >= SETTLING_BLOCKS);
        let newest = self.recent.newest().filter(|&(at, _)| settled && at == block);
        newest.map(|(_, value)| value)
    }

    /// Whether it was silent for so long that it is forgotten.
    pub fn is_gone(&self, block: i64) -> bool {
        self.recent.newest().is_none_or(|(last, _)| block - last >= PEER_GONE_BLOCKS)
    }
}

impl Recent {
    fn push(&mut self, block: i64, value: f64) {
        if usize::from(self.len) == PEER_BLOCKS {
            self.blocks.rotate_left(1);
            self.values.rotate_left(1);
            self.len -= 1;
        }
        let place = usize::from(self.len);
        (self.blocks[place], self.values[place]) = (narrow(block), value);
        self.len += 1;
    }

    /// The newest block that has a value, and its value.
    pub fn newest(&self) -> Option<(i64, f64)> {
        self.iter().next_back()
    }

    /// Blocks with their values, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> {
        let known = usize::from(self.len);
        let blocks = self.blocks[..known].iter().map(|&block| i64::from(block));
        blocks.zip(self.values[..known].iter().copied())
    }
}
