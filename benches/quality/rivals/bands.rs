//! Bands: a value above its band for five minutes alerts. The threshold is the band's multiplier.

use std::collections::VecDeque;

use super::held;
use crate::sets::WEEK;
use crate::stream::Stream;

/// Samples before the first judged block that a running `for` may look at.
const HOLD_BLOCKS: usize = 6;

/// Counts, sums and sums of squares, for a mean and a spread.
#[derive(Clone, Copy, Default)]
struct Moments(f64, f64, f64);

impl Moments {
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.0 += 1.0;
            self.1 += value;
            self.2 += value * value;
        }
    }

    fn score(&self, value: f64) -> f64 {
        let mean = self.1 / self.0;
        let spread = (self.2 / self.0 - mean * mean).max(0.0).sqrt();
        if spread > 0.0 { (value - mean) / spread } else { f64::NAN }
    }
}

fn learned(stream: &Stream, from: usize, cell: fn(usize) -> usize, cells: usize) -> Vec<f64> {
    let per = stream.per_block;
    let start = from.saturating_sub(HOLD_BLOCKS).max(stream.learn);
    let mut scores = Vec::with_capacity((stream.len() - start) * per);
    for (history, judged) in stream.refits(start) {
        let mut fits = vec![Moments::default(); cells];
        for i in history.start * per..history.end * per {
            fits[cell(i / per)].add(stream.samples[i]);
        }
        let judged = judged.start * per..judged.end * per;
        scores.extend(judged.map(|i| fits[cell(i / per)].score(stream.samples[i])));
    }
    held(stream, from, &scores, per)
}

/// A static threshold as people set it: mean and spread of four weeks.
pub(crate) fn fixed(stream: &Stream, from: usize) -> Vec<f64> {
    learned(stream, from, |_| 0, 1)
}

/// Mean and spread of four weeks by hour of the week.
pub(crate) fn seasonal(stream: &Stream, from: usize) -> Vec<f64> {
    learned(stream, from, |block| block % WEEK / 12, 168)
}

/// The bands of Grafana's rules over one series, tick by tick.
pub(crate) trait Bands {
    /// Takes in a tick, NaN where there is no value; says how many times the rule's own widths
    /// the level is above all of its bands, and below all of them.
    fn push(&mut self, value: f64) -> [f64; 2];

    /// Takes in a tick that is too old to be judged: only what later ones look back at.
    fn recall(&mut self, value: f64) {
        self.push(value);
    }
}

/// Centre and width of a band on both sides.
type Band = (f64, f64);
const NONE: Band = (f64::NAN, f64::NAN);
/// Standard deviations, and median absolute deviations, on each side.
const MULTIPLIER: f64 = 2.0;
/// Share of the middle line that the bands are apart from it at least.
const MARGIN: f64 = 0.5;
/// Below this ratio to the mean the standard deviation of an hour is not used.
const COVARIATION: f64 = 0.5;
/// A value is the latest of so many ticks.
const STALE: u32 = 2;
/// Hours by which the seasonal bands look back: a week and a day, in quarters of an hour.
const ADAPTIVE_BACK: [usize; 2] = [167 * 4 + 2, 23 * 4 + 2];
const ROBUST_BACK: [usize; 2] = [167 * 4 + 3, 23 * 4 + 3];

/// How far a level is beyond all bands; one that is missing does not count.
fn beyond(level: f64, bands: &[Band]) -> [f64; 2] {
    let multiple = |beyond: f64, width: f64| {
        if width > 0.0 {
            beyond / width
        } else if beyond > 0.0 {
            f64::INFINITY
        } else {
            f64::NEG_INFINITY
        }
    };
    let known = || bands.iter().filter(|(centre, width)| centre.is_finite() && width.is_finite());
    let least = |side: f64| {
        let multiples = known().map(|(centre, width)| multiple(side * (level - centre), *width));
        if level.is_nan() { f64::NAN } else { multiples.fold(f64::NAN, f64::min) }
    };
    [least(1.0), least(-1.0)]
}

/// grafana/promql-anomaly-detection, `rules/adaptive.yml`: an hour's mean, plus and minus twice
/// the mean over 26 hours of those hourly spreads that exceed half of the mean, or half of the
/// mean, or the bands of half an hour from now a day and a week ago.
#[derive(Clone, Debug)]
pub(crate) struct Adaptive {
    ticks: usize,
    per_hour: usize,
    hour: Middle,
    /// Standard deviations of an hour that were large, of 26 hours.
    large: VecDeque<f64>,
    large_sum: (f64, u32),
    /// Mean and standard deviation of the hours so far, newest last.
    past: VecDeque<Band>,
    /// Seasonal bands as last evaluated, every five minutes.
    seasons: [Band; 2],
    /// The latest value, and how many ticks ago it was.
    last: (f64, u32),
}

impl Adaptive {
    pub(crate) fn new(per_hour: usize) -> Self {
        Self {
            ticks: 0,
            per_hour,
            hour: Middle::new(per_hour),
            large: VecDeque::new(),
            large_sum: (0.0, 0),
            past: VecDeque::new(),
            seasons: [NONE; 2],
            last: (f64::NAN, STALE),
        }
    }

    fn smooth(&mut self, sd: f64) {
        self.large.push_back(sd);
        if sd.is_finite() {
            self.large_sum = (self.large_sum.0 + sd, self.large_sum.1 + 1);
        }
        if self.large.len() > 26 * self.per_hour
            && let Some(old) = self.large.pop_front().filter(|old| old.is_finite())
        {
            self.large_sum = (self.large_sum.0 - old, self.large_sum.1 - 1);
        }
    }
}

impl Bands for Adaptive {
    fn push(&mut self, value: f64) -> [f64; 2] {
        let value = selected(value);
        self.last = if value.is_nan() { (self.last.0, self.last.1 + 1) } else { (value, 0) };
        let level = if self.last.1 < STALE { self.last.0 } else { f64::NAN };
        self.hour.push(value);
        let (mean, sd) = self.hour.moments();
        self.smooth(if sd > mean * COVARIATION { sd } else { f64::NAN });
        let backs = ADAPTIVE_BACK.map(|quarters| quarters * self.per_hour / 4);
        remember(&mut self.past, (mean, sd), backs[0]);
        if self.ticks.is_multiple_of(self.per_hour / 12) {
            self.seasons =
                backs.map(|back| ago(&self.past, back).map_or(NONE, |(m, s)| (m, MULTIPLIER * s)));
        }
        self.ticks += 1;
        let short = MULTIPLIER * self.large_sum.0 / f64::from(self.large_sum.1);
        let [week, day] = self.seasons;
        beyond(level, &[(mean, short), (mean, MARGIN * mean), week, day])
    }
}

/// The same, `rules/robust.yml`: an hour's median against a day's median plus and minus twice the
/// day's median deviation, or half of the median, or the bands of an hour a day and a week ago.
#[derive(Clone, Debug)]
pub(crate) struct Robust {
    ticks: usize,
    per_hour: usize,
    hour: Middle,
    day: Middle,
    deviation: Middle,
    /// Value and median of the hours so far, newest last.
    past: VecDeque<(f64, f64)>,
    /// Deviations from the seasonal medians, one per five minutes.
    seasonal: [Middle; 2],
    seasons: [Band; 2],
}

impl Robust {
    pub(crate) fn new(per_hour: usize) -> Self {
        Self {
            ticks: 0,
            per_hour,
            hour: Middle::new(per_hour),
            day: Middle::new(24 * per_hour),
            deviation: Middle::new(24 * per_hour),
            past: VecDeque::new(),
            seasonal: [Middle::new(12), Middle::new(12)],
            seasons: [NONE; 2],
        }
    }
}

impl Bands for Robust {
    fn push(&mut self, value: f64) -> [f64; 2] {
        self.recall(value);
        let value = selected(value);
        self.day.push(value);
        let middle = self.day.median();
        self.deviation.push((value - middle).abs());
        let width = MULTIPLIER * self.deviation.median();
        let [week, day] = self.seasons;
        beyond(self.hour.median(), &[(middle, width), (middle, MARGIN * middle), week, day])
    }

    fn recall(&mut self, value: f64) {
        let value = selected(value);
        self.hour.push(value);
        let backs = ROBUST_BACK.map(|quarters| quarters * self.per_hour / 4);
        remember(&mut self.past, (value, self.hour.median()), backs[0]);
        if self.ticks.is_multiple_of(self.per_hour / 12) {
            for (n, back) in backs.into_iter().enumerate() {
                self.seasons[n] = ago(&self.past, back).map_or(NONE, |(value, median)| {
                    self.seasonal[n].push((value - median).abs());
                    (median, MULTIPLIER * self.seasonal[n].median())
                });
            }
        }
        self.ticks += 1;
    }
}

/// The rules select what is above zero.
fn selected(value: f64) -> f64 {
    if value > 0.0 { value } else { f64::NAN }
}

/// Adds the newest, and forgets what lies farther back than this.
fn remember<T>(past: &mut VecDeque<T>, newest: T, back: usize) {
    past.push_back(newest);
    if past.len() > back + 1 {
        past.pop_front();
    }
}

fn ago<T: Copy>(past: &VecDeque<T>, back: usize) -> Option<T> {
    past.len().checked_sub(back + 1).map(|place| past[place])
}

/// The newest values, in order of time and of size.
#[derive(Clone, Debug)]
struct Middle {
    window: usize,
    values: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Middle {
    fn new(window: usize) -> Self {
        Self { window, values: VecDeque::new(), sorted: Vec::new() }
    }

    fn push(&mut self, value: f64) {
        self.values.push_back(value);
        if value.is_finite() {
            let place = self.sorted.partition_point(|v| *v < value);
            self.sorted.insert(place, value);
        }
        if self.values.len() > self.window
            && let Some(old) = self.values.pop_front().filter(|old| old.is_finite())
        {
            let place = self.sorted.partition_point(|v| *v < old);
            self.sorted.remove(place);
        }
    }

    fn median(&self) -> f64 {
        let n = self.sorted.len();
        if n == 0 {
            return f64::NAN;
        }
        f64::midpoint(self.sorted[(n - 1) / 2], self.sorted[n / 2])
    }

    /// Mean and standard deviation of the population, as PromQL has it.
    fn moments(&self) -> (f64, f64) {
        let n = self.sorted.len() as f64;
        let mean = self.sorted.iter().sum::<f64>() / n;
        let square = self.sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        (mean, square.sqrt())
    }
}

/// Blocks before the first judged one from which on the seasonal bands, and a day's bands of a
/// day's deviations, know everything they look back at.
const SEASONS_WARM: usize = WEEK + 400;
const DAYS_WARM: usize = 600;

/// A band's path upwards: how far the level was above it for five minutes. All multipliers scale
/// together.
fn above(stream: &Stream, from: usize, mut bands: impl Bands) -> Vec<f64> {
    let per = stream.per_block;
    let warm = from.saturating_sub(SEASONS_WARM) * per;
    let recent = from.saturating_sub(DAYS_WARM) * per;
    for &value in &stream.samples[warm..recent] {
        bands.recall(value);
    }
    let judged = &stream.samples[recent..stream.len() * per];
    let scores: Vec<f64> = judged.iter().map(|&value| bands.push(value)[0]).collect();
    held(stream, from, &scores, per)
}

/// Grafana's adaptive bands at one evaluation a sample.
pub(crate) fn adaptive(stream: &Stream, from: usize) -> Vec<f64> {
    above(stream, from, Adaptive::new(12 * stream.per_block))
}

/// Grafana's robust bands likewise.
pub(crate) fn robust(stream: &Stream, from: usize) -> Vec<f64> {
    above(stream, from, Robust::new(12 * stream.per_block))
}
