//! The lowest points of a sum, as far as they compete for the beginning of its next rise.

use serde::{Deserialize, Serialize};

use super::MARGIN;
use crate::stats::block::{Number, block_of, narrow, number};

/// How many are remembered.
const LOWS_MAX: usize = 32;

/// Room is made for so many more at a time: most series have about a dozen.
const LOWS_MORE: usize = 2;

/// More room than this beyond what is needed is given back: lists are twice as long at times.
const LOWS_IDLE: usize = 6;

/// How many may wait until the others are told of them.
const WAITING_MAX: usize = 4;

/// Lowest points within [`MARGIN`] of the present one, at most 32 of them.
///
/// Each new one lifts all others by as far as it lies below the one before. They are told of
/// several at a time: of a million series, the list of none is in a cache, while what waits lies
/// beside the rest of a series' state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(i32, f32)>", into = "Vec<(i32, f32)>")]
pub(super) struct Lows {
    /// Oldest first: the first block after each, and how far it lies above the newest of these.
    // In single precision: heights are compared with a margin of 12.
    settled: Vec<(Number, f32)>,
    /// What came since, oldest first: the first block after each, and how far it lies below the
    /// one before.
    waiting: [Option<(Number, f32)>; WAITING_MAX],
}

impl Lows {
    /// True before the first.
    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.waiting[0].is_none()
    }

    /// The sum fell to a new lowest point, `by` below the one before; `block` is the first after
    /// it.
    pub(super) fn push(&mut self, block: i64, by: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "documented on the field")]
        let low = number(block).map(|block| (block, by as f32));
        let free = self.waiting.iter().position(Option::is_none).unwrap_or_else(|| {
            self.settle();
            0
        });
        self.waiting[free] = low;
    }

    /// The first block after the oldest.
    pub(super) fn first(&self) -> Option<i64> {
        self.all().first().map(|&(block, _)| block_of(block))
    }

    /// All of them, none waiting.
    fn all(&self) -> Vec<(Number, f32)> {
        let mut all = self.clone();
        all.settle();
        all.settled
    }

    /// Tells the others of those that wait, one by one.
    fn settle(&mut self) {
        for (block, by) in std::mem::take(&mut self.waiting).into_iter().flatten() {
            for (_, height) in &mut self.settled {
                *height += by;
            }
            // The older, the higher.
            let beyond = |&&(_, height): &&(Number, f32)| f64::from(height) > MARGIN;
            let gone = self.settled.iter().take_while(beyond).count();
            self.settled.drain(..gone);
            // The oldest stays: it bounds the range.
            if self.settled.len() == LOWS_MAX {
                self.settled.remove(1);
            }
            if self.settled.len() == self.settled.capacity() {
                self.settled.reserve_exact(LOWS_MORE);
            }
            self.settled.push((block, 0.0));
        }
        if self.settled.capacity() > self.settled.len() + LOWS_IDLE {
            self.settled.shrink_to(self.settled.len() + LOWS_MORE);
        }
    }
}

// Whether some of them wait is no part of what they are.
impl PartialEq for Lows {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
    }
}

// In a snapshot nothing waits.
impl From<Lows> for Vec<(i32, f32)> {
    fn from(lows: Lows) -> Self {
        lows.all().into_iter().map(|(block, height)| (narrow(block_of(block)), height)).collect()
    }
}

impl From<Vec<(i32, f32)>> for Lows {
    fn from(all: Vec<(i32, f32)>) -> Self {
        let number = |(block, height): (i32, f32)| Some((number(block.into())?, height));
        let mut settled = Vec::with_capacity(all.len());
        settled.extend(all.into_iter().filter_map(number));
        Self { settled, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_waits_changes_nothing(falls in proptest::collection::vec(0.0_f64..3.0, 1..300)) {
            let mut lows = Lows::default();
            let mut heights: Vec<(i64, f32)> = Vec::new();
            for (block, by) in (1..).zip(falls) {
                // Scaled over the blocks, so that lists are short at first and full in the end.
                let by = by * (-0.02 * block as f64).exp();
                lows.push(block, by);
                #[expect(clippy::cast_possible_truncation, reason = "as it is kept")]
                for (_, height) in &mut heights {
                    *height += by as f32;
                }
                heights.retain(|&(_, height)| f64::from(height) <= MARGIN);
                if heights.len() == LOWS_MAX {
                    heights.remove(1);
                }
                heights.push((block, 0.0));
                prop_assert_eq!(lows.first(), heights.first().map(|&(block, _)| block));
                prop_assert!(lows.settled.len() <= LOWS_MAX);
                let kept: Vec<(i32, f32)> = lows.clone().into();
                let read: Vec<(i32, f32)> = Lows::from(kept.clone()).into();
                prop_assert_eq!(&kept, &read);
                let expected = heights.iter().map(|&(block, height)| (narrow(block), height));
                prop_assert_eq!(kept, expected.collect::<Vec<_>>());
            }
        }
    }
}
