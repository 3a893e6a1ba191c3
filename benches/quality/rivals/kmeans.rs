//! Anomaly bits as Netdata makes them: two means over short stretches of smoothed first
//! differences, eighteen models trained every three hours on six, and all must find a sample
//! strange. Netdata looks every second; here it gets what there is.

use super::held;
use crate::stream::Stream;

/// Differences that make a feature.
const LAGS: usize = 6;
/// Samples that a difference is smoothed over.
const SMOOTH: usize = 3;
/// Samples that a model is trained on, and how often one is.
const WINDOW: usize = 360;
const EVERY: usize = 180;
const MODELS: usize = 18;
const ITERATIONS: usize = 15;
/// An alarm is five strange samples among the last fifteen.
const BITS: usize = 5;
const RECENT: usize = 15;

type Feature = [f64; LAGS];

struct Model {
    centres: [Feature; 2],
    low: f64,
    high: f64,
}

fn distance(a: &Feature, b: &Feature) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

impl Model {
    /// Two means, begun at the calmest and the wildest sample: no chance in it.
    fn train(features: &[Feature]) -> Self {
        let size = |f: &Feature| distance(f, &[0.0; LAGS]);
        let calmest = features.iter().copied().min_by(|a, b| size(a).total_cmp(&size(b)));
        let wildest = features.iter().copied().max_by(|a, b| size(a).total_cmp(&size(b)));
        let mut centres = [calmest.unwrap_or_default(), wildest.unwrap_or_default()];
        for _ in 0..ITERATIONS {
            let (mut sums, mut counts) = ([[0.0; LAGS]; 2], [0.0_f64; 2]);
            for feature in features {
                let far = distance(feature, &centres[0]) > distance(feature, &centres[1]);
                counts[usize::from(far)] += 1.0;
                for (sum, x) in sums[usize::from(far)].iter_mut().zip(feature) {
                    *sum += x;
                }
            }
            for ((centre, sum), count) in centres.iter_mut().zip(sums).zip(counts) {
                if count > 0.0 {
                    *centre = sum.map(|x| x / count);
                }
            }
        }
        let mut model = Self { centres, low: 0.0, high: 1.0 };
        let distances = features.iter().map(|feature| model.distance(feature));
        let (low, high) =
            distances.fold((f64::MAX, f64::MIN), |(low, high), d| (low.min(d), high.max(d)));
        (model.low, model.high) = (low, high);
        model
    }

    fn distance(&self, feature: &Feature) -> f64 {
        0.5 * (distance(feature, &self.centres[0]) + distance(feature, &self.centres[1]))
    }

    /// 1 is as far as anything in training. Netdata stops there; a threshold above it is what
    /// fewer false alarms need.
    fn score(&self, feature: &Feature) -> f64 {
        (self.distance(feature) - self.low).abs() / (self.high - self.low).max(1e-12)
    }
}

/// How strange the fifth strangest of the last fifteen samples was to the mildest model.
pub(crate) fn path(stream: &Stream, from: usize) -> Vec<f64> {
    let per = stream.per_block;
    let first = from * per;
    let warm = first.saturating_sub(MODELS * EVERY + WINDOW + 2 * EVERY) / EVERY * EVERY;
    let features = features(&stream.samples[warm..]);
    let mut models: Vec<Model> = Vec::new();
    let mut trained = 0;
    let mut scores = vec![f64::NAN; features.len()];
    for now in (WINDOW + LAGS + SMOOTH)..features.len() {
        if (now + warm).is_multiple_of(EVERY) {
            let model = Model::train(&features[now - WINDOW..now]);
            if models.len() < MODELS {
                models.push(model);
            } else {
                models[trained % MODELS] = model;
            }
            trained += 1;
        }
        if now + warm + RECENT >= first && !stream.samples[now + warm].is_nan() {
            let each = models.iter().map(|model| model.score(&features[now]));
            scores[now] = each.fold(f64::NAN, f64::min);
        }
    }
    let fifth: Vec<f64> = (0..scores.len())
        .map(|now| {
            let recent = &scores[(now + 1).saturating_sub(RECENT)..=now];
            let mut recent: Vec<f64> = recent.iter().copied().filter(|x| !x.is_nan()).collect();
            recent.sort_unstable_by(|a, b| b.total_cmp(a));
            recent.get(BITS - 1).copied().unwrap_or(f64::NAN)
        })
        .collect();
    held(stream, from, &fifth, 1)
}

/// Smoothed first differences, the newest six for each sample; a gap repeats what was last seen.
fn features(samples: &[f64]) -> Vec<Feature> {
    let mut last = samples.iter().copied().find(|x| x.is_finite()).unwrap_or(0.0);
    let differences: Vec<f64> = samples
        .iter()
        .map(|&x| {
            let before = last;
            if x.is_finite() {
                last = x;
            }
            last - before
        })
        .collect();
    let smooth = |i: usize| {
        let from = (i + 1).saturating_sub(SMOOTH);
        differences[from..=i].iter().sum::<f64>() / SMOOTH as f64
    };
    let smoothed: Vec<f64> = (0..differences.len()).map(smooth).collect();
    let at = |i: usize| std::array::from_fn(|lag| i.checked_sub(lag).map_or(0.0, |i| smoothed[i]));
    (0..smoothed.len()).map(at).collect()
}
