//! Exact tests of counts: whether something happened more often, or less often, than chance gives.

use statrs::distribution::{Binomial, DiscreteCDF as _};

/// `P(X ≥ k)` for `X ~ Binomial(n, p)`: the one-sided p-value of `k` hits among `n` trials that
/// each hit with probability `p`, if only chance is at work.
///
/// Being discrete it is conservative: under chance it is at most α with a probability of at most
/// α, for every α.
///
/// # Unit
/// Probability in [0, 1].
///
/// # Abstains
/// 1, no surprise, where `p` is no probability.
///
/// # Cost
/// O(1): a continued fraction of the incomplete beta function.
///
/// # Source
/// Clopper and Pearson (1934), Biometrika 26(4):404–413.
pub fn binomial_at_least(k: u64, n: u64, p: f64) -> f64 {
    match Binomial::new(p, n) {
        _ if k == 0 => 1.0,
        Err(_) => 1.0,
        Ok(_) if k > n => 0.0,
        Ok(chance) => chance.sf(k - 1).clamp(0.0, 1.0),
    }
}

/// `P(X ≤ k)` for `X ~ Binomial(n, p)`: the p-value on the other side. Unit, source and cost as
/// [`binomial_at_least`]; 1 where `p` is no probability.
pub fn binomial_at_most(k: u64, n: u64, p: f64) -> f64 {
    match Binomial::new(p, n) {
        Err(_) => 1.0,
        Ok(_) if k >= n => 1.0,
        Ok(chance) => chance.cdf(k).clamp(0.0, 1.0),
    }
}
