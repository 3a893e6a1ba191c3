//! When a move began, and how surely that can be told.

use serde::{Deserialize, Serialize};

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

/// How many candidates for the earliest onset are remembered.
const CANDIDATES_MAX: usize = 32;

/// Room is made for so many more at a time: most series have about a dozen.
const CANDIDATES_MORE: usize = 4;

/// The onset of a move in one direction: a cumulative sum and the instants that compete for its
/// beginning.
///
/// With `S` the running sum of `x − ½`, the best instant is where `S` was lowest. For
/// independent unit normal blocks and a step of 1 σ, `S` *is* the log-likelihood, so that every
/// instant where `S` was within 2 of its lowest is a likely onset (a likelihood interval); 2 is
/// widened to 12 for autocorrelated blocks.
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
    since: Option<i32>,
    /// The last block before which the sum was within the margin of its lowest point.
    near: Option<i32>,
    /// Past lowest points within the margin of the present one, oldest first: the first block
    /// after each, and how far it lies above the present one.
    // In single precision: heights are compared with a margin of 12.
    candidates: Vec<(i32, f32)>,
}

impl Onset {
    /// Takes one block: `x` is how much worse than usual it was, in σ.
    ///
    /// Values that are not finite change nothing. Blocks are expected in order.
    pub fn update(&mut self, x: f64, block: i64) {
        if !x.is_finite() {
            return;
        }
        if self.c <= MARGIN {
            self.near = Some(narrow(block));
        }
        let sum = (self.c + x - ALLOWANCE).min(EVIDENCE_MAX);
        if sum > 0.0 {
            self.c = sum;
            self.since.get_or_insert(narrow(block));
            if self.candidates.is_empty() {
                self.candidates.push((narrow(block), 0.0));
            }
        } else {
            self.lower(-sum, block);
        }
    }

    /// How much evidence there is: `C = min(48, max(0, C + x − ½))`.
    pub fn evidence(&self) -> f64 {
        self.c
    }

    /// The first block of the present move; `None` when there is none.
    pub fn since(&self) -> Option<i64> {
        self.since.map(i64::from)
    }

    /// The first and last block at which the present move may have begun; `None` when there is
    /// none.
    pub fn range(&self) -> Option<(i64, i64)> {
        let since = self.since()?;
        let first = self.candidates.first().map_or(since, |&(block, _)| since.min(block.into()));
        let last = self.near.map_or(since, |near| since.max(near.into()));
        Some((first.saturating_sub(before_allowance(last.saturating_sub(since))), last))
    }

    /// Forgets everything: a new normal was accepted.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The sum fell to a new lowest point, `by` below the old one.
    fn lower(&mut self, by: f64, block: i64) {
        (self.c, self.since) = (0.0, None);
        #[expect(clippy::cast_possible_truncation, reason = "documented on the field")]
        for (_, height) in &mut self.candidates {
            *height += by as f32;
        }
        self.candidates.retain(|&(_, height)| f64::from(height) <= MARGIN);
        // The oldest stays: it bounds the range.
        if self.candidates.len() == CANDIDATES_MAX {
            self.candidates.remove(1);
        }
        if self.candidates.len() == self.candidates.capacity() {
            self.candidates.reserve_exact(CANDIDATES_MORE);
        }
        self.candidates.push((narrow(block.saturating_add(1)), 0.0));
    }
}

/// A block's number in half the memory: enough for twenty thousand years.
fn narrow(block: i64) -> i32 {
    i32::try_from(block).unwrap_or(i32::MAX)
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
            onset.update(x, block);
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
    fn missing_values_change_nothing_and_the_state_stays_small() {
        let mut onset = after([1.0, 2.0]);
        let before = onset.clone();
        onset.update(f64::NAN, 200);
        assert_eq!(onset, before);
        for block in 0..10_000 {
            onset.update(0.4999, block);
        }
        assert!(onset.candidates.len() <= CANDIDATES_MAX);
        onset.reset();
        assert_eq!(onset, Onset::default());
    }
}
