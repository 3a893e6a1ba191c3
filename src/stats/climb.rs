//! Whether something climbs steadily: a trend test over stretches that a restart cuts apart.

use super::robust::{median, quantile, sort_finite};
use super::trend::residual_autocorrelation;

/// Fewer points over all stretches tell no climb.
pub const CLIMB_POINTS_MIN: usize = 12;

/// Fewer points of one stretch are left out.
pub const STRETCH_POINTS_MIN: usize = 4;

/// More points of a stretch are left out, oldest first: pairs grow with the square.
pub const STRETCH_POINTS_MAX: usize = 96;

/// The normal deviate of the trend test from which on a climb is no chance: one in 700.
const Z_MIN: f64 = 3.0;

/// The newer half climbs at least this share as steeply as the whole: what has settled on a new
/// level climbs no more.
const STILL_MIN: f64 = 0.3;

/// A steady rise over one or several stretches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Climb {
    /// Units per hour: the median over all pairs of points of the same stretch.
    pub slope: f64,
    /// Hours of all stretches together.
    pub hours: f64,
    /// Deviate of the trend test: standard normal where nothing climbs.
    pub z: f64,
    /// Whether a straight line fits better than one step.
    pub is_line: bool,
    /// Slope of the newer half of the longest stretch, over the whole slope.
    pub still: f64,
}

impl Climb {
    /// Whether it is a steady climb that goes on: neither chance, nor a step, nor a rise that has
    /// come to rest.
    pub fn is_steady(&self) -> bool {
        self.slope > 0.0 && self.z >= Z_MIN && self.is_line && self.still >= STILL_MIN
    }

    /// How much it rose over all stretches.
    pub fn rise(&self) -> f64 {
        self.slope * self.hours
    }
}

/// The trend of stretches of points (hours, value), in order of time.
///
/// `z = S / v`: S is Kendall's score, the number of pairs that rise less those that fall, summed
/// over the stretches; `v² = Σ k (k−1) (2k+5) / 18 · (1+ρ)/(1−ρ)`, with ρ the lag-1
/// autocorrelation of what the slope leaves, + 2.5/k. A drop between two stretches counts for
/// nothing, which is what a leak's restarts need.
///
/// # Unit
/// That of the values, per hour.
///
/// # Needs
/// Points about equally spaced; values that are not finite are skipped.
///
/// # Abstains
/// `None` with fewer than [`CLIMB_POINTS_MIN`] points in stretches of at least
/// [`STRETCH_POINTS_MIN`].
///
/// # Cost
/// O(k²) time and memory for a stretch of k points, at most [`STRETCH_POINTS_MAX`].
///
/// # Source
/// Kendall's test: Mann (1945), Econometrica 13(3):245–259; sums over stretches: Hirsch, Slack
/// and Smith (1982), Water Resources Research 18(1):107–121; ρ: Hamed and Rao (1998), Journal of
/// Hydrology 204:182–196.
pub fn climb(stretches: &[Vec<(f64, f64)>]) -> Option<Climb> {
    let stretches: Vec<Vec<(f64, f64)>> = stretches
        .iter()
        .map(|all| {
            let finite = all.iter().copied().filter(|(t, y)| t.is_finite() && y.is_finite());
            let all: Vec<(f64, f64)> = finite.collect();
            all[all.len().saturating_sub(STRETCH_POINTS_MAX)..].to_vec()
        })
        .filter(|points| points.len() >= STRETCH_POINTS_MIN)
        .collect();
    let n: usize = stretches.iter().map(Vec::len).sum();
    if n < CLIMB_POINTS_MIN {
        return None;
    }
    let mut slopes: Vec<f64> = stretches.iter().flat_map(|points| pair_slopes(points)).collect();
    let score: f64 = stretches.iter().map(|points| score(points)).sum();
    let slope = quantile(sort_finite(&mut slopes), 0.5)?;
    let left: Vec<Vec<f64>> = stretches.iter().map(|points| residuals(points, slope)).collect();
    let variance: f64 = stretches
        .iter()
        .zip(&left)
        .map(|(points, left)| {
            let (k, rho) = (points.len() as f64, residual_autocorrelation(left, 0.0));
            k * (k - 1.0) * (2.0 * k + 5.0) / 18.0 * (1.0 + rho) / (1.0 - rho)
        })
        .sum();
    let of_line: f64 = left.iter().flatten().map(|r| r * r).sum();
    let of_step: f64 = stretches.iter().map(|points| step_error(points)).sum();
    let longest = stretches.iter().max_by_key(|points| points.len())?;
    let mut newer: Vec<f64> = pair_slopes(&longest[longest.len() / 2..]).collect();
    let newer = median(&mut newer)?;
    Some(Climb {
        slope,
        hours: stretches.iter().map(|p| p[p.len() - 1].0 - p[0].0).sum(),
        z: score / variance.sqrt(),
        is_line: of_line < of_step,
        still: if slope > 0.0 { newer / slope } else { 0.0 },
    })
}

/// The slopes of all pairs of points at different times.
fn pair_slopes(points: &[(f64, f64)]) -> impl Iterator<Item = f64> {
    pairs(points).filter(|(a, b)| b.0 > a.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0))
}

/// Kendall's score.
fn score(points: &[(f64, f64)]) -> f64 {
    let sign = |(a, b): (&(f64, f64), &(f64, f64))| match b.1.total_cmp(&a.1) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Less => -1.0,
    };
    pairs(points).map(sign).sum()
}

/// All pairs, the earlier point first.
fn pairs(points: &[(f64, f64)]) -> impl Iterator<Item = (&(f64, f64), &(f64, f64))> {
    points.iter().enumerate().flat_map(|(i, a)| points[i + 1..].iter().map(move |b| (a, b)))
}

/// What a line of this slope through the middle of a stretch leaves.
fn residuals(points: &[(f64, f64)], slope: f64) -> Vec<f64> {
    let lifted: Vec<f64> = points.iter().map(|(t, y)| y - slope * t).collect();
    let mean = lifted.iter().sum::<f64>() / lifted.len() as f64;
    lifted.into_iter().map(|y| y - mean).collect()
}

/// The squared error of the best two levels, one before and one after a step.
fn step_error(points: &[(f64, f64)]) -> f64 {
    let error = |points: &[(f64, f64)]| {
        let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64;
        points.iter().map(|p| (p.1 - mean).powi(2)).sum::<f64>()
    };
    (1..points.len())
        .map(|at| error(&points[..at]) + error(&points[at..]))
        .fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Half hours with a ripple.
    fn half_hours(n: u32, y: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let ripple = |i: u32| 0.1 * (f64::from(i) * 2.3).sin();
        (0..n).map(|i| (f64::from(i) / 2.0, y(f64::from(i) / 2.0) + ripple(i))).collect()
    }

    #[test]
    fn a_steady_climb_is_seen() {
        let climb = climb(&[half_hours(24, |t| 0.2 * t)]).unwrap();
        assert!(climb.is_steady(), "{climb:?}");
        assert!((climb.slope - 0.2).abs() < 0.02 && (climb.rise() - 2.3).abs() < 0.3, "{climb:?}");
    }

    #[test]
    fn a_drop_at_a_restart_does_not_end_a_climb() {
        let one = half_hours(10, |t| 0.2 * t);
        let again: Vec<(f64, f64)> = one.iter().map(|(t, y)| (t + 6.0, *y)).collect();
        assert!(climb(&[one.clone(), again.clone()]).unwrap().is_steady());
        // Uncut, the drop is a sawtooth's.
        let whole = [one, again].concat();
        assert!(!climb(&[whole]).unwrap().is_steady());
    }

    #[test]
    fn a_step_a_sawtooth_a_settled_rise_and_a_level_do_not_climb() {
        let shapes: [fn(f64) -> f64; 6] = [
            |t| if t < 6.0 { 0.0 } else { 2.0 },
            |t| if t < 3.0 { 0.0 } else { 2.0 },
            |t| t % 3.0,
            |t| 2.0 * (1.0 - (-t).exp()),
            |t| t.min(5.0),
            |_| 1.0,
        ];
        for (i, shape) in shapes.into_iter().enumerate() {
            let climb = climb(&[half_hours(24, shape)]).unwrap();
            assert!(!climb.is_steady(), "{i}: {climb:?}");
        }
    }

    #[test]
    fn a_fall_is_no_climb_and_few_points_say_nothing() {
        assert!(!climb(&[half_hours(24, |t| -t)]).unwrap().is_steady());
        assert_eq!(climb(&[half_hours(11, |t| t)]), None);
        assert_eq!(climb(&[half_hours(3, |t| t), half_hours(11, |t| t)]), None);
    }

    proptest! {
        /// The level and the unit are nobody's business.
        #[test]
        fn level_and_unit_change_nothing(level in -1e3_f64..1e3, unit in 0.01_f64..100.0) {
            let plain = climb(&[half_hours(24, |t| 0.1 * t)]).unwrap();
            let other: Vec<(f64, f64)> = half_hours(24, |t| 0.1 * t)
                .into_iter()
                .map(|(t, y)| (t, level + unit * y))
                .collect();
            let other = climb(&[other]).unwrap();
            prop_assert_eq!(plain.is_steady(), other.is_steady());
            prop_assert!((plain.slope * unit - other.slope).abs() < 1e-9 * unit.max(1.0));
        }
    }
}
