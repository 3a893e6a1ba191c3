//! From a signal's own unit to the scale on which its noise is alike everywhere, and back.
//!
//! Source: METHODS 2.2 in docs/methods.md; the square root is Anscombe's (1948).

use serde::{Deserialize, Serialize};

use crate::rules::Scale;
use crate::stats::robust::quantile;

/// Below this many values a transform cannot be fitted.
pub const VALUES_MIN: usize = 12;
/// From this share of zeros on a series is compared as counts: its middle says nothing.
const ZEROS_MAX: f64 = 0.2;
/// From this many events a block on counts are treated as continuous.
const EVENTS_CONTINUOUS: f64 = 1.0;
/// From this many events a block on ratios matter more than roots.
const EVENTS_MANY: f64 = 5.0;
/// From here on `exp` is no number that can be reckoned with.
const EXPONENT_MAX: f64 = 700.0;
/// What one block counts for at most where no event was ever seen, so that its size is not known.
const EVENTS_UNKNOWN_MAX: f64 = 2.0;
/// Seconds in a block: a rate per second times this is a count.
const BLOCK_SECONDS: f64 = 300.0;

/// How values become comparable. Fitted once per refit, so that it does not move with the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Transform {
    /// `x`
    Linear,
    /// `ln(x + offset)`, for what grows by shares.
    Log {
        /// A tenth of the 5th percentile of the positive history: zero stays finite.
        offset: f64,
    },
    /// `ln((x + offset) / (1 - x + offset))`, for shares.
    Logit {
        /// As for `Log`.
        offset: f64,
    },
    /// `2 sqrt(x / quantum + 3/8)`, for few events.
    Root {
        /// The value of one event.
        quantum: f64,
    },
    /// Not transformed but counted: `x / quantum` events a block.
    Count {
        /// The value of one event; none was seen when it is absent.
        quantum: Option<f64>,
    },
}

impl Transform {
    /// Chooses the transform that fits the history of one series. Non-finite values are skipped;
    /// abstains with fewer than [`VALUES_MIN`]. O(n log n).
    pub fn fit(scale: Scale, history: &[f64]) -> Option<Self> {
        let finite: Vec<f64> = history.iter().copied().filter(|x| x.is_finite()).collect();
        if finite.len() < VALUES_MIN {
            return None;
        }
        if scale == Scale::Linear || finite.iter().any(|&x| x < 0.0) {
            return Some(Self::Linear);
        }
        let mut positive: Vec<f64> = finite.iter().copied().filter(|&x| x > 0.0).collect();
        positive.sort_unstable_by(f64::total_cmp);
        let zeros = 1.0 - positive.len() as f64 / finite.len() as f64;
        let low = quantile(&positive, 0.05);
        let Some(low) = low else { return Some(Self::Count { quantum: None }) };
        let offset = 0.1 * low;
        // Percent or milliseconds: no share, and clamped to [0, 1] it would never move.
        let scale = match scale {
            Scale::Logit if quantile(&positive, 0.95).is_some_and(|high| high > 1.0) => Scale::Log,
            other => other,
        };
        let events = finite.iter().sum::<f64>() / finite.len() as f64 / low;
        Some(match scale {
            Scale::Count if zeros > ZEROS_MAX || events < EVENTS_CONTINUOUS => {
                Self::Count { quantum: Some(low) }
            }
            Scale::Count if events < EVENTS_MANY => Self::Root { quantum: low },
            Scale::Log | Scale::Logit if zeros > ZEROS_MAX => {
                Self::Count { quantum: quantile(&positive, 0.5) }
            }
            Scale::Logit => Self::Logit { offset: offset.min(0.05) },
            _ => Self::Log { offset },
        })
    }

    /// Into the comparable scale; for counts, the number of events. NaN, a gap, stays one.
    pub fn forward(self, x: f64) -> f64 {
        match self {
            // `max` below would take a gap for zero.
            _ if x.is_nan() => x,
            Self::Log { offset } => (x.max(0.0) + offset).ln(),
            Self::Logit { offset } => {
                let x = x.clamp(0.0, 1.0);
                ((x + offset) / (1.0 - x + offset)).ln()
            }
            Self::Root { quantum } => 2.0 * (x.max(0.0) / quantum + 0.375).sqrt(),
            Self::Count { quantum: Some(quantum) } => x.max(0.0) / quantum,
            // No event was ever seen: a rate per second is below one, a count is not.
            Self::Count { quantum: None } => {
                let events = if x < 1.0 { x.max(0.0) * BLOCK_SECONDS } else { x };
                events.min(EVENTS_UNKNOWN_MAX)
            }
            Self::Linear => x,
        }
    }

    /// Back into the signal's own unit.
    pub fn inverse(self, y: f64) -> f64 {
        match self {
            Self::Linear => y,
            Self::Log { offset } => (y.min(EXPONENT_MAX).exp() - offset).max(0.0),
            Self::Logit { offset } => {
                let odds = y.min(EXPONENT_MAX).exp();
                ((odds * (1.0 + offset) - offset) / (1.0 + odds)).clamp(0.0, 1.0)
            }
            Self::Root { quantum } => ((y / 2.0).powi(2) - 0.375).max(0.0) * quantum,
            Self::Count { quantum } => y.max(0.0) * quantum.unwrap_or(1.0 / BLOCK_SECONDS),
        }
    }

    /// The smallest spread worth believing, in the comparable scale, for values around `middle`:
    /// about 2 %. A series that hardly ever moved would otherwise shout at its first step.
    pub fn spread_floor(self, middle: f64) -> f64 {
        match self {
            Self::Linear => (0.02 * middle.abs()).max(1e-9),
            Self::Log { .. } | Self::Logit { .. } => 0.02,
            Self::Root { .. } | Self::Count { .. } => 0.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rare_values_are_counted_and_usual_ones_are_not() {
        let mut rare = vec![0.0; 95];
        rare.extend([1.0; 5]);
        assert_eq!(
            Transform::fit(Scale::Count, &rare),
            Some(Transform::Count { quantum: Some(1.0) })
        );
        assert!(matches!(
            Transform::fit(Scale::Logit, &rare),
            Some(Transform::Count { quantum: Some(_) })
        ));
        assert_eq!(
            Transform::fit(Scale::Count, &[0.0; 50]),
            Some(Transform::Count { quantum: None })
        );
        let busy: Vec<f64> = (0..100).map(|i| 100.0 + f64::from(i)).collect();
        assert!(matches!(Transform::fit(Scale::Log, &busy), Some(Transform::Log { .. })));
        assert_eq!(Transform::fit(Scale::Log, &busy[..5]), None);
    }

    #[test]
    fn a_gap_is_not_taken_for_zero() {
        for transform in [
            Transform::Linear,
            Transform::Log { offset: 0.1 },
            Transform::Logit { offset: 0.01 },
            Transform::Root { quantum: 1.0 },
            Transform::Count { quantum: Some(1.0) },
            Transform::Count { quantum: None },
        ] {
            assert!(transform.forward(f64::NAN).is_nan(), "{transform:?}");
        }
    }

    proptest! {
        #[test]
        fn inverse_undoes_forward(x in 0.0_f64..1.0, quantum in 0.001_f64..0.1) {
            for transform in [
                Transform::Linear,
                Transform::Log { offset: quantum },
                Transform::Logit { offset: quantum },
                Transform::Root { quantum },
                Transform::Count { quantum: Some(quantum) },
            ] {
                let back = transform.inverse(transform.forward(x));
                prop_assert!((back - x).abs() < 1e-9, "{transform:?} {x} {back}");
            }
        }
    }
}
