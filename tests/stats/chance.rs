//! How often chance alone looks like a climb or a knee.

use grayflag::stats::climb::climb;
use grayflag::stats::knee::knee;

use crate::random::Random;

const ROUNDS: u64 = 1_000;

/// Autocorrelated noise, one value after the other.
fn noise(random: &mut Random, memory: f64) -> impl FnMut() -> f64 {
    let mut state = random.normal();
    move || {
        state = memory * state + (1.0 - memory * memory).sqrt() * random.normal();
        state
    }
}

/// Of a thousand windows of half hours with nothing in them, how many climb.
fn climbs(points: u32, memory: f64, slope: f64) -> usize {
    let steady = |seed: &u64| {
        let mut random = Random::seeded(*seed);
        let mut noise = noise(&mut random, memory);
        let points: Vec<(f64, f64)> =
            (0..points).map(|i| f64::from(i) / 2.0).map(|t| (t, slope * t + noise())).collect();
        climb(&[points]).is_some_and(|climb| climb.is_steady())
    };
    (0..ROUNDS).filter(steady).count()
}

#[test]
fn noise_hardly_ever_climbs_and_climbs_are_found() {
    for (points, memory) in [(12, 0.0), (12, 0.6), (48, 0.0), (48, 0.6), (48, 0.9)] {
        let (still, rising) = (climbs(points, memory, 0.0), climbs(points, memory, 0.6));
        println!("{points} points, memory {memory}: {still} of {ROUNDS}, climbing {rising}");
        assert!(still <= 25, "{points} points, memory {memory}: {still} of {ROUNDS}");
        // Fourteen standard deviations over a day; what wanders for hours hides even that.
        assert!(
            points < 48 || memory > 0.8 || rising >= 900,
            "{points} points, memory {memory}: {rising}"
        );
    }
}

#[test]
fn a_straight_line_hardly_ever_has_a_knee() {
    for memory in [0.0, 0.5, 0.9] {
        let clear = |bend: f64| {
            let is_clear = |seed: &u64| {
                let mut random = Random::seeded(*seed + 10_000);
                let mut noise = noise(&mut random, memory);
                let load = |i: u32| 1.0 + 0.5 * (f64::from(i) * std::f64::consts::TAU / 24.0).sin();
                let points: Vec<(f64, f64)> = (0..500)
                    .map(load)
                    .map(|x| (x, x + bend * (x - 1.2).max(0.0) + noise()))
                    .collect();
                knee(&points).is_some_and(|knee| knee.is_clear())
            };
            (0..ROUNDS / 4).filter(is_clear).count()
        };
        let (straight, bent) = (clear(0.0), clear(20.0));
        println!("memory {memory}: {straight} of {} straight, {bent} bent", ROUNDS / 4);
        assert!(straight <= 3, "memory {memory}: {straight}");
        assert!(bent >= 240, "memory {memory}: {bent}");
    }
}
