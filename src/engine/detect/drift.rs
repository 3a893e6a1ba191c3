//! Slow drift and small shifts of one series: a bank of high-passed moving averages, each
//! divided by its own empirical spread (METHODS 2.5, 2.6).

use serde::{Deserialize, Serialize};

use crate::engine::baseline::{RESIDUAL_MAX, Residual};
use crate::rules::Worse;
use crate::stats::count::CountBank;
use crate::stats::ewma::{Bank, SCALES};
use crate::stats::onset::Onset;

/// Blocks with a value that a series needs after a gap before it may vote again.
const VALID_MIN: u32 = 3;
/// A gap longer than this fades the memory of what was before: two hours.
const GAP_BLOCKS: i64 = 24;

/// How far one series has moved, in units of its own normal movement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Drift {
    bank: Bank,
    counts: CountBank,
    up: Onset,
    down: Onset,
    /// Newest block that had a value.
    last: Option<i64>,
    /// Blocks with a value in a row.
    valid: u32,
    /// Positive is up; shortest memory first.
    scores: [f64; SCALES],
    /// Newest residual in standard units.
    residual: Option<f64>,
}

/// When a move began, in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnsetEstimate {
    /// Most likely.
    pub at: i64,
    /// Not before.
    pub earliest: i64,
    /// Not after.
    pub latest: i64,
}

/// Which way a series went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Above its baseline.
    Up,
    /// Below its baseline.
    Down,
}

impl Drift {
    /// Takes in one block. No residual: nothing moves, and the series may not vote until it has
    /// been back for three blocks.
    pub fn update(&mut self, block: i64, residual: Option<Residual>, sds: &[f64; SCALES]) {
        let Some(residual) = residual else {
            self.valid = 0;
            self.residual = None;
            return;
        };
        let gap = self.last.map_or(0, |last| block - last - 1);
        if gap > GAP_BLOCKS {
            let gap = u32::try_from(gap).unwrap_or(u32::MAX);
            self.bank.gap(gap);
            self.counts.gap(gap);
            (self.up, self.down) = (Onset::default(), Onset::default());
        }
        let z = match residual {
            Residual::Level(z) => {
                self.bank.update(z);
                for (scale, sd) in sds.iter().enumerate() {
                    self.scores[scale] = self.bank.difference(scale) / sd;
                }
                z
            }
            Residual::Count { events, expected } => {
                self.counts.update(events, expected);
                for (scale, sd) in sds.iter().enumerate() {
                    self.scores[scale] = self.counts.score(scale, *sd);
                }
                // Rare events come in bursts: the spread beyond Poisson's is the series' own.
                let z = (events - expected) / ((expected + 1.0).sqrt() * sds[0].max(1.0));
                z.clamp(-RESIDUAL_MAX, RESIDUAL_MAX)
            }
        };
        let moved = z - self.bank.slow();
        self.up.update(moved, block);
        self.down.update(-moved, block);
        self.residual = Some(z);
        self.last = Some(block);
        self.valid = self.valid.saturating_add(1);
    }

    /// Scores with the direction that hurts positive, shortest memory first. None: this series
    /// cannot vote, because it has just come (back) or is silent.
    pub fn scores(&self, worse: Worse) -> Option<[f64; SCALES]> {
        (self.valid >= VALID_MIN).then(|| {
            self.scores.map(|score| match worse {
                Worse::Up => score,
                Worse::Down => -score,
                Worse::Either => score.abs(),
            })
        })
    }

    /// The largest score toward worse, and its scale: the shortest, where several are clipped.
    pub fn strongest(&self, worse: Worse) -> Option<(f64, usize)> {
        let scores = self.scores(worse)?;
        let scales = scores.iter().enumerate().rev();
        let (scale, score) = scales.max_by(|a, b| a.1.total_cmp(b.1))?;
        Some((*score, scale))
    }

    /// The score that is farthest from normal in either direction, over the scales up to two
    /// hours: what state the series is in (METHODS 2.9).
    pub fn state_score(&self) -> Option<f64> {
        let scores = self.scores(Worse::Up)?;
        scores[..SCALES - 1].iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))
    }

    /// How far the level has moved at a scale, in standard units of a block.
    pub fn shift(&self, scale: usize) -> f64 {
        self.bank.difference(scale)
    }

    /// When the move in this direction began.
    pub fn onset(&self, direction: Direction) -> Option<OnsetEstimate> {
        let onset = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        let at = onset.since()?;
        let (earliest, latest) = onset.range().unwrap_or((at, at));
        Some(OnsetEstimate { at, earliest: earliest.min(at), latest: latest.max(at) })
    }

    /// The newest residual in standard units.
    pub fn residual(&self) -> Option<f64> {
        self.residual
    }

    /// An incident is over: what moves from now on began now.
    pub fn forget_onset(&mut self) {
        (self.up, self.down) = (Onset::default(), Onset::default());
    }

    /// The largest score toward worse when the series was last seen, whether it may vote or not.
    pub fn last_score(&self, worse: Worse) -> f64 {
        let toward = |score: &f64| match worse {
            Worse::Up => *score,
            Worse::Down => -score,
            Worse::Either => score.abs(),
        };
        self.scores.iter().map(toward).fold(f64::NEG_INFINITY, f64::max)
    }
}
