//! From the false alarms that a user accepts to thresholds (METHODS 2.8, with 8.1, 8.2, 8.11).
//!
//! Thresholds come from replaying the service's own past, in which incidents and alarm episodes
//! are masked. One controller for the whole fleet corrects what the fit got wrong; a token bucket
//! per service caps what may interrupt a person.

use serde::{Deserialize, Serialize};

use crate::engine::detect::statistic::Statistic;
use crate::engine::grid::PER_WEEK;
use crate::stats::tail::{QUIET_BLOCKS, REARM, Tail, peaks};

/// Half of the budget for each of A and G (METHODS 2.7).
const SPLIT: f64 = 0.5;
/// A threshold never falls below this share of the formula's.
const FORMULA_SHARE_MIN: f64 = 0.8;
/// With less than two weeks of history everything is 1.3 times harder (METHODS 2.8).
const COLD_FACTOR: f64 = 1.3;
/// See [`COLD_FACTOR`].
const COLD_WEEKS: f64 = 2.0;
/// Step of the controller at an alarm (METHODS 8.2: 0.05 to 0.1 for a fleet).
const SERVO_STEP: f64 = 0.1;
/// An alert beyond this multiple of its threshold is told even when the budget is used up.
pub const OVERDRAFT_RATIO: f64 = 1.5;

/// Thresholds of one service for one budget.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// For A.
    pub a: f64,
    /// For G.
    pub g: f64,
}

/// How often the service's statistics reached which heights on normal days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calibration {
    a: Option<Tail>,
    g: Option<Tail>,
    weeks: f64,
    series: usize,
    families: usize,
}

impl Calibration {
    /// Measures a replayed path of the statistics; `series` and `families` are how many voted.
    pub fn measure(path: &[Statistic], series: usize, families: usize) -> Self {
        let weeks = path.len() as f64 / PER_WEEK as f64;
        let tail = |part: fn(&Statistic) -> f64| {
            let values: Vec<f64> = path.iter().map(part).collect();
            Tail::fit(&peaks(&values, REARM, QUIET_BLOCKS), weeks)
        };
        Self { a: tail(|s| s.a), g: tail(|s| s.g), weeks, series, families }
    }

    /// Thresholds for `rate` false alarms a week.
    pub fn limits(&self, rate: f64) -> Limits {
        let half = (SPLIT * rate).max(1e-6);
        let series = self.series.max(1) as f64;
        let families = self.families.max(1) as f64;
        let formula_a = 3.3 + 0.40 * (series / half).ln().max(0.0);
        let formula_g = 2.7 + 0.60 * (families / 3.0).ln().max(0.0) + 0.45 * (1.0 / half).ln();
        let cold = if self.weeks < COLD_WEEKS { COLD_FACTOR } else { 1.0 };
        Limits {
            a: cold * blend(formula_a, self.a.as_ref(), half),
            g: cold * blend(formula_g.max(2.0), self.g.as_ref(), half),
        }
    }
}

/// A replay that was louder than the formula is believed; one that was quieter only half.
fn blend(formula: f64, tail: Option<&Tail>, rate: f64) -> f64 {
    let Some(replayed) = tail.map(|tail| tail.threshold(rate)).filter(|h| h.is_finite()) else {
        return formula;
    };
    if replayed >= formula {
        replayed
    } else {
        (0.5 * (formula + replayed)).max(FORMULA_SHARE_MIN * formula)
    }
}

impl Limits {
    /// How far beyond its thresholds a service is: 1 is at the threshold.
    pub fn ratio(&self, statistic: Statistic) -> f64 {
        (statistic.a / self.a).max(statistic.g / self.g)
    }
}

/// The fleet's controller: raises thresholds at every alarm and lets them sink in between, so
/// that the count of alarms stays on budget whatever the data does.
///
/// Source: Gibbs and Candès (2021), in its quantile-tracking form; METHODS 2.8 has the bound.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Servo {
    /// Logarithm of the factor on every threshold of this budget; never below zero.
    ln_factor: f64,
}

impl Servo {
    /// The factor on thresholds, at least 1.
    pub fn factor(self) -> f64 {
        self.ln_factor.exp()
    }

    /// One block without an alarm, for a fleet that may have `per_week` alarms in all.
    pub fn relax(&mut self, per_week: f64) {
        self.ln_factor = (self.ln_factor - SERVO_STEP * per_week / PER_WEEK as f64).max(0.0);
    }

    /// One alarm.
    pub fn alarm(&mut self) {
        self.ln_factor += SERVO_STEP;
    }
}

/// A cap on what may interrupt a person: alerts left to spend.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TokenBucket {
    tokens: f64,
}

impl TokenBucket {
    /// Full: one alert, or a week's worth where that is more.
    pub fn full(per_week: f64) -> Self {
        Self { tokens: per_week.max(1.0) }
    }

    /// One block's refill.
    pub fn refill(&mut self, per_week: f64) {
        self.tokens = (self.tokens + per_week / PER_WEEK as f64).min(per_week.max(1.0));
    }

    /// Takes one alert's worth if there is one.
    pub fn spend(&mut self) -> bool {
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_budget_asks_for_more() {
        let path: Vec<Statistic> = (0..8_064)
            .map(|i| {
                let x = f64::from((i * 7_919) % 1_000) / 500.0;
                Statistic { a: x + f64::from((i / 97) % 13) / 10.0, g: x }
            })
            .collect();
        let calibration = Calibration::measure(&path, 12, 6);
        let (week, month) = (calibration.limits(1.0), calibration.limits(0.25));
        assert!(week.a < month.a && week.g < month.g, "{week:?} {month:?}");
        let cold = Calibration::measure(&path[..2_016], 12, 6).limits(1.0);
        assert!(cold.a > week.a);
    }

    #[test]
    fn the_servo_keeps_count_on_budget_for_any_data() {
        // A path that is always beyond every finite threshold below 6 (METHODS 2.8's bound).
        let (mut servo, mut alarms) = (Servo::default(), 0.0);
        let weeks = 8.0;
        for _ in 0..(8 * PER_WEEK) {
            servo.relax(1.0);
            if servo.factor() < 6.0 {
                servo.alarm();
                alarms += 1.0;
            }
        }
        assert!(alarms <= weeks + 1.0 + 6.0_f64.ln() / SERVO_STEP, "{alarms}");
    }

    #[test]
    fn the_bucket_holds_one_alert_and_refills_slowly() {
        let per_week = 7.0 / 30.0;
        let mut bucket = TokenBucket::full(per_week);
        assert!(bucket.spend());
        assert!(!bucket.spend());
        for _ in 0..(4 * PER_WEEK) {
            bucket.refill(per_week);
        }
        assert!(!bucket.spend(), "a month has thirty days");
        for _ in 0..(PER_WEEK / 2) {
            bucket.refill(per_week);
        }
        assert!(bucket.spend());
    }
}
