//! The model: what one service does to the next within a step of ten seconds.
//!
//! Work flows down with the attempts that clients made in the step before; times flow up. So a
//! slow callee holds its callers' threads and connections, makes their clients time out and try
//! again, and the retries arrive at the callee in the next step: loops close through time.

use super::blueprint::{
    BAD_ROLLOUT_EVERY, CHECKOUT_DB, CHECKOUT_PAYMENTS, HIT_WARM, POLICIES, SPECS, Service,
    UNBOUNDED, WEB_CACHE, WEB_CHECKOUT, WEB_DB,
};
use super::fault::Pressure;
use super::noise::Dice;
use super::queueing::{
    Calls, Fifo, Line, Moments, Policy, Wait, Z_99, calls, flow, refused_by_limit, wait,
};
use super::tier::{Tally, Tier, Work};
use super::traffic::Arrivals;
use crate::time::Timestamp;

/// Seconds of one step of the model.
pub(super) const STEP: f64 = 10.0;
/// Steps between two moves of what wanders: a minute.
const WANDER_STEPS: u64 = 6;
/// Seconds in which a cache warms up by a factor of e.
const HIT_TAU: f64 = 400.0;
/// Share of users' requests that place an order; the others browse.
const ORDERS: f64 = 0.3;
/// Queries of one order.
const QUERIES: f64 = 3.0;
/// Connections of the checkout's pool, all instances together.
pub(super) const POOL: f64 = 12.0;
/// Seconds that an order holds its connection beside its queries.
const HOLD: f64 = 0.05;
/// Seconds that an order waits for a connection before it fails.
const POOL_PATIENCE: f64 = 1.0;
/// Attempts per second that `payments` admits.
const PAYMENTS_LIMIT: f64 = 60.0;
/// Conflicts per second for one order per second held for one second, squared: two transactions
/// meet on one row as often as their rates and their overlap allow (J. Gray, P. Helland,
/// P. O'Neil, D. Shasha, 1996, The Dangers of Replication and a Solution, section 3).
const CONFLICTS: f64 = 4e-4;
/// How much slower each web instance leaks than the one before it.
const LEAK_SPREAD: f64 = 0.04;
/// How much longer a bank, a mail server or a mobile network takes at its busiest.
const WORLD_BUSY: f64 = 0.3;
/// Seconds that a page takes to reach a user, and how that spreads over users.
const PAYLOAD: (f64, f64) = (0.060, 1.0);
/// Seconds of one hop between services.
const HOP: Moments = Moments { mean: 0.0008, var: 0.16e-6 };

/// A client's view of one dependency.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Edge {
    /// Calls per second that the caller's work needs.
    pub(super) wanted: f64,
    /// Time of one attempt.
    pub(super) attempt: Moments,
    /// What the client makes of it.
    pub(super) calls: Calls,
    /// Seconds at which an attempt is given up.
    pub(super) timeout: f64,
    /// Attempts, failed attempts and retries expected since the last scrape.
    pub(super) tally: [f64; 3],
}

/// The pool between `checkout` and its database.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    /// Orders that wait for a connection.
    line: Line,
    /// Orders that wait beyond what the steady state explains.
    backlog: f64,
    /// Connections in use by orders: throughput times holding time.
    pub(super) busy: f64,
    /// Used share, leaked connections included.
    pub(super) used: f64,
    /// Wait for a connection.
    pub(super) wait: Moments,
    /// 99th percentile of the wait in seconds.
    pub(super) p99: f64,
    /// Share of orders that got none in time.
    failed: f64,
}

/// What users see on one path through the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Journey {
    /// 99th percentile in seconds.
    pub(super) p99: f64,
    /// Failed share.
    pub(super) failed: f64,
}

/// The whole fleet at one instant.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    pub(super) tiers: [Tier; 6],
    pub(super) edges: [Edge; 5],
    pub(super) pool: Pool,
    pub(super) mails: Fifo,
    /// Wait of a mail beyond its place in line, from the workers' ordinary randomness.
    pub(super) mail_wait: Moments,
    pub(super) browse: Journey,
    pub(super) order: Journey,
    /// Throttled attempts and conflicts expected since the last scrape.
    pub(super) throttled: f64,
    pub(super) conflicts: f64,
    /// Number of the bad version, and of the one before it, while it is out.
    bad: Option<(u32, u32)>,
    flaky: bool,
    flaky_left: f64,
    /// Steps done.
    steps: u64,
    life: Dice,
    weather: Dice,
    trouble: Dice,
}

impl Fleet {
    pub(super) fn new(seed: u64) -> Self {
        let mut weather = Dice::new(seed, 2);
        let mut version = 11;
        let tiers = SPECS.each_ref().map(|spec| {
            version += 7;
            Tier::new(spec, version, &mut weather)
        });
        let first = Edge { calls: Calls { attempts: 1.0, ..Calls::default() }, ..Edge::default() };
        Self {
            tiers,
            edges: [first; 5],
            pool: Pool::default(),
            mails: Fifo::default(),
            mail_wait: Moments::default(),
            browse: Journey::default(),
            order: Journey::default(),
            throttled: 0.0,
            conflicts: 0.0,
            bad: None,
            flaky: false,
            flaky_left: 0.0,
            steps: 0,
            life: Dice::new(seed, 3),
            weather,
            trouble: Dice::new(seed, 4),
        }
    }

    pub(super) fn tier(&self, service: Service) -> &Tier {
        &self.tiers[service as usize]
    }

    fn tier_mut(&mut self, service: Service) -> &mut Tier {
        &mut self.tiers[service as usize]
    }

    /// Seconds of model time that have passed.
    pub(super) fn clock(&self) -> f64 {
        self.steps as f64 * STEP
    }

    /// Starts the counts of the next scrape.
    pub(super) fn forget_tallies(&mut self) {
        self.tiers.iter_mut().for_each(|tier| tier.tally = Tally::default());
        self.edges.iter_mut().for_each(|edge| edge.tally = [0.0; 3]);
        (self.throttled, self.conflicts) = (0.0, 0.0);
    }

    /// Lets one step pass under `pressure`.
    pub(super) fn step(&mut self, now: Timestamp, arrivals: Arrivals, pressure: &Pressure) {
        self.steps += 1;
        self.live(now, pressure);
        let requests = arrivals.requests;
        let busy = 1.0 + WORLD_BUSY * arrivals.world;
        let orders = requests * ORDERS * self.tier(Service::Web).accepted;
        let attempts = orders * self.edges[WEB_CHECKOUT].calls.attempts;
        let working = attempts * self.tier(Service::Checkout).accepted;
        self.edges[WEB_CHECKOUT].wanted = orders;
        self.edges[CHECKOUT_PAYMENTS].wanted = working;
        self.edges[CHECKOUT_DB].wanted = working * QUERIES;
        self.stores(requests, arrivals.batch);
        self.payments(pressure, busy);
        self.pool(pressure.pool_leaked, working);
        self.checkout(attempts, pressure);
        self.web(requests, pressure.payload * busy);
        self.mail(pressure.worker_time * busy);
        for edge in &mut self.edges {
            let attempts = edge.wanted * edge.calls.attempts * STEP;
            edge.tally[0] += attempts;
            edge.tally[1] += attempts * edge.calls.failing;
            edge.tally[2] += edge.wanted * (edge.calls.attempts - 1.0) * STEP;
        }
    }

    /// Deploys, restarts, leaks, caches, and what wanders.
    fn live(&mut self, now: Timestamp, pressure: &Pressure) {
        for tier in &mut self.tiers {
            if self.steps % WANDER_STEPS == 1 {
                tier.wander(&mut self.weather, STEP * WANDER_STEPS as f64);
            }
            let calm = self.bad.is_none() || tier.spec.name != "checkout";
            tier.live(now, STEP, &mut self.life, calm);
        }
        for (n, instance) in self.tier_mut(Service::Web).instances.iter_mut().enumerate() {
            instance.hit += (HIT_WARM - instance.hit) * (1.0 - (-STEP / HIT_TAU).exp());
            // No two leak alike, or all would be killed in the same minute.
            instance.leaked += pressure.web_leak * STEP * (1.0 - LEAK_SPREAD * n as f64);
            // The fix restarts nothing by itself: what had leaked is given back.
            if pressure.web_leak <= 0.0 {
                instance.leaked = 0.0;
            }
        }
        match (pressure.bad_version, self.bad) {
            (Some(_), None) => {
                let checkout = self.tier_mut(Service::Checkout);
                let before = checkout.instances[0].version;
                let bad = checkout.release(BAD_ROLLOUT_EVERY);
                self.bad = Some((bad, before));
            }
            (None, Some((_, before))) => {
                self.tier_mut(Service::Checkout).roll_back(before);
                self.bad = None;
            }
            _ => {}
        }
        self.flaky_left -= STEP;
        if self.flaky_left <= 0.0 {
            self.flaky = !self.flaky;
            let mean = if self.flaky { 900.0 } else { 500.0 };
            self.flaky_left = self.trouble.exponential(mean).clamp(360.0, 3_600.0);
        }
    }

    /// The database and the cache.
    fn stores(&mut self, requests: f64, batch: f64) {
        let misses = self.misses() * requests * (1.0 - ORDERS);
        self.edges[WEB_CACHE].wanted = requests * (1.0 - ORDERS);
        self.edges[WEB_DB].wanted = misses;
        let queries = misses + self.attempts(CHECKOUT_DB) + batch;
        let lookups = self.edges[WEB_CACHE].wanted;
        self.plain(Service::OrdersDb, queries);
        self.plain(Service::Cache, lookups);
        let db = self.tier(Service::OrdersDb).time;
        // Orders that meet on a row are refused and tried again; the longer each holds its row,
        // the more of them meet.
        let working = self.edges[CHECKOUT_DB].wanted / QUERIES;
        let conflicts = CONFLICTS * working * working * (HOLD + QUERIES * db.mean);
        self.conflicts += conflicts * STEP;
        let refused = if working > 0.0 { conflicts / (working * QUERIES) } else { 0.0 };
        let (cache, errors) = (self.tier(Service::Cache).time, SPECS[3].errors);
        self.observe(WEB_CACHE, cache, SPECS[4].errors, &POLICIES[WEB_CACHE]);
        self.observe(WEB_DB, db, errors, &POLICIES[WEB_DB]);
        self.observe(CHECKOUT_DB, db, errors + refused, &POLICIES[CHECKOUT_DB]);
    }

    /// Miss share over the web instances that are up.
    fn misses(&self) -> f64 {
        let up: Vec<f64> = self.up_hits().collect();
        if up.is_empty() { 0.0 } else { 1.0 - up.iter().sum::<f64>() / up.len() as f64 }
    }

    fn up_hits(&self) -> impl Iterator<Item = f64> {
        self.tier(Service::Web).instances.iter().filter(|i| i.is_up()).map(|i| i.hit)
    }

    /// A service whose work needs nothing else of the fleet.
    fn plain(&mut self, service: Service, arrivals: f64) {
        let tier = self.tier_mut(service);
        tier.serve(arrivals, STEP, |_, work| work);
        let failed = tier.spec.errors + (1.0 - tier.accepted);
        tier.count(failed, STEP);
    }

    fn attempts(&self, edge: usize) -> f64 {
        self.edges[edge].wanted * self.edges[edge].calls.attempts
    }

    /// Lets the client of `edge` see attempts that take `time` and are `refused` so often.
    fn observe(&mut self, edge: usize, time: Moments, refused: f64, policy: &Policy) {
        let edge = &mut self.edges[edge];
        edge.attempt = time.plus(HOP);
        edge.timeout = policy.timeout;
        edge.calls = calls(edge.attempt, refused.clamp(0.0, 1.0), policy);
    }

    fn payments(&mut self, pressure: &Pressure, busy: f64) {
        let attempts = self.attempts(CHECKOUT_PAYMENTS);
        let refused = refused_by_limit(attempts, PAYMENTS_LIMIT);
        self.throttled += attempts * refused * STEP;
        let (errors, slower) = if self.flaky {
            (pressure.payments_errors, pressure.payments_flaky_time)
        } else {
            (0.0, 1.0)
        };
        let tier = self.tier_mut(Service::Payments);
        let slower = pressure.payments_time * slower * busy;
        tier.serve_slowed(attempts * (1.0 - refused), STEP, slower, |_, work| work);
        let failed = 1.0 - (1.0 - tier.spec.errors) * (1.0 - errors) * tier.accepted;
        tier.count(failed, STEP);
        let time = tier.time;
        let policy =
            if pressure.retries_unbounded { &UNBOUNDED } else { &POLICIES[CHECKOUT_PAYMENTS] };
        self.observe(CHECKOUT_PAYMENTS, time, 1.0 - (1.0 - failed) * (1.0 - refused), policy);
        // Answers that nobody waits for any more are work, not good work.
        let late = self.edges[CHECKOUT_PAYMENTS].attempt.beyond(policy.timeout);
        self.tier_mut(Service::Payments).good *= 1.0 - late;
    }

    /// The connection pool, with `leaked` connections that never come back.
    fn pool(&mut self, leaked: f64, orders: f64) {
        let hold = self.edges[CHECKOUT_DB].calls.time.times(QUERIES);
        let hold = hold.plus(Moments::spread(HOLD, 0.5));
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

    fn checkout(&mut self, attempts: f64, pressure: &Pressure) {
        let hold =
            self.edges[CHECKOUT_DB].calls.time.times(QUERIES).plus(Moments::spread(HOLD, 0.5));
        let held = self.edges[CHECKOUT_PAYMENTS].calls.time.plus(self.pool.wait).plus(hold);
        let bad = self.bad.map(|(version, _)| version).zip(pressure.bad_version);
        let tier = &mut self.tiers[Service::Checkout as usize];
        tier.serve(attempts, STEP, |instance, work| match bad {
            Some((version, worse)) if instance.version == version => Work {
                cpu: Moments::spread(work.cpu.mean * worse.cpu, 0.7),
                held: held.plus(Moments::spread(worse.stall, 0.7)),
            },
            _ => Work { held, ..work },
        });
        let up = tier.instances.iter().filter(|i| i.is_up());
        let on_bad = bad.map_or(0.0, |(version, worse)| {
            let all = up.clone().count().max(1) as f64;
            up.filter(|i| i.version == version).count() as f64 / all * worse.errors
        });
        let right = (1.0 - tier.spec.errors)
            * (1.0 - on_bad)
            * (1.0 - self.edges[CHECKOUT_PAYMENTS].calls.failed)
            * (1.0 - self.edges[CHECKOUT_DB].calls.failed).powf(QUERIES)
            * (1.0 - self.pool.failed)
            * tier.accepted;
        tier.count(1.0 - right, STEP);
        let (time, failed) = (tier.time, 1.0 - right);
        self.observe(WEB_CHECKOUT, time, failed, &POLICIES[WEB_CHECKOUT]);
    }

    fn web(&mut self, requests: f64, payload: f64) {
        let page = Moments::spread(PAYLOAD.0 * payload, PAYLOAD.1);
        let (cache, db) = (self.edges[WEB_CACHE].calls.time, self.edges[WEB_DB].calls.time);
        let order = self.edges[WEB_CHECKOUT].calls;
        let read = move |hit: f64| cache.mixed(hit, cache.plus(db));
        let tier = &mut self.tiers[Service::Web as usize];
        tier.serve(requests, STEP, |instance, work| Work {
            held: order.time.mixed(ORDERS, read(instance.hit)),
            ..work
        });
        let (mut browsing, mut ordering, mut seen) = (Moments::default(), Moments::default(), 0.0);
        for instance in tier.instances.iter_mut().filter(|i| i.is_up()) {
            seen += 1.0;
            // The page's way to the user holds no thread here: a proxy sends it.
            let own = instance.own.plus(page);
            instance.time = instance.time.plus(page);
            browsing = own.plus(read(instance.hit)).mixed(1.0 / seen, browsing);
            ordering = own.plus(order.time).mixed(1.0 / seen, ordering);
        }
        tier.time = tier.time.plus(page);
        let broken = 1.0 - (1.0 - tier.spec.errors) * tier.accepted;
        let failed = 1.0 - (1.0 - broken) * (1.0 - order.failed);
        tier.count(broken * (1.0 - ORDERS) + failed * ORDERS, STEP);
        self.browse = Journey { p99: browsing.quantile(Z_99), failed: broken };
        self.order = Journey { p99: ordering.quantile(Z_99), failed };
    }

    /// Orders that ended well put a mail in the queue; the workers take them out, oldest first.
    fn mail(&mut self, slower: f64) {
        let now = self.clock();
        let orders = self.tier(Service::Checkout).good;
        self.mails.push(now, orders * STEP);
        let tier = &mut self.tiers[Service::Worker as usize];
        let Work { cpu, held } = tier.work(slower);
        let each = cpu.plus(held);
        let up = tier.instances.iter().filter(|i| i.is_up()).count() as f64;
        let threads = tier.spec.threads * up;
        let done = self.mails.take(threads / each.mean * STEP) / STEP;
        self.mail_wait = wait(done, each, threads).time;
        tier.serve_slowed(done, STEP, slower, |_, work| work);
        let failed = tier.spec.errors;
        tier.count(failed, STEP);
    }
}
