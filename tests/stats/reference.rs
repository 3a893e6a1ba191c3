//! The maths gives what NumPy and SciPy give: tests/data/reference/make.py made the numbers.

use grayflag::stats::profile::{
    SLOTS_PER_DAY, SLOTS_PER_WEEK, ScaleProfile, WeekProfile, mask_incidents, rolling_origin,
};
use grayflag::stats::tail::{QUIET_BLOCKS, REARM, Tail, peaks};
use grayflag::stats::{combine, count, ewma, robust, surprise, trend};
use serde_json::Value;

use crate::random::Random;

/// The reference is written with ten digits.
const DIGITS: f64 = 1e-9;
/// Profiles hold deviations as f32.
const SINGLE: f64 = 2e-6;

fn reference() -> Value {
    serde_json::from_str(include_str!("../data/reference/reference.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

#[track_caller]
fn assert_near(ours: f64, theirs: f64, tolerance: f64) {
    let both_missing = ours.is_nan() && theirs.is_nan();
    let near = (ours - theirs).abs() <= tolerance * theirs.abs().max(1.0);
    assert!(both_missing || near, "ours {ours}, theirs {theirs}");
}

#[track_caller]
fn assert_all_near(ours: impl IntoIterator<Item = f64>, theirs: &Value, tolerance: f64) {
    let ours: Vec<f64> = ours.into_iter().collect();
    let theirs = numbers(theirs);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        assert_near(ours, theirs, tolerance);
    }
}

fn season(i: usize) -> f64 {
    let (day, time) = (i / SLOTS_PER_DAY % 7, i % SLOTS_PER_DAY);
    let triangle = (time as f64 - 144.0).abs() / 36.0;
    let office = if day < 5 && (108..216).contains(&time) { 3.0 } else { 0.0 };
    let job = if day == 1 && (24..36).contains(&time) { 2.0 } else { 0.0 };
    20.0 + triangle + office + job
}

fn series(seed: u64, weeks: usize) -> (Vec<f64>, Vec<u16>) {
    let (mut random, mut ar) = (Random(seed), 0.0);
    let values = (0..weeks * SLOTS_PER_WEEK)
        .map(|i| {
            ar = 0.6 * ar + 0.8 * random.noise();
            let spike = if random.uniform() < 0.003 { 9.0 } else { 0.0 };
            let in_incident = (1500..1560).contains(&i) || (4100..4160).contains(&i);
            let incident = if in_incident { 5.0 } else { 0.0 };
            let missing = random.uniform() < 0.01;
            if missing { f64::NAN } else { season(i) + ar + spike + incident }
        })
        .collect();
    let slots =
        (0..weeks * SLOTS_PER_WEEK).map(|i| u16::try_from(i % SLOTS_PER_WEEK).unwrap()).collect();
    (values, slots)
}

fn counts(seed: u64, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut random = Random(seed);
    (0..n)
        .map(|i| {
            let rate = 0.05 + 0.01 * (((i % SLOTS_PER_DAY) as f64 - 144.0).abs() / 36.0);
            let burst = if random.uniform() < 0.002 { 8.0 } else { 0.0 };
            let seen = (0..6).filter(|_| random.uniform() < rate).count() as f64;
            (burst + seen, 6.0 * rate)
        })
        .unzip()
}

fn drift(seed: u64, n: u64, slope: f64) -> Vec<(f64, f64)> {
    let (mut random, mut ar) = (Random(seed), 0.0);
    (0..n)
        .map(|i| {
            ar = 0.5 * ar + 0.4 * random.noise();
            let hours = i as f64 * 0.5;
            (hours, 10.0 + slope * i as f64 * 0.5 + ar)
        })
        .collect()
}

#[test]
fn medians_quantiles_and_spreads_are_numpys() {
    let expected = &reference()["robust"];
    let (values, _) = series(1, 4);
    let x: Vec<f64> = values.into_iter().filter(|x| x.is_finite()).take(501).collect();
    let is = |ours: Option<f64>, key: &str| {
        assert_near(ours.unwrap(), expected[key].as_f64().unwrap(), DIGITS);
    };
    is(robust::median(&mut x.clone()), "median");
    is(robust::median(&mut x[..500].to_vec()), "median_even");
    is(robust::mad_sigma(&mut x.clone()), "mad_sigma");
    is(robust::spread(&mut x.clone()), "spread");
    let mut sorted = x;
    let sorted = robust::sort_finite(&mut sorted);
    for pair in expected["quantiles"].as_array().unwrap() {
        let [q, value] = numbers(pair)[..] else { panic!("a pair") };
        assert_near(robust::quantile(sorted, q).unwrap(), value, DIGITS);
    }
}

#[test]
fn profiles_of_one_to_four_weeks_are_the_references() {
    let reference = reference();
    let (values, slots) = series(1, 4);
    for expected in reference["profiles"].as_array().unwrap() {
        let weeks = usize::try_from(expected["weeks"].as_u64().unwrap()).unwrap();
        let n = weeks * SLOTS_PER_WEEK;
        let profile = WeekProfile::fit(&values[..n], &slots[..n], weeks).unwrap();
        let every = (0..2016).step_by(17).map(|slot| profile.at(slot));
        assert_all_near(every, &expected["every_17"], SINGLE);
    }
}

#[test]
fn the_whole_path_from_values_to_thresholds_is_the_references() {
    let reference = reference();
    let (mut values, slots) = series(1, 4);
    let mask = mask_incidents(&values, &slots, 4);
    let masked: Vec<f64> =
        mask.iter().enumerate().filter(|&(_, &bad)| bad).map(|(i, _)| i as f64).collect();
    assert_all_near(masked, &reference["masked"], 0.0);
    for (value, bad) in values.iter_mut().zip(mask) {
        if bad {
            *value = f64::NAN;
        }
    }
    let residuals = rolling_origin(&values, &slots, 4);
    let every = residuals.iter().copied().step_by(41);
    assert_all_near(every, &reference["rolling"]["every_41"], SINGLE);
    let scale = ScaleProfile::fit(&residuals, &slots).unwrap();
    let cells = (0..16).map(|cell| scale.at(cell / 8 * 5 * 288 + cell % 8 * 36));
    assert_all_near(cells, &reference["rolling"]["scales"], SINGLE);

    let z: Vec<f64> = residuals
        .iter()
        .zip(&slots)
        .map(|(r, &slot)| (r / scale.at(slot)).clamp(-6.0, 6.0))
        .collect();
    let paths = ewma::bank_paths(&z);
    let sds = ewma::scale_sds(&z);
    for (j, path) in paths.iter().enumerate() {
        let every = path.iter().copied().step_by(101);
        assert_all_near(every, &reference["bank"]["every_101"][j], 10.0 * SINGLE);
    }
    assert_all_near(sds, &reference["bank"]["sds"], 10.0 * SINGLE);
    let [between] = ewma::replay(&z, |bank| [bank.between()]);
    assert_all_near(between.into_iter().step_by(101), &reference["bank"]["between"], 10.0 * SINGLE);

    let score: Vec<f64> = (576..z.len())
        .map(|t| (0..5).map(|j| paths[j][t] / sds[j]).fold(f64::NAN, f64::max))
        .collect();
    let mut found = peaks(&score, REARM, QUIET_BLOCKS);
    let tail = Tail::fit(&found, score.len() as f64 / SLOTS_PER_WEEK as f64).unwrap();
    let expected = &reference["tail"];
    assert_eq!(found.len() as u64, expected["n_peaks"].as_u64().unwrap());
    found.sort_by(|a, b| b.total_cmp(a));
    assert_all_near(found[..12].iter().copied(), &expected["largest"], 20.0 * SINGLE);
    assert_eq!(tail.k as u64, expected["k"].as_u64().unwrap());
    for pair in expected["thresholds"].as_array().unwrap() {
        let [rate, threshold] = numbers(pair)[..] else { panic!("a pair") };
        assert_near(tail.threshold(rate), threshold, 50.0 * SINGLE);
    }
}

#[test]
fn counts_are_judged_as_in_the_reference() {
    let expected = &reference()["count"];
    let (k, mu) = counts(2, 2 * SLOTS_PER_WEEK);
    for (j, path) in count::count_paths(&k, &mu).into_iter().enumerate() {
        let every = path.into_iter().step_by(101);
        // Near zero the root magnifies the last digit.
        assert_all_near(every, &expected["every_101"][j], 1e-6);
    }
    assert_all_near(count::sds(&k, &mu), &expected["sds"], DIGITS);
    let rate = expected["base_rate"].as_f64().unwrap();
    assert_near(count::base_rate(&k, &mu), rate, DIGITS);
}

#[test]
fn scores_are_combined_as_in_the_reference() {
    let expected = &reference()["combine"];
    let mut random = Random(3);
    let table: Vec<[f64; 5]> =
        (0..8).map(|_| std::array::from_fn(|_| 4.0 * random.noise())).collect();
    let by_scale = (0..5).map(|j| {
        let scores: Vec<f64> = table.iter().map(|row| row[j]).collect();
        combine::xie_siegmund(&scores, combine::AFFECTED_SHARE)
    });
    assert_all_near(by_scale, &expected["xie_siegmund"], DIGITS);
    assert_near(combine::g_statistic(&table), expected["g"].as_f64().unwrap(), DIGITS);
    let a = combine::max_score(&table).unwrap();
    assert_near(a, expected["a"].as_f64().unwrap(), DIGITS);
}

#[test]
fn trends_are_scipys_with_the_inflated_interval() {
    for expected in reference()["trends"].as_array().unwrap() {
        let number = |key: &str| expected[key].as_f64().unwrap();
        let n = expected["n"].as_u64().unwrap();
        let points = drift(expected["seed"].as_u64().unwrap(), n, number("slope_in"));
        let trend = trend::theil_sen(&points).unwrap();
        for (ours, key) in
            [(trend.slope, "slope"), (trend.level, "level"), (trend.lo, "lo"), (trend.hi, "hi")]
        {
            assert_near(ours, number(key), DIGITS);
        }
        let (best, earliest, latest) = trend.time_to(number("limit")).unwrap();
        assert_near(best, number("best"), DIGITS);
        assert_near(earliest, number("earliest"), DIGITS);
        assert_eq!(latest.is_some(), expected["latest"].is_number());
        if let Some(latest) = latest {
            assert_near(latest, number("latest"), DIGITS);
        }
    }
}

#[test]
fn surprise_is_scipys_normal_tail() {
    let expected = &reference()["surprise"];
    for pair in expected["normal"].as_array().unwrap() {
        let [score, p] = numbers(pair)[..] else { panic!("a pair") };
        assert!((surprise::p_value_from_score(score, None) / p - 1.0).abs() < 1e-8, "{score}");
    }
    let values: Vec<f64> = drift(7, 400, 0.0).into_iter().map(|(_, y)| y).collect();
    let rho = expected["autocorrelation"].as_f64().unwrap();
    assert_near(surprise::autocorrelation(&values).unwrap(), rho, DIGITS);
}
