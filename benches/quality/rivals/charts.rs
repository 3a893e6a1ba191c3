//! Control charts on what a seasonal baseline leaves over, with its memory taken out.

use std::ops::Range;

use grayflag::rules::Scale;
use grayflag::stats::profile::{ScaleProfile, WeekProfile, mask_incidents, rolling_origin};
use grayflag::stats::robust::{MAD_TO_SIGMA, median, quantiles};

use crate::sets::WEEK;
use crate::stream::Stream;

/// Blocks without judgement after an alarm.
const REFRACTORY: usize = 12;
/// Residuals are limited to this many spreads before and after prewhitening.
const CLIP: f64 = 4.0;
/// Those of the study's bank are limited to so many.
const BANK_CLIP: f64 = 6.0;
/// Half-lives of the study's means, in blocks: half an hour to four hours, and two days.
const BANK: [f64; 4] = [6.0, 12.0, 24.0, 48.0];
/// See [`BANK`].
const SLOW: f64 = 576.0;
/// Blocks before the means have settled.
const WARM_UP: usize = 576;
/// Blocks in a batch from which the long-run spread is taken: three hours.
const BATCH: usize = 36;

fn slots(blocks: &Range<usize>) -> Vec<u16> {
    blocks.clone().map(|block| u16::try_from(block % WEEK).unwrap()).collect()
}

/// Residuals of one fit, in spreads by time of week.
struct Residuals {
    /// Of the four weeks before: each week by what other weeks say.
    past: Vec<f64>,
    /// From the block before the fit to the end of what it judges.
    live: Vec<f64>,
    /// The first of these that is judged.
    from: usize,
}

/// What our own profile and spread by time of week, learned anew every week, leave over; none
/// where there is no profile, with how many blocks are judged then.
fn residuals(stream: &Stream, from: usize, clip: f64) -> Vec<Result<Residuals, usize>> {
    let values: Vec<f64> = match stream.scale {
        Scale::Log => stream.blocks().iter().map(|x| x.ln()).collect(),
        _ => stream.blocks(),
    };
    let of = |(history, judged): (Range<usize>, Range<usize>)| {
        let mut past = values[history.clone()].to_vec();
        let past_slots = slots(&history);
        let weeks = history.len() / WEEK;
        let bad = mask_incidents(&values[history.clone()], &past_slots, weeks);
        for (value, _) in past.iter_mut().zip(bad).filter(|(_, bad)| *bad) {
            *value = f64::NAN;
        }
        let errors = rolling_origin(&past, &past_slots, weeks);
        let profile = WeekProfile::fit(&past, &past_slots, weeks);
        let (Some(profile), Some(scale)) = (profile, ScaleProfile::fit(&errors, &past_slots))
        else {
            return Err(judged.len());
        };
        let units = |errors: &[f64], slots: &[u16]| -> Vec<f64> {
            let scaled = errors.iter().zip(slots).map(|(e, &slot)| e / scale.at(slot));
            scaled.map(|z| if z.is_nan() { z } else { z.clamp(-clip, clip) }).collect()
        };
        // One block more, for the memory of the first.
        let seen = history.end - 1..judged.end;
        let live_slots = slots(&seen);
        let live = units(&profile.residuals(&values[seen], &live_slots), &live_slots);
        let past = units(&errors, &past_slots);
        Ok(Residuals { past, live, from: judged.start + 1 - history.end })
    };
    stream.refits(from).into_iter().map(of).collect()
}

/// Prewhitened residuals in units of their long-run spread: a first-order autoregression, then
/// batch means, learned anew with every fit.
pub(crate) fn whitened(stream: &Stream, from: usize) -> Vec<f64> {
    let mut path = Vec::with_capacity(stream.len() - from);
    for fit in residuals(stream, from, CLIP) {
        let fit = match fit {
            Ok(fit) => fit,
            Err(blocks) => {
                path.extend(std::iter::repeat_n(f64::NAN, blocks));
                continue;
            }
        };
        let memory = memory(&fit.past);
        let spread = long_run(&prewhiten(&fit.past, memory));
        path.extend(prewhiten(&fit.live, memory)[fit.from..].iter().map(|u| u / spread));
    }
    path
}

/// The highest of the study's four means less the slow one, each in units of its spread over the
/// four weeks before.
pub(crate) fn bank(stream: &Stream, from: usize) -> Vec<f64> {
    let mut path = Vec::with_capacity(stream.len() - from);
    for fit in residuals(stream, from, BANK_CLIP) {
        let fit = match fit {
            Ok(fit) => fit,
            Err(blocks) => {
                path.extend(std::iter::repeat_n(f64::NAN, blocks));
                continue;
            }
        };
        let learned = fit.past.len();
        let means = means(&[fit.past.as_slice(), &fit.live[1..]].concat());
        let spreads = means.each_ref().map(|mean| tails(&mean[WARM_UP..learned]));
        let score = |block: usize| {
            let scores = means.iter().zip(spreads).map(|(mean, spread)| mean[block] / spread);
            scores.fold(f64::NEG_INFINITY, f64::max)
        };
        path.extend((learned + fit.from - 1..means[0].len()).map(score));
    }
    path
}

/// The four means less the slow one, which follows no value by more than three.
fn means(z: &[f64]) -> [Vec<f64>; 4] {
    let weight = |half_life: f64| 1.0 - 0.5_f64.powf(1.0 / half_life);
    let (mut fast, mut slow) = ([0.0; 4], 0.0_f64);
    let mut paths = [const { Vec::new() }; 4];
    for &x in z {
        if x.is_finite() {
            slow += weight(SLOW) * (x.clamp(slow - 3.0, slow + 3.0) - slow);
            for (mean, half_life) in fast.iter_mut().zip(BANK) {
                *mean += weight(half_life) * (x - *mean);
            }
        }
        for (path, mean) in paths.iter_mut().zip(fast) {
            path.push(mean - slow);
        }
    }
    paths
}

/// Half of what the middle two thirds span, or what nine tenths of a normal one would, if that is
/// more.
fn tails(path: &[f64]) -> f64 {
    let Some([q05, q16, q84, q95]) = quantiles(&mut path.to_vec(), [0.05, 0.16, 0.84, 0.95]) else {
        return f64::NAN;
    };
    ((q84 - q16) / 2.0).max((q95 - q05) / 3.29)
}

/// Lag-1 autocorrelation around zero, between 0 and 0.95.
fn memory(z: &[f64]) -> f64 {
    let pairs = z.windows(2).filter(|pair| pair.iter().all(|x| x.is_finite()));
    let (products, squares) =
        pairs.fold((0.0, 0.0), |(p, s), pair| (p + pair[0] * pair[1], s + pair[0] * pair[0]));
    if squares > 0.0 { (products / squares).clamp(0.0, 0.95) } else { 0.0 }
}

fn prewhiten(z: &[f64], memory: f64) -> Vec<f64> {
    let scale = (1.0 - memory * memory).sqrt();
    (0..z.len())
        .map(|i| {
            let before = i.checked_sub(1).map_or(f64::NAN, |i| z[i]);
            let new = if before.is_nan() { z[i] } else { (z[i] - memory * before) / scale };
            if new.is_nan() { new } else { new.clamp(-CLIP, CLIP) }
        })
        .collect()
}

/// The spread that means of many blocks point to, per block; at least 1.
fn long_run(u: &[f64]) -> f64 {
    let mut means: Vec<f64> = u
        .chunks_exact(BATCH)
        .filter_map(|batch| {
            let seen: Vec<f64> = batch.iter().copied().filter(|x| x.is_finite()).collect();
            (seen.len() > BATCH / 2).then(|| seen.iter().sum::<f64>() / seen.len() as f64)
        })
        .collect();
    if means.len() < 20 {
        return 1.0;
    }
    let Some(middle) = median(&mut means) else { return 1.0 };
    let mut off: Vec<f64> = means.iter().map(|mean| (mean - middle).abs()).collect();
    let spread = MAD_TO_SIGMA * median(&mut off).unwrap_or(0.0);
    (spread * spread * BATCH as f64).max(1.0).sqrt()
}

/// Page's cumulative sum for rises.
pub(crate) fn cusum(path: &[f64], allowance: f64, threshold: f64) -> Vec<usize> {
    let (mut sum, mut alarms, mut resume) = (0.0_f64, Vec::new(), 0);
    for (block, &x) in path.iter().enumerate() {
        if x.is_nan() || block < resume {
            continue;
        }
        sum = (sum + x - allowance).max(0.0);
        if sum > threshold {
            alarms.push(block);
            (sum, resume) = (0.0, block + 1 + REFRACTORY);
        }
    }
    alarms
}

/// The likelihood ratio of "the mean has been above zero since some block" against "it is zero",
/// maximised over the block and the mean. Only blocks on the lower convex hull of the cumulative
/// sum can be the best one for any mean: that is the functional pruning.
pub(crate) fn focus(path: &[f64], threshold: f64) -> Vec<usize> {
    let (mut alarms, mut resume) = (Vec::new(), 0);
    let (mut n, mut sum) = (0.0, 0.0);
    // Where a change may have begun: blocks seen before it, and their sum.
    let mut starts: Vec<(f64, f64)> = vec![(0.0, 0.0)];
    for (block, &x) in path.iter().enumerate() {
        if x.is_nan() || block < resume {
            continue;
        }
        n += 1.0;
        sum += x;
        let ratio = starts.iter().map(|&(before, then): &(f64, f64)| {
            let rise: f64 = sum - then;
            if rise > 0.0 { 0.5 * rise * rise / (n - before) } else { 0.0 }
        });
        if ratio.fold(0.0, f64::max) > threshold {
            alarms.push(block);
            (n, sum, resume) = (0.0, 0.0, block + 1 + REFRACTORY);
            starts = vec![(0.0, 0.0)];
            continue;
        }
        // A later start with a lower sum is better for every mean above zero.
        while starts.last().is_some_and(|&(_, then)| sum <= then) {
            starts.pop();
        }
        while let [.., (n0, s0), (n1, s1)] = starts[..]
            && (s1 - s0) * (n - n1) >= (sum - s1) * (n1 - n0)
        {
            starts.pop();
        }
        starts.push((n, sum));
    }
    alarms
}
