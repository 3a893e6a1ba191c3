//! Single series as production has them, without a system behind them: seasons, memory, heavy
//! tails, a level that wanders, gaps, spikes and old incidents. What detectors are judged on.
//!
//! Values are in units of the noise's standard deviation; one a minute. The season is drawn anew
//! for every seed: four harmonics of a day, office hours, a weekend, a nightly job.

use std::f64::consts::TAU;

use super::noise::Dice;
use crate::stats::robust::median;

/// Minutes in a week.
pub const WEEK_MINUTES: usize = 10_080;
const DAY_MINUTES: usize = 1_440;
const BLOCK_MINUTES: usize = 5;
/// Height of the daily season, and of the weekly one, in units of the noise.
const DAILY: f64 = 4.0;
const WEEKLY: f64 = 1.5;

/// A kind of series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    /// What tables call it.
    pub name: &'static str,
    /// Lag-1 autocorrelation from minute to minute.
    pub memory: f64,
    /// Standard deviation of a level that wanders over a day, and 0.6 of it over four hours.
    pub wander: f64,
    /// How much of the noise's spread follows the season: 0.3 is ±30 %.
    pub uneven: f64,
    /// Share of minutes with a spike of 4 to 15 standard deviations.
    pub spikes: f64,
    /// One minute in a hundred missing, and two outages a week of up to two hours.
    pub gaps: bool,
    /// Incidents of 3 to 10 standard deviations and 1 to 8 hours among the weeks to learn from.
    pub incidents: usize,
}

const CLEAN: Kind = Kind {
    name: "iid",
    memory: 0.0,
    wander: 0.0,
    uneven: 0.0,
    spikes: 0.0,
    gaps: false,
    incidents: 0,
};

/// From noise without memory to what production looks like.
pub const KINDS: [Kind; 5] = [
    CLEAN,
    Kind { name: "AR(1) .6", memory: 0.6, ..CLEAN },
    Kind { name: "AR(1) .9", memory: 0.9, ..CLEAN },
    Kind { name: "realistic .6", memory: 0.6, ..REALISTIC },
    Kind { name: "realistic .9", memory: 0.9, ..REALISTIC },
];

const REALISTIC: Kind = Kind {
    name: "realistic",
    memory: 0.6,
    wander: 0.3,
    uneven: 0.3,
    spikes: 0.002,
    gaps: true,
    incidents: 3,
};

/// A season of one week, by the minute, with mean zero.
pub fn season(seed: u64) -> Vec<f64> {
    let mut dice = Dice::new(seed, SEASON);
    let harmonics: Vec<(f64, f64, f64)> = (1..=4)
        .map(|k| {
            let k = f64::from(k);
            (k, dice.normal() / k.powf(1.3), TAU * dice.uniform())
        })
        .collect();
    let wave = |time: f64| -> f64 {
        harmonics.iter().map(|(k, size, phase)| size * (TAU * k * time + phase).cos()).sum()
    };
    let day: Vec<f64> = (0..DAY_MINUTES).map(|m| wave(m as f64 / DAY_MINUTES as f64)).collect();
    let (low, high) = day.iter().fold((f64::MAX, f64::MIN), |(l, h), &x| (l.min(x), h.max(x)));
    let office = dice.between(0.3, 1.0) * DAILY * 0.4;
    let weekend = (dice.between(0.3, 0.7), -WEEKLY * dice.between(0.5, 1.2));
    let offsets: Vec<f64> = (0..7).map(|_| 0.15 * WEEKLY * dice.normal()).collect();
    let (start, length) = (dice.index(360), 20 + dice.index(40));
    let job = dice.between(1.0, 4.0);
    let mut week: Vec<f64> = (0..WEEK_MINUTES)
        .map(|minute| {
            let (day_of_week, time) = (minute / DAY_MINUTES, minute % DAY_MINUTES);
            let hour = time as f64 / 60.0;
            let open = logistic((hour - 9.0) / 0.25) - logistic((hour - 18.0) / 0.4);
            let daily = day[time] / (high - low) * DAILY + open * office;
            let (share, drop) = if day_of_week >= 5 { weekend } else { (1.0, 0.0) };
            let batch = if (start..start + length).contains(&time) { job } else { 0.0 };
            daily * share + drop + offsets[day_of_week] + batch
        })
        .collect();
    let mean = week.iter().sum::<f64>() / WEEK_MINUTES as f64;
    for value in &mut week {
        *value -= mean;
    }
    week
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

// Streams of chance, one per concern.
const SEASON: u64 = 100;
const NOISE: u64 = 101;
const DIRT: u64 = 102;

/// `weeks` of minutes of a kind; what is missing is NaN. Old incidents lie in the first `learn`
/// weeks.
///
/// # Cost
/// O(n): 30 ms a year.
pub fn minutes(kind: Kind, seed: u64, weeks: usize, learn: usize) -> Vec<f64> {
    let season = season(seed);
    let (low, high) = season.iter().fold((f64::MAX, f64::MIN), |(l, h), &x| (l.min(x), h.max(x)));
    let mut dice = Dice::new(seed, NOISE);
    let decay = |minutes: f64| (-1.0 / minutes).exp();
    let (day, hours) = (decay(1_440.0), decay(240.0));
    let (mut noise, mut slow, mut medium) = (0.0, 0.0, 0.0);
    let step = |state: f64, memory: f64, shock: f64| {
        memory * state + (1.0 - memory * memory).sqrt() * shock
    };
    let mut values: Vec<f64> = (0..weeks * WEEK_MINUTES)
        .map(|minute| {
            let usual = season[minute % WEEK_MINUTES];
            let place = (usual - low) / (high - low) - 0.5;
            noise = step(noise, kind.memory, dice.t4());
            slow = step(slow, day, dice.normal());
            medium = step(medium, hours, dice.normal());
            usual + noise * (1.0 + 2.0 * kind.uneven * place) + kind.wander * (slow + 0.6 * medium)
        })
        .collect();
    soil(&mut values, kind, seed, learn);
    values
}

/// Adds spikes, old incidents and gaps.
fn soil(values: &mut [f64], kind: Kind, seed: u64, learn: usize) {
    let mut dice = Dice::new(seed, DIRT);
    for value in values.iter_mut() {
        if dice.chance(kind.spikes) {
            *value += dice.between(4.0, 15.0);
        }
    }
    for _ in 0..kind.incidents {
        let from = dice.index(learn * WEEK_MINUTES - 600);
        let length = 60 + dice.index(420);
        let height = dice.between(3.0, 10.0);
        for value in &mut values[from..from + length] {
            *value += height;
        }
    }
    if kind.gaps {
        for value in values.iter_mut() {
            if dice.chance(0.01) {
                *value = f64::NAN;
            }
        }
        for _ in 0..2 * (values.len() / WEEK_MINUTES) {
            let from = dice.index(values.len() - 200);
            let length = 20 + dice.index(100);
            values[from..from + length].fill(f64::NAN);
        }
    }
}

/// Medians of five minutes; NaN where all five are missing.
pub fn blocks(minutes: &[f64]) -> Vec<f64> {
    let middle = |block: &[f64]| median(&mut block.to_vec()).unwrap_or(f64::NAN);
    minutes.chunks(BLOCK_MINUTES).map(middle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_series_and_kinds_differ_in_what_they_say() {
        let dirty = KINDS[3];
        let a = minutes(dirty, 7, 2, 1);
        assert_eq!(format!("{a:?}"), format!("{:?}", minutes(dirty, 7, 2, 1)));
        assert!(a.iter().any(|x| x.is_nan()));
        let clean = minutes(KINDS[0], 7, 2, 1);
        assert!(clean.iter().all(|x| x.is_finite()));
        let season = season(7);
        let noise: Vec<f64> =
            clean.iter().enumerate().map(|(i, x)| x - season[i % WEEK_MINUTES]).collect();
        let variance = noise.iter().map(|x| x * x).sum::<f64>() / noise.len() as f64;
        assert!((0.8..1.25).contains(&variance), "{variance}");
        assert_eq!(blocks(&a).len(), a.len() / 5);
    }
}
