//! The profile learns what repeats, and nothing else.

use grayflag::stats::profile::{
    SLOTS_PER_DAY, SLOTS_PER_WEEK, WeekProfile, mask_incidents, rolling_origin,
};
use grayflag::stats::robust;

const DAYS: usize = 7;
const WORKING_DAYS: usize = 5;

/// The slots of `n` blocks from Monday 00:00 on.
fn slots(n: usize) -> Vec<u16> {
    (0..n).map(|i| u16::try_from(i % SLOTS_PER_WEEK).unwrap()).collect()
}

fn fit(values: &[f64], weeks: usize) -> WeekProfile {
    WeekProfile::fit(values, &slots(values.len()), weeks).unwrap()
}

/// Business hours on working days.
fn season(i: usize) -> f64 {
    let (day, time) = (i / SLOTS_PER_DAY % DAYS, i % SLOTS_PER_DAY);
    if day < WORKING_DAYS && (108..216).contains(&time) { 10.0 } else { 5.0 }
}

#[test]
fn what_repeats_on_one_weekday_is_learned_and_an_incident_is_not() {
    let weekly = |i: usize| if (300..324).contains(&(i % SLOTS_PER_WEEK)) { 3.0 } else { 0.0 };
    let incident = |i: usize| if (2700..2760).contains(&i) { 50.0 } else { 0.0 };
    let values: Vec<f64> = (0..4 * SLOTS_PER_WEEK)
        .map(|i| season(i) + weekly(i) + incident(i) + 0.1 * (i as f64).sin())
        .collect();
    let profile = fit(&values, 4);
    assert!((profile.at(312) - 8.0).abs() < 0.2, "Tuesday's job");
    assert!((profile.at(312 + 288) - 5.0).abs() < 0.2, "Wednesday has none");
    assert!((profile.at(2730 - 2016) - season(2730)).abs() < 0.2, "the incident's time");
}

#[test]
fn scarce_data_gives_a_coarser_profile() {
    let values: Vec<f64> = (0..5 * SLOTS_PER_DAY).map(season).collect();
    let two_days = fit(&values[..2 * SLOTS_PER_DAY], 0);
    assert_eq!(two_days.at(0).to_bits(), two_days.at(150).to_bits());
    let five_days = fit(&values, 0);
    assert!((five_days.at(150) - 10.0).abs() < 1e-6 && (five_days.at(20) - 5.0).abs() < 1e-6);
    assert!((five_days.at(150 + 6 * 288) - 10.0).abs() < 1e-6, "Sunday as any day");
    assert_eq!(WeekProfile::fit(&[f64::NAN; 100], &slots(100), 0), None);
    assert_eq!(WeekProfile::fit(&[1.0; 100], &[2016; 100], 0), None);
}

#[test]
fn missing_days_and_bins_borrow_from_what_was_seen() {
    let mut values: Vec<f64> = (0..3 * SLOTS_PER_WEEK).map(season).collect();
    for (i, value) in values.iter_mut().enumerate() {
        let (day, time) = (i / SLOTS_PER_DAY % DAYS, i % SLOTS_PER_DAY);
        // Never a Wednesday, never a working day's hour after midnight, no weekend at all.
        if day == 2 || day >= WORKING_DAYS || time < 12 {
            *value = f64::NAN;
        }
    }
    let profile = fit(&values, 3);
    assert!((profile.at(2 * 288 + 150) - 10.0).abs() < 1e-6, "Wednesday noon");
    assert!((profile.at(6 * 288 + 150) - 10.0).abs() < 1e-6, "Sunday as a working day");
    assert!(profile.at(3).is_finite());
}

#[test]
fn a_small_season_on_a_large_level_is_not_rounded_away() {
    let values: Vec<f64> = (0..2 * SLOTS_PER_WEEK).map(|i| 1e12 + season(i)).collect();
    let profile = fit(&values, 2);
    assert!((profile.at(150) - profile.at(20) - 5.0).abs() < 1e-3);
}

#[test]
fn one_bad_week_is_masked_but_a_bad_profile_masks_nothing() {
    let noise = |i: usize| ((i * 7919 % 101) as f64 - 50.0) / 50.0;
    let mut values: Vec<f64> =
        (0..2 * SLOTS_PER_WEEK).map(|i| season(i) + 0.5 * noise(i)).collect();
    for value in &mut values[1000..1060] {
        *value += 4.0;
    }
    let slots = slots(values.len());
    let mask = mask_incidents(&values, &slots, 2);
    assert!(mask[1005..1055].iter().all(|&masked| masked));
    assert!(mask.iter().filter(|&&masked| masked).count() < 90);
    let wild: Vec<f64> = values
        .iter()
        .enumerate()
        .map(|(i, x)| x + if (300..1000).contains(&i) || i > 3500 { 4.0 } else { 0.0 })
        .collect();
    assert!(!mask_incidents(&wild, &slots, 2).contains(&true));
    assert_eq!(mask_incidents(&[1.0; 2016], &slots, 1), [false; 2016], "constant");
}

#[test]
fn a_drift_shows_in_rolling_residuals() {
    let values: Vec<f64> = (0..4 * SLOTS_PER_WEEK).map(|i| season(i) + i as f64 / 2016.0).collect();
    let residuals = rolling_origin(&values, &slots(values.len()), 4);
    assert_eq!(residuals.len(), values.len());
    let mut last: Vec<f64> = residuals[3 * SLOTS_PER_WEEK..].to_vec();
    let late = robust::median(&mut last).unwrap();
    assert!((late - 2.0).abs() < 0.3, "a week ahead of the median of three: {late}");
    assert!(rolling_origin(&values[..2000], &slots(2000), 0)[1999].is_finite());
    assert!(rolling_origin(&[f64::NAN; 2016], &slots(2016), 1).iter().all(|r| r.is_nan()));
    assert!(rolling_origin(&[], &[], 4).is_empty());
}
