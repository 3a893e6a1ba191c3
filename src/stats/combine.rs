//! Joining the scores of several signals of one service: many weak ones add up.

use super::ewma::SCALES;

/// The share of signals that an incident is assumed to move.
pub const AFFECTED_SHARE: f64 = 0.2;

/// One signal's evidence is capped here: the largest score has a statistic of its own.
pub const SCORE_MAX: f64 = 6.0;

/// One signal's part of the mixture statistic: `ln(1 − p₀ + p₀ exp(½ clip(e, 0, 6)²))`.
///
/// The log-likelihood ratio of "with probability p₀ this signal moved" against "it did not",
/// the size of the move estimated. Never negative; zero for a score that is not positive, or
/// NaN: a missing signal says nothing.
pub fn evidence(score: f64, p0: f64) -> f64 {
    if score.is_nan() || score <= 0.0 {
        return 0.0;
    }
    let p0 = if p0.is_finite() { p0.clamp(0.0, 1.0) } else { 0.0 };
    (p0 * (0.5 * score.min(SCORE_MAX).powi(2)).exp_m1()).ln_1p()
}

/// The Xie–Siegmund mixture statistic: the sum of every signal's [`evidence`].
///
/// # Unit
/// Nats.
///
/// # Needs
/// Scores that are about standard normal in ordinary times, one per signal family: duplicated
/// metrics would count twice.
///
/// # Abstains
/// Zero without scores; NaN scores add nothing.
///
/// # Cost
/// O(n).
///
/// # Source
/// Xie and Siegmund (2013), Annals of Statistics 41(2):670–692, section 2; arXiv 1207.2386.
pub fn xie_siegmund(scores: &[f64], p0: f64) -> f64 {
    scores.iter().map(|&score| evidence(score, p0)).sum()
}

/// `G = sqrt(2 max_j S_j)`: the mixture statistic at its strongest time scale, on the scale of a
/// single score.
///
/// `scores_by_scale[i][j]` is signal `i` at time scale `j`. Zero without scores.
pub fn g_statistic(scores_by_scale: &[[f64; SCALES]]) -> f64 {
    let at_scale = |j: usize| -> f64 {
        scores_by_scale.iter().map(|scores| evidence(scores[j], AFFECTED_SHARE)).sum()
    };
    (2.0 * (0..SCALES).map(at_scale).fold(0.0, f64::max)).sqrt()
}

/// `A = max e_ij`: the strongest single score; `None` when none is a number.
pub fn max_score(scores_by_scale: &[[f64; SCALES]]) -> Option<f64> {
    scores_by_scale.iter().flatten().copied().filter(|e| !e.is_nan()).max_by(f64::total_cmp)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    #[test]
    fn missing_and_falling_scores_add_nothing() {
        assert_eq!(xie_siegmund(&[f64::NAN, -3.0, 0.0], 0.2), 0.0);
        assert_eq!(xie_siegmund(&[], 0.2), 0.0);
        assert_eq!(g_statistic(&[[f64::NAN; SCALES]]), 0.0);
        assert_eq!(max_score(&[[f64::NAN; SCALES]]), None);
        assert_eq!(max_score(&[[-1.0, 2.0, f64::NAN, 0.0, 1.0]]), Some(2.0));
    }

    #[test]
    fn one_exploding_signal_is_capped() {
        assert_eq!(evidence(6.0, 0.2).to_bits(), evidence(1e300, 0.2).to_bits());
        // Certain that it moved: ½ e².
        assert!((evidence(2.0, 1.0) - 2.0).abs() < 1e-12);
        assert_eq!(evidence(2.0, 0.0), 0.0);
        assert_eq!(evidence(2.0, f64::NAN), 0.0);
    }

    #[test]
    fn six_weak_signals_beat_one_and_only_at_a_common_scale() {
        let at = |j: usize, score: f64| {
            let mut scores = [0.0; SCALES];
            scores[j] = score;
            scores
        };
        let agreeing = g_statistic(&[at(1, 2.0); 6]);
        assert!(agreeing > 3.0 && agreeing > g_statistic(&[at(1, 2.0)]) + 1.0);
        let scattered: Vec<_> = (0..SCALES).map(|j| at(j, 2.0)).collect();
        assert!(g_statistic(&scattered) < 2.0);
    }
}
