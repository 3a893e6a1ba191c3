//! What users would run on the same series, evaluated at every tick over its windows as a rule
//! engine does. Reading and decoding the samples is left out, to their favour.

use std::hint::black_box;
use std::time::Instant;

/// Samples of an hour and of a day at 30 s.
const HOUR: usize = 120;
const DAY: usize = 24 * HOUR;
/// Series, and rounds over them, that are timed.
const SERIES: usize = 20;
const EVALUATIONS: usize = 10;
/// The seasonal groups are evaluated every five minutes: every tenth tick.
const SEASONAL_EVERY: f64 = 10.0;

/// Nanoseconds per series and tick of each rival.
pub(crate) fn measure() -> Vec<(&'static str, f64)> {
    let mut state = 7_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        1.0 + (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let samples: Vec<Vec<f64>> =
        (0..SERIES).map(|_| (0..28 * DAY).map(|_| draw()).collect()).collect();
    vec![
        (
            "Grafana adaptive",
            time(&samples, adaptive) + time(&samples, adaptive_seasons) / SEASONAL_EVERY,
        ),
        (
            "Grafana robust",
            time(&samples, robust) + time(&samples, robust_seasons) / SEASONAL_EVERY,
        ),
        ("seasonal sigma", time(&samples, seasonal)),
    ]
}

fn time(samples: &[Vec<f64>], rule: fn(&[f64]) -> bool) -> f64 {
    let round = |_| {
        let started = Instant::now();
        for series in samples {
            black_box(rule(black_box(series)));
        }
        started.elapsed().as_secs_f64() * 1e9 / samples.len() as f64
    };
    // The quickest: whatever else the machine did is not theirs.
    (0..EVALUATIONS).map(round).fold(f64::INFINITY, f64::min)
}

/// The newest `window` samples as they were `back` samples ago.
fn window(series: &[f64], window: usize, back: usize) -> &[f64] {
    let end = series.len() - back;
    &series[end - window..end]
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// `quantile_over_time(0.5, …)` sorts a copy.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// Grafana's promql-anomaly-detection, `rules/adaptive.yml`: the recorded deviations of 26 hours
/// stand for themselves here.
fn adaptive(series: &[f64]) -> bool {
    let (mean, sd) = moments(window(series, HOUR, 0));
    let recorded = moments(window(series, 26 * HOUR, 0)).0.min(sd);
    series.last().is_some_and(|level| *level > (mean + 2.0 * recorded).max(1.5 * mean))
}

fn adaptive_seasons(series: &[f64]) -> bool {
    let band = |hours_and_half: usize| {
        let (mean, sd) = moments(window(series, HOUR, hours_and_half * HOUR + HOUR / 2));
        mean + 2.0 * sd
    };
    band(167).max(band(23)) > 0.0
}

/// The same, `rules/robust.yml`.
fn robust(series: &[f64]) -> bool {
    let middle = median(window(series, DAY, 0).iter().copied());
    let deviation = median(window(series, DAY, 0).iter().map(|v| (v - middle).abs()));
    let level = median(window(series, HOUR, 0).iter().copied());
    level > (middle + 2.0 * deviation).max(1.5 * middle)
}

fn robust_seasons(series: &[f64]) -> bool {
    let band = |hours: usize| {
        let back = hours * HOUR + 3 * HOUR / 4;
        let middle = median(window(series, HOUR, back).iter().copied());
        let recorded = window(series, 12, back).iter().map(|v| (v - middle).abs());
        middle + 2.0 * median(recorded)
    };
    band(167).max(band(23)) > 0.0
}

/// Mean and deviation of this hour in the last three weeks, as `avg_over_time(… offset 1w)`.
fn seasonal(series: &[f64]) -> bool {
    let weeks = [1, 2, 3].map(|week| moments(window(series, HOUR, week * 7 * DAY - HOUR / 2)));
    let mean = weeks.iter().map(|w| w.0).sum::<f64>() / 3.0;
    let variance = weeks.iter().map(|w| w.1 * w.1 + (w.0 - mean).powi(2)).sum::<f64>() / 3.0;
    series.last().is_some_and(|level| *level > mean + 3.0 * variance.sqrt())
}
