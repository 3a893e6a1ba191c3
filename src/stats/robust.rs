//! Location and spread that a few wild values cannot move.

/// 1 / Φ⁻¹(3/4): makes the median absolute deviation estimate σ for normal data.
pub const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// Φ⁻¹(0.95) − Φ⁻¹(0.05), rounded as the reference does: the width of the middle 90 % in σ.
pub const MIDDLE_90_SIGMAS: f64 = 3.29;

/// So few values are sooner put in order than selected from.
const FEW: usize = 16;

/// The median of the finite values; the mean of the middle two when their number is even.
///
/// # Unit
/// That of the values.
///
/// # Abstains
/// `None` when no value is finite. NaN and infinities are skipped.
///
/// # Cost
/// O(n), in place: the values are left in another order.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let values = finite_prefix(values);
    let middle = values.len() / 2;
    match *values {
        [] => return None,
        // Peers of a service, tick by tick: mostly one or two.
        [one] => return Some(one),
        [one, other] => return Some(f64::midpoint(one, other)),
        _ => {}
    }
    let even = values.len().is_multiple_of(2);
    if values.len() <= FEW {
        let [lower, upper] = middle_of_few(values);
        return Some(if even { f64::midpoint(lower, upper) } else { upper });
    }
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if !even {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}

/// The value in the middle of at most [`FEW`], the upper of two, after the one before it: those of
/// a block's ticks, at every block of every series, and nobody could predict a branch on them.
fn middle_of_few(values: &[f64]) -> [f64; 2] {
    let middle = values.len() / 2;
    let mut lowest = [i64::MAX; FEW / 2 + 1];
    for (place, value) in values.iter().enumerate() {
        let mut rest = in_order(value.to_bits().cast_signed());
        for low in &mut lowest[..=place.min(middle)] {
            (*low, rest) = ((*low).min(rest), (*low).max(rest));
        }
    }
    let value = |place: usize| f64::from_bits(in_order(lowest[place]).cast_unsigned());
    [value(middle.saturating_sub(1)), value(middle)]
}

/// From the bits of a number to an integer in the order of `f64::total_cmp`, and back.
fn in_order(bits: i64) -> i64 {
    bits ^ (bits >> 63 & i64::MAX)
}

/// The `q` quantile of ascending finite values, linear between the neighbours.
///
/// # Unit
/// That of the values.
///
/// # Needs
/// Values sorted by `f64::total_cmp`, all finite.
///
/// # Abstains
/// `None` without values or when `q` is not in [0, 1].
///
/// # Cost
/// O(1).
///
/// # Source
/// Hyndman and Fan (1996), The American Statistician 50(4), type 7: NumPy's and R's default.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let (at, part) = place(sorted.len(), q)?;
    Some(between(sorted[at], sorted[(at + 1).min(sorted.len() - 1)], part))
}

/// The quantiles `qs`, which ascend, of values in any order: [`quantile`] without the sort.
///
/// # Abstains
/// `None` when no value is finite, or when `qs` do not ascend within [0, 1].
///
/// # Cost
/// O(n) per quantile, in place: the values are left in another order.
pub fn quantiles<const N: usize>(values: &mut [f64], qs: [f64; N]) -> Option<[f64; N]> {
    let values = finite_prefix(values);
    let mut found = [0.0; N];
    // Everything before `sure` is known to be no larger than what follows.
    let mut sure = 0;
    for (found, q) in found.iter_mut().zip(qs) {
        let (at, part) = place(values.len(), q)?;
        let rest = values.get_mut(sure..).filter(|_| at >= sure)?;
        let (_, &mut low, above) = rest.select_nth_unstable_by(at - sure, f64::total_cmp);
        let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
        *found = between(low, high, part);
        sure = at;
    }
    Some(found)
}

/// Which of `n` ascending values the `q` quantile follows, and how far it is towards the next.
fn place(n: usize, q: f64) -> Option<(usize, f64)> {
    let last = n.checked_sub(1)?;
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let exact = q * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in 0..=last")]
    let at = (exact.floor() as usize).min(last);
    Some((at, exact - at as f64))
}

/// `low + part · (high − low)`.
fn between(low: f64, high: f64, part: f64) -> f64 {
    let step = high - low;
    // The difference of two finite values can overflow; their weighted mean cannot.
    if step.is_finite() { low + part * step } else { low * (1.0 - part) + high * part }
}

/// σ from the median absolute deviation: `1.4826 · median |x − median x|`.
///
/// Keeps its meaning with up to half of the values corrupted. Zero when more than half of the
/// values are equal, which is not the same as a constant series: see [`spread`].
///
/// # Unit
/// That of the values.
///
/// # Abstains
/// `None` when no value is finite.
///
/// # Cost
/// O(n), in place: the values are overwritten.
///
/// # Source
/// Hampel (1974), JASA 69(346):383–393.
pub fn mad_sigma(values: &mut [f64]) -> Option<f64> {
    let centre = median(values)?;
    for value in values.iter_mut() {
        *value = (*value - centre).abs();
    }
    median(values).map(|mad| MAD_TO_SIGMA * mad)
}

/// σ from quantiles: `max{(q84 − q16) / 2, (q95 − q05) / 3.29}`.
///
/// The first term is σ for normal data; the second takes over where tails are heavier, which
/// thresholds on tails need. Zero for a constant series.
///
/// # Unit
/// That of the values.
///
/// # Abstains
/// `None` when no value is finite.
///
/// # Cost
/// O(n), in place: the values are left in another order.
pub fn spread(values: &mut [f64]) -> Option<f64> {
    let [q05, q16, q84, q95] = quantiles(values, [0.05, 0.16, 0.84, 0.95])?;
    Some(((q84 - q16) / 2.0).max((q95 - q05) / MIDDLE_90_SIGMAS))
}

/// How many places of a replay still remember how it was started: `blocks` from the first finite
/// value on, or a third of what follows it where that is shorter.
///
/// Counted from the first value and not from the first place: a series that is younger than its
/// window starts later. All places where nothing is finite. Cost: O(n).
pub fn warm_up(values: &[f64], blocks: usize) -> usize {
    let first = values.iter().position(|value| value.is_finite()).unwrap_or(values.len());
    first + blocks.min((values.len() - first) / 3)
}

/// Moves the finite values to the front, sorts them and returns them.
pub fn sort_finite(values: &mut [f64]) -> &mut [f64] {
    let values = finite_prefix(values);
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Moves the finite values to the front, in their order, and returns them.
fn finite_prefix(values: &mut [f64]) -> &mut [f64] {
    let mut kept = 0;
    for index in 0..values.len() {
        if values[index].is_finite() {
            values.swap(kept, index);
            kept += 1;
        }
    }
    &mut values[..kept]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_skip_what_is_not_finite() {
        assert_eq!(median(&mut [3.0, f64::NAN, 1.0, 2.0, f64::INFINITY]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&mut [f64::MAX, f64::MAX]), Some(f64::MAX), "no overflow");
        assert_eq!(median(&mut [f64::NAN, f64::NEG_INFINITY]), None);
        assert_eq!(median(&mut []), None);
    }

    #[test]
    fn quantiles_meet_their_ends_and_refuse_the_rest() {
        let sorted = [1.0, 2.0, 4.0];
        assert_eq!(quantile(&sorted, 0.0), Some(1.0));
        assert_eq!(quantile(&sorted, 0.75), Some(3.0));
        assert_eq!(quantile(&sorted, 1.0), Some(4.0));
        for q in [-0.1, 1.1, f64::NAN] {
            assert_eq!(quantile(&sorted, q), None);
        }
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[f64::MIN, f64::MAX], 0.5), Some(0.0), "no overflow");
    }

    #[test]
    fn quantiles_without_a_sort_are_the_same() {
        let mut values: Vec<f64> = (0..103).map(|i| f64::from(i * 37 % 103)).collect();
        let qs = [0.0, 0.05, 0.05, 0.5, 0.999, 1.0];
        let found = quantiles(&mut values, qs).unwrap();
        for (found, q) in found.into_iter().zip(qs) {
            assert!((found - q * 102.0).abs() < 1e-12);
        }
        assert_eq!(quantiles(&mut values, [0.9, 0.1]), None, "they must ascend");
        assert_eq!(quantiles(&mut [f64::NAN], [0.5]), None);
    }

    #[test]
    fn a_constant_series_has_no_spread_and_says_so() {
        assert_eq!(mad_sigma(&mut [7.0; 9]), Some(0.0));
        assert_eq!(spread(&mut [7.0; 9]), Some(0.0));
        assert_eq!(spread(&mut [f64::NAN]), None);
        assert_eq!(mad_sigma(&mut []), None);
    }

    #[test]
    fn the_spread_sees_what_the_mad_is_blind_to() {
        let mut mostly_zero = [0.0; 100];
        for (index, value) in mostly_zero.iter_mut().enumerate().take(30) {
            *value = index as f64;
        }
        assert_eq!(mad_sigma(&mut mostly_zero.clone()), Some(0.0));
        assert!(spread(&mut mostly_zero).unwrap() > 5.0);
    }
}
