//! One threshold serves series of very different memory: about one false alarm a week at 3.

use grayflag::stats::ewma::{SCALES, bank_paths, scale_sds};
use grayflag::stats::profile::{
    SLOTS_PER_WEEK, ScaleProfile, WeekProfile, mask_incidents, rolling_origin,
};
use grayflag::stats::robust;
use grayflag::stats::tail::{QUIET_BLOCKS, REARM, Tail, peaks};

use crate::random::Random;

const MINUTES_PER_BLOCK: usize = 5;
const TRAIN_WEEKS: usize = 4;
const TEST_WEEKS: usize = 8;
const SERIES: u64 = 12;

/// A kind of series, by the minute.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// Lag-1 autocorrelation.
    memory: f64,
    /// Standard deviation of a level that wanders over a day, and 0.6 of it over four hours.
    wander: f64,
    /// Share of minutes with a spike, share missing, incidents in the training weeks.
    dirt: bool,
}

fn season(block: usize) -> f64 {
    let (day, time) = (block / 288 % 7, (block % 288) as f64 / 288.0);
    let daily = 1.6 * (std::f64::consts::TAU * (time - 0.3)).cos();
    let office = if day < 5 && (0.375..0.75).contains(&time) { 1.5 } else { 0.0 };
    let job = if day == 2 && (0.1..0.14).contains(&time) { 2.0 } else { 0.0 };
    daily + office + job - if day >= 5 { 1.2 } else { 0.0 }
}

/// Medians of five minutes over training and test weeks.
fn blocks(kind: Kind, seed: u64) -> Vec<f64> {
    let mut random = Random::seeded(seed);
    let decay = |minutes: f64| (-1.0 / minutes).exp();
    let (day, hours) = (decay(1440.0), decay(240.0));
    let (mut ar, mut slow, mut medium) = (0.0, 0.0, 0.0);
    let n = (TRAIN_WEEKS + TEST_WEEKS) * SLOTS_PER_WEEK;
    let incident = 500 + usize::try_from(seed * 577 % 7000).unwrap();
    (0..n)
        .map(|block| {
            let mut minutes = [0.0; MINUTES_PER_BLOCK];
            for minute in &mut minutes {
                ar = kind.memory * ar + (1.0 - kind.memory.powi(2)).sqrt() * random.heavy();
                slow = day * slow + (1.0 - day * day).sqrt() * random.normal();
                medium = hours * medium + (1.0 - hours * hours).sqrt() * random.normal();
                *minute = season(block) + ar + kind.wander * (slow + 0.6 * medium);
                if kind.dirt && random.uniform() < 0.002 {
                    *minute += 4.0 + 11.0 * random.uniform();
                }
                if kind.dirt && random.uniform() < 0.01 {
                    *minute = f64::NAN;
                }
                if kind.dirt && (incident..incident + 48).contains(&block) {
                    *minute += 6.0;
                }
            }
            robust::median(&mut minutes).unwrap_or(f64::NAN)
        })
        .collect()
}

fn slots(n: usize) -> Vec<u16> {
    (0..n).map(|i| u16::try_from(i % SLOTS_PER_WEEK).unwrap()).collect()
}

/// The largest score, over the scales from `fastest` on, at each block of the test weeks and of
/// the replayed training weeks.
fn scores(values: &[f64], fastest: usize) -> (Vec<f64>, Vec<f64>) {
    let slots = slots(values.len());
    let (train, test) = values.split_at(TRAIN_WEEKS * SLOTS_PER_WEEK);
    let mut train = train.to_vec();
    let known = &slots[..train.len()];
    let mask = mask_incidents(&train, known, TRAIN_WEEKS);
    for (value, masked) in train.iter_mut().zip(mask) {
        if masked {
            *value = f64::NAN;
        }
    }
    let profile = WeekProfile::fit(&train, known, TRAIN_WEEKS).unwrap();
    let residuals = rolling_origin(&train, known, TRAIN_WEEKS);
    let scale = ScaleProfile::fit(&residuals, known).unwrap();
    let standardise = |residuals: Vec<f64>| -> Vec<f64> {
        let z = |(r, &slot): (f64, &u16)| (r / scale.at(slot)).clamp(-6.0, 6.0);
        residuals.into_iter().zip(&slots).map(z).collect()
    };
    let replayed = standardise(residuals);
    let sds = scale_sds(&replayed);
    let largest = |z: &[f64]| -> Vec<f64> {
        let paths = bank_paths(z);
        (0..z.len())
            .map(|t| (fastest..SCALES).map(|j| paths[j][t] / sds[j]).fold(f64::NAN, f64::max))
            .collect()
    };
    let live = standardise(profile.residuals(test, &slots));
    (largest(&live), largest(&replayed)[576..].to_vec())
}

/// How often a path rises above a threshold, re-arming after an hour below 0.7 of it.
fn alarms(path: &[f64], threshold: f64) -> usize {
    let (mut armed, mut quiet, mut count) = (true, 0, 0);
    for &score in path {
        if armed {
            if score > threshold {
                (armed, quiet) = (false, 0);
                count += 1;
            }
        } else {
            quiet = if score < REARM * threshold { quiet + 1 } else { 0 };
            armed = quiet >= QUIET_BLOCKS;
        }
    }
    count
}

/// Alarms per series and week at `threshold`, and at the one that the tail of the replay gives
/// for one a week.
fn rates(kind: Kind, fastest: usize, threshold: f64) -> (f64, f64) {
    let (mut fixed, mut fitted) = (0, 0);
    for seed in 0..SERIES {
        let (live, replayed) = scores(&blocks(kind, 1000 + seed), fastest);
        fixed += alarms(&live, threshold);
        let weeks = replayed.len() as f64 / SLOTS_PER_WEEK as f64;
        let tail = Tail::fit(&peaks(&replayed, REARM, QUIET_BLOCKS), weeks).unwrap();
        fitted += alarms(&live, tail.threshold(1.0));
    }
    let series_weeks = SERIES as f64 * TEST_WEEKS as f64;
    (fixed as f64 / series_weeks, fitted as f64 / series_weeks)
}

/// Independent, short memory, long memory; and two that wander, with spikes, holes and an
/// incident among what is learned.
const KINDS: [Kind; 5] = [
    Kind { memory: 0.0, wander: 0.0, dirt: false },
    Kind { memory: 0.6, wander: 0.0, dirt: false },
    Kind { memory: 0.9, wander: 0.0, dirt: false },
    Kind { memory: 0.6, wander: 0.3, dirt: true },
    Kind { memory: 0.9, wander: 0.3, dirt: true },
];

/// The study's table 1 has 1.5, .81, 1.0, .55 and .97 alarms a week for these kinds at a
/// threshold of 3 on the scales from 30 minutes on.
#[test]
fn four_scales_at_three_mean_about_one_alarm_a_week_whatever_the_memory() {
    for kind in KINDS {
        let (fixed, fitted) = rates(kind, 1, 3.0);
        println!("{kind:?}: {fixed:.2} a week at 3, {fitted:.2} fitted");
        assert!((0.2..2.0).contains(&fixed), "{fixed} a week, {kind:?}");
        assert!((0.05..2.2).contains(&fitted), "{fitted} a week fitted, {kind:?}");
    }
}

/// The scale of ten minutes costs false alarms where noise is all there is: the same rate needs
/// a threshold that is higher by about a tenth.
#[test]
fn five_scales_need_a_slightly_higher_threshold() {
    for kind in KINDS {
        let (fixed, fitted) = rates(kind, 0, 3.3);
        println!("{kind:?}: {fixed:.2} a week at 3.3, {fitted:.2} fitted");
        assert!((0.3..2.0).contains(&fixed), "{fixed} a week, {kind:?}");
        assert!((0.05..2.2).contains(&fitted), "{fitted} a week fitted, {kind:?}");
    }
}
