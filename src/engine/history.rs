//! What a series did: the last hours in memory, the weeks before them in the archive.

use serde::{Deserialize, Serialize};

use crate::engine::archive::{Archive, NOTHING, RUN_BLOCKS, Run, run_of, run_start};
use crate::series::SeriesId;
use crate::stats::ewma::decayed_mean;

/// Blocks of a row of the ring.
const ROW: usize = 12;
/// Rows of the ring.
const ROWS: usize = 3;
/// Blocks whose values are in memory: as many as a run, so that one is handed over before the
/// first block after it takes the place of its first.
const HOT_BLOCKS: i64 = RUN_BLOCKS;
/// Blocks of which it is known whether there was a value: 32 hours, enough for the day before a
/// silence of three.
pub const PRESENCE_BLOCKS: i64 = 384;

/// One series' block values; missing blocks are NaN.
///
/// The values of the last three hours are here, and whether there was one over the last
/// [`PRESENCE_BLOCKS`]. Older values are in an [`Archive`].
///
/// Single precision: a quarter of a millionth of a value is far below any effect, and the weeks
/// of a hundred thousand series have to fit somewhere. What is beyond its range is kept as its
/// largest number: a value, however absurd, is not a gap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// The block after the newest one.
    end: i64,
    /// The oldest and the newest block with a value, of what is not forgotten.
    known: Option<(i64, i64)>,
    /// A ring: each block has its place.
    hot: [[f32; ROW]; ROWS],
    /// Which of the newest blocks had a value: bit 0 of the first word is the newest.
    present: [u64; 6],
}

impl Default for History {
    fn default() -> Self {
        Self { end: 0, known: None, hot: [[f32::NAN; ROW]; ROWS], present: [0; 6] }
    }
}

impl History {
    /// Appends the value of `block`; blocks that were left out are missing. A series without a
    /// value for `blocks_max` blocks is forgotten. A block that is not newer than the newest is
    /// ignored.
    ///
    /// # Contract
    ///
    /// A run that [`Self::complete`] names is kept first, or it is lost.
    pub fn push(&mut self, block: i64, value: f64, blocks_max: i64) {
        if block < self.end {
            return;
        }
        for left_out in self.end.max(block - HOT_BLOCKS + 1)..block {
            *self.place(left_out) = f32::NAN;
        }
        *self.place(block) = narrow(value);
        shift(&mut self.present, block + 1 - self.end);
        self.present[0] |= u64::from(value.is_finite());
        self.end = block + 1;
        self.known = match self.known {
            Some((first, _)) if value.is_finite() => Some((first, block)),
            None if value.is_finite() => Some((block, block)),
            known => known.filter(|&(_, last)| block - last < blocks_max),
        };
    }

    /// The run that is complete once `block` is pushed and that no archive has yet: its number
    /// and values. None while the newest run goes on, or when it has no value.
    pub fn complete(&self, block: i64) -> Option<(i64, Run)> {
        let run = self.newest_run();
        if run_of(block) <= run {
            return None;
        }
        let mut values = NOTHING;
        for (value, at) in values.iter_mut().zip(run_start(run)..self.end) {
            *value = self.hot(at).unwrap_or(f32::NAN);
        }
        values.iter().any(|value| value.is_finite()).then_some((run, values))
    }

    /// The values of the blocks in `from..to`, NaN where there is none. `series` is whose this is
    /// in the archive.
    pub fn window(&self, archive: &dyn Archive, series: SeriesId, from: i64, to: i64) -> Vec<f64> {
        let mut values = vec![f64::NAN; usize::try_from(to - from).unwrap_or(0)];
        let Some((first, _)) = self.known else { return values };
        // What an earlier series of the same name left behind is not this one's.
        let begin = from.max(first);
        let own = begin..to.min(self.end);
        let mut put = |block: i64, value: f32| {
            if own.contains(&block)
                && let Ok(place) = usize::try_from(block - from)
            {
                values[place] = f64::from(value);
            }
        };
        let hot = self.newest_run();
        for (run, kept) in archive.runs(series, run_of(begin)..hot.min(run_of(to - 1) + 1)) {
            for (value, block) in kept.into_iter().zip(run_start(run)..) {
                put(block, value);
            }
        }
        for block in run_start(hot)..self.end {
            put(block, self.hot(block).unwrap_or(f32::NAN));
        }
        values
    }

    /// The value of one of the newest blocks, NaN where there is none. It reaches back three
    /// hours; [`Self::window`] goes further, [`Self::is_present`] asks for less.
    pub fn at(&self, block: i64) -> f64 {
        self.hot(block).map_or(f64::NAN, f64::from)
    }

    /// The mean of the newest blocks, each half as heavy as the one `half_life` blocks after it;
    /// none when all of them are missing. Reaches back six half-lives.
    pub fn weighted_mean(&self, half_life: f64) -> Option<f64> {
        decayed_mean((0..HOT_BLOCKS).map(|back| self.at(self.end - 1 - back)), half_life)
    }

    /// Whether a block had a value, as far as [`PRESENCE_BLOCKS`] back; false before.
    pub fn is_present(&self, block: i64) -> bool {
        self.presence(block) & 1 == 1
    }

    /// Which of the 64 blocks up to and including `block` had a value, as [`Self::is_present`]
    /// says: the lowest bit stands for `block`, the next one for the block before.
    pub fn presence(&self, block: i64) -> u64 {
        let back = self.end - 1 - block;
        let word = |at: i64| {
            let at = usize::try_from(at).ok();
            at.and_then(|at| self.present.get(at)).copied().unwrap_or(0)
        };
        let (at, part) = (back.div_euclid(64), back.rem_euclid(64));
        let older = if part == 0 { 0 } else { word(at + 1) << (64 - part) };
        word(at) >> part | older
    }

    /// The block after the newest one.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The oldest block that has a value, if any is remembered.
    pub fn first(&self) -> Option<i64> {
        self.known.map(|(first, _)| first)
    }

    /// The run of the newest block. All before it are in the archive.
    fn newest_run(&self) -> i64 {
        run_of(self.end - 1)
    }

    fn hot(&self, block: i64) -> Option<f32> {
        let (row, column) = cell(block);
        (self.end - HOT_BLOCKS <= block && block < self.end).then(|| self.hot[row][column])
    }

    fn place(&mut self, block: i64) -> &mut f32 {
        let (row, column) = cell(block);
        &mut self.hot[row][column]
    }
}

// Every block has its own place.
#[expect(clippy::cast_possible_wrap, reason = "a few dozen")]
const _: () = assert!(HOT_BLOCKS == (ROW * ROWS) as i64);

/// In the precision of the history; beyond its range, its largest number.
pub fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "documented on the type")]
    let narrow = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
    narrow
}

/// Where a block lies in the ring.
fn cell(block: i64) -> (usize, usize) {
    let place = usize::try_from(block.rem_euclid(HOT_BLOCKS)).unwrap_or(0);
    (place / ROW, place % ROW)
}

/// Makes all bits older by `by` blocks.
fn shift(words: &mut [u64; 6], by: i64) {
    let by = usize::try_from(by).unwrap_or(usize::MAX);
    let (whole, part) = (by / 64, by % 64);
    for place in (0..words.len()).rev() {
        let from = |back: usize| place.checked_sub(back).map_or(0, |i| words[i]);
        let carried = if part == 0 { 0 } else { from(whole.saturating_add(1)) >> (64 - part) };
        words[place] = from(whole) << part | carried;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::archive::MemoryArchive;

    const ID: SeriesId = SeriesId(7);

    fn push(history: &mut History, archive: &mut MemoryArchive, block: i64, value: f64) {
        if let Some((run, values)) = history.complete(block) {
            archive.keep(run, &mut std::iter::once((ID, values)));
        }
        history.push(block, value, 8064);
    }

    #[test]
    fn holes_are_nan_and_a_long_silence_is_forgotten() {
        let mut history = History::default();
        for (block, value) in [(10, 1.0), (12, 3.0), (12, 9.0)] {
            history.push(block, value, 40);
        }
        assert_eq!(history.at(10).to_bits(), 1.0_f64.to_bits());
        assert!(history.at(11).is_nan() && history.at(13).is_nan());
        assert_eq!(history.at(12).to_bits(), 3.0_f64.to_bits());
        history.push(51, f64::NAN, 40);
        assert_eq!(history.first(), Some(10));
        history.push(52, f64::NAN, 40);
        assert_eq!(history.first(), None);
        history.push(1_000_000, 7.0, 40);
        let window = history.window(&MemoryArchive::default(), ID, 999_999, 1_000_002);
        assert_eq!(window[1].to_bits(), 7.0_f64.to_bits());
        assert!(window[0].is_nan() && window[2].is_nan());
        assert_eq!((history.first(), history.end()), (Some(1_000_000), 1_000_001));
    }

    #[test]
    fn what_an_earlier_series_left_is_not_read() {
        let mut archive = MemoryArchive::default();
        archive.keep(10, &mut std::iter::once((ID, [1.0; 36])));
        archive.keep(11, &mut std::iter::once((ID, [2.0; 36])));
        let mut history = History::default();
        push(&mut history, &mut archive, 11 * 36 + 5, 4.0);
        push(&mut history, &mut archive, 12 * 36, 5.0);
        let window = history.window(&archive, ID, 10 * 36, 12 * 36 + 1);
        assert!(window[..36 + 5].iter().all(|value| value.is_nan()));
        assert_eq!(window[36 + 5].to_bits(), 4.0_f64.to_bits());
        assert_eq!(window.last().map(|v| v.to_bits()), Some(5.0_f64.to_bits()));
    }

    proptest! {
        /// Whatever comes and stays away: what was pushed is what is read.
        #[test]
        fn memory_and_archive_together_are_one_history(
            steps in proptest::collection::vec((1_i64..90, any::<bool>()), 1..200),
            dense in 0_usize..150,
        ) {
            let (mut history, mut archive) = (History::default(), MemoryArchive::default());
            let mut truth = std::collections::BTreeMap::new();
            let mut block = 5_000_000;
            for (i, (step, there)) in steps.into_iter().enumerate() {
                block += if i < dense { 1 } else { step };
                let value = if there { i as f64 } else { f64::NAN };
                push(&mut history, &mut archive, block, value);
                truth.insert(block, value);
            }
            let value = |block: i64| truth.get(&block).copied().unwrap_or(f64::NAN);
            let (from, to) = (block - 8000, block + 3);
            let window = history.window(&archive, ID, from, to);
            for (read, at) in window.iter().zip(from..) {
                let expected = value(at);
                prop_assert_eq!(read.to_bits(), expected.to_bits(), "{}", at);
                if block - at < PRESENCE_BLOCKS {
                    prop_assert_eq!(history.is_present(at), expected.is_finite());
                }
                if block - at < HOT_BLOCKS {
                    prop_assert_eq!(history.at(at).to_bits(), read.to_bits());
                }
            }
        }
    }
}
