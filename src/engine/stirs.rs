//! When a service stirred: the onsets of its weak episodes, told or not. What comes back at the
//! same hour, or with every deploy, shows here long before it is an incident.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::engine::grid::{PER_DAY, PER_HOUR};

/// A service stirs from this share of its notice threshold on.
pub const STIR_MIN: f64 = 0.6;
/// After this long below it, the next one is another stir.
const PAUSE_BLOCKS: i64 = PER_HOUR;
/// Onsets remembered, at most.
const STIRS_MAX: usize = 128;
/// Onsets older than this are forgotten: as long as change events are remembered.
pub const KEPT_BLOCKS: i64 = 35 * PER_DAY;

/// The stirs of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stirs {
    /// Blocks, rising, at least [`PAUSE_BLOCKS`] apart.
    onsets: VecDeque<i64>,
    /// The newest block that was loud.
    loud: Option<i64>,
    /// The first block from which on none is missing here.
    since: Option<i64>,
}

impl Stirs {
    /// Takes in a judged block. True when a stir begins; its onset is for [`Self::begin`].
    pub fn follow(&mut self, block: i64, notice: f64) -> bool {
        self.since.get_or_insert(block);
        if notice < STIR_MIN {
            return false;
        }
        let new = self.loud.is_none_or(|loud| block - loud > PAUSE_BLOCKS);
        self.loud = Some(block);
        new
    }

    /// A stir began at `onset`; one that another has already is not counted again.
    pub fn begin(&mut self, onset: i64) {
        if self.onsets.back().is_some_and(|last| onset - last <= PAUSE_BLOCKS) {
            return;
        }
        self.onsets.push_back(onset);
        while self.onsets.front().is_some_and(|first| onset - first > KEPT_BLOCKS) {
            self.onsets.pop_front();
        }
        if self.onsets.len() > STIRS_MAX {
            self.onsets.pop_front();
            self.since = self.since.max(self.onsets.front().copied());
        }
    }

    /// From which block on every stir before `block` is known; none before the first is judged.
    pub fn known_from(&self, block: i64) -> Option<i64> {
        Some(self.since?.max(block - KEPT_BLOCKS)).filter(|&from| from < block)
    }

    /// Onsets of the stirs in `from..to`.
    pub fn within(&self, from: i64, to: i64) -> impl Iterator<Item = i64> {
        self.onsets.iter().copied().filter(move |onset| (from..to).contains(onset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flaps_is_one_stir_and_what_comes_back_another() {
        let mut stirs = Stirs::default();
        let mut onsets = Vec::new();
        for block in 1_000..1_100 {
            let notice = if [1_010, 1_012, 1_020, 1_050].contains(&block) { 0.7 } else { 0.5 };
            if stirs.follow(block, notice) {
                stirs.begin(block);
                onsets.push(block);
            }
        }
        assert_eq!(onsets, [1_010, 1_050]);
        assert_eq!(stirs.within(0, 2_000).collect::<Vec<_>>(), onsets);
        assert_eq!(stirs.known_from(1_100), Some(1_000));
        assert_eq!(stirs.known_from(1_000), None);
    }

    #[test]
    fn an_onset_before_the_last_stirs_is_that_stir() {
        let mut stirs = Stirs::default();
        for onset in [100, 90, 105, 200] {
            stirs.begin(onset);
        }
        assert_eq!(stirs.within(0, 1_000).collect::<Vec<_>>(), [100, 200]);
    }

    #[test]
    fn memory_is_bounded_and_knows_what_it_forgot() {
        let mut stirs = Stirs::default();
        stirs.follow(0, 0.0);
        for onset in (0..400).map(|n| n * 24) {
            stirs.begin(onset);
        }
        assert_eq!(stirs.within(0, i64::MAX).count(), STIRS_MAX);
        let newest = 399 * 24;
        let oldest = 272 * 24;
        assert_eq!(stirs.known_from(newest), Some(oldest), "earlier ones are not known to be none");
        stirs.begin(newest + KEPT_BLOCKS + 1);
        assert_eq!(stirs.within(0, i64::MAX).count(), 1, "five weeks are enough");
    }
}
