//! From a rate of false alarms to a threshold: the tail of past peaks.

use serde::{Deserialize, Serialize};

/// A cluster of high values is over once the path stays below this share of its peak …
pub const REARM: f64 = 0.7;

/// … for this many blocks: an hour.
pub const QUIET_BLOCKS: usize = 12;

/// The tail is fitted to this many of the largest peaks per week.
const PEAKS_PER_WEEK: f64 = 5.0;

/// Fewer exceedances than this cannot tell a tail.
const PEAKS_MIN: usize = 4;

/// A tail thinner than this is taken for rounding.
const SCALE_MIN: f64 = 1e-3;

/// The cluster maxima of `path`.
///
/// A cluster ends when the path has stayed below `rearm` times its peak for `quiet_blocks`
/// blocks in a row: the same rule by which an alarm re-arms, so that peaks count alarms. A
/// cluster that the path's end cuts off is left out.
///
/// # Unit
/// That of the path.
///
/// # Abstains
/// Empty for a path without values; NaN blocks are skipped.
///
/// # Cost
/// O(n).
///
/// # Source
/// Runs declustering: Smith and Weissman (1994), JRSS B 56(3):515–528, with a level that follows
/// the peak.
pub fn peaks(path: &[f64], rearm: f64, quiet_blocks: usize) -> Vec<f64> {
    let mut maxima = Vec::new();
    let mut peak = f64::NEG_INFINITY;
    let mut quiet = 0;
    for &value in path.iter().filter(|value| value.is_finite()) {
        if value > peak {
            (peak, quiet) = (value, 0);
        } else if value < rearm * peak {
            quiet += 1;
        } else {
            quiet = 0;
        }
        if quiet >= quiet_blocks.max(1) {
            maxima.push(peak);
            (peak, quiet) = (value, 0);
        }
    }
    maxima
}

/// An exponential tail: peaks above `u` come `k / weeks` times a week and exceed it by `b` on
/// average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// Where the tail begins, in the unit of the peaks.
    pub u: f64,
    /// Mean excess over `u`; positive.
    pub b: f64,
    /// How many peaks lie above `u`.
    pub k: usize,
    /// How many weeks the peaks were gathered in; positive.
    pub weeks: f64,
}

impl Tail {
    /// Fits the tail to the `k = 5 weeks` largest peaks; `u` is the next one.
    ///
    /// With `q = median excess / ln 2`, `b = ½ q + ½ min(mean excess, 2 q)`: half robust against
    /// an unlabelled incident among the peaks, half not.
    ///
    /// # Abstains
    /// `None` with fewer than five finite peaks, or when `weeks` is not a positive number.
    ///
    /// # Cost
    /// O(n log n).
    ///
    /// # Source
    /// Peaks over threshold with shape 0: Pickands (1975), Annals of Statistics 3(1):119–131.
    pub fn fit(peaks: &[f64], weeks: f64) -> Option<Self> {
        if !(weeks.is_finite() && weeks > 0.0) {
            return None;
        }
        let mut sorted: Vec<f64> = peaks.iter().copied().filter(|p| p.is_finite()).collect();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        let wanted = (PEAKS_PER_WEEK * weeks).round() as usize;
        let k = wanted.max(PEAKS_MIN).min(sorted.len().checked_sub(1)?);
        if k < PEAKS_MIN {
            return None;
        }
        let u = sorted[k];
        let mut excess: Vec<f64> = sorted[..k].iter().map(|peak| peak - u).collect();
        let mean = excess.iter().sum::<f64>() / k as f64;
        let q = (super::robust::median(&mut excess)? / std::f64::consts::LN_2).max(SCALE_MIN);
        Some(Self { u, b: 0.5 * q + 0.5 * mean.min(2.0 * q), k, weeks })
    }

    /// The threshold that peaks exceed `rate_per_week` times a week: `u + b ln(k / (weeks · rate))`.
    ///
    /// Falls as the rate rises. Infinite for a rate that is not positive: never is what was
    /// asked for.
    pub fn threshold(&self, rate_per_week: f64) -> f64 {
        if rate_per_week.is_nan() || rate_per_week <= 0.0 {
            return f64::INFINITY;
        }
        self.u + self.b * (self.k as f64 / (self.weeks * rate_per_week)).ln()
    }

    /// How many peaks a week are expected above `threshold`: the inverse of
    /// [`Self::threshold`]. An extrapolation below `u`.
    pub fn rate(&self, threshold: f64) -> f64 {
        self.k as f64 / self.weeks * ((self.u - threshold) / self.b).exp()
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_counted_once() {
        let mut path = vec![0.0, 3.0, 2.5, f64::NAN, 4.0];
        path.extend([1.0; 12]);
        path.extend([2.0, 1.9]);
        assert_eq!(peaks(&path, REARM, QUIET_BLOCKS), [4.0], "the second cluster is still open");
        path.extend([0.0; 12]);
        assert_eq!(peaks(&path, REARM, QUIET_BLOCKS), [4.0, 2.0]);
        assert!(peaks(&[f64::NAN; 100], REARM, QUIET_BLOCKS).is_empty());
    }

    #[test]
    fn threshold_and_rate_are_inverse() {
        let tail = Tail { u: 2.0, b: 0.4, k: 20, weeks: 4.0 };
        assert!((tail.threshold(5.0) - 2.0).abs() < 1e-12, "u is exceeded k / weeks times");
        for rate in [0.01, 0.25, 1.0, 5.0] {
            assert!((tail.rate(tail.threshold(rate)) / rate - 1.0).abs() < 1e-12);
        }
        assert_eq!(tail.threshold(0.0), f64::INFINITY);
        assert_eq!(tail.threshold(f64::NAN), f64::INFINITY);
        assert_eq!(tail.rate(f64::INFINITY), 0.0);
    }

    #[test]
    fn too_few_peaks_tell_no_tail() {
        assert_eq!(Tail::fit(&[1.0, 2.0, 3.0, 4.0], 4.0), None);
        assert_eq!(Tail::fit(&[1.0; 50], 0.0), None);
        assert_eq!(Tail::fit(&[1.0; 50], f64::NAN), None);
        assert_eq!(Tail::fit(&[f64::NAN; 50], 4.0), None);
        let flat = Tail::fit(&[2.0; 50], 4.0).unwrap();
        assert!(flat.b > 0.0 && flat.threshold(1.0) < 2.01);
    }

    #[test]
    fn the_tail_of_exponential_peaks_is_found() {
        // Quantiles of an exponential law with mean 0.5, 25 peaks a week over 40 weeks.
        let peaks: Vec<f64> =
            (0..1000).map(|i| 1.0 - 0.5 * ((f64::from(i) + 0.5) / 1000.0).ln()).collect();
        let tail = Tail::fit(&peaks, 40.0).unwrap();
        assert_eq!(tail.k, 200);
        assert!((tail.b - 0.5).abs() < 0.01, "{tail:?}");
        // One a week is the quantile at 1/25.
        assert!((tail.threshold(1.0) - (1.0 + 0.5 * 25.0_f64.ln())).abs() < 0.02);
    }
}
