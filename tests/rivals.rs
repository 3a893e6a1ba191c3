//! What the quality benchmark calls a rival is what its paper or rule says.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "../benches/quality/rivals/mod.rs"]
#[expect(dead_code, reason = "the benchmark uses the rest")]
mod rivals;
#[path = "../benches/quality/sets.rs"]
#[expect(dead_code, reason = "the benchmark uses the rest")]
mod sets;
#[path = "../benches/quality/stream.rs"]
#[expect(dead_code, reason = "the benchmark uses the rest")]
mod stream;

use grayflag::rules::Scale;
use rivals::{bands, charts, crossings, kmeans};
use stream::{Shape, Stream};

/// Blocks of two weeks to learn from.
const LEARN: usize = 2 * sets::WEEK;

/// Repeatable numbers around zero.
fn noise(n: usize) -> Vec<f64> {
    let mut state = 7_u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 23) - 1.0
        })
        .collect()
}

/// A value that swings by ±1 around a hundred, block by block, and goes to `then` in the end.
fn stream(live: usize, then: f64) -> Stream {
    let swing = |i: usize| if i.is_multiple_of(2) { 99.0 } else { 101.0 };
    let mut samples: Vec<f64> = (0..LEARN + live).map(swing).collect();
    samples.extend([then; 12]);
    Stream {
        name: "swing".to_owned(),
        samples,
        per_block: 1,
        learn: LEARN,
        scale: Scale::Linear,
        spread: 1.0,
        excused: Vec::new(),
    }
}

#[test]
fn focus_is_the_likelihood_ratio_over_all_starts() {
    let path: Vec<f64> = noise(600)
        .into_iter()
        .enumerate()
        .map(|(i, x)| x + if i > 400 { 0.3 } else { 0.0 })
        .collect();
    let every_start = |end: usize| {
        let ratio = |start: usize| {
            let rise: f64 = path[start..=end].iter().sum();
            0.5 * rise.max(0.0).powi(2) / (end + 1 - start) as f64
        };
        (0..=end).map(ratio).fold(0.0, f64::max)
    };
    let ratios: Vec<f64> = (0..path.len()).map(every_start).collect();
    for threshold in [0.2, 0.5, 1.0, 2.0, 4.0] {
        let first = ratios.iter().position(|&ratio| ratio > threshold);
        assert!(first.is_some(), "{threshold} is reached");
        assert_eq!(charts::focus(&path, threshold).first().copied(), first, "{threshold}");
    }
    assert_eq!(charts::focus(&path, 1e9), [] as [usize; 0]);
}

#[test]
fn a_cumulative_sum_alarms_and_starts_anew_an_hour_later() {
    let path = [1.0; 20];
    // .5, 1, 1.5: beyond 1.2 at the third block; twelve blocks of rest; three more.
    assert_eq!(charts::cusum(&path, 0.5, 1.2), [2, 17]);
    assert_eq!(charts::cusum(&path, 1.0, 0.1), [] as [usize; 0]);
}

#[test]
fn an_episode_is_counted_once_until_an_hour_of_quiet() {
    let mut path = vec![0.0; 40];
    path[3] = 2.0;
    path[10] = 2.0;
    path[30] = 2.0;
    assert_eq!(crossings(&path, 1.0), [3, 30]);
    path[20] = 0.8;
    assert_eq!(crossings(&path, 1.0), [3], "at 0.8 of the threshold it is not over");
}

#[test]
fn bands_count_in_their_own_widths() {
    let stream = stream(2 * sets::WEEK, 200.0);
    let last = |path: Vec<f64>| path.last().copied().unwrap();
    // The spread of the history is 1, the mean 100.
    assert!((last(bands::fixed(&stream, LEARN)) - 100.0).abs() < 1e-6);
    // An hour of 200 is its own mean and median: Grafana's adaptive rule follows it.
    assert!(last(bands::adaptive(&stream, LEARN)) < 0.5);
    // The day's median is still about 100, half of it the width; the level is 200.
    assert!((last(bands::robust(&stream, LEARN)) - 2.0).abs() < 0.1);
    // The hour of the week has both values in the history.
    assert!(last(bands::seasonal(&stream, LEARN)) > 50.0);
}

#[test]
fn a_path_from_the_middle_is_the_rest_of_the_whole_path() {
    let minutes = noise(4 * sets::WEEK);
    let mut stream = stream(2 * sets::WEEK - 12, 100.0);
    for (value, noise) in stream.samples.iter_mut().zip(&minutes) {
        *value += noise;
    }
    let from = LEARN + sets::WEEK + 500;
    for rival in rivals::RIVALS.into_iter().chain([rivals::STUDY]) {
        let whole = (rival.path)(&stream, LEARN);
        let rest = (rival.path)(&stream, from);
        assert_eq!(rest.len(), stream.len() - from, "{}", rival.name);
        for (a, b) in whole[from - LEARN..].iter().zip(&rest) {
            let same = (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-6 * a.abs().max(1.0);
            assert!(same, "{}: {a} {b}", rival.name);
        }
    }
}

#[test]
fn differences_do_not_see_a_slow_ramp() {
    let mut calm = stream(sets::WEEK, 100.0);
    for (value, noise) in calm.samples.iter_mut().zip(noise(4 * sets::WEEK)) {
        *value += noise;
    }
    let at = LEARN + 100;
    let ramp = calm.with(at, Shape::Ramp(0.2));
    let highest =
        |stream: &Stream| kmeans::path(stream, at).into_iter().take(864).fold(f64::MIN, f64::max);
    assert!(highest(&ramp) < 1.2 * highest(&calm).max(1.0));
}
