//! From the false alarms that a user accepts to thresholds (METHODS 2.8, with 8.1, 8.2, 8.11).
//!
//! Thresholds come from replaying the service's own past, in which incidents and alarm episodes
//! are masked. One controller for the whole fleet corrects what the fit got wrong; a token bucket
//! per service caps what may interrupt a person.

use serde::{Deserialize, Serialize};

use crate::engine::detect::statistic::Statistic;
use crate::engine::grid::PER_WEEK;
use crate::rules::Budget;
use crate::stats::tail::{QUIET_BLOCKS, REARM, Tail, peaks};

/// A is measured in what it is expected to reach with half of the budget (METHODS 2.7).
const SPLIT: f64 = 0.5;
/// How much of its unit a threshold rises when the rate falls by a factor of e.
const FORMULA_SLOPE: f64 = 0.1;
/// A threshold never falls below this share of the formula's.
const FORMULA_SHARE_MIN: f64 = 0.4;
/// With less than two weeks of history everything is 1.3 times harder (METHODS 2.8).
const COLD_FACTOR: f64 = 1.3;
/// See [`COLD_FACTOR`].
const COLD_WEEKS: f64 = 2.0;
/// Step of a fleet's controller at an alarm, at most (METHODS 8.2).
const FLEET_STEP: f64 = 0.1;
/// How far a fleet's controller sinks in a week without alarms, at most.
const FLEET_PULL: f64 = 0.3;
/// A new fleet's thresholds are a tenth higher: replays are a little quieter than what comes.
const CAREFUL: f64 = 0.1;
/// A fleet's thresholds are at least half of what the replays say.
const FLEET_LOWEST: f64 = -std::f64::consts::LN_2;
/// What a service may tell of what others leave, over its own budget: no more than the range in
/// which a budget is promised to be kept.
const GRANT_MAX: f64 = 1.3;
/// An alert beyond this multiple of its threshold is told even when the budget is used up.
pub const OVERDRAFT_RATIO: f64 = 1.5;

/// One service at one block against both budgets: 1 is at the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// Statistic over the notice threshold.
    pub notice: f64,
    /// Statistic over the alert threshold.
    pub alert: f64,
}

/// Heights of A and G that count as one: what A is expected to reach with half of the budget, and a
/// height of G at which neither of them decides alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// For A.
    pub a: f64,
    /// For G.
    pub g: f64,
}

impl Unit {
    fn of(series: usize, families: usize) -> Self {
        let (series, families) = (series.max(1) as f64, families.max(1) as f64);
        Self {
            a: 3.3 + 0.40 * (series / SPLIT).ln(),
            g: 3.67 + 0.73 * (families / 3.0).ln().max(0.0),
        }
    }

    /// One number for both: how far the louder of the two is.
    pub fn ratio(&self, statistic: Statistic) -> f64 {
        (statistic.a / self.a).max(statistic.g / self.g)
    }
}

/// How often the service's statistic reached which heights on normal days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calibration {
    /// What the statistic is measured in.
    pub unit: Unit,
    /// The tail of its ratio over the replay.
    pub tail: Option<Tail>,
    /// Replayed.
    pub weeks: f64,
}

impl Calibration {
    /// Measures a replayed path of the statistics; `series` and `families` are how many voted.
    pub fn measure(path: &[Statistic], series: usize, families: usize) -> Self {
        let weeks = path.len() as f64 / PER_WEEK as f64;
        let unit = Unit::of(series, families);
        let ratios: Vec<f64> = path.iter().map(|&statistic| unit.ratio(statistic)).collect();
        let tail = Tail::fit(&peaks(&ratios, REARM, QUIET_BLOCKS), weeks);
        Self { unit, tail, weeks }
    }

    /// How far beyond both thresholds a statistic is.
    pub fn standing(&self, statistic: Statistic, budget: &Budget) -> Standing {
        let ratio = self.unit.ratio(statistic);
        Standing {
            notice: ratio / self.threshold(budget.notices_per_week),
            alert: ratio / self.threshold(budget.alerts_per_week),
        }
    }

    /// The ratio that is exceeded `rate` times a week on normal days: as the replay says, or the
    /// formula where there is none.
    pub fn threshold(&self, rate: f64) -> f64 {
        let rate = rate.max(1e-6);
        let formula = 1.0 - FORMULA_SLOPE * rate.ln();
        let replayed = self.tail.map(|tail| tail.threshold(rate)).filter(|h| h.is_finite());
        let cold = if self.weeks < COLD_WEEKS { COLD_FACTOR } else { 1.0 };
        cold * replayed.unwrap_or(formula).max(FORMULA_SHARE_MIN * formula)
    }
}

/// How a controller answers: its step at an alarm, and how far it may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gear {
    /// What an alarm adds to the logarithm of the factor.
    step: f64,
    lowest: f64,
    highest: f64,
}

impl Gear {
    /// Of the controller of one service: evens out what its own calibration got wrong.
    pub const SERVICE: Self = Self { step: 0.3, lowest: -0.5, highest: 1.1 };

    /// Of the controller of a fleet that may have `per_week` alarms in all. A large fleet takes
    /// small steps: its alarms come too fast to be chased one by one.
    pub fn fleet(per_week: f64) -> Self {
        let step = FLEET_STEP.min(FLEET_PULL / per_week.max(1e-6));
        Self { step, lowest: FLEET_LOWEST, highest: f64::INFINITY }
    }
}

/// A controller: raises thresholds at every alarm and lets them sink in between, so that the
/// count of alarms comes out on budget whatever the data does.
///
/// Source: Gibbs and Candès (2021), in its quantile-tracking form; METHODS 2.8 has the bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Servo {
    /// Logarithm of the factor on every threshold of this budget.
    ln_factor: f64,
}

/// How far one alarm turned the fleet's controller and the service's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turned {
    /// The fleet's.
    pub fleet: f64,
    /// The service's.
    pub own: f64,
}

impl Servo {
    /// Of a fleet that nobody has watched yet: careful, until its first weeks show how far the
    /// replays can be trusted.
    pub fn careful() -> Self {
        Self { ln_factor: CAREFUL }
    }

    /// How many times its own budget the controller of one service lets pass while the fleet's
    /// stands here: what others have nothing to spend on is left for those that have.
    pub fn grant(self) -> f64 {
        (-self.ln_factor).exp().clamp(1.0, GRANT_MAX)
    }

    /// The factor on thresholds.
    pub fn factor(self) -> f64 {
        self.ln_factor.exp()
    }

    /// One block, where `per_week` alarms are accepted.
    pub fn relax(&mut self, gear: Gear, per_week: f64) {
        self.turn(gear, -gear.step * per_week / PER_WEEK as f64);
    }

    /// One alarm. Returns how far it turned the controller, for [`Self::absolve`].
    pub fn alarm(&mut self, gear: Gear) -> f64 {
        self.turn(gear, gear.step)
    }

    /// An alarm that had turned the controller so far was true: it does not count.
    pub fn absolve(&mut self, gear: Gear, turned: f64) {
        self.turn(gear, -turned);
    }

    fn turn(&mut self, gear: Gear, by: f64) -> f64 {
        let before = self.ln_factor;
        self.ln_factor = (before + by).clamp(gear.lowest, gear.highest);
        self.ln_factor - before
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

    /// Alerts left to spend.
    pub fn left(self) -> f64 {
        self.tokens
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
        let (week, month) = (calibration.threshold(1.0), calibration.threshold(0.25));
        assert!(week < month, "{week} {month}");
        let cold = Calibration::measure(&path[..2_016], 12, 6).threshold(1.0);
        assert!(cold > week);
    }

    #[test]
    fn the_fleets_servo_keeps_count_on_budget_for_any_data() {
        // A path that is always beyond every finite threshold below 6 (METHODS 2.8's bound).
        let weeks = 8.0;
        for per_week in [1.0, 40.0] {
            let gear = Gear::fleet(per_week);
            let (mut servo, mut alarms) = (Servo::default(), 0.0);
            for _ in 0..(8 * PER_WEEK) {
                servo.relax(gear, per_week);
                if servo.factor() < 6.0 {
                    let _ = servo.alarm(gear);
                    alarms += 1.0;
                }
            }
            assert!(alarms <= weeks * per_week + 1.0 + 6.0_f64.ln() / gear.step, "{alarms}");
        }
    }

    #[test]
    fn a_quiet_service_becomes_more_sensitive_and_a_true_alarm_leaves_no_trace() {
        let mut servo = Servo::default();
        for _ in 0..(4 * PER_WEEK) {
            servo.relax(Gear::SERVICE, 1.0);
        }
        assert!(servo.factor() < 0.7);
        let before = servo;
        let turned = servo.alarm(Gear::SERVICE);
        assert!(servo.factor() > before.factor());
        servo.absolve(Gear::SERVICE, turned);
        assert!((servo.factor() - before.factor()).abs() < 1e-12);
        for _ in 0..100 {
            servo.alarm(Gear::SERVICE);
        }
        assert!(servo.factor() < 3.1, "a service with much real trouble does not go deaf");
        let (before, turned) = (servo, servo.alarm(Gear::SERVICE));
        servo.absolve(Gear::SERVICE, turned);
        assert_eq!(servo, before, "what added nothing takes nothing off");
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
