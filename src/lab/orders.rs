//! The way of an order: payments and their bank, the connection pool, and `checkout` itself.

use super::blueprint::{
    CHECKOUT_DB, CHECKOUT_PAYMENTS, PAYMENTS_BANK, POLICIES, Service, UNBOUNDED, WEB_CHECKOUT,
};
use super::fleet::{Fleet, POOL, QUERIES, STEP};
use super::pressure::Pressure;
use super::queueing::{Moments, Wait, flow, refused_by_limit};
use super::stores::HOLD;
use super::tier::Work;

/// Seconds that an order waits for a connection before it fails.
const POOL_PATIENCE: f64 = 1.0;
/// Attempts per second that `payments` admits.
const PAYMENTS_LIMIT: f64 = 60.0;
/// Attempts per second that the bank admits.
const BANK_LIMIT: f64 = 90.0;
/// Seconds that the bank takes, how they spread, and the share that it fails on a good day.
const BANK: (f64, f64, f64) = (0.030, 0.7, 0.0002);
/// Processor seconds per log line.
const LINE_CPU: f64 = 2e-4;
/// Seconds that a request waits for one log line on an idle disk.
const LINE_WAIT: f64 = 2e-5;
/// Number of the instance whose host is bad.
const BAD_HOST: usize = 1;

impl Fleet {
    pub(super) fn payments(&mut self, pressure: &Pressure, busy: f64) {
        let attempts = self.attempts(CHECKOUT_PAYMENTS);
        let refused = refused_by_limit(attempts, PAYMENTS_LIMIT);
        self.edges[CHECKOUT_PAYMENTS].throttled += attempts * refused * STEP;
        let (errors, slower) = if self.flaky {
            (pressure.payments_errors, pressure.payments_flaky_time)
        } else {
            (0.0, 1.0)
        };
        let admitted = attempts * (1.0 - refused);
        let repeated = self.bank(admitted, pressure.bank_quota, busy);
        let declined = self.edges[PAYMENTS_BANK].calls.failed;
        let tier = self.tier_mut(Service::Payments);
        let slower = pressure.payments_time * slower * busy;
        tier.serve_slowed(admitted, STEP, slower, |_, _, work| Work {
            held: work.held.plus(repeated),
            ..work
        });
        let failed =
            1.0 - (1.0 - tier.spec.errors) * (1.0 - errors) * (1.0 - declined) * tier.accepted;
        tier.count(failed, STEP);
        let time = tier.time;
        let policy =
            if pressure.retries_unbounded { &UNBOUNDED } else { &POLICIES[CHECKOUT_PAYMENTS] };
        self.observe(CHECKOUT_PAYMENTS, time, 1.0 - (1.0 - failed) * (1.0 - refused), policy);
        // Answers that nobody waits for any more are work, not good work.
        let late = self.edges[CHECKOUT_PAYMENTS].attempt.beyond(policy.timeout);
        self.tier_mut(Service::Payments).good *= 1.0 - late;
    }

    /// Calls of the bank, whose first attempt is part of what `payments` waits for anyway.
    /// Returns what repetitions add.
    fn bank(&mut self, calls: f64, quota: f64, busy: f64) -> Moments {
        let level = self.tier(Service::Payments).level;
        let attempts = calls * self.edges[PAYMENTS_BANK].calls.attempts;
        let refused = refused_by_limit(attempts, BANK_LIMIT * quota);
        let edge = &mut self.edges[PAYMENTS_BANK];
        edge.wanted = calls;
        edge.throttled += attempts * refused * STEP;
        let (seconds, cv, errors) = BANK;
        let time = Moments::spread(seconds * level * busy, cv);
        self.observe(PAYMENTS_BANK, time, errors + refused, &POLICIES[PAYMENTS_BANK]);
        let edge = &self.edges[PAYMENTS_BANK];
        let once = edge.attempt.cut(edge.timeout);
        Moments {
            mean: (edge.calls.time.mean - once.mean).max(0.0),
            var: (edge.calls.time.var - once.var).max(0.0),
        }
    }

    /// What an order holds its connection for: its queries, its own work, and other orders' rows.
    pub(super) fn holding(&self) -> Moments {
        let queries = self.edges[CHECKOUT_DB].calls.time.times(QUERIES);
        let own = Moments::spread(HOLD, 0.5);
        let weight = self.tenants.hot_weight();
        let own = own.scaled(weight).mixed(self.tenants.hot_share(), own);
        queries.plus(own).plus(self.locks.wait)
    }

    /// The connection pool, with `leaked` connections that never come back.
    pub(super) fn pool(&mut self, leaked: f64, orders: f64) {
        let hold = self.holding();
        let left = (POOL - leaked).max(0.02);
        let Wait { time, p99, .. } = self.pool.line.settle(orders, hold, left, STEP);
        let moved = flow(&mut self.pool.backlog, orders, left / hold.mean, POOL_PATIENCE, STEP);
        let lost = if orders > 0.0 { (moved.abandoned / orders).min(1.0) } else { 0.0 };
        self.pool.wait = time.plus(Moments { mean: moved.delay, var: 0.0 }).cut(POOL_PATIENCE);
        self.pool.p99 = (p99 + moved.delay).min(POOL_PATIENCE);
        self.pool.busy = moved.served * hold.mean;
        self.pool.used = ((POOL - left + self.pool.busy) / POOL).min(1.0);
        self.pool.failed = lost;
    }

    pub(super) fn checkout(&mut self, attempts: f64, pressure: &Pressure) {
        let held = self.edges[CHECKOUT_PAYMENTS].calls.time.plus(self.pool.wait);
        let held = held.plus(self.holding());
        let bad = self.bad.map(|(version, _)| version).zip(pressure.bad_version);
        let (heavy, share) = (self.tenants.hot_weight(), self.tenants.hot_share());
        let tier = &mut self.tiers[Service::Checkout as usize];
        let lines = tier.spec.lines * (pressure.chatter - 1.0);
        tier.instances
            .iter_mut()
            .for_each(|i| i.threads = tier.spec.threads / pressure.threads_cut);
        tier.serve(attempts, STEP, |n, instance, work| {
            let disk = (1.0 - instance.disk).max(0.02);
            let logged = Moments::spread(lines * LINE_WAIT / disk, 0.5);
            let written = Moments::spread(lines * LINE_CPU, 0.2);
            let cpu = work.cpu.scaled(heavy).mixed(share, work.cpu).plus(written);
            let cpu = if n == BAD_HOST { cpu.scaled(pressure.host_cpu) } else { cpu };
            let held = held.plus(logged);
            match bad {
                Some((version, worse)) if instance.version == version => Work {
                    cpu: Moments::spread(cpu.mean * worse.cpu, 0.7),
                    held: held.plus(Moments::spread(worse.stall, 0.7)),
                    ..work
                },
                _ => Work { cpu, held, ..work },
            }
        });
        let own = self.own_failures(pressure);
        let tier = self.tier(Service::Checkout);
        let right = (1.0 - tier.spec.errors)
            * (1.0 - own)
            * (1.0 - self.edges[CHECKOUT_PAYMENTS].calls.failed)
            * (1.0 - self.edges[CHECKOUT_DB].calls.failed).powf(QUERIES)
            * (1.0 - self.pool.failed)
            * tier.accepted;
        let (time, failed) = (tier.time, 1.0 - right);
        self.tier_mut(Service::Checkout).count(failed, STEP);
        self.observe(WEB_CHECKOUT, time, failed, &POLICIES[WEB_CHECKOUT]);
        // What fails because of its own data fails however often it is tried.
        let hopeless = self.tenants.hopeless(pressure);
        let calls = &mut self.edges[WEB_CHECKOUT].calls;
        calls.failed = calls.failed.max(hopeless);
    }

    /// Share of the orders that fail because of their version, their host or their data; orders
    /// on which two versions disagree are counted as conflicts.
    fn own_failures(&mut self, pressure: &Pressure) -> f64 {
        let tier = self.tier(Service::Checkout);
        let up = || tier.instances.iter().enumerate().filter(|(_, i)| i.is_up());
        let all = up().count().max(1) as f64;
        let share = |wanted: &dyn Fn(usize, u32) -> bool| {
            up().filter(|(n, i)| wanted(*n, i.version)).count() as f64 / all
        };
        let bad = self.bad.map(|(version, _)| version).zip(pressure.bad_version);
        let on_bad = bad.map_or(0.0, |(bad, worse)| share(&|_, v| v == bad) * worse.errors);
        let on_host = share(&|n, _| n == BAD_HOST) * pressure.host_errors;
        let new = share(&|_, version| version == tier.built);
        // Two instances of different versions meet on an order as often as the mix allows.
        let disagree = pressure.disagreement * 4.0 * new * (1.0 - new);
        let arrivals = tier.arrivals;
        self.conflicts += arrivals * disagree * STEP;
        let data = self.tenants.hopeless(pressure);
        1.0 - (1.0 - on_bad) * (1.0 - on_host) * (1.0 - disagree) * (1.0 - data)
    }
}
