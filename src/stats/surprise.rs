//! How surprising a score is, as a probability.

use statrs::function::erf::erfc;

use super::tail::Tail;

/// Hours in a week: a p-value is about any one hour.
const HOURS_PER_WEEK: f64 = 168.0;

/// No p-value is told below this: neither model is believed that far out.
pub const P_VALUE_MIN: f64 = 1e-12;

/// The chance to see a score at least this high in an hour as usual.
///
/// With a [`Tail`] fitted to the series' own past, `1 − exp(−rate / 168)`: peaks above the score
/// taken as a Poisson process. Without, the upper tail of the standard normal. Falls as the
/// score rises.
///
/// # Unit
/// Probability in [1e-12, 1].
///
/// # Abstains
/// 1, no surprise, for NaN.
///
/// # Cost
/// O(1).
///
/// # Source
/// METHODS 2.5: thresholds from theory are wrong by factors of 5 to 30 on real series, hence
/// the series' own tail where there is one. For display and order; thresholds come from
/// [`Tail::threshold`].
pub fn p_value_from_score(score: f64, tail: Option<&Tail>) -> f64 {
    let p = match tail {
        _ if score.is_nan() => 1.0,
        Some(tail) => -(-tail.rate(score) / HOURS_PER_WEEK).exp_m1(),
        None => normal_survival(score),
    };
    p.clamp(P_VALUE_MIN, 1.0)
}

/// `P(Z > x)` for a standard normal `Z`; NaN for NaN.
///
/// `½ erfc(x / √2)`, which stays exact where `1 − Φ(x)` has lost its digits; agrees with SciPy to
/// nine digits at 6.5 σ.
pub fn normal_survival(x: f64) -> f64 {
    if x.is_nan() { f64::NAN } else { 0.5 * erfc(x / std::f64::consts::SQRT_2) }
}

/// Lag-1 autocorrelation around the mean, over the pairs of neighbours that are both finite.
///
/// # Unit
/// In [−1, 1] up to the effect of missing values; clamped there.
///
/// # Abstains
/// `None` with fewer than three pairs or for a constant series.
///
/// # Cost
/// O(n).
///
/// # Source
/// Box and Jenkins (1976), Time Series Analysis, 2.1.5.
pub fn autocorrelation(values: &[f64]) -> Option<f64> {
    let (sum, n) = values
        .iter()
        .filter(|value| value.is_finite())
        .fold((0.0, 0_usize), |(sum, n), value| (sum + value, n + 1));
    let mean = sum / n as f64;
    let (mut lagged, mut square, mut pairs) = (0.0, 0.0, 0_usize);
    for pair in values.windows(2).filter(|pair| pair[0].is_finite() && pair[1].is_finite()) {
        let (a, b) = (pair[0] - mean, pair[1] - mean);
        lagged += a * b;
        square += f64::midpoint(a * a, b * b);
        pairs += 1;
    }
    (pairs >= 3 && square > 0.0 && square.is_finite()).then(|| (lagged / square).clamp(-1.0, 1.0))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    #[test]
    fn without_a_tail_it_is_the_normal_one() {
        // SciPy 1.x, scipy.stats.norm.sf.
        for (score, p) in
            [(0.0, 0.5), (1.0, 0.158_655_253_931_457_05), (3.0, 0.001_349_898_031_630_094_5)]
        {
            assert!((p_value_from_score(score, None) / p - 1.0).abs() < 1e-10);
        }
        assert_eq!(p_value_from_score(f64::INFINITY, None), P_VALUE_MIN);
        assert_eq!(p_value_from_score(f64::NEG_INFINITY, None), 1.0);
        assert_eq!(p_value_from_score(f64::NAN, None), 1.0);
    }

    #[test]
    fn with_a_tail_it_is_the_rate_of_its_own_past() {
        let tail = Tail { u: 2.0, b: 0.3, k: 20, weeks: 4.0 };
        let at = tail.threshold(1.0);
        assert!((p_value_from_score(at, Some(&tail)) - 1.0 / 168.0).abs() < 2e-5);
        assert!(p_value_from_score(-50.0, Some(&tail)) > 0.999);
        assert_eq!(p_value_from_score(1e9, Some(&tail)), P_VALUE_MIN);
    }

    #[test]
    fn autocorrelation_of_known_series() {
        let alternating: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        assert!((autocorrelation(&alternating).unwrap() + 1.0).abs() < 0.05);
        let slow: Vec<f64> = (0..1000).map(|i| (f64::from(i) / 100.0).sin()).collect();
        assert!(autocorrelation(&slow).unwrap() > 0.99);
        assert_eq!(autocorrelation(&[1.0; 50]), None);
        assert_eq!(autocorrelation(&[f64::NAN, 1.0, f64::NAN, 2.0]), None);
        assert_eq!(autocorrelation(&[]), None);
    }
}
