//! Single series that detectors are compared on, and the drifts that are added to them.

use std::ops::Range;

use grayflag::lab::synthetic::{self, Kind};
use grayflag::rules::Scale;
use grayflag::stats::profile::rolling_origin;
use grayflag::stats::robust::{mad_sigma, median};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::sets::{WEEK, is_within};

/// Blocks of five minutes in three days: how long a drift may stay unseen.
pub(crate) const HORIZON: usize = 864;
/// Blocks in an hour.
pub(crate) const HOUR: f64 = 12.0;
/// A ramp ends here, in spreads: nothing grows for ever.
const RAMP_MAX: f64 = 6.0;
/// One unit of the simulated noise, as a share of the value: what latencies have.
pub(crate) const SHARE: f64 = 0.12;

/// What is added to a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// So many spreads an hour.
    Ramp(f64),
    /// So many spreads at once.
    Step(f64),
}

/// What every detector has to see.
pub(crate) const SHAPES: [Shape; 7] = [
    Shape::Ramp(0.1),
    Shape::Ramp(0.2),
    Shape::Ramp(0.5),
    Shape::Ramp(1.0),
    Shape::Step(1.0),
    Shape::Step(2.0),
    Shape::Step(3.0),
];

impl Shape {
    /// What tables call it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Ramp(slope) => format!("ramp {slope}/h"),
            Self::Step(height) => format!("step {height}"),
        }
    }

    /// How much is added `hours` after it began.
    pub(crate) fn at(self, hours: f64) -> f64 {
        match self {
            Self::Ramp(slope) => (slope * hours).clamp(0.0, RAMP_MAX),
            Self::Step(height) => height,
        }
    }
}

/// One series.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    /// From a Monday, midnight; NaN is missing.
    pub(crate) samples: Vec<f64>,
    /// Samples in a block of five minutes: 5 or 1.
    pub(crate) per_block: usize,
    /// Blocks to learn from before the first that may alert.
    pub(crate) learn: usize,
    pub(crate) scale: Scale,
    /// Spread of a block around its weekly profile: of the logarithm where the scale is `log`.
    pub(crate) spread: f64,
    /// Blocks in which an alarm is no false one.
    pub(crate) excused: Vec<(usize, usize)>,
}

impl Stream {
    /// A simulated series as a latency has it: positive, noise in proportion to the value.
    pub(crate) fn simulated(kind: Kind, seed: u64, weeks: usize) -> Self {
        let learn = 4;
        let minutes = synthetic::minutes(kind, seed, learn + weeks, learn);
        let mut stream = Self {
            name: format!("{} {seed}", kind.name),
            samples: minutes.iter().map(|y| 100.0 * (SHARE * y).exp()).collect(),
            per_block: 5,
            learn: learn * WEEK,
            scale: Scale::Log,
            spread: 0.0,
            excused: Vec::new(),
        };
        stream.measure();
        stream
    }

    /// Measures the spread of the history; 0 where most values equal their profile.
    pub(crate) fn measure(&mut self) {
        let history = &self.blocks()[..self.learn];
        let values: Vec<f64> = match self.scale {
            Scale::Log => history.iter().map(|x| x.ln()).collect(),
            _ => history.to_vec(),
        };
        let slots: Vec<u16> = (0..values.len()).map(|i| u16::try_from(i % WEEK).unwrap()).collect();
        let mut errors = rolling_origin(&values, &slots, self.learn / WEEK);
        self.spread = mad_sigma(&mut errors).unwrap_or(0.0);
    }

    /// Block values.
    pub(crate) fn blocks(&self) -> Vec<f64> {
        let middle = |block: &[f64]| median(&mut block.to_vec()).unwrap_or(f64::NAN);
        self.samples.chunks(self.per_block).map(middle).collect()
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> usize {
        self.samples.len() / self.per_block
    }

    /// Whether an alarm in this block is no false one.
    pub(crate) fn is_excused(&self, block: usize) -> bool {
        is_within(&self.excused, block)
    }

    /// The series with a drift that begins with block `at`, and ends after three days.
    pub(crate) fn with(&self, at: usize, shape: Shape) -> Self {
        let from = at * self.per_block;
        let mut stream = self.clone();
        stream.samples.truncate((at + HORIZON) * self.per_block);
        let per_hour = self.per_block as f64 * HOUR;
        for (i, value) in stream.samples[from..].iter_mut().enumerate() {
            let added = shape.at((i + 1) as f64 / per_hour) * self.spread;
            match self.scale {
                Scale::Log => *value *= added.exp(),
                _ => *value += added,
            }
        }
        stream
    }

    /// What a rival that learns weekly sees: for each week that reaches beyond `from`, the blocks
    /// to learn from (four weeks at most) and those to judge.
    pub(crate) fn refits(&self, from: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let first = self.learn + (from - self.learn) / WEEK * WEEK;
        (first..self.len())
            .step_by(WEEK)
            .map(|week| {
                let end = (week + WEEK).min(self.len());
                (week.saturating_sub(4 * WEEK)..week, week.max(from)..end)
            })
            .collect()
    }

    /// Where drifts begin: after a live week, three days before the end, and more than a day
    /// after anything that is excused.
    pub(crate) fn places(&self, seed: u64, wanted: usize) -> Vec<usize> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let (first, last) = (self.learn + WEEK, self.len() - HORIZON);
        let mut places: Vec<usize> = (0..100)
            .map(|_| dice.random_range(first..last))
            .filter(|at| !(at - 288..at + HORIZON).any(|block| self.is_excused(block)))
            .take(wanted)
            .collect();
        places.sort_unstable();
        places
    }
}
