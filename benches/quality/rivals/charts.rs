//! Control charts on what a seasonal baseline leaves over, with its memory taken out.

use std::ops::Range;

use grayflag::rules::Scale;
use grayflag::stats::profile::{ScaleProfile, WeekProfile, mask_incidents, rolling_origin};
use grayflag::stats::robust::{MAD_TO_SIGMA, median};

use crate::sets::WEEK;
use crate::stream::Stream;

/// Blocks without judgement after an alarm.
const REFRACTORY: usize = 12;
/// Residuals are limited to this many spreads before and after prewhitening.
const CLIP: f64 = 4.0;
/// Blocks in a batch from which the long-run spread is taken: three hours.
const BATCH: usize = 36;

fn slots(blocks: &Range<usize>) -> Vec<u16> {
    blocks.clone().map(|block| u16::try_from(block % WEEK).unwrap()).collect()
}

/// Prewhitened residuals in units of their long-run spread: our own profile and spread by time of
/// week, then a first-order autoregression, then batch means; all learned anew every week.
pub(crate) fn whitened(stream: &Stream, from: usize) -> Vec<f64> {
    let values: Vec<f64> = match stream.scale {
        Scale::Log => stream.blocks().iter().map(|x| x.ln()).collect(),
        _ => stream.blocks(),
    };
    let mut path = Vec::with_capacity(stream.len() - from);
    for (history, judged) in stream.refits(from) {
        let mut past = values[history.clone()].to_vec();
        let past_slots = slots(&history);
        let weeks = history.len() / WEEK;
        for (value, bad) in
            past.iter_mut().zip(mask_incidents(&values[history], &past_slots, weeks))
        {
            if bad {
                *value = f64::NAN;
            }
        }
        let errors = rolling_origin(&past, &past_slots, weeks);
        let profile = WeekProfile::fit(&past, &past_slots, weeks);
        let (Some(profile), Some(scale)) = (profile, ScaleProfile::fit(&errors, &past_slots))
        else {
            path.extend(judged.map(|_| f64::NAN));
            continue;
        };
        let units = |errors: &[f64], slots: &[u16]| -> Vec<f64> {
            let scaled = errors.iter().zip(slots).map(|(e, &slot)| e / scale.at(slot));
            scaled.map(|z| if z.is_nan() { z } else { z.clamp(-CLIP, CLIP) }).collect()
        };
        let z = units(&errors, &past_slots);
        let memory = memory(&z);
        let spread = long_run(&prewhiten(&z, memory));
        // One block more, for the memory of the first.
        let seen = judged.start - 1..judged.end;
        let live_slots = slots(&seen);
        let live = units(&profile.residuals(&values[seen], &live_slots), &live_slots);
        path.extend(prewhiten(&live, memory)[1..].iter().map(|u| u / spread));
    }
    path
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
