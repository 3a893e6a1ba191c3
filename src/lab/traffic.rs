//! How much work arrives: the shape of a day and a week, a nightly batch, bursts.

use super::noise::{Dice, Wander};
use crate::time::Timestamp;

/// Requests per second at the web tier at the busiest hour of an ordinary working day.
const PEAK: f64 = 120.0;
/// Share of the peak that is left in the depth of the night.
const NIGHT: f64 = 0.22;
/// What a Saturday and a Sunday have of a working day.
const WEEKEND: f64 = 0.62;
/// Seconds between two bursts, on average.
const BURST_EVERY: f64 = 3.0 * 86_400.0;
/// Hour of the day, UTC, at which the batch job starts.
const BATCH_HOUR: f64 = 2.0;
/// Queries per second that the batch job sends to the database.
const BATCH_QUERIES: f64 = 250.0;

/// What arrives from outside.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    wander: Wander,
    /// The wanderer's present factor.
    level: f64,
    /// The present burst's factor, 1 without one.
    burst: f64,
    /// Seconds until the burst, or the calm between bursts, is over.
    change_in: f64,
    /// Minutes that tonight's batch takes.
    batch_minutes: f64,
    dice: Dice,
}

/// Arrivals at one instant, per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrivals {
    /// Requests from users.
    pub(super) requests: f64,
    /// Database queries of the batch job.
    pub(super) batch: f64,
    /// How busy the rest of the world is at this hour, near 1 at its peak: banks, mail servers
    /// and mobile networks keep office hours too.
    pub(super) world: f64,
}

impl Traffic {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let wander = Wander::new(&mut dice, 0.03, 0.04);
        let change_in = dice.exponential(BURST_EVERY);
        Self { wander, level: 1.0, burst: 1.0, change_in, batch_minutes: 40.0, dice }
    }

    /// Lets `seconds` pass: the level wanders, bursts come and go, a night's batch is sized.
    pub(super) fn wander(&mut self, now: Timestamp, seconds: f64) {
        self.level = self.wander.step(&mut self.dice, seconds);
        self.change_in -= seconds;
        if self.change_in <= 0.0 {
            let calm = self.burst <= 1.0;
            self.burst = if calm { 1.15 + 0.35 * self.dice.uniform() } else { 1.0 };
            let mean = if calm { 600.0 } else { BURST_EVERY };
            self.change_in = self.dice.exponential(mean).clamp(180.0, 10.0 * BURST_EVERY);
        }
        if hour_of_day(now) < seconds / 3_600.0 {
            self.batch_minutes = 30.0 + 20.0 * self.dice.uniform();
        }
    }

    /// What arrives at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Arrivals {
        let into_batch = (hour_of_day(now) - BATCH_HOUR) * 60.0;
        let running = (0.0..self.batch_minutes).contains(&into_batch);
        let world = shape(now);
        Arrivals {
            requests: PEAK * world * self.level * self.burst,
            batch: if running { BATCH_QUERIES * self.level } else { 0.0 },
            world,
        }
    }
}

/// Hour of the day in UTC with its fraction, 0 to 24.
pub(super) fn hour_of_day(now: Timestamp) -> f64 {
    now.as_secs().rem_euclid(86_400) as f64 / 3_600.0
}

/// True on Saturdays and Sundays, UTC.
pub(super) fn is_weekend(now: Timestamp) -> bool {
    // The epoch was a Thursday: day 2 was the first Saturday.
    matches!(now.as_secs().div_euclid(86_400).rem_euclid(7), 2 | 3)
}

/// Share of the peak at `now`: steep edges of office hours, a dip at lunch, an evening hump, and
/// a weekend that blends in around midnight.
fn shape(now: Timestamp) -> f64 {
    let hour = hour_of_day(now);
    let edge = |at: f64, width: f64| 1.0 / (1.0 + (-(hour - at) / width).exp());
    let bump = |at: f64, width: f64| (-((hour - at) / width).powi(2) / 2.0).exp();
    let office = edge(8.0, 0.45) * (1.0 - edge(17.8, 0.5));
    let day = NIGHT + (1.0 - NIGHT) * office - 0.10 * bump(12.4, 0.5) + 0.28 * bump(20.5, 1.4);
    // Between 22:00 and 02:00 the day before and the day after share the weight.
    let tomorrow = ((hour - 24.0) / 4.0 + 0.5).clamp(0.0, 0.5);
    let yesterday = (0.5 - hour / 4.0).clamp(0.0, 0.5);
    let factor = |at: Timestamp| if is_weekend(at) { WEEKEND } else { 1.0 };
    let blend = (1.0 - tomorrow - yesterday) * factor(now)
        + tomorrow * factor(now + crate::time::Span::DAY)
        + yesterday * factor(now - crate::time::Span::DAY);
    day * blend
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn days_nights_and_weekends_differ_and_join_without_steps() {
        let at = |text: &str| shape(text.parse().unwrap());
        let (noon, night) = (at("2026-03-04T10:30:00Z"), at("2026-03-04T04:00:00Z"));
        assert!((0.9..1.1).contains(&noon), "{noon}");
        assert!((0.15..0.3).contains(&night), "{night}");
        let saturday = at("2026-03-07T10:30:00Z");
        assert!((0.55..0.7).contains(&(saturday / noon)), "{saturday}");
        let start: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        for minute in 0..7 * 1_440 {
            let (a, b) = (
                shape(start + Span::from_mins(minute)),
                shape(start + Span::from_mins(minute + 1)),
            );
            assert!((a - b).abs() < 0.02, "minute {minute}: {a} {b}");
        }
    }
}
