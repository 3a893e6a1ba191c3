//! A week profile in as few bytes as its use needs: what is remembered of every series.

use serde::{Deserialize, Serialize};

use super::profile::{SLOTS_PER_BIN, WeekProfile};

/// Bits of a bin.
const BITS: usize = 10;
/// The highest bin.
const TOP: u16 = (1 << BITS) - 1;
/// Bins at hand: those of an hour.
const NEAR: usize = 5;

/// A [`WeekProfile`] whose bins are whole steps between the lowest and the highest bin.
///
/// # Unit
/// That of the profile. A bin is off by at most 1/2046 of the profile's range: a step is 1/1023
/// of it, and bins are rounded. A profile whose range is forty times the spread of its residuals
/// is off by a fiftieth of that spread.
///
/// # Cost
/// 10 bits a bin: 842 bytes for a week, and twelve for the bins at hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackedProfile {
    /// The lowest bin.
    low: f64,
    /// From one step to the next.
    step: f64,
    bins: u16,
    /// The bins' steps, bit by bit from the lowest on; two bytes more, so that any three can be
    /// read at once.
    bytes: Box<[u8]>,
    /// Those at hand.
    #[serde(skip)]
    near: Near,
}

/// The steps of a few bins side by side: of a million series, nobody's bytes are in a cache, while
/// these lie beside the rest of a series' state.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Near {
    first: u16,
    steps: [u16; NEAR],
}

impl Default for Near {
    /// No bin.
    fn default() -> Self {
        Self { first: u16::MAX, steps: [0; NEAR] }
    }
}

impl Near {
    fn steps(&self, bin: usize) -> Option<u16> {
        self.steps.get(bin.checked_sub(self.first.into())?).copied()
    }
}

impl PackedProfile {
    /// The profile, rounded.
    pub(super) fn of(bins: &[f32], level: f64) -> Self {
        let wide = || bins.iter().map(|&bin| f64::from(bin));
        let (low, high) = wide().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), bin| {
            (low.min(bin), high.max(bin))
        });
        let step = if high > low { (high - low) / f64::from(TOP) } else { 0.0 };
        let mut bytes = vec![0; (bins.len() * BITS).div_ceil(8) + 2];
        for (place, bin) in wide().enumerate() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and TOP"
            )]
            let steps = if step > 0.0 { ((bin - low) / step).round() as u32 } else { 0 };
            let (byte, bit) = (place * BITS / 8, place * BITS % 8);
            for (byte, more) in bytes[byte..].iter_mut().zip((steps << bit).to_le_bytes()) {
                *byte |= more;
            }
        }
        let low = if bins.is_empty() { level } else { level + low };
        Self {
            low,
            step,
            bins: u16::try_from(bins.len()).unwrap_or(u16::MAX),
            bytes: bytes.into_boxed_slice(),
            near: Near::default(),
        }
    }

    /// Has the bins at hand that this slot and those of the next hour need. What they say is the
    /// same either way.
    pub fn approach(&mut self, slot: u16) {
        let bins = usize::from(self.bins);
        if bins == 0 {
            return;
        }
        let (first, second, _) = around(slot, bins);
        if self.near.steps(first).is_none() || self.near.steps(second).is_none() {
            // Nobody asks for what is beyond the last one.
            let steps = |more| if first + more < bins { self.unpacked(first + more) } else { 0 };
            let steps = std::array::from_fn(steps);
            self.near = Near { first: u16::try_from(first).unwrap_or(u16::MAX), steps };
        }
    }

    /// The expected value at a slot: as [`WeekProfile::at`], within half a step.
    pub fn at(&self, slot: u16) -> f64 {
        if self.bins == 0 {
            return self.low;
        }
        self.low + self.step * between_bins(slot, self.bins.into(), |bin| self.steps(bin))
    }

    fn steps(&self, bin: usize) -> f64 {
        self.near.steps(bin).unwrap_or_else(|| self.unpacked(bin)).into()
    }

    fn unpacked(&self, bin: usize) -> u16 {
        let (byte, bit) = (bin * BITS / 8, bin * BITS % 8);
        let three = [self.bytes[byte], self.bytes[byte + 1], self.bytes[byte + 2], 0];
        let [low, high, ..] = (u32::from_le_bytes(three) >> bit).to_le_bytes();
        u16::from_le_bytes([low, high]) & TOP
    }
}

impl WeekProfile {
    /// The same profile in a third of the memory.
    pub fn pack(&self) -> PackedProfile {
        PackedProfile::of(&self.bins, self.level)
    }
}

/// A slot's value on the line between the centres of its two bins, the week a circle of `n` bins.
pub(super) fn between_bins(slot: u16, n: usize, bins: impl Fn(usize) -> f64) -> f64 {
    let (first, second, part) = around(slot, n);
    let (low, high) = (bins(first), bins(second));
    low + (high - low) * part / SLOTS_PER_BIN as f64
}

/// The two bins between whose centres a slot lies, and how far from the first, in thirds of a bin.
fn around(slot: u16, n: usize) -> (usize, usize, f64) {
    // In thirds of a bin from the centre of the bin before the first one.
    let thirds = usize::from(slot) + SLOTS_PER_BIN - 1;
    let bin = thirds / SLOTS_PER_BIN;
    ((bin + n - 1) % n, bin % n, (thirds % SLOTS_PER_BIN) as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::profile::SLOTS_PER_WEEK;

    fn week(values: &[f64]) -> WeekProfile {
        let slots: Vec<u16> = (0..2016).cycle().take(values.len()).collect();
        WeekProfile::fit(values, &slots, values.len() / SLOTS_PER_WEEK).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn no_slot_is_off_by_more_than_half_a_step(
            level in -1e6_f64..1e6,
            size in 1e-3_f64..1e3,
            days in prop_oneof![Just(1_usize), Just(5), Just(21)],
            seed in 1_u64..1_000,
        ) {
            let noise = |i: usize| (i as u64).wrapping_mul(seed).wrapping_mul(2_654_435_761) % 997;
            let values: Vec<f64> = (0..days * 288)
                .map(|i| level + size * ((i as f64 / 46.0).sin() + noise(i) as f64 / 997.0))
                .collect();
            let whole = week(&values);
            let mut packed = whole.pack();
            let every: Vec<f64> = (0..2016).map(|slot| whole.at(slot)).collect();
            let (low, high) = whole.bins.iter().fold((f32::MAX, f32::MIN), |(low, high), &bin| {
                (low.min(bin), high.max(bin))
            });
            let allowed = f64::from(high - low) / 2046.0 + 1e-12 * level.abs();
            for (slot, exact) in (0..).zip(every) {
                let off = (packed.at(slot) - exact).abs();
                prop_assert!(off <= 1.001 * allowed, "{slot}: {off} of {allowed}");
                let far = packed.at(slot);
                packed.approach(slot);
                prop_assert_eq!(packed.at(slot).to_bits(), far.to_bits(), "at hand");
            }
        }
    }

    #[test]
    fn a_constant_stays_what_it_is_and_a_week_is_small() {
        let constant = week(&[0.1; 288]).pack();
        assert_eq!(constant.at(1234).to_bits(), 0.1_f64.to_bits());
        let flat = week(&vec![7.0; 4 * SLOTS_PER_WEEK]).pack();
        assert_eq!(flat.at(55).to_bits(), 7.0_f64.to_bits());
        assert_eq!(flat.bytes.len(), 842);
        let wild: Vec<f64> =
            (0..4 * SLOTS_PER_WEEK).map(|i| if i % 9 < 4 { 1e300 } else { -1e300 }).collect();
        let wild = week(&wild).pack();
        assert!((0..2016).all(|slot| wild.at(slot).is_finite()));
    }
}
