//! From written values to numbers, the same for the same seed.

use std::f64::consts::TAU;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::notation::{Item, Noise, values_len};
use crate::series::stable_hash;
use crate::time::{Span, Timestamp};

/// How much of the noise of one value is left in the next, as production noise has it: the lag-1
/// autocorrelation.
pub const NOISE_MEMORY: f64 = 0.6;
/// The hour of the day, in UTC, at which the daily wave is highest.
const WAVE_HOUR: f64 = 15.0;

/// The values of a series that begins at `start`, NaN where there is none.
///
/// Noise is Gaussian and autoregressive of order one. It depends on the seed, on how the series is
/// written and on the step: a further series in a test leaves those before it as they were.
/// A value that could not be below zero without noise is not below zero with it.
///
/// # Cost
///
/// O(values) time and memory.
pub(super) fn generate(
    items: &[Item],
    series: &str,
    (start, step): (Timestamp, Span),
    seed: u64,
) -> Vec<f64> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    #[expect(clippy::cast_possible_truncation, reason = "any 64 bits of the hash will do")]
    dice.set_stream(stable_hash(&[series]) as u64);
    let mut normal = || -> f64 { StandardNormal.sample(&mut dice) };
    let mut noise = normal();
    let mut values = Vec::with_capacity(values_len(items));
    for item in items {
        for n in 0..item.count {
            let at = start + step.times(i64::try_from(values.len()).unwrap_or(i64::MAX));
            values.push(item.level.map_or(f64::NAN, |level| {
                let base = (level.start + level.slope * n as f64) * (1.0 + level.wave * wave(at));
                let size = match level.noise {
                    Noise::Absolute(size) => size,
                    Noise::Share(share) => share * base.abs(),
                };
                let value = base + size * noise;
                if base >= 0.0 { value.max(0.0) } else { value }
            }));
            noise = NOISE_MEMORY * noise + (1.0 - NOISE_MEMORY * NOISE_MEMORY).sqrt() * normal();
        }
    }
    values
}

/// From -1 to 1 over a day.
fn wave(at: Timestamp) -> f64 {
    let hours = at.as_secs_f64() / 3_600.0 - WAVE_HOUR;
    (TAU * (hours / 24.0).fract()).cos()
}

#[cfg(test)]
mod tests {
    use super::super::notation::values;
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_709_510_400);

    fn made(text: &str, seed: u64) -> Vec<f64> {
        let items = values(text, Span::MINUTE).unwrap();
        generate(&items, "x", (START, Span::MINUTE), seed)
    }

    #[test]
    fn values_follow_what_is_written() {
        assert_eq!(made("-2+4x3 7", 1), [-2.0, 2.0, 6.0, 10.0, 7.0]);
        let gaps: Vec<bool> = made("1 _x2 2", 1).iter().map(|v| v.is_nan()).collect();
        assert_eq!(gaps, [false, true, true, false]);
        let day = made("10^0.3x1d", 1);
        assert!((day[15 * 60] - 13.0).abs() < 1e-9 && (day[3 * 60] - 7.0).abs() < 1e-9);
    }

    #[test]
    fn noise_has_the_size_and_memory_that_it_says() {
        let values = made("50~5x4w", 3);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let var = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let lag = values.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / n;
        assert!((mean - 50.0).abs() < 0.3, "{mean}");
        assert!((var.sqrt() - 5.0).abs() < 0.15, "{}", var.sqrt());
        assert!((lag / var - NOISE_MEMORY).abs() < 0.02, "{}", lag / var);
        assert_eq!(made("50~10%x4w", 3), made("50~5x4w", 3));
    }

    #[test]
    fn noise_depends_on_the_seed_and_does_not_cross_zero() {
        assert_eq!(made("1~1x99", 4), made("1~1x99", 4));
        assert_ne!(made("1~1x99", 4), made("1~1x99", 5));
        assert!(made("0.1~1x999", 4).iter().all(|&value| value >= 0.0));
        assert!(made("-0.1~1x999", 4).iter().any(|&value| value > 0.0));
    }
}
