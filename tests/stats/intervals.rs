//! Ranges that are told hold the truth as often as they should.

use grayflag::stats::onset::Onset;
use grayflag::stats::trend::theil_sen;

use crate::random::Random;

/// How often the onset's range holds the true onset, for a move that `shape` gives, in σ,
/// by blocks since then.
fn onset_coverage(memory: f64, shape: impl Fn(f64) -> f64) -> f64 {
    let (runs, start) = (300, 500);
    let held = (0..runs).filter(|&seed| {
        let (mut random, mut ar) = (Random::seeded(seed), 0.0);
        let mut onset = Onset::default();
        for block in 0..1500_i64 {
            ar = memory * ar + (1.0 - memory * memory).sqrt() * random.normal();
            let moved = block >= start;
            let x = ar + if moved { shape((block - start) as f64) } else { 0.0 };
            onset.update(x, f64::NAN, block);
            if moved && onset.evidence() > 30.0 {
                break;
            }
        }
        let (first, last) = onset.range().unwrap();
        first <= start && start <= last
    });
    held.count() as f64 / runs as f64
}

#[test]
fn the_onsets_range_holds_the_onset() {
    // Per hour, in σ of a block; memory .6 and .8 are what real series have.
    for (memory, step, drift) in [(0.6, 0.9, 0.85), (0.8, 0.8, 0.7)] {
        for size in [1.0, 2.0, 4.0] {
            let coverage = onset_coverage(memory, |_| size);
            println!("memory {memory} step {size}: {coverage:.2}");
            assert!(coverage >= step, "{coverage} of steps of {size} at memory {memory}");
        }
        for slope in [0.5, 1.0, 2.0] {
            let coverage = onset_coverage(memory, |blocks| (slope * blocks / 12.0).min(6.0));
            println!("memory {memory} drift {slope}: {coverage:.2}");
            assert!(coverage >= drift, "{coverage} of drifts of {slope} at memory {memory}");
        }
    }
}

/// How far the told onset of a move is from the true one, in blocks (the middle and the mean of
/// many), and how often the range holds it: an hour and a half into the move.
fn onset_errors(memory: f64, shape: impl Fn(f64) -> f64) -> [f64; 3] {
    let (runs, start) = (300, 500);
    let (mut held, mut apart) = (0, Vec::new());
    for seed in 0..runs {
        let (mut random, mut ar) = (Random::seeded(seed), 0.0);
        let mut onset = Onset::default();
        for block in 0..start + 18 {
            ar = memory * ar + (1.0 - memory * memory).sqrt() * random.normal();
            let moved = if block >= start { shape((block - start) as f64) } else { 0.0 };
            onset.update((ar + moved).clamp(-6.0, 6.0), f64::NAN, block);
        }
        let (first, last) = onset.range().unwrap();
        held += i32::from(first <= start && start <= last);
        apart.push((onset.since().unwrap() - start).abs() as f64);
    }
    apart.sort_by(f64::total_cmp);
    let mean = apart.iter().sum::<f64>() / runs as f64;
    [apart[apart.len() / 2], mean, f64::from(held) / runs as f64]
}

#[test]
fn the_onset_of_a_large_move_is_told_to_the_block() {
    // One sum, with an allowance of half a σ, tells steps 2, 6 and 26 blocks too early on average.
    for (memory, mean_max) in [(0.0, 1.0), (0.6, 3.0), (0.9, 8.0)] {
        for size in [6.0, 10.0] {
            let [middle, mean, held] = onset_errors(memory, |_| size);
            println!("memory {memory} step {size}: {middle} {mean:.1} {held:.2}");
            assert!(middle <= 1.0 && mean <= mean_max, "{middle} {mean}");
            assert!(held >= 0.85, "{held} of steps of {size} at memory {memory}");
        }
        let [middle, _, held] = onset_errors(memory, |_| 3.0);
        assert!(middle <= 1.0 && held >= 0.8, "{middle} {held} of steps of 3 at memory {memory}");
        for slope in [0.5, 1.0] {
            let [middle, mean, held] = onset_errors(memory, |blocks| slope * (blocks + 1.0));
            println!("memory {memory} ramp {slope}: {middle} {mean:.1} {held:.2}");
            assert!(middle <= 4.0 && held >= 0.85, "{middle} {held}");
        }
    }
}

#[test]
fn the_time_to_a_limit_is_held_by_its_interval() {
    // Nominally 80 %; the study measured 79 to 86 % at these slopes, hours seen and hours left.
    for (memory, slope, seen, left) in
        [(0.5_f64, 0.5, 8, 24.0), (0.8, 0.5, 8, 24.0), (0.5, 0.2, 12, 12.0), (0.8, 1.0, 6, 6.0)]
    {
        let runs = 300;
        let held = (0..runs).filter(|&seed| {
            let (mut random, mut ar) = (Random::seeded(seed), 0.0);
            let points: Vec<(f64, f64)> = (0..2 * seen)
                .map(|half_hour| {
                    let mean: f64 = (0..6)
                        .map(|block| {
                            ar = memory * ar + (1.0 - memory * memory).sqrt() * random.heavy();
                            slope * f64::from(half_hour * 6 + block) / 12.0 + ar
                        })
                        .sum();
                    (f64::from(half_hour) / 2.0 + 5.0 / 24.0, mean / 6.0)
                })
                .collect();
            let now = points.last().unwrap().0;
            let limit = slope * (now + left);
            match theil_sen(&points).unwrap().time_to(limit) {
                Some((_, earliest, latest)) => {
                    earliest <= left && latest.is_none_or(|latest| left <= latest)
                }
                None => false,
            }
        });
        let coverage = held.count() as f64 / runs as f64;
        println!("memory {memory} slope {slope} seen {seen} h: {coverage:.2}");
        assert!((0.7..0.97).contains(&coverage), "{coverage} at slope {slope}");
    }
}
