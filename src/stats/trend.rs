//! A straight line through a drift, and when it meets a limit.

use super::robust;

/// Fewer points tell no trend.
pub const TREND_POINTS_MIN: usize = 8;

/// More points are thinned to at most this many: pairs grow with the square.
pub const TREND_POINTS_MAX: usize = 256;

/// Φ⁻¹(0.9): an interval of 80 %.
const NORMAL_Q90: f64 = 1.281_551_565_544_600_4;

/// Autocorrelations are not trusted above this.
const AUTOCORRELATION_MAX: f64 = 0.95;

/// Crossings further away than a year are not estimable.
const HOURS_MAX: f64 = 8_766.0;

/// A robust line with the uncertainty of its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Units per hour.
    pub slope: f64,
    /// The line's value at the last point.
    pub level: f64,
    /// The lower end of the slope's 80 % interval.
    pub lo: f64,
    /// The upper end of the slope's 80 % interval.
    pub hi: f64,
    /// Hours from the points' centre, around which the line may turn, to the last point.
    pub lever_hours: f64,
}

/// The Theil–Sen line: the median of the slopes of all pairs of points.
///
/// Keeps its meaning with up to 29 % of the points corrupted. The interval is Sen's, between
/// the slopes at ranks `(N ∓ 1.2816 v) / 2`, with
/// `v² = k (k−1) (2k+5) / 18 · (1+ρ)/(1−ρ)`: the variance of Kendall's score, inflated for the
/// lag-1 autocorrelation `ρ` of the residuals (bias-corrected by `2.5 / k`).
///
/// # Unit
/// That of the values, per hour.
///
/// # Needs
/// Points (hours, value) about equally spaced; means over 30 minutes serve well. More than
/// [`TREND_POINTS_MAX`] are thinned evenly, from the last one back.
///
/// # Abstains
/// `None` with fewer than 8 finite points or without two different times.
///
/// # Cost
/// O(k²) time and memory; 48 points take 0.2 ms in a debug build.
///
/// # Source
/// Sen (1968), JASA 63(324):1379–1389; Hamed and Rao (1998), Journal of Hydrology 204:182–196.
/// How often the interval holds the time to a limit: METHODS 2.10.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Trend> {
    let mut points: Vec<(f64, f64)> =
        points.iter().copied().filter(|(t, y)| t.is_finite() && y.is_finite()).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let every = points.len().div_ceil(TREND_POINTS_MAX).max(1);
    let points: Vec<(f64, f64)> = points.into_iter().rev().step_by(every).collect();
    // Newest first from here on; pairs and neighbours do not mind.
    let k = points.len();
    if k < TREND_POINTS_MIN {
        return None;
    }
    let mut slopes = pair_slopes(&points);
    let slopes = robust::sort_finite(&mut slopes);
    let slope = robust::quantile(slopes, 0.5)?;
    let centre = points.iter().map(|(t, _)| t / k as f64).sum::<f64>();
    let lever_hours = points[0].0 - centre;
    let mut levels: Vec<f64> = points.iter().map(|(t, y)| y - slope * (t - centre)).collect();
    let residuals = levels.clone();
    let middle = robust::median(&mut levels)?;
    let rho = residual_autocorrelation(&residuals, middle);
    let kf = k as f64;
    let inflation = (1.0 + rho) / (1.0 - rho);
    let v = (kf * (kf - 1.0) * (2.0 * kf + 5.0) / 18.0 * inflation).sqrt();
    let n = slopes.len() as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let at = |rank: f64| slopes[rank.clamp(0.0, n - 1.0) as usize];
    Some(Trend {
        slope,
        level: middle + slope * lever_hours,
        lo: at(f64::midpoint(n, -NORMAL_Q90 * v)),
        hi: at(f64::midpoint(n, NORMAL_Q90 * v)),
        lever_hours,
    })
}

impl Trend {
    /// Hours from the last point until the line meets `limit`: best estimate, earliest, latest.
    ///
    /// The slope's sign says from which side: a line that is already beyond the limit in its
    /// direction has met it (0, 0, 0). The latest is `None` when the slope's interval contains
    /// a standstill: no upper bound.
    ///
    /// # Abstains
    /// `None` for a level line, a limit that is not finite, or a crossing more than a year away.
    pub fn time_to(&self, limit: f64) -> Option<(f64, f64, Option<f64>)> {
        if !limit.is_finite() || self.slope == 0.0 {
            return None;
        }
        // Mirrored so that the line always rises.
        let sign = self.slope.signum();
        let (lo, hi) = if sign > 0.0 { (self.lo, self.hi) } else { (-self.hi, -self.lo) };
        let ahead = sign * (limit - (self.level - self.slope * self.lever_hours));
        let hours = |slope: f64| {
            let hours = (ahead / slope - self.lever_hours).max(0.0);
            (slope > 0.0 && hours <= HOURS_MAX).then_some(hours)
        };
        if sign * (limit - self.level) <= 0.0 {
            return Some((0.0, 0.0, Some(0.0)));
        }
        let best = hours(self.slope.abs())?;
        // A steeper line meets the limit earlier; the interval's ends bracket the median.
        Some((best, hours(hi).map_or(best, |h| h.min(best)), hours(lo).map(|h| h.max(best))))
    }
}

/// The slopes of all pairs of points at different times.
fn pair_slopes(points: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
    for (i, a) in points.iter().enumerate() {
        for b in &points[i + 1..] {
            if a.0 > b.0 {
                slopes.push((a.1 - b.1) / (a.0 - b.0));
            }
        }
    }
    slopes
}

/// Lag-1 autocorrelation around `middle`, corrected for the bias of short series, in [0, 0.95].
pub(super) fn residual_autocorrelation(residuals: &[f64], middle: f64) -> f64 {
    let square: f64 = residuals.iter().map(|r| (r - middle).powi(2)).sum();
    let lagged: f64 = residuals.windows(2).map(|w| (w[0] - middle) * (w[1] - middle)).sum();
    let plain = if square > 0.0 { lagged / square } else { 0.0 };
    // Kendall's correction (1 + 3ρ)/k at ρ = 0.5.
    (plain + 2.5 / residuals.len() as f64).clamp(0.0, AUTOCORRELATION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u32, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..n).map(|i| (f64::from(i) / 2.0, f(f64::from(i) / 2.0))).collect()
    }

    #[test]
    fn an_exact_line_is_found_whatever_the_order() {
        let mut points = line(16, |t| 3.0 + 2.0 * t);
        points.reverse();
        let trend = theil_sen(&points).unwrap();
        assert!((trend.slope - 2.0).abs() < 1e-12 && (trend.level - 18.0).abs() < 1e-12);
        let (best, earliest, latest) = trend.time_to(28.0).unwrap();
        assert!((best - 5.0).abs() < 1e-9 && (earliest - 5.0).abs() < 1e-9);
        assert!((latest.unwrap() - 5.0).abs() < 1e-9);
        assert_eq!(trend.time_to(10.0), Some((0.0, 0.0, Some(0.0))), "already beyond");
    }

    #[test]
    fn a_quarter_of_wild_points_does_not_turn_it() {
        let mut points = line(24, |t| 0.5 * t);
        for point in points.iter_mut().step_by(4) {
            point.1 = 1e6;
        }
        assert!((theil_sen(&points).unwrap().slope - 0.5).abs() < 0.2);
    }

    #[test]
    fn a_fall_to_a_floor_mirrors_a_rise_to_a_ceiling() {
        let wave = |t: f64| 0.3 * (7.0 * t).sin();
        let up = theil_sen(&line(20, |t| t + wave(t))).unwrap();
        let down = theil_sen(&line(20, |t| -t - wave(t))).unwrap();
        assert_eq!(up.time_to(30.0), down.time_to(-30.0));
        let (best, earliest, latest) = up.time_to(30.0).unwrap();
        assert!(earliest < best && best < latest.unwrap());
    }

    #[test]
    fn a_doubtful_slope_has_no_latest_and_none_has_no_time() {
        let doubtful = Trend { slope: 1.0, level: 0.0, lo: -0.1, hi: 2.0, lever_hours: 2.0 };
        assert_eq!(doubtful.time_to(10.0).unwrap().2, None);
        assert_eq!(doubtful.time_to(1e9), None, "further away than a year");
        assert_eq!(doubtful.time_to(f64::NAN), None);
        let flat = theil_sen(&line(20, |_| 4.0)).unwrap();
        assert_eq!(flat.time_to(10.0), None);
    }

    #[test]
    fn too_few_points_or_times_tell_no_trend() {
        assert_eq!(theil_sen(&line(7, |t| t)), None);
        assert_eq!(theil_sen(&[(1.0, 2.0); 20]), None);
        assert_eq!(theil_sen(&[(f64::NAN, 2.0); 20]), None);
        assert!(theil_sen(&line(5000, |t| t)).is_some(), "thinned");
    }
}
