//! One peer apart from the rest: the typical peer hides a single sick instance, so how far the
//! farthest one stands from the others is a series of its own (METHODS 8.6).

use serde::{Deserialize, Serialize};
use statrs::function::erf::erfc_inv;

use crate::rules::{MinEffect, Role, Scale, Signal, Worse};
use crate::series::SeriesId;
use crate::stats::robust::mad_sigma;

/// Of two that differ nobody can say which one is apart.
pub const PEERS_MIN: usize = 3;
/// A peer that has just come, or come back, is not compared for an hour: caches are cold.
pub const SETTLING_BLOCKS: i64 = 12;
/// Half-life of a peer's own distance, in blocks: fifteen minutes. A peer that
/// stays apart outlasts the noise of the others, and the farthest does not change at every block.
pub const HALF_LIFE: f64 = 3.0;
/// `1 − 2^(−1/h)` for [`HALF_LIFE`]: the weight of the newest block.
const WEIGHT: f64 = 0.206_299_474_015_900_3;
/// Share of the others' middle that is added to both sides of the ratio: near zero a ratio is
/// noise.
const OFFSET_SHARE: f64 = 0.1;
/// Ratios are limited to a hundredfold, either way.
const LN_RATIO_MAX: f64 = 4.605_170_185_988_092;
/// Ties are ratios that are closer to 1 than this.
const TIE: f64 = 1e-3;
/// A series that is tied for more than this share says nothing about distances.
const TIES_MAX: f64 = 0.5;

/// What a series of distances is about, and its newest comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Apart {
    /// The series whose peers are compared.
    pub of: SeriesId,
    /// The peer that stood farthest toward worse when they were last compared.
    pub farthest: Option<Farthest>,
}

/// The peer that stands farthest from the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Farthest {
    /// Its name.
    pub peer: String,
    /// Its value, in the signal's own unit.
    pub value: f64,
    /// The median of the others.
    pub others: f64,
    /// What was added to both.
    offset: f64,
    /// What was added to the logarithm, for the number of peers.
    shift: f64,
}

/// How far one peer stands from the others, over the last blocks: the natural logarithm of a
/// ratio. None while it is settling.
pub type Distance = Option<f64>;

/// Whether the peers of a signal can be compared: its values are levels of something that is
/// alike in all of them, and one direction hurts.
///
/// Work is shared out unevenly on purpose, and rare events of a single peer are too few.
pub const fn is_compared(signal: &Signal) -> bool {
    !signal.role.is_context()
        && !matches!(signal.role, Role::Goodput | Role::Restarts)
        && !matches!(signal.scale, Scale::Count)
        && !matches!(signal.worse, Worse::Either)
}

/// The signal as the distances between its peers are judged: they are ratios, whatever it is.
pub fn judged(signal: &Signal) -> Signal {
    Signal { scale: Scale::Log, ..signal.clone() }
}

/// Whether distances vary enough to have a spread: peers that mostly agree to the digit do not.
pub fn is_varied(ratios: &[f64]) -> bool {
    let finite = ratios.iter().filter(|ratio| ratio.is_finite());
    let (ties, all) = finite.fold((0_usize, 0_usize), |(ties, all), ratio| {
        (ties + usize::from((ratio - 1.0).abs() < TIE), all + 1)
    });
    ties as f64 <= TIES_MAX * all as f64
}

/// Compares peers that all reported: moves each one's distance on and finds the farthest toward
/// worse. Returns the block's value for the series of distances, a ratio, and who it is.
///
/// # Unit
/// `exp(d − (e_n − e₃) σ)`: d the logarithm of `(value + o) / (median of the others + o)` of the
/// peer whose smoothed d is the largest, o the larger of a tenth of that median and
/// `min_effect.absolute`; σ the spread of the smoothed d of all peers by their MAD; `e_n` the
/// expected largest of n independent normal values, so that more peers alone move nothing.
///
/// # Needs
/// The same order of peers in `values` and `distances`.
///
/// # Abstains
/// With fewer than three peers, or where a value is negative: it has no ratio.
///
/// # Cost
/// O(n log n).
///
/// # Source
/// METHODS 8.6; `e_n = Φ⁻¹((n − 3/8) / (n + 1/4))` is Blom's (1958).
pub fn compare(
    signal: &Signal,
    names: &[&str],
    values: &[f64],
    distances: &mut [&mut Distance],
) -> Option<(f64, Farthest)> {
    let n = values.len();
    if n < PEERS_MIN || values.iter().any(|value| !value.is_finite() || *value < 0.0) {
        return None;
    }
    let toward_worse = if signal.worse == Worse::Down { -1.0 } else { 1.0 };
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut all = Vec::with_capacity(n);
    let mut farthest: Option<(f64, usize, f64)> = None;
    for (i, (&value, distance)) in values.iter().zip(distances.iter_mut()).enumerate() {
        let now = ln_ratio(value, &sorted, signal);
        let smoothed = distance.map_or(now, |before| before + WEIGHT * (now - before));
        **distance = Some(smoothed);
        all.push(smoothed);
        let toward = toward_worse * smoothed;
        if farthest.is_none_or(|(most, ..)| toward > most) {
            farthest = Some((toward, i, now));
        }
    }
    let (_, who, now) = farthest?;
    let sigma = mad_sigma(&mut all.clone())?;
    let shift = toward_worse * sigma * (expected_largest(PEERS_MIN) - expected_largest(n));
    let (value, others) = (values[who], median_without(&sorted, values[who]));
    let found = Farthest {
        peer: names[who].to_owned(),
        value,
        others,
        offset: offset(others, signal),
        shift,
    };
    Some(((now + shift).exp(), found))
}

impl Farthest {
    /// Whether a distance is at least `min_effect` away from the expected one, in the signal's own
    /// unit among these peers. Judged by the mean of the last blocks: clipped residuals would hide
    /// how far a peer is.
    pub fn matters(&self, distances: [f64; 2], signal: &Signal) -> bool {
        let [seen, expected] = self.in_unit(distances);
        let effect = (seen - expected).abs();
        let MinEffect { relative, absolute } = signal.min_effect;
        effect >= absolute && effect >= relative * expected.abs()
    }

    /// What distances from the other peers come to, in the signal's own unit.
    pub fn in_unit(&self, distances: [f64; 2]) -> [f64; 2] {
        let unit = (-self.shift).exp() * (self.others + self.offset);
        distances.map(|ratio| ratio * unit - self.offset)
    }
}

/// The median of all but one of sorted values. O(log n).
fn median_without(sorted: &[f64], value: f64) -> f64 {
    let out = sorted.partition_point(|other| *other < value);
    let at = |i: usize| sorted[if i < out { i } else { i + 1 }];
    let rest = sorted.len() - 1;
    if rest % 2 == 1 { at(rest / 2) } else { f64::midpoint(at(rest / 2 - 1), at(rest / 2)) }
}

fn offset(others: f64, signal: &Signal) -> f64 {
    (OFFSET_SHARE * others).max(signal.min_effect.absolute)
}

fn ln_ratio(value: f64, sorted: &[f64], signal: &Signal) -> f64 {
    let others = median_without(sorted, value);
    let offset = offset(others, signal);
    let (above, below) = (value + offset, others + offset);
    // All are zero: as alike as can be.
    let ln = if above > 0.0 || below > 0.0 { above.ln() - below.ln() } else { 0.0 };
    ln.clamp(-LN_RATIO_MAX, LN_RATIO_MAX)
}

/// The expected largest of n independent standard normal values.
fn expected_largest(n: usize) -> f64 {
    // Φ⁻¹(p) = −√2 erfc⁻¹(2p).
    -std::f64::consts::SQRT_2 * erfc_inv(2.0 * (n as f64 - 0.375) / (n as f64 + 0.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_without_one() {
        let sorted = [1.0, 2.0, 2.0, 5.0];
        assert!((median_without(&sorted, 5.0) - 2.0).abs() < 1e-12);
        assert!((median_without(&sorted, 1.0) - 2.0).abs() < 1e-12);
        assert!((median_without(&[1.0, 2.0, 4.0, 8.0, 9.0], 4.0) - 5.0).abs() < 1e-12);
    }

    #[test]
    fn the_largest_of_many_normal_values() {
        // R: qnorm(2.625 / 3.25), qnorm(8.625 / 9.25).
        assert!((expected_largest(3) - 0.869_424).abs() < 1e-6, "{}", expected_largest(3));
        assert!((expected_largest(9) - 1.494_155).abs() < 1e-6, "{}", expected_largest(9));
    }
}
