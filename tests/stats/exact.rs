//! Exact tests: numbers by hand, the definition, and that they are valid.

use grayflag::stats::exact::{binomial_at_least, binomial_at_most};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// P(X = k) by its definition, in logarithms.
fn mass(k: u64, n: u64, p: f64) -> f64 {
    let choose: f64 = (0..k).map(|i| ((n - i) as f64 / (k - i) as f64).ln()).sum();
    (choose + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln()).exp()
}

#[test]
fn numbers_by_hand() {
    for (k, n, p, at_least) in [
        (5, 6, 0.5, 7.0 / 64.0),
        (3, 3, 0.1, 0.001),
        (1, 10, 0.1, 1.0 - 0.9_f64.powi(10)),
        (0, 4, 0.3, 1.0),
        (5, 4, 0.3, 0.0),
    ] {
        assert!((binomial_at_least(k, n, p) - at_least).abs() < 1e-12, "{k} of {n}");
    }
    assert!((binomial_at_most(1, 6, 0.5) - 7.0 / 64.0).abs() < 1e-12);
    assert!((binomial_at_most(0, 5, 0.5) - 1.0 / 32.0).abs() < 1e-12);
}

#[test]
fn what_is_no_probability_surprises_nobody() {
    for p in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        assert_eq!((binomial_at_least(3, 4, p), binomial_at_most(1, 4, p)), (1.0, 1.0), "{p}");
    }
    assert!((binomial_at_least(3, 4, 0.0) - 0.0).abs() < 1e-300);
    assert!((binomial_at_least(3, 4, 1.0) - 1.0).abs() < 1e-12);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn they_are_sums_of_the_masses(n in 1_u64..129, k in 0_u64..129, p in 0.001..0.999_f64) {
        let k = k.min(n);
        let upper: f64 = (k..=n).map(|i| mass(i, n, p)).sum();
        let lower: f64 = (0..=k).map(|i| mass(i, n, p)).sum();
        prop_assert!((binomial_at_least(k, n, p) - upper).abs() < 1e-9);
        prop_assert!((binomial_at_most(k, n, p) - lower).abs() < 1e-9);
    }

    /// Under chance, a p-value of at most α has a probability of at most α.
    #[test]
    fn p_values_are_valid(n in 1_u64..129, p in 0.001..0.999_f64, alpha in 0.0001..0.5_f64) {
        for test in [binomial_at_least, binomial_at_most] {
            let rejected: f64 =
                (0..=n).filter(|&k| test(k, n, p) <= alpha).map(|k| mass(k, n, p)).sum();
            prop_assert!(rejected <= alpha + 1e-9, "{rejected} > {alpha}");
        }
    }

    #[test]
    fn more_hits_surprise_more(n in 1_u64..129, p in 0.001..0.999_f64) {
        for k in 1..=n {
            prop_assert!(binomial_at_least(k, n, p) <= binomial_at_least(k - 1, n, p));
            prop_assert!(binomial_at_most(k - 1, n, p) <= binomial_at_most(k, n, p));
        }
    }
}
