//! A level of load above which something begins to rise: a broken stick against a straight line.

/// Fewer points cannot tell a bend from noise.
pub const KNEE_POINTS_MIN: usize = 40;

/// Levels that are tried, evenly between the lowest and the highest that leave enough points on
/// either side.
const CANDIDATES: usize = 20;

/// Points that must lie on either side of a bend.
const SIDE_MIN: usize = 6;

/// A bend explains clearly more than a line from this F on: the largest of twenty dependent
/// F(1, n) exceeds 12 by chance in less than one of a hundred straight lines.
const F_MIN: f64 = 12.0;

/// And from this share of what the line leaves unexplained on.
const GAIN_MIN: f64 = 0.15;

/// Above the bend it is at least this many times as steep as below.
const STEEPER_MIN: f64 = 2.0;

/// Autocorrelations are not trusted above this.
const AUTOCORRELATION_MAX: f64 = 0.95;

/// Two joined lines: `y = a + b x + c max(0, x − at)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    /// Where they join, in the unit of `x`.
    pub at: f64,
    /// `a`: the value that the lower line has at zero.
    pub base: f64,
    /// `b`: the slope below.
    pub below: f64,
    /// `b + c`: the slope above.
    pub above: f64,
    /// Share of the straight line's squared error that the bend takes away, 0 to 1.
    pub gain: f64,
    /// `F` of the bend, for as many independent points as there are.
    pub f: f64,
}

impl Knee {
    /// Whether it bends upward, and explains clearly more than a straight line.
    pub fn is_clear(&self) -> bool {
        let steeper = self.above > 0.0 && self.above >= STEEPER_MIN * self.below;
        steeper && self.f >= F_MIN && self.gain >= GAIN_MIN
    }

    /// What the lower line says at `x`.
    pub fn line(&self, x: f64) -> f64 {
        self.base + self.below * x
    }

    /// How much more than the lower line the fit says at `x`.
    pub fn excess(&self, x: f64) -> f64 {
        (self.above - self.below) * (x - self.at).max(0.0)
    }
}

/// The broken stick that fits best among twenty places for the bend, by least squares.
///
/// `F = (E₀ − E₁) / (E₁ / (m − 4))`, `E₀` the squared error of the line, `E₁` that of the stick,
/// and `m = n (1−ρ)/(1+ρ)` the number of independent points among n with the lag-1
/// autocorrelation ρ of the stick's residuals.
///
/// # Unit
/// Points are (load, value), each in its own unit.
///
/// # Needs
/// Points in order of time, for ρ. Points that are not finite are skipped.
///
/// # Abstains
/// `None` with fewer than [`KNEE_POINTS_MIN`] points, fewer than six on either side of every
/// bend, or when the load never varied.
///
/// # Cost
/// O(20 n).
///
/// # Source
/// Hudson (1966), JASA 61(316):1097–1129; the level of F for a bend at an unknown place: Andrews
/// (1993), Econometrica 61(4):821–856, table I; fewer independent points: Bartlett (1946),
/// Supplement to the JRSS 8(1):27–41.
pub fn knee(points: &[(f64, f64)]) -> Option<Knee> {
    let points: Vec<(f64, f64)> =
        points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let n = points.len();
    if n < KNEE_POINTS_MIN {
        return None;
    }
    let mut levels: Vec<f64> = points.iter().map(|&(x, _)| x).collect();
    levels.sort_unstable_by(f64::total_cmp);
    let (lowest, highest) = (levels[SIDE_MIN], levels[n - 1 - SIDE_MIN]);
    let step = (highest - lowest) / CANDIDATES as f64;
    if !step.is_normal() || step <= 0.0 {
        return None;
    }
    let line = fit(&points, None)?;
    let best = (0..CANDIDATES)
        .map(|i| lowest + step * (i as f64 + 0.5))
        .filter_map(|at| fit(&points, Some(at)))
        .min_by(|a, b| a.error.total_cmp(&b.error))?;
    let at = best.at?;
    let residuals: Vec<f64> = points.iter().map(|&(x, y)| y - best.value(x)).collect();
    let rho = autocorrelation(&residuals);
    let independent = n as f64 * (1.0 - rho) / (1.0 + rho);
    let noise = best.error / (independent - 4.0).max(1.0);
    let taken = (line.error - best.error).max(0.0);
    // A perfect fit: any bend is certain, and none is none.
    let f = if noise > 0.0 { taken / noise } else { taken / f64::EPSILON };
    Some(Knee {
        at,
        base: best.base,
        below: best.slope,
        above: best.slope + best.bend,
        gain: if line.error > 0.0 { taken / line.error } else { 0.0 },
        f,
    })
}

/// A least-squares fit, with or without a bend.
struct Fit {
    at: Option<f64>,
    base: f64,
    slope: f64,
    bend: f64,
    error: f64,
}

impl Fit {
    fn value(&self, x: f64) -> f64 {
        self.base + self.slope * x + self.bend * self.at.map_or(0.0, |at| (x - at).max(0.0))
    }
}

/// Ordinary least squares by the normal equations of the centred columns.
fn fit(points: &[(f64, f64)], at: Option<f64>) -> Option<Fit> {
    let n = points.len() as f64;
    let hinge = |x: f64| at.map_or(0.0, |at| (x - at).max(0.0));
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mx, mh, my) = (mean(&|p| p.0), mean(&|p| hinge(p.0)), mean(&|p| p.1));
    let (mut xx, mut xh, mut hh, mut xy, mut hy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &(x, y) in points {
        let (dx, dh, dy) = (x - mx, hinge(x) - mh, y - my);
        xx += dx * dx;
        xh += dx * dh;
        hh += dh * dh;
        xy += dx * dy;
        hy += dh * dy;
    }
    let (slope, bend) = if at.is_some() {
        let determinant = xx * hh - xh * xh;
        // Columns that are all but parallel have no two slopes.
        if determinant <= 1e-9 * xx * hh {
            return None;
        }
        ((xy * hh - hy * xh) / determinant, (hy * xx - xy * xh) / determinant)
    } else {
        (xy / xx, 0.0)
    };
    let fit = Fit { at, base: my - slope * mx - bend * mh, slope, bend, error: 0.0 };
    let error: f64 = points.iter().map(|&(x, y)| (y - fit.value(x)).powi(2)).sum();
    error.is_finite().then_some(Fit { error, ..fit })
}

/// Lag-1 autocorrelation of residuals around zero, in [0, 0.95].
fn autocorrelation(residuals: &[f64]) -> f64 {
    let square: f64 = residuals.iter().map(|r| r * r).sum();
    let lagged: f64 = residuals.windows(2).map(|w| w[0] * w[1]).sum();
    if square > 0.0 { (lagged / square).clamp(0.0, AUTOCORRELATION_MAX) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Loads that go up and down, and a small ripple that repeats with neither.
    fn points(n: u32, y: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let load = |i: u32| 100.0 + 50.0 * (f64::from(i) * 0.61).sin();
        (0..n).map(|i| (load(i), y(load(i)) + 0.02 * (f64::from(i) * 1.7).sin())).collect()
    }

    #[test]
    fn a_bend_is_found_where_it_is() {
        let found = knee(&points(300, |x| 1.0 + 0.001 * x + 0.02 * (x - 120.0).max(0.0))).unwrap();
        assert!(found.is_clear(), "{found:?}");
        assert!((found.at - 120.0).abs() < 4.0 && (found.above - 0.021).abs() < 0.003, "{found:?}");
        assert!((found.line(60.0) - 1.06).abs() < 0.03 && found.excess(60.0) == 0.0, "{found:?}");
    }

    #[test]
    fn a_straight_line_and_one_that_levels_off_have_no_knee() {
        for y in [|x: f64| 0.01 * x, |x: f64| 0.01 * x.min(120.0), |_: f64| 1.0] {
            assert!(
                knee(&points(300, y)).is_none_or(|k| !k.is_clear()),
                "{:?}",
                knee(&points(300, y))
            );
        }
    }

    #[test]
    fn slow_swings_of_the_value_are_no_bend() {
        // Long swings beside the load: many points, few of them independent.
        let all: Vec<(f64, f64)> = points(300, |_| 1.0)
            .into_iter()
            .zip(0_u32..)
            .map(|((x, _), i)| (x, 1.0 + 0.3 * (f64::from(i) * 0.02).sin()))
            .collect();
        assert!(knee(&all).is_none_or(|k| !k.is_clear()), "{:?}", knee(&all));
    }

    #[test]
    fn too_few_points_or_one_load_say_nothing() {
        assert_eq!(knee(&points(39, |x| x)), None);
        assert_eq!(knee(&[(1.0, 2.0); 100]), None);
        assert_eq!(knee(&[(f64::NAN, 2.0); 100]), None);
    }

    proptest! {
        /// Units are the caller's: the place moves with the load, and clear stays clear.
        #[test]
        fn the_unit_changes_nothing(unit in 0.001_f64..1e6, of_value in 0.001_f64..1e3) {
            let plain = points(200, |x| 0.02 * (x - 110.0).max(0.0));
            let scaled: Vec<(f64, f64)> =
                plain.iter().map(|(x, y)| (x * unit, y * of_value)).collect();
            let (a, b) = (knee(&plain).unwrap(), knee(&scaled).unwrap());
            prop_assert!((a.at * unit - b.at).abs() < 1e-6 * unit * a.at);
            prop_assert_eq!(a.is_clear(), b.is_clear());
        }

        #[test]
        fn anything_goes_in(all in prop::collection::vec((any::<f64>(), any::<f64>()), 0..120)) {
            if let Some(knee) = knee(&all) {
                prop_assert!((0.0..=1.0).contains(&knee.gain) || knee.gain.is_nan());
            }
        }
    }
}
