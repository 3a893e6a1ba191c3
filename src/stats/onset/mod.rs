//! When a move began, and how surely that can be told.

mod lows;

use serde::{Deserialize, Serialize};

use super::block::{Number, block_of, narrow, number};
use lows::Lows;

/// What a block may be worse than usual, in σ, before it counts: half of the smallest step
/// that is looked for, 1 σ.
pub const ALLOWANCE: f64 = 0.5;

/// How far, in nats, an instant may be less likely than the best one and still be in the range.
const LIKELIHOOD_DROP: f64 = 2.0;

/// Blocks of real series repeat each other: with a lag-1 autocorrelation of φ = 0.7 the evidence
/// grows `(1+φ)/(1−φ) ≈ 6` times slower than independent blocks would make it.
const LONG_RUN: f64 = 6.0;

/// The range's edge on the height of the cumulative sum.
const MARGIN: f64 = LIKELIHOOD_DROP * LONG_RUN;

/// The sum is not let higher than this: what ended is then forgotten within 8 h, and not after
/// as many hours again as it lasted, times ten.
const EVIDENCE_MAX: f64 = 4.0 * MARGIN;

/// A rise that took longer than this many blocks (8 h) says no more about a drift's beginning.
const RISE_MAX: i64 = 96;

/// What a block must be worse than usual, in σ, to belong to a large step: half of 6 σ, beyond
/// which no block counts for more.
const ALLOWANCE_LARGE: f64 = 3.0;

/// The evidence that a large step needs before it is believed: one block is not enough.
const LARGE_MIN: f64 = 6.0;

/// From this evidence on a large step stays where it was seen, although it has paused since.
const LARGE_SURE: f64 = 12.0;

/// Up to this mean above [`ALLOWANCE`], in σ a block, what rose before a large step was noise. A
/// steady drift is worth 1.25 σ a block on its way from one allowance to the other.
const BEFORE_LARGE_MAX: f64 = 0.5;

/// What has been worse than usual for so long that the sum is full, but by no more than this in σ
/// over the last hours, was noise as well: half of what belongs to a large step.
const LEVEL_BEFORE_LARGE_MAX: f64 = ALLOWANCE_LARGE / 2.0;

/// The onset of a move in one direction: a cumulative sum and the instants that compete for its
/// beginning.
///
/// With `S` the running sum of `x − ½`, the best instant is where `S` was lowest. For
/// independent unit normal blocks and a step of 1 σ, `S` *is* the log-likelihood, so that every
/// instant where `S` was within 2 of its lowest is a likely onset (a likelihood interval); 2 is
/// widened to 12 for autocorrelated blocks.
///
/// That step is too small an allowance for a large one: noise that was a little high before it is
/// taken for its beginning. A second sum, with an allowance of 3 σ, sees where a large step began;
/// it counts where what rose before it was worth no more than noise. Where the first sum is full,
/// the level of the last hours before tells whether it was.
///
/// A slow drift begins before it is worth half a σ a block, and [`Onset::since`] is then late. The
/// range reaches back to where the drift would have begun had it been steady.
///
/// # Unit
/// Blocks, as numbered by the caller.
///
/// # Cost
/// O(1) amortised, at most 32 candidates.
///
/// # Source
/// Page (1954), Biometrika 41:100–115; likelihood intervals: Siegmund (1988), International
/// Statistical Review 56(1):31–48.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Onset {
    /// The sum above its lowest point so far.
    c: f64,
    /// The first block after the lowest point, while the sum is above it.
    since: Option<Number>,
    /// The last block before which the sum was within the margin of its lowest point.
    near: Option<Number>,
    /// Past lowest points within the margin of the present one.
    candidates: Lows,
    /// None while no block was large: nearly always, and there are a million series.
    large: Option<Box<Large>>,
}

/// Where the present move became large.
// In single precision, for a million series: nothing here is above 48.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Large {
    /// The second sum.
    c: f32,
    /// The first block after its lowest point.
    since: Option<i32>,
    /// The first sum before that block.
    before: f32,
    /// What stood for the last hours before that block, in σ.
    level: f32,
    /// The highest that the second sum has been since.
    peak: f32,
}

impl Large {
    /// Takes one block; `before` is the first sum without it, `level` what stood before it.
    fn update(&mut self, x: f64, (before, level): (f64, f64), block: i64) {
        let sum = (f64::from(self.c) + x - ALLOWANCE_LARGE).clamp(0.0, EVIDENCE_MAX);
        let begins = sum > 0.0 && self.c <= 0.0;
        #[expect(clippy::cast_possible_truncation, reason = "documented on the struct")]
        let (sum, before, level) = (sum as f32, before as f32, level as f32);
        if begins && f64::from(self.peak) < LARGE_SURE {
            (self.since, self.before, self.peak) = (Some(narrow(block)), before, 0.0);
            // What is not known was no noise, and is equal to itself.
            self.level = if level.is_finite() { level } else { f32::MAX };
        }
        self.c = sum;
        self.peak = self.peak.max(sum);
    }

    /// Where a move that began at `since` became large, when all before it was noise.
    fn step(&self, since: i64) -> Option<i64> {
        let at = i64::from(self.since?);
        let before = f64::from(self.before);
        let noise = if before < EVIDENCE_MAX {
            before <= BEFORE_LARGE_MAX * (at - since) as f64
        } else {
            f64::from(self.level) <= LEVEL_BEFORE_LARGE_MAX
        };
        (noise && f64::from(self.peak) >= LARGE_MIN).then_some(at)
    }
}

impl Onset {
    /// Takes one block: `x` is how much worse than usual it was, `level` the mean of that over the
    /// last hours before it, both in σ; a level that is not finite is not known.
    ///
    /// Values that are not finite change nothing. Blocks are expected in order.
    pub fn update(&mut self, x: f64, level: f64, block: i64) {
        if !x.is_finite() {
            return;
        }
        if self.c <= MARGIN {
            self.near = number(block);
        }
        if self.large.is_some() || x > ALLOWANCE_LARGE {
            self.large.get_or_insert_default().update(x, (self.c, level), block);
        }
        let sum = (self.c + x - ALLOWANCE).min(EVIDENCE_MAX);
        if sum > 0.0 {
            self.c = sum;
            self.since = self.since.or(number(block));
            if self.candidates.is_empty() {
                self.candidates.push(block, 0.0);
            }
        } else {
            // A new lowest point.
            (self.c, self.since, self.large) = (0.0, None, None);
            self.candidates.push(block.saturating_add(1), -sum);
        }
    }

    /// How much evidence there is: `C = min(48, max(0, C + x − ½))`.
    pub fn evidence(&self) -> f64 {
        self.c
    }

    /// The first block of the present move; `None` when there is none.
    pub fn since(&self) -> Option<i64> {
        let since = self.rising_since()?;
        Some(self.became_large(since).unwrap_or(since))
    }

    /// The first block after the sum was lowest.
    fn rising_since(&self) -> Option<i64> {
        self.since.map(block_of)
    }

    /// The first and last block at which the present move may have begun; `None` when there is
    /// none.
    pub fn range(&self) -> Option<(i64, i64)> {
        let since = self.rising_since()?;
        let first = self.candidates.first().map_or(since, |block| since.min(block));
        let last = self.near.map_or(since, |near| since.max(block_of(near)));
        let first = first.saturating_sub(before_allowance(last.saturating_sub(since)));
        // Its first block may have been a high one of the noise.
        Some((first, self.became_large(since).map_or(last, |at| last.max(at.saturating_add(1)))))
    }

    /// Where a move that began at `since` became large.
    fn became_large(&self, since: i64) -> Option<i64> {
        self.large.as_ref()?.step(since)
    }

    /// Forgets everything: a new normal was accepted.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How long a steady drift had gone on before its sum began to rise, if it then took `rise`
/// blocks to the margin: a drift of `s` a block rises to `s · rise² / 2` and was below the
/// allowance for `allowance / s` blocks.
fn before_allowance(rise: i64) -> i64 {
    let rise = rise.min(RISE_MAX) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "at most RISE_MAX² / 48")]
    let blocks = (ALLOWANCE * rise * rise / (2.0 * MARGIN)).round() as i64;
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(values: impl IntoIterator<Item = f64>) -> Onset {
        let mut onset = Onset::default();
        for (block, x) in (100..).zip(values) {
            onset.update(x, f64::NAN, block);
        }
        onset
    }

    #[test]
    fn the_onset_is_the_first_block_after_the_sum_was_zero() {
        let quiet = [0.0, 0.3, -0.2, 0.1];
        assert_eq!(after(quiet).since(), None);
        assert_eq!(after(quiet).range(), None);
        let moved = after(quiet.into_iter().chain([2.0; 12]));
        assert_eq!(moved.since(), Some(104));
        assert!((moved.evidence() - 18.0).abs() < 1e-12);
        let over = after(quiet.into_iter().chain([2.0; 12]).chain([-3.0; 6]));
        assert_eq!((over.since(), over.range()), (None, None));
    }

    #[test]
    fn a_strong_step_is_told_more_exactly_than_a_weak_one() {
        let width = |size: f64| {
            let (first, last) = after([0.0; 50].into_iter().chain([size; 60])).range().unwrap();
            assert!(first <= 150 && 150 <= last);
            last - first
        };
        assert!(width(4.0) < width(1.0));
        // Backwards 12 / 0.5 blocks of quiet, forwards 12 / 3.5 of the step.
        assert_eq!(width(4.0), 24 + 3);
    }

    #[test]
    fn noise_before_a_large_step_is_not_its_beginning() {
        let noise = [0.0, 0.0, 1.0, 0.2, 0.9, 0.4, 0.8, 0.3, 0.7, 0.6];
        let step = after(noise.into_iter().chain([6.0; 6]));
        assert_eq!(step.since(), Some(110));
        let (first, last) = step.range().unwrap();
        assert!(
            first <= 102 && 110 <= last,
            "{first} {last}: the noise may have been its beginning"
        );
        // It has paused and comes back: it began where it was seen first.
        let pause = after(noise.into_iter().chain([6.0; 6]).chain([0.0; 8]).chain([6.0; 6]));
        assert_eq!(pause.since(), Some(110));
        // One block may be an artefact, and a weaker move goes on.
        let spike = after(noise.into_iter().chain([6.0]));
        assert_eq!(spike.since(), Some(102));
    }

    #[test]
    fn what_wandered_for_a_day_before_a_large_step_is_not_its_beginning() {
        let stepped = |level: f64| {
            let mut onset = Onset::default();
            for block in 0..288 {
                onset.update(level, level, block);
            }
            for block in 288..294 {
                onset.update(6.0, level, block);
            }
            onset.since()
        };
        assert_eq!(stepped(0.8), Some(288));
        assert_eq!(stepped(2.0), Some(0));
    }

    #[test]
    fn a_ramp_begins_where_it_begins_and_not_where_it_is_large() {
        for slope in [0.1, 0.2, 0.5] {
            let ramp = (0..60).map(|block| (slope * f64::from(block)).min(6.0));
            let since = after([0.0; 20].into_iter().chain(ramp)).since().unwrap();
            assert!((since - 120) as f64 <= ALLOWANCE / slope + 1.0, "{slope}: {since}");
        }
        // What has crept for so long that the sum is full is not taken for noise.
        let creep = (0..400).map(|block| (0.01 * f64::from(block)).min(6.0));
        assert!(after(creep.chain([6.0; 6])).since().unwrap() <= 152);
    }

    #[test]
    fn missing_values_change_nothing() {
        let mut onset = after([1.0, 2.0]);
        let before = onset.clone();
        onset.update(f64::NAN, 0.0, 200);
        assert_eq!(onset, before);
        onset.reset();
        assert_eq!(onset, Onset::default());
    }
}
