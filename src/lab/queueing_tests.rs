use proptest::prelude::*;

use super::*;

/// Erlang's C formula, the exact P(wait) of an M/M/c queue: the independent reference.
fn erlang_c(offered: f64, servers: u32) -> f64 {
    let mut blocked = 1.0;
    for k in 1..=servers {
        blocked = offered * blocked / (f64::from(k) + offered * blocked);
    }
    let rho = offered / f64::from(servers);
    blocked / (1.0 - rho + rho * blocked)
}

#[test]
fn the_wait_is_near_the_exact_one_of_an_mmc_queue() {
    for (servers, rho) in [(1, 0.5), (1, 0.9), (4, 0.7), (8, 0.8), (24, 0.9)] {
        let c = f64::from(servers);
        let got = wait(rho * c, Moments::spread(1.0, 1.0), c).time.mean;
        let exact = erlang_c(rho * c, servers) / (c * (1.0 - rho));
        assert!((got / exact - 1.0).abs() < 0.15, "c={servers} rho={rho}: {got} against {exact}");
    }
}

#[test]
fn an_md1_queue_waits_half_as_long_as_an_mm1_queue() {
    let md1 = wait(0.8, Moments::spread(1.0, 0.0), 1.0).time.mean;
    let mm1 = wait(0.8, Moments::spread(1.0, 1.0), 1.0).time.mean;
    assert!((mm1 - 4.0).abs() < 1e-9, "M/M/1 at 0.8 waits rho/(1-rho) = 4 service times: {mm1}");
    assert!((md1 - 2.0).abs() < 1e-9, "{md1}");
}

#[test]
fn a_line_settles_at_once_when_idle_and_slowly_near_saturation() {
    let service = Moments::spread(1.0, 1.0);
    let share = |rho: f64| {
        let mut line = Line::default();
        let steady = wait(rho * 4.0, service, 4.0).time.mean;
        let first = line.settle(rho * 4.0, service, 4.0, 10.0).time.mean / steady;
        for _ in 0..2_000 {
            line.settle(rho * 4.0, service, 4.0, 10.0);
        }
        let last = line.settle(rho * 4.0, service, 4.0, 10.0).time.mean / steady;
        assert!((last - 1.0).abs() < 1e-6, "it gets there: {last}");
        first
    };
    assert!(share(0.1) > 0.99);
    assert!(share(0.97) < 0.05, "{}", share(0.97));
}

#[test]
fn the_normal_tail_agrees_with_tables() {
    // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.1.
    for (z, tail) in [(0.0, 0.5), (1.0, 0.158_655), (2.326_348, 0.01), (-1.0, 0.841_345)] {
        assert!((normal_tail(z) - tail).abs() < 1e-6, "{z}");
    }
}

#[test]
fn a_budget_bounds_the_retries_and_keeps_the_failures() {
    let attempt = Moments::spread(0.05, 0.5);
    let free = Policy { timeout: 10.0, retries: 3, budget: f64::INFINITY, backoff: 0.0 };
    let got = calls(attempt, 0.5, &free);
    assert!((got.attempts - 1.875).abs() < 1e-6, "1 + 1/2 + 1/4 + 1/8: {}", got.attempts);
    assert!((got.failed - 0.0625).abs() < 1e-6, "all four fail: {}", got.failed);
    let budget = calls(attempt, 0.5, &Policy { budget: 0.1, ..free });
    assert!((budget.attempts - 1.1).abs() < 1e-6);
    assert!(budget.failed > got.failed);
}

#[test]
fn a_limiter_refuses_little_below_and_the_excess_above_its_limit() {
    assert!(refused_by_limit(20.0, 60.0) < 1e-9);
    let at_double = refused_by_limit(120.0, 60.0);
    assert!((at_double - 0.5).abs() < 0.01, "{at_double}");
}

proptest! {
    #[test]
    fn more_load_never_lowers_utilisation_or_wait(
        load in 0.0..30.0_f64, more in 0.0..10.0_f64, servers in 1_u32..40, cv in 0.0..2.0_f64,
    ) {
        let service = Moments::spread(0.5, cv);
        let (a, b) = (
            wait(load, service, f64::from(servers)),
            wait(load + more, service, f64::from(servers)),
        );
        prop_assert!(a.utilisation <= b.utilisation);
        prop_assert!(a.time.mean <= b.time.mean + 1e-12);
        prop_assert!(a.p99 <= b.p99 + 1e-12);
    }

    #[test]
    fn cutting_shortens_and_the_tail_falls(
        mean in 0.001..5.0_f64, cv in 0.05..3.0_f64, limit in 0.01..5.0_f64,
    ) {
        let all = Moments::spread(mean, cv);
        let cut = all.cut(limit);
        prop_assert!(cut.mean <= mean.min(limit) + 1e-5);
        prop_assert!(all.beyond(limit) >= all.beyond(limit * 2.0) - 3e-7);
    }

    #[test]
    fn the_fluid_loses_nothing(
        start in 0.0..500.0_f64, arrivals in 0.0..100.0_f64, capacity in 0.1..100.0_f64,
    ) {
        let mut backlog = start;
        let moved = flow(&mut backlog, arrivals, capacity, 30.0, 10.0);
        let out = (moved.served + moved.abandoned) * 10.0 + backlog;
        prop_assert!((start + arrivals * 10.0 - out).abs() < 1e-6);
    }

    #[test]
    fn the_queue_conserves_items_and_serves_the_oldest(
        steps in prop::collection::vec((0.0..50.0_f64, 0.0..50.0_f64), 1..200),
    ) {
        let (mut fifo, mut now) = (Fifo::default(), 0.0);
        for (items, work) in steps {
            now += 10.0;
            fifo.push(now, items);
            let before = fifo.age(now);
            fifo.take(work);
            prop_assert!(fifo.age(now) <= before, "taking never makes the oldest older");
        }
        let (enqueued, done, dropped) = fifo.totals();
        prop_assert!((enqueued - done - dropped - fifo.waiting()).abs() < 1e-6);
    }
}
