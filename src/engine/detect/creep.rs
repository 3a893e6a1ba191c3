//! Drifts of weeks: too slow for the moving averages, whose slow mean goes along, and for the
//! baseline, which is learned anew every week. The levels of whole weeks are remembered and compared.

use serde::{Deserialize, Serialize};

use crate::engine::grid::PER_WEEK;
use crate::rules::Worse;
use crate::stats::robust::{mad_sigma, median};

/// Levels kept: that of the last seven days and of the four weeks before.
pub const WEEKS_MAX: usize = 5;
/// Fewer levels than this make no trend.
const WEEKS_MIN: usize = 4;
/// A week with a smaller share of its blocks has no level.
const PRESENT_MIN: f64 = 0.5;
/// What has crept less than this, in spreads of one block, is nobody's business.
const MOVE_MIN: f64 = 1.5;
/// The mean step must be this many times its standard error: steps of a week vary by themselves.
const STEADY_MIN: f64 = 4.0;
/// A single week may hold at most this share of the whole way: else it is a step, and no creep.
const LARGEST_SHARE_MAX: f64 = 0.6;
/// The same for a week in which the service was deployed.
const DEPLOYED_SHARE_MAX: f64 = 0.4;

/// The levels of the last weeks, oldest first, in the series' own unit; NaN where too little was
/// there. Twenty bytes of numbers per series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The block after the newest week; none before the first.
    end: i64,
    weeks: [f32; WEEKS_MAX],
}

impl Default for Levels {
    fn default() -> Self {
        Self { end: i64::MIN, weeks: [f32::NAN; WEEKS_MAX] }
    }
}

impl Levels {
    /// Adds the week that ends before `end`; weeks that were missed since the last one count as
    /// missing.
    pub fn push(&mut self, end: i64, level: Option<f64>) {
        let passed = if self.is_empty() { 1 } else { (end - self.end) / PER_WEEK };
        for _ in 0..passed.clamp(1, 5) {
            self.weeks.rotate_left(1);
            self.weeks[WEEKS_MAX - 1] = f32::NAN;
        }
        let level = level.unwrap_or(f64::NAN).clamp(f64::from(f32::MIN), f64::from(f32::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "clamped to its range")]
        let newest = level as f32;
        self.weeks[WEEKS_MAX - 1] = newest;
        self.end = end;
    }

    /// True before the first week.
    pub fn is_empty(&self) -> bool {
        self.end == i64::MIN
    }

    /// A new level was accepted: weeks before it say nothing about what is to come.
    pub fn forget(&mut self) {
        self.weeks = [f32::NAN; WEEKS_MAX];
    }

    /// The levels since the last week that had none, oldest first.
    pub fn known(&self) -> Vec<f64> {
        let newest = self.weeks.iter().rev().take_while(|level| level.is_finite());
        let mut known: Vec<f64> = newest.map(|&level| f64::from(level)).collect();
        known.reverse();
        known
    }
}

/// The level of a week of blocks: their median. Whole weeks are compared with whole weeks, so that
/// no season is in the difference. None when less than half of them have a value.
pub fn level(values: &[f64]) -> Option<f64> {
    let present = values.iter().filter(|value| value.is_finite()).count();
    let enough = present as f64 >= PRESENT_MIN * PER_WEEK as f64;
    enough.then(|| median(&mut values.to_vec()))?
}

/// The spread of one block around its usual course, from two weeks in a row: that of their
/// differences over √2. Neither season nor creep is in it. None when they have too little in common.
pub fn spread(week: &[f64], before: &[f64]) -> Option<f64> {
    let differences = week.iter().zip(before).map(|(now, then)| now - then);
    let mut differences: Vec<f64> = differences.filter(|d| d.is_finite()).collect();
    let enough = differences.len() as f64 >= PRESENT_MIN * PER_WEEK as f64;
    enough.then(|| mad_sigma(&mut differences).map(|sd| sd / std::f64::consts::SQRT_2))?
}

/// Since which of the levels, oldest first, they have crept toward worse: every week beyond the one
/// before, evenly, and in all by more than 1.5 spreads. `deployed` tells for each step from week to
/// week whether the service was deployed then.
///
/// # Unit
/// Levels and spread in the comparable scale of the series.
///
/// # Abstains
/// With fewer than four weeks.
///
/// # Source
/// METHODS 2.12. The steps are compared with their own standard error (Student 1908): what weeks
/// of this series differ by anyway is no creep.
pub fn crept_since(levels: &[f64], spread: f64, worse: Worse, deployed: &[bool]) -> Option<usize> {
    let starts = 0..(levels.len() + 1).saturating_sub(WEEKS_MIN);
    starts.into_iter().find(|&start| {
        let deployed = deployed.get(start..).unwrap_or_default();
        creeps(&levels[start..], spread, worse, deployed)
    })
}

fn creeps(levels: &[f64], spread: f64, worse: Worse, deployed: &[bool]) -> bool {
    let (Some(first), Some(last)) = (levels.first(), levels.last()) else { return false };
    let way = match worse {
        Worse::Up => 1.0,
        Worse::Down => -1.0,
        Worse::Either => (last - first).signum(),
    };
    let steps: Vec<f64> = levels.windows(2).map(|pair| way * (pair[1] - pair[0])).collect();
    let moved = way * (last - first);
    if moved < MOVE_MIN * spread || steps.iter().any(|step| *step <= 0.0) {
        return false;
    }
    let n = steps.len() as f64;
    let mean = moved / n;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let steady = mean >= STEADY_MIN * (variance / n).sqrt();
    let single = steps.iter().zip(deployed).any(|(step, &deployed)| {
        step / moved > if deployed { DEPLOYED_SHARE_MAX } else { LARGEST_SHARE_MAX }
    });
    steady && !single
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: [bool; 4] = [false; 4];

    #[test]
    fn even_steps_creep_and_a_single_one_does_not() {
        assert!(creeps(&[0.0, 1.0, 2.1, 3.0, 4.0], 1.0, Worse::Up, &CALM));
        assert!(!creeps(&[0.0, 1.0, 2.1, 3.0, 4.0], 1.0, Worse::Down, &CALM));
        assert!(creeps(&[4.0, 3.0, 2.0, 1.1], 1.0, Worse::Either, &CALM));
        assert!(!creeps(&[0.0, 0.1, 0.2, 3.8, 4.0], 1.0, Worse::Up, &CALM), "a step");
        assert!(!creeps(&[0.0, 2.0, 1.5, 3.0, 4.0], 1.0, Worse::Up, &CALM), "back and forth");
        assert!(!creeps(&[0.0, 0.3, 0.6, 0.9, 1.2], 1.0, Worse::Up, &CALM), "too little");
        assert_eq!(crept_since(&[0.0, 1.0, 2.0], 1.0, Worse::Up, &CALM), None, "too short");
        let late = [0.5, 0.4, 1.4, 2.4, 3.4];
        assert_eq!(crept_since(&late, 1.0, Worse::Up, &CALM), Some(1), "since the second week");
        let deployed = [false, true, false, false];
        assert!(!creeps(&[0.0, 1.0, 2.8, 3.6, 4.4], 1.0, Worse::Up, &deployed), "its deploy");
    }

    #[test]
    fn missed_weeks_leave_holes_and_what_lies_before_is_not_compared() {
        let mut levels = Levels::default();
        levels.push(2_016, Some(1.0));
        levels.push(4_032, Some(2.0));
        assert_eq!(levels.known(), [1.0, 2.0]);
        levels.push(8_064, Some(4.0));
        assert_eq!(levels.known(), [4.0]);
        levels.push(10_080, None);
        assert_eq!(levels.known(), [0.0; 0]);
    }
}
