//! Rare events: errors, retries, conflicts. Counts are compared with their expectation by
//! deviance, which stays meaningful at a tenth of an event per block.

use serde::{Deserialize, Serialize};

use super::ewma::{GAP_BRIDGED, HALF_LIVES, SCALES, WEIGHTS};
use super::robust;

/// Up to this many expected events per block a series belongs here; above, a transformed mean
/// does better.
pub const COUNT_MEAN_MAX: f64 = 1.0;

/// A block counts for at most this many times its expectation.
const CAP_RATIO: f64 = 30.0;

/// Scores are clipped here, so that one absurd burst does not outlive its meaning.
pub const SCORE_CLIP: f64 = 8.0;

/// With fewer events in its memory a scale shows no rise: two events, however close together, are
/// two events.
const EVENTS_MIN: f64 = 2.5;

/// A burst is over within so many blocks.
const BURST_BLOCKS: f64 = 2.0;

/// Spreads are not trusted below this: counts that are nearly always zero have none.
pub const COUNT_SD_FLOOR: f64 = 0.5;

/// Φ⁻¹(0.99), rounded as the reference does.
const NORMAL_Q99: f64 = 2.33;

/// Blocks (1 day) at the start of a replay that still feel the empty start.
const WARM_UP: usize = 288;

/// Blocks of history (3 days) below which spreads are the floor and 1, whichever is larger.
const HISTORY_MIN: usize = 864;

/// Blocks with a count above this quantile say nothing about the base rate.
const BASE_TRIM: f64 = 0.995;

/// Exponentially weighted counts `K_j` and expectations `U_j` at the scales of
/// [`HALF_LIVES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountBank {
    k: [f64; SCALES],
    u: [f64; SCALES],
}

impl CountBank {
    /// Takes one block: `k` events seen where `mu` were expected.
    ///
    /// `K_j = (1−λ_j) K_j + min(k, cap)`, `U_j = (1−λ_j) U_j + mu`. Nothing changes when either
    /// is not finite or negative.
    pub fn update(&mut self, k: f64, mu: f64) {
        if !valid(k) || !valid(mu) {
            return;
        }
        let k = k.min(cap(mu));
        for (j, weight) in WEIGHTS.into_iter().enumerate() {
            self.k[j] = (1.0 - weight) * self.k[j] + k;
            self.u[j] = (1.0 - weight) * self.u[j] + mu;
        }
    }

    /// Forgets over a gap of `blocks`; gaps of at most [`GAP_BRIDGED`] change nothing.
    pub fn gap(&mut self, blocks: u32) {
        if blocks <= GAP_BRIDGED {
            return;
        }
        for (j, half_life) in HALF_LIVES.into_iter().enumerate() {
            let keep = (-f64::from(blocks) / half_life).exp2();
            self.k[j] *= keep;
            self.u[j] *= keep;
        }
    }

    /// The signed root of the Poisson deviance at scale `j`:
    /// `sign(K−U) sqrt(2 [K ln(K/U) − (K−U)])`.
    ///
    /// # Unit
    /// About σ for a Poisson count; overdispersed counts need [`sds`].
    ///
    /// # Abstains
    /// Zero, "as expected", when nothing was expected yet or the scale does not exist.
    ///
    /// # Source
    /// McCullagh and Nelder (1989), Generalized Linear Models, 2.4.3.
    pub fn deviance(&self, j: usize) -> f64 {
        let (Some(&k), Some(&u)) = (self.k.get(j), self.u.get(j)) else { return 0.0 };
        if u <= 0.0 {
            return 0.0;
        }
        let log_term = if k > 0.0 { k * (k / u).ln() } else { 0.0 };
        // Rounding can take the bracket below zero where k is close to u.
        (2.0 * (log_term - (k - u))).max(0.0).sqrt().copysign(k - u)
    }

    /// Whether scale `j` remembers more events beyond those expected than [`BURST_BLOCKS`] blocks
    /// could have brought: what comes in bursts does not come for long.
    pub fn lasts(&self, j: usize) -> bool {
        self.at(j).is_some_and(|(k, u, weight)| {
            let mu = u * weight;
            k - u > BURST_BLOCKS * (cap(mu) - mu)
        })
    }

    /// Events seen and expected per block, as averaged at scale `j`; zeros for no such scale.
    pub fn rates(&self, j: usize) -> (f64, f64) {
        self.at(j).map_or((0.0, 0.0), |(k, u, weight)| (k * weight, u * weight))
    }

    /// What scale `j` remembers: events seen, events expected, and the weight of the newest block.
    fn at(&self, j: usize) -> Option<(f64, f64, f64)> {
        Some((*self.k.get(j)?, *self.u.get(j)?, *WEIGHTS.get(j)?))
    }

    /// The deviance in units of the series' own spread `sd`, within ±[`SCORE_CLIP`]; not above
    /// zero while the scale remembers fewer than [`EVENTS_MIN`] events.
    pub fn score(&self, j: usize, sd: f64) -> f64 {
        let rises = self.k.get(j).is_some_and(|&k| k >= EVENTS_MIN);
        let highest = if rises { SCORE_CLIP } else { 0.0 };
        (self.deviance(j) / sd.max(COUNT_SD_FLOOR)).clamp(-SCORE_CLIP, highest)
    }
}

/// Replays counts through a fresh [`CountBank`]: the deviance after each block, per scale.
///
/// NaN before the first value and from the block at which a gap outlasts [`GAP_BRIDGED`].
/// Cost: O(n) time, 5 n numbers.
pub fn count_paths(k: &[f64], mu: &[f64]) -> [Vec<f64>; SCALES] {
    let mut paths: [Vec<f64>; SCALES] = std::array::from_fn(|_| Vec::with_capacity(k.len()));
    let mut bank = CountBank::default();
    let mut missing = GAP_BRIDGED + 1;
    for (&k, &mu) in k.iter().zip(mu) {
        if valid(k) && valid(mu) {
            bank.gap(missing);
            bank.update(k, mu);
            missing = 0;
        } else {
            missing = missing.saturating_add(1);
        }
        for (j, path) in paths.iter_mut().enumerate() {
            path.push(if missing <= GAP_BRIDGED { bank.deviance(j) } else { f64::NAN });
        }
    }
    paths
}

/// The spread of the deviance per scale, measured on a replay of past counts:
/// `max{(q84 − q16)/2, (q95 − q05)/3.29, q99/2.33}`.
///
/// The upper tail is in it because counts are skewed; overdispersion is absorbed here.
///
/// # Unit
/// That of [`CountBank::deviance`]; at least 0.5.
///
/// # Abstains
/// 1, the value of a Poisson count, with less than three days of values.
///
/// # Cost
/// O(n).
///
/// # Source
/// METHODS 2.6 and 8.3.
pub fn sds(k: &[f64], mu: &[f64]) -> [f64; SCALES] {
    let seen = k.iter().zip(mu).filter(|&(&k, &mu)| valid(k) && valid(mu)).count();
    if seen < HISTORY_MIN {
        return [1.0; SCALES];
    }
    let mut paths = count_paths(k, mu);
    let skip = robust::warm_up(k, WARM_UP);
    std::array::from_fn(|j| {
        let path = &mut paths[j][skip..];
        let spread = robust::spread(path).unwrap_or(1.0);
        let upper = robust::quantiles(path, [0.99]).map_or(0.0, |[q99]| q99 / NORMAL_Q99);
        spread.max(upper).max(COUNT_SD_FLOOR)
    })
}

/// Events per unit of exposure in ordinary times: `(Σk + ½) / (Σn + 1)` without the blocks whose
/// count is above the 99.5 % quantile.
///
/// # Unit
/// Events per unit of `n`: per request, or per block when `n` is 1 throughout.
///
/// # Needs
/// Pairs with `k ≥ 0` and `n ≥ 0`; others are skipped.
///
/// # Abstains
/// Never: without exposure it is the prior's ½, which no count exceeds by chance.
///
/// # Cost
/// O(n log n).
///
/// # Source
/// The half event is the Jeffreys prior of a Poisson rate.
pub fn base_rate(k: &[f64], n: &[f64]) -> f64 {
    let pairs = || k.iter().copied().zip(n.iter().copied()).filter(|&(k, n)| valid(k) && valid(n));
    let mut counts: Vec<f64> = pairs().map(|(k, _)| k).collect();
    counts.sort_unstable_by(f64::total_cmp);
    // One event is never an outlier, however rare events are.
    let highest = robust::quantile(&counts, BASE_TRIM).unwrap_or(0.0).max(1.0);
    let (events, exposure) = pairs()
        .filter(|&(k, _)| k <= highest)
        .fold((0.0, 0.0), |(events, exposure), (k, n)| (events + k, exposure + n));
    (events + 0.5) / (exposure + 1.0)
}

/// The most that one block may add: six σ and a bit where events are rare, 30 times the
/// expectation where they are not.
fn cap(mu: f64) -> f64 {
    (mu + 6.0 * (mu + 1.0).sqrt() + 2.0).ceil().max(CAP_RATIO * mu)
}

fn valid(x: f64) -> bool {
    x.is_finite() && x >= 0.0
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_deviance_is_signed_and_zero_where_nothing_is_known() {
        let mut bank = CountBank::default();
        assert_eq!(bank.deviance(0), 0.0);
        bank.update(4.0, 1.0);
        // 2 (4 ln 4 − 3), by hand.
        assert!((bank.deviance(0) - (2.0 * (4.0 * 4.0_f64.ln() - 3.0)).sqrt()).abs() < 1e-12);
        let mut bank = CountBank::default();
        bank.update(0.0, 2.0);
        assert!((bank.deviance(3) + 2.0).abs() < 1e-12, "sqrt(2 · 2), downwards");
        assert_eq!(bank.deviance(SCALES), 0.0);
    }

    #[test]
    fn one_block_counts_for_a_bounded_number() {
        assert_eq!(cap(0.0), 8.0);
        assert_eq!(cap(0.1), 9.0, "thirty times a tenth would swallow a real burst");
        assert_eq!(cap(1.0), 30.0);
        let mut bank = CountBank::default();
        bank.update(1e9, 0.1);
        assert!(bank.score(0, 0.5) <= SCORE_CLIP && bank.score(0, 0.5) > 7.0);
    }

    #[test]
    fn bad_numbers_change_nothing() {
        let mut bank = CountBank::default();
        for (k, mu) in [(f64::NAN, 1.0), (1.0, f64::NAN), (-1.0, 1.0), (1.0, f64::INFINITY)] {
            bank.update(k, mu);
        }
        assert_eq!(bank, CountBank::default());
    }

    #[test]
    fn the_base_rate_is_not_moved_by_a_burst() {
        let mut k = vec![0.0; 1000];
        for value in k.iter_mut().step_by(10) {
            *value = 1.0;
        }
        let quiet = base_rate(&k, &[1.0; 1000]);
        k[500] = 1e6;
        assert!((quiet - 0.1).abs() < 0.001);
        assert!((base_rate(&k, &[1.0; 1000]) - quiet).abs() < 0.002);
        assert_eq!(base_rate(&[], &[]), 0.5);
    }

    #[test]
    fn ten_times_the_errors_are_seen_within_the_hour_and_no_errors_never() {
        let mut bank = CountBank::default();
        for _ in 0..2016 {
            bank.update(0.0, 0.3);
        }
        assert!((0..SCALES).all(|j| bank.score(j, 0.5) < 0.0));
        for _ in 0..12 {
            bank.update(3.0, 0.3);
        }
        assert!((0..SCALES).map(|j| bank.score(j, 1.0)).fold(0.0, f64::max) > 3.5);
    }

    #[test]
    fn spreads_have_a_floor_and_a_default() {
        assert_eq!(sds(&[0.0; 2016], &[0.001; 2016]), [COUNT_SD_FLOOR; SCALES]);
        assert_eq!(sds(&[f64::NAN; 2016], &[0.1; 2016]), [1.0; SCALES]);
    }
}
