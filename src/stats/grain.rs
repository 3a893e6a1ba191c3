//! How coarse the values of a series are: what was quantised, rounded or interpolated inside the
//! buckets of a histogram does not move, it jumps.

use super::robust;

/// From this share of blocks that repeat the one before a series is a state and no measurement.
const REPEATED_MAX: f64 = 0.6;
/// Jumps in the hundredth block that are this many times the usual one are leaps between grains:
/// 3.8 for normal noise, about 5 for Student's t with four degrees of freedom.
const LEAP_RATIO: f64 = 8.0;

/// How coarse a series is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grain {
    /// The usual size of its jumps; 0 for a series that moves smoothly.
    pub step: f64,
    /// True when most blocks repeat the one before: its spread says nothing.
    pub is_state: bool,
}

impl Grain {
    /// Measures the grain of block values, and of their residuals: what jumps by the clock, as
    /// an hourly job does, is season and not grain.
    ///
    /// A bucket's bounds are not known here, but a quantile that is interpolated between them
    /// leaps by about their ratio whenever its rank crosses one: the 99th percentile of the
    /// residuals' steps, where it is [`LEAP_RATIO`] times the median step and more.
    ///
    /// # Unit
    /// That of the values.
    ///
    /// # Abstains
    /// Smooth, with fewer than two values in a row.
    ///
    /// # Cost
    /// O(n).
    ///
    /// # Source
    /// Own; METHODS 2.3 and 4.4.
    pub fn measure(values: &[f64], residuals: &[f64]) -> Self {
        let mut moves = steps(values);
        let all = moves.len();
        moves.retain(|&step| step > 0.0);
        let repeated = all - moves.len();
        let is_state = all > 0 && repeated as f64 > REPEATED_MAX * all as f64;
        let jump = if is_state { robust::median(&mut moves).unwrap_or(0.0) } else { 0.0 };
        let mut errors = steps(residuals);
        let leap = robust::quantiles(&mut errors, [0.5, 0.99])
            .filter(|[usual, high]| *high > LEAP_RATIO * usual)
            .map_or(0.0, |[_, high]| high);
        Self { step: jump.max(leap), is_state }
    }
}

/// Sizes of the steps from block to block.
fn steps(values: &[f64]) -> Vec<f64> {
    let pairs = values.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    pairs.filter(|step| step.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_jumps_by_its_step_and_a_constant_has_none() {
        let replicas: Vec<f64> = (0..200).map(|i| if i % 40 < 30 { 3.0 } else { 5.0 }).collect();
        assert_eq!(Grain::measure(&replicas, &replicas), Grain { step: 2.0, is_state: true });
        assert_eq!(Grain::measure(&[7.0; 50], &[0.0; 50]), Grain { step: 0.0, is_state: true });
        assert_eq!(Grain::measure(&[7.0], &[0.0]), Grain::default());
    }

    #[test]
    fn leaps_between_buckets_are_told_from_noise() {
        let noise = |i: u64| {
            let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            ((x ^ (x >> 29)) >> 40) as f64 / f64::from(1_u32 << 24)
        };
        let smooth: Vec<f64> = (0..1_000).map(|i| 0.01 * noise(i)).collect();
        assert_eq!(Grain::measure(&smooth, &smooth), Grain::default());
        let leaps: Vec<f64> = smooth
            .iter()
            .enumerate()
            .map(|(i, x)| x + if i % 50 == 0 { 0.7 } else { 0.0 })
            .collect();
        let grain = Grain::measure(&leaps, &leaps);
        assert!((grain.step - 0.7).abs() < 0.02 && !grain.is_state, "{grain:?}");
        assert_eq!(Grain::measure(&leaps, &smooth), Grain::default(), "by the clock");
    }
}
