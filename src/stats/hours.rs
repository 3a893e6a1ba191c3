//! What a series of wandering level is held against besides its last days: its last hours.
//!
//! Days of wandering make a series deaf to weak shifts: its moves above the mean of the last days
//! are wide on normal days too. Above the mean of the last hours they are narrower. A series that
//! does not wander gains nothing by it, for the last hours absorb a part of what rises slowly.

use std::array::from_fn;

use serde::{Deserialize, Serialize};

use super::ewma::{Bank, HOUR, PRICES, SD_FLOOR, WARM_UP, is_enough_history, replay};
use super::robust;

/// How many scales may be held against the last hours: 10 min, 30 min and 1 h. What takes longer
/// to be seen the last hours absorb meanwhile.
pub const SHORT: usize = 3;

/// A scale is held against the last hours where these leave less than this part of its tails: a
/// shift of which the last hours absorb a part must still stand out more for it.
const TAILS_LEFT: f64 = 0.87;

/// How far into the tails it is looked: the alarms of a week come from there.
const TAIL: f64 = 0.995;

/// What is so many times as far from the last days as the middle 99 % of normal hours are is an
/// outage, which the last hours do not learn.
const LEARNED: f64 = 1.5;

/// What is less far than this from the last days, in σ of one block, is always learned.
const LEARNED_MIN: f64 = 1.0;

/// A move above the last hours counts as at most so many times that above the last days.
const MOST: f64 = 2.0;

/// How far each short scale of a series strays above its last hours on a normal day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hours {
    /// Standard deviation of each scale's move above the last hours, in σ of one block; infinite
    /// where a scale is not held against them.
    sds: [f32; SHORT],
    /// How far the mean of an hour may be from that of the last days for the last hours to learn
    /// of it, in σ of one block.
    learned: f32,
}

impl Default for Hours {
    /// Nothing is held against the last hours.
    fn default() -> Self {
        Self { sds: [f32::INFINITY; SHORT], learned: f32::INFINITY }
    }
}

impl Hours {
    /// Finds out on a replay of past residuals which scales gain by the last hours: those whose
    /// middle 99 % are less than 0.87 times as wide above them as above the last days. The last
    /// hours learn all of the replay, outages too: these are rare.
    ///
    /// # Unit
    /// σ of one block.
    ///
    /// # Needs
    /// Residuals predicted out of sample (see [`super::profile::rolling_origin`]).
    ///
    /// # Abstains
    /// With less than three days of values nothing is held against the last hours.
    ///
    /// # Cost
    /// O(n).
    ///
    /// # Source
    /// Ours: docs/methods.md 2.8.
    pub fn measure(z: &[f64]) -> Self {
        if !is_enough_history(z) {
            return Self::default();
        }
        let paths: [Vec<f64>; 2 * SHORT] = replay(z, |bank| {
            from_fn(|i| if i < SHORT { bank.difference(i) } else { bank.above_hours(i - SHORT) })
        });
        let skip = robust::warm_up(z, WARM_UP);
        let strays = paths.map(|mut path| Stray::measure(&mut path[skip..]));
        let (days, hours) = strays.split_at(SHORT);
        let [low, high] = days[HOUR].tails;
        let learned = (LEARNED * high.max(-low)).max(LEARNED_MIN);
        let mut measured = Self { learned: narrow(learned), ..Self::default() };
        for ((sd, days), hours) in measured.sds.iter_mut().zip(days).zip(hours) {
            // At the floor of spreads the tails say nothing about scores.
            if hours.sd < days.sd && hours.width() < TAILS_LEFT * days.width() {
                *sd = narrow(hours.sd);
            }
        }
        measured
    }

    /// Whether any scale is held against the last hours.
    pub fn is_used(&self) -> bool {
        self.sds.iter().any(|sd| sd.is_finite())
    }

    /// Takes one block's residual into the slow mean over hours: not while the series is much
    /// farther from its last days than on normal days. The end of an outage that the last hours
    /// have learned would look like a rise.
    pub fn update(&self, bank: &mut Bank, z: f64) {
        if bank.difference(HOUR).abs() <= f64::from(self.learned) {
            bank.update_hours(z);
        }
    }

    /// The scores above the last hours; zero where a scale is not held against them.
    ///
    /// What counts is at most twice the move above the last days, and nothing where a series is
    /// above the ones and below the others: coming back to where it mostly is is no move.
    pub fn scores(&self, bank: &Bank) -> [f64; SHORT] {
        from_fn(|j| {
            let most = MOST * bank.difference(j);
            let moved = bank.above_hours(j).clamp(most.min(0.0), most.max(0.0));
            moved / (f64::from(self.sds[j]) * PRICES[j])
        })
    }

    /// Makes every spread so many times as wide.
    pub fn widen(&mut self, factor: f64) {
        self.sds.iter_mut().for_each(|sd| *sd = narrow(f64::from(*sd) * factor));
    }
}

/// There may be a million of these. What is too large becomes infinite: not held against.
fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "spreads need no more digits")]
    let narrow = value as f32;
    narrow
}

/// How far one scale strays.
struct Stray {
    sd: f64,
    /// Between these the middle 99 % lie.
    tails: [f64; 2],
}

impl Stray {
    fn measure(path: &mut [f64]) -> Self {
        let sd = robust::spread(path).map_or(f64::INFINITY, |sd| sd.max(SD_FLOOR));
        Self { sd, tails: robust::quantiles(path, [1.0 - TAIL, TAIL]).unwrap_or_default() }
    }

    fn width(&self) -> f64 {
        self.tails[1] - self.tails[0]
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    /// Four weeks of noise that forgets half in a block, on a level that goes up and down by so
    /// many σ within four days.
    fn wandering(by: f64) -> Vec<f64> {
        let (mut noise, mut state) = (0.0, 1_u64);
        let at = |block: u32| {
            // Knuth's MMIX generator: any noise without a pattern will do.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            noise = 0.5 * noise + (state >> 40) as f64 / (1_u64 << 24) as f64 * 3.0 - 1.5;
            noise + by * (f64::from(block) / 1152.0 * std::f64::consts::TAU).sin()
        };
        (0..8064).map(at).collect()
    }

    /// A bank that has seen these levels for so many blocks each.
    fn seen(hours: &Hours, levels: &[(f64, usize)]) -> Bank {
        let mut bank = Bank::default();
        for level in levels.iter().flat_map(|&(level, blocks)| std::iter::repeat_n(level, blocks)) {
            bank.update(level);
            hours.update(&mut bank, level);
        }
        bank
    }

    const HELD: Hours = Hours { sds: [0.5; SHORT], learned: 2.0 };

    #[test]
    fn what_wanders_is_held_against_its_last_hours_and_what_does_not_is_not() {
        assert!(!Hours::measure(&wandering(0.0)).is_used());
        let wanders = Hours::measure(&wandering(3.0));
        assert!(wanders.sds.iter().all(|sd| sd.is_finite()), "{wanders:?}");
        let above_days = crate::stats::ewma::scale_sds(&wandering(3.0));
        assert!(f64::from(wanders.sds[HOUR]) < 0.8 * above_days[HOUR]);
    }

    #[test]
    fn it_is_the_tails_that_count_and_not_the_middle() {
        let mut bursts = wandering(3.0);
        // An hour of every second day is far from anything: a fiftieth of all blocks.
        for block in (0..bursts.len()).filter(|block| block % 576 < 12) {
            bursts[block] += if block % 1152 < 576 { 12.0 } else { -12.0 };
        }
        let measured = Hours::measure(&bursts);
        assert!(!measured.is_used(), "{measured:?}");
    }

    #[test]
    fn too_little_and_too_flat_a_history_is_held_against_days_alone() {
        assert_eq!(Hours::measure(&wandering(3.0)[..863]), Hours::default());
        assert_eq!(Hours::measure(&[f64::NAN; 2000]), Hours::default());
        let young = seen(&Hours::default(), &[(5.0, 288)]);
        assert!(young.between() > 2.0, "its last hours are known all the same");
        let flat = Hours::measure(&[0.0; 2016]);
        assert!(!flat.is_used() && flat.learned == 1.0);
        assert_eq!(flat.scores(&seen(&flat, &[(0.0, 576), (1.0, 12)])), [0.0; SHORT]);
    }

    #[test]
    fn a_score_is_the_move_above_the_last_hours_over_its_spread() {
        // Half a day at 1 is half learned by the last hours, and hardly by the last days.
        let bank = seen(&HELD, &[(0.0, 1152), (1.0, 144), (2.0, 24)]);
        let moved = bank.above_hours(HOUR);
        assert!(bank.between() > 0.4 && moved > 0.9);
        assert_eq!(HELD.scores(&bank)[HOUR], moved / 0.5);
        assert_eq!(HELD.scores(&bank)[0], bank.above_hours(0) / (0.5 * PRICES[0]));
        let mut wider = HELD;
        wider.widen(2.0);
        assert_eq!(wider.scores(&bank)[HOUR], moved);
    }

    #[test]
    fn what_comes_back_to_its_last_days_has_not_moved() {
        // The last hours know nothing of an outage.
        let outage = seen(&HELD, &[(0.0, 2016), (-6.0, 144), (0.0, 48)]);
        assert!(outage.between() > 0.0, "the last days have learned a part of it");
        // And of a dip that they learn, the end counts as twice the move above the last days.
        let dip = seen(&HELD, &[(0.0, 2016), (-1.8, 144), (0.0, 48)]);
        assert!(dip.above_hours(HOUR) > 0.5);
        for bank in [outage, dip] {
            let days = bank.difference(HOUR);
            assert!((0.0..=2.0 * days / 0.5).contains(&HELD.scores(&bank)[HOUR]));
            assert!(HELD.scores(&bank)[HOUR] < 2.0);
        }
        // Above the last hours and below the last days: neither.
        let rising = seen(&HELD, &[(0.0, 2016), (-1.8, 144), (-0.5, 36)]);
        assert!(rising.difference(HOUR) < 0.0 && rising.above_hours(HOUR) > 0.0);
        assert_eq!(HELD.scores(&rising), [0.0; SHORT]);
    }
}
