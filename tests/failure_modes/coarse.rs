//! Series that do not move but jump: flat, quantised, interpolated between buckets, rare.

use grayflag::lab::dirt::{DAY, Fleet, HOUR};
use grayflag::rules::{MinTraffic, Role, Signal};

use super::{all, plan, raise, told};

/// Numbers between 0 and 1 that are the same on every run.
fn chance(i: usize, stream: usize) -> f64 {
    let mut x = (i as u64 * 64 + stream as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 31;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 29;
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

/// One service with one more series, made by block.
fn with(name: &str, role: Role, value: impl Fn(usize) -> f64) -> Fleet {
    let mut fleet = plan(1, 1).fleet();
    fleet.signals.push(Signal::plain(name, role));
    let line = fleet.add(name, 0, &[]);
    line.values.iter_mut().enumerate().for_each(|(block, x)| *x = value(block));
    fleet
}

fn watched(fleet: &Fleet) -> std::ops::Range<usize> {
    fleet.plan.learned()..fleet.plan.blocks()
}

fn about<'a>(told: &'a [String], signal: &str) -> Vec<&'a String> {
    told.iter().filter(|line| line.contains(&format!("\"{signal}\""))).collect()
}

#[test]
fn a_flat_series_may_take_a_small_step_but_not_a_huge_one() {
    let step = plan(1, 1).learned() + 2 * DAY;
    for (height, expected) in [(1.015, false), (2.0, true)] {
        let fleet = with("pool", Role::QueueDepth, |b| if b < step { 40.0 } else { 40.0 * height });
        let lived = fleet.live();
        let told = told(&fleet, &lived, 0, step..step + 6 * HOUR);
        assert_eq!(!about(&told, "pool").is_empty(), expected, "{height}: {:?}", all(&lived));
    }
}

#[test]
fn a_state_that_flips_now_and_then_is_no_incident() {
    // Connections in steps of two, nearly always ten: twelve for ten minutes a few times a day.
    let fleet =
        with("pool", Role::QueueDepth, |b| if chance(b / 2, 1) < 0.03 { 12.0 } else { 10.0 });
    let lived = fleet.live();
    let told = told(&fleet, &lived, 0, watched(&fleet));
    assert!(about(&told, "pool").is_empty(), "{told:?}");
}

#[test]
fn a_quantile_between_the_buckets_of_a_histogram_is_no_incident() {
    // Just below 250 ms, and in the next bucket when the rank crosses the bound.
    let usual = |b: usize| {
        let inside = 0.247 + 0.002 * chance(b, 2);
        if chance(b, 3) < 0.03 { 2.0 * inside } else { inside }
    };
    let fleet = with("p99", Role::Latency, usual);
    let lived = fleet.live();
    let told_of = told(&fleet, &lived, 0, watched(&fleet));
    assert!(about(&told_of, "p99").is_empty(), "{told_of:?}");
    // In the next bucket for good: told.
    let onset = fleet.plan.learned() + 2 * DAY;
    let worse = with("p99", Role::Latency, |b| if b < onset { usual(b) } else { 2.0 * usual(b) });
    let lived = worse.live();
    let told_of = told(&worse, &lived, 0, onset..onset + 6 * HOUR);
    assert!(!about(&told_of, "p99").is_empty(), "{:?}", all(&lived));
}

#[test]
fn a_low_traffic_night_is_no_incident() {
    // Three requests a minute: one that fails is a fifteenth of a block.
    let mut plan = plan(2, 1);
    plan.traffic = 0.05;
    let mut fleet = plan.fleet();
    for signal in fleet.signals.iter_mut().filter(|signal| signal.role != Role::Traffic) {
        let query = "traffic".to_owned();
        signal.min_traffic = Some(MinTraffic { query, at_least: 0.02 });
    }
    let lived = fleet.live();
    assert_eq!(all(&lived), Vec::<String>::new());
}

#[test]
fn two_events_after_weeks_without_any_are_no_incident_and_a_burst_is() {
    let at = plan(1, 1).learned() + 2 * DAY;
    for (count, expected) in [(2, false), (6, true)] {
        let fleet = with("restarts", Role::Restarts, |b| f64::from((at..at + count).contains(&b)));
        let lived = fleet.live();
        let told = told(&fleet, &lived, 0, at..at + 3 * HOUR);
        assert_eq!(!about(&told, "restarts").is_empty(), expected, "{count}: {:?}", all(&lived));
    }
}

#[test]
fn traffic_that_hardly_varies_explains_nothing() {
    let mut fleet = plan(1, 1).fleet();
    for line in fleet.lines_of("traffic", Some(0)) {
        // A constant with a blip every other day.
        line.values.iter_mut().enumerate().for_each(|(b, x)| {
            *x = if b % (2 * DAY) < 3 { 50.0 } else { 40.0 };
        });
    }
    let onset = fleet.plan.learned() + 2 * DAY + 6 * HOUR;
    for line in fleet.lines_of("latency", Some(0)) {
        raise(&mut line.values[onset..onset + 6 * HOUR], 0.8);
    }
    let lived = fleet.live();
    assert!(!told(&fleet, &lived, 0, onset..onset + 2 * HOUR).is_empty(), "{:?}", all(&lived));
}
