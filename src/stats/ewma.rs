//! A bank of exponentially weighted means at several half-lives above slow ones.
//!
//! The slow mean is a high-pass filter: what a baseline of weeks gets wrong for days is taken
//! out, so that one threshold serves series of very different memory. A second one, over hours,
//! serves series whose level wanders ([`super::hours`]).

use serde::{Deserialize, Serialize};

use super::robust;

/// How many time scales a bank has.
pub const SCALES: usize = 5;

/// Half-lives of the fast means, in blocks of five minutes: 10 min, 30 min, 1 h, 2 h, 4 h.
pub const HALF_LIVES: [f64; SCALES] = [2.0, 6.0, 12.0, 24.0, 48.0];

/// What a score of each scale is divided by: a fast mean has more chances a week to be high by
/// accident, and would otherwise set the threshold for all.
pub const PRICES: [f64; SCALES] = [1.25, 1.1, 1.0, 1.0, 1.0];

/// The scale of an hour: that of the unadjusted score, of traffic's own move, and of what a slow
/// mean may learn.
pub const HOUR: usize = 2;

/// Half-life of the slow mean, in blocks: two days.
pub const SLOW_HALF_LIFE: f64 = 576.0;

/// Half-life of the slow mean over hours, in blocks: ten hours.
pub const HOURS_HALF_LIFE: f64 = 120.0;

/// `1 − 2^(−1/h)` for each of [`HALF_LIVES`]: the weight of the newest block.
pub const WEIGHTS: [f64; SCALES] = [
    0.292_893_218_813_452_4,
    0.109_101_281_859_660_73,
    0.056_125_687_318_306_47,
    0.028_468_058_846_394_14,
    0.014_336_801_359_812_412,
];

/// `1 − 2^(−1/h)` for [`SLOW_HALF_LIFE`].
const SLOW_WEIGHT: f64 = 0.001_202_656_749_818_786_8;

/// `1 − 2^(−1/h)` for [`HOURS_HALF_LIFE`].
const HOURS_WEIGHT: f64 = 0.005_759_576_182_452_708;

/// How far one block may pull a slow mean, in σ: a spike must not.
const SLOW_PULL: f64 = 3.0;

/// Gaps of up to this many blocks (2 h) are bridged; after longer ones the fast means forget.
pub const GAP_BRIDGED: u32 = 24;

/// Blocks of history (3 days) below which spreads come from a formula and not from the data.
const HISTORY_MIN: usize = 864;

/// Blocks (2 days) at the start of a replay that still feel the empty start.
pub(super) const WARM_UP: usize = 576;

/// Spreads from data are not trusted below this: flat and quantised series.
pub const SD_FLOOR: f64 = 0.15;

/// Spreads from the formula are not trusted below this.
const SD_FLOOR_COLD: f64 = 0.35;

/// Lag-1 autocorrelation that the formula assumes: typical of five-minute blocks.
const COLD_AUTOCORRELATION: f64 = 0.6;

/// The running means of one series of standardised residuals. Starts at zero: "as expected".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bank {
    e: [f64; SCALES],
    slow: f64,
    hours: f64,
}

impl Bank {
    /// Takes one block's residual: `E_j += λ_j (z − E_j)`, `L += λ_s clip(z − L, ±3)`.
    ///
    /// A value that is not finite changes nothing. Cost: O(1), about 20 flops.
    pub fn update(&mut self, z: f64) {
        if z.is_finite() {
            self.slow += SLOW_WEIGHT * (z - self.slow).clamp(-SLOW_PULL, SLOW_PULL);
        }
        self.update_fast(z);
    }

    /// Takes the same residual into the slow mean over hours, as `L` does.
    pub fn update_hours(&mut self, z: f64) {
        if z.is_finite() {
            self.hours += HOURS_WEIGHT * (z - self.hours).clamp(-SLOW_PULL, SLOW_PULL);
        }
    }

    /// As [`Self::update`] while the slow means stand still: what comes is not to become the normal.
    pub fn update_fast(&mut self, z: f64) {
        if !z.is_finite() {
            return;
        }
        for (e, weight) in self.e.iter_mut().zip(WEIGHTS) {
            *e += weight * (z - *e);
        }
    }

    /// Forgets over a gap of `blocks`: each fast mean decays towards the slow one by
    /// `(1 − λ_j)^blocks`, so that old evidence does not vote when data comes back; so does the
    /// slow mean over hours.
    ///
    /// Gaps of at most [`GAP_BRIDGED`] blocks change nothing. Decaying towards the slow mean and
    /// not towards zero keeps a gap from looking like a move on a series that sits off its
    /// baseline.
    pub fn gap(&mut self, blocks: u32) {
        if blocks <= GAP_BRIDGED {
            return;
        }
        let faded = |mean: f64, half_life: f64| {
            self.slow + (mean - self.slow) * (-f64::from(blocks) / half_life).exp2()
        };
        let hours = faded(self.hours, HOURS_HALF_LIFE);
        for (e, half_life) in self.e.iter_mut().zip(HALF_LIVES) {
            *e = faded(*e, half_life);
        }
        self.hours = hours;
    }

    /// `E_j − L`: how far the mean at scale `j` is from the slow mean, in σ of one block.
    ///
    /// Divide by the scale's [`scale_sds`] for a score. Zero for a scale that does not exist.
    pub fn difference(&self, j: usize) -> f64 {
        self.e.get(j).map_or(0.0, |e| e - self.slow)
    }

    /// All five differences, in order of scale.
    pub fn differences(&self) -> [f64; SCALES] {
        self.e.map(|e| e - self.slow)
    }

    /// The slow mean `L`, in σ of one block: where the series has sat over the last days.
    pub fn slow(&self) -> f64 {
        self.slow
    }

    /// How far the mean at scale `j` is above the slow mean over hours, in σ of one block, for a
    /// scale that exists.
    pub fn above_hours(&self, j: usize) -> f64 {
        self.difference(j) - self.between()
    }

    /// How far the series has sat above `L` over the last hours, in σ of one block.
    pub fn between(&self) -> f64 {
        self.hours - self.slow
    }

    /// Accepts `to` as the new normal: the slow means move there at once. Not finite: ignored.
    pub fn relevel(&mut self, to: f64) {
        if to.is_finite() {
            (self.slow, self.hours) = (to, to);
        }
    }
}

/// The mean of values, newest first, each half as heavy as the one `half_life` places before it;
/// none when all are missing (NaN). Reaches back six half-lives. Cost: O(half-life).
pub fn decayed_mean(newest_first: impl Iterator<Item = f64>, half_life: f64) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
    let reach = (6.0 * half_life).ceil() as usize;
    let (sum, weight) = newest_first
        .take(reach)
        .zip(0..)
        .filter(|(value, _)| value.is_finite())
        .map(|(value, back)| (value, (-f64::from(back) / half_life).exp2()))
        .fold((0.0, 0.0), |(sum, all), (value, weight)| (sum + value * weight, all + weight));
    (weight > 0.0).then(|| sum / weight)
}

/// Weighted means of one series' values at the scales of [`HALF_LIVES`]: each value half as heavy
/// as the one a half-life after it.
///
/// Unlike a [`Bank`] these do not start at zero, and nothing is standardised or clipped: what was
/// seen, in the values' own unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Means {
    /// Weighted sum of the values, and of the weights.
    sums: [(f64, f64); SCALES],
}

impl Means {
    /// Takes one block's value. One that is not finite changes nothing.
    pub fn update(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        for ((sum, all), weight) in self.sums.iter_mut().zip(WEIGHTS) {
            *sum = (1.0 - weight) * *sum + value;
            *all = (1.0 - weight) * *all + 1.0;
        }
    }

    /// Makes what was seen older by a gap of `blocks`; gaps of at most [`GAP_BRIDGED`] change
    /// nothing.
    pub fn gap(&mut self, blocks: u32) {
        if blocks <= GAP_BRIDGED {
            return;
        }
        for ((sum, all), half_life) in self.sums.iter_mut().zip(HALF_LIVES) {
            let keep = (-f64::from(blocks) / half_life).exp2();
            *sum *= keep;
            *all *= keep;
        }
    }

    /// The mean at scale `j`; `None` before the first value and for a scale that does not exist.
    pub fn at(&self, j: usize) -> Option<f64> {
        let &(sum, all) = self.sums.get(j)?;
        (all > 0.0).then(|| sum / all)
    }
}

/// Replays a path of residuals through a fresh [`Bank`]: `E_j − L` after each block, per scale.
///
/// Before the first value and from the block at which a gap outlasts [`GAP_BRIDGED`], the path
/// is NaN; across shorter gaps it stands still.
///
/// # Unit
/// σ of one block.
///
/// # Cost
/// O(n) time, 5 n numbers.
pub fn bank_paths(z: &[f64]) -> [Vec<f64>; SCALES] {
    replay(z, Bank::differences)
}

/// What `read` says after each block of a path of residuals, from an empty [`Bank`] on with its
/// slow mean over hours; NaN as in [`bank_paths`].
///
/// # Cost
/// O(n).
pub fn replay<const N: usize>(z: &[f64], read: impl Fn(&Bank) -> [f64; N]) -> [Vec<f64>; N] {
    let mut paths: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(z.len()));
    let mut bank = Bank::default();
    // Nothing seen yet counts as a gap that is too long to bridge.
    let mut missing = GAP_BRIDGED + 1;
    let mut seen = false;
    for &value in z {
        if value.is_finite() {
            if seen {
                bank.gap(missing);
            }
            bank.update(value);
            bank.update_hours(value);
            (missing, seen) = (0, true);
        } else {
            missing = missing.saturating_add(1);
        }
        let known = missing <= GAP_BRIDGED;
        for (path, value) in paths.iter_mut().zip(read(&bank)) {
            path.push(if known { value } else { f64::NAN });
        }
    }
    paths
}

/// The standard deviation of `E_j − L` per scale, measured on a replay of past residuals.
///
/// This is what makes scores comparable between series: autocorrelation and slow wandering are
/// in it, whatever their form. The start of the replay is left out: two days from the first
/// value on, or a third of a shorter history.
///
/// # Unit
/// σ of one block; at least 0.15.
///
/// # Needs
/// Residuals predicted out of sample (see [`super::profile::rolling_origin`]).
///
/// # Abstains
/// With less than three days of values it returns `sqrt(λ/(2−λ) · (1+φ)/(1−φ))`, the value for
/// an AR(1) series with φ = 0.6, and at least 0.35.
///
/// # Cost
/// O(n).
///
/// # Source
/// METHODS 2.5; the formula is the variance of an EWMA, Roberts (1959), with the long-run
/// variance factor of an AR(1).
pub fn scale_sds(z: &[f64]) -> [f64; SCALES] {
    if !is_enough_history(z) {
        return cold_sds();
    }
    let cold = cold_sds();
    let skip = robust::warm_up(z, WARM_UP);
    let mut paths = bank_paths(z);
    std::array::from_fn(|j| {
        robust::spread(&mut paths[j][skip..]).map_or(cold[j], |sd| sd.max(SD_FLOOR))
    })
}

/// Whether spreads come from the data and not from a formula.
pub(super) fn is_enough_history(z: &[f64]) -> bool {
    z.iter().filter(|value| value.is_finite()).count() >= HISTORY_MIN
}

/// The spreads that an AR(1) series with the usual memory would have, at least 0.35: what is
/// believed of a series that does not show a spread of its own (METHODS 2.5).
pub fn cold_sds() -> [f64; SCALES] {
    let long_run = (1.0 + COLD_AUTOCORRELATION) / (1.0 - COLD_AUTOCORRELATION);
    WEIGHTS.map(|weight| (weight / (2.0 - weight) * long_run).sqrt().max(SD_FLOOR_COLD))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_from_the_half_lives() {
        for (weight, half_life) in WEIGHTS.into_iter().zip(HALF_LIVES) {
            assert!((weight - (1.0 - (-1.0 / half_life).exp2())).abs() < 1e-15);
        }
        assert!((SLOW_WEIGHT - (1.0 - (-1.0 / SLOW_HALF_LIFE).exp2())).abs() < 1e-15);
        assert!((HOURS_WEIGHT - (1.0 - (-1.0 / HOURS_HALF_LIFE).exp2())).abs() < 1e-15);
    }

    #[test]
    fn a_step_is_half_seen_after_one_half_life() {
        let mut bank = Bank::default();
        for _ in 0..12 {
            bank.update(1.0);
        }
        assert!((bank.e[2] - 0.5).abs() < 1e-12, "1 h after a step of 1 the 1 h mean is at 0.5");
        assert!(bank.slow() < 0.015);
    }

    #[test]
    fn a_spike_pulls_the_slow_mean_by_three_at_most() {
        let mut bank = Bank::default();
        bank.update(1e6);
        bank.update_hours(1e6);
        assert!((bank.slow() - 3.0 * SLOW_WEIGHT).abs() < 1e-12);
        assert!((bank.hours - 3.0 * HOURS_WEIGHT).abs() < 1e-12);
    }

    #[test]
    fn a_gap_forgets_towards_the_slow_mean() {
        let mut bank = Bank { e: [2.0; SCALES], slow: 1.0, hours: 2.0 };
        bank.gap(24);
        assert_eq!(bank.differences(), [1.0; SCALES], "two hours are bridged");
        assert_eq!(bank.between(), 1.0);
        bank.gap(48);
        assert!((bank.between() - (-0.4_f64).exp2()).abs() < 1e-12);
        assert!((bank.difference(4) - 0.5).abs() < 1e-12, "one half-life of the slowest scale");
        assert!((bank.difference(3) - 0.25).abs() < 1e-12);
        assert_eq!(bank.difference(SCALES), 0.0);
    }

    #[test]
    fn releveling_silences_an_accepted_step() {
        let mut bank = Bank::default();
        for _ in 0..288 {
            bank.update(2.0);
        }
        bank.relevel(f64::NAN);
        assert!(bank.difference(0) > 1.0);
        bank.relevel(2.0);
        assert!(bank.differences().iter().all(|d| d.abs() < 0.04));
        assert_eq!(bank.between(), 0.0);
    }

    #[test]
    fn slow_means_that_stand_still_learn_nothing() {
        let mut bank = Bank::default();
        bank.update_fast(2.0);
        bank.update_fast(f64::NAN);
        assert!(bank.difference(0) > 0.5);
        assert_eq!([bank.slow, bank.hours], [0.0; 2]);
    }

    #[test]
    fn means_start_where_the_values_are_and_outlive_a_gap() {
        let mut means = Means::default();
        assert_eq!(means.at(0), None);
        for value in [3.0, f64::NAN, 3.0] {
            means.update(value);
        }
        assert!((0..SCALES).all(|j| means.at(j).is_some_and(|m| (m - 3.0).abs() < 1e-12)));
        assert_eq!(means.at(SCALES), None);
        // Two half-lives of the fastest: the old values weigh a quarter of one new one's due.
        means.update(5.0);
        let before = means.at(0).unwrap_or(0.0);
        means.gap(48);
        assert!((means.at(0).unwrap_or(0.0) - before).abs() < 1e-12);
        means.update(9.0);
        assert!(means.at(0).unwrap_or(0.0) > 8.99 && means.at(4).unwrap_or(0.0) < 8.0);
    }

    #[test]
    fn paths_know_when_they_do_not_know() {
        let mut z = vec![f64::NAN; 3];
        z.extend([1.0; 5]);
        z.extend([f64::NAN; 30]);
        z.push(0.0);
        let path = &bank_paths(&z)[0];
        assert!(path[..3].iter().all(|x| x.is_nan()));
        assert_eq!(path[7].to_bits(), path[8].to_bits(), "a short gap holds the value");
        assert!(path[7 + 24].is_finite() && path[7 + 25].is_nan());
        assert!(path[38].abs() < 0.01, "half an hour of ones is forgotten after 2.5 h");
    }

    #[test]
    fn little_history_gets_the_formula_and_flat_history_the_floor() {
        let cold = scale_sds(&[0.3; 863]);
        // sqrt(0.1091013 / 1.8908987 · 4) by hand; the slower scales are at the floor.
        assert!((cold[1] - 0.480_408_6).abs() < 1e-6);
        assert_eq!(cold[2..], [SD_FLOOR_COLD; 3]);
        assert!((cold[0] - 0.828_427_1).abs() < 1e-6);
        assert_eq!(scale_sds(&[0.0; 2016]), [SD_FLOOR; SCALES]);
        assert_eq!(scale_sds(&[f64::NAN; 2000]), cold);
    }
}
