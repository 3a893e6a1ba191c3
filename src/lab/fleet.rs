//! The model: what one service does to the next within a step of ten seconds.
//!
//! Work flows down with the attempts that clients made in the step before; times flow up. So a
//! slow callee holds its callers' threads and connections, makes their clients time out and try
//! again, and the retries arrive at the callee in the next step: loops close through time.

use super::blueprint::{
    BAD_ROLLOUT_EVERY, CALLS, CHECKOUT_DB, CHECKOUT_PAYMENTS, SPECS, Service, WEB_CACHE,
    WEB_CHECKOUT, WEB_DB,
};
use super::life::ROLLOUT_EVERY;
use super::noise::Dice;
use super::operations::Operations;
use super::pressure::Pressure;
use super::queueing::{Calls, Fifo, Line, Moments, Z_99, wait};
use super::stores::{Locks, read, tendency};
use super::tenants::Tenants;
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
pub(super) const QUERIES: f64 = 3.0;
/// Connections of the checkout's pool, all instances together.
pub(super) const POOL: f64 = 12.0;
/// How much slower each web instance leaks than the one before it.
const LEAK_SPREAD: f64 = 0.04;
/// How much longer a bank, a mail server or a mobile network takes at its busiest.
const WORLD_BUSY: f64 = 0.3;
/// Seconds that a page takes to reach a user, and how that spreads over users.
const PAYLOAD: (f64, f64) = (0.060, 1.0);
/// Seconds of one hop between services.
pub(super) const HOP: Moments = Moments { mean: 0.0008, var: 0.16e-6 };
/// Seconds until a lost packet is sent again, and how that spreads: the first timeouts of TCP.
const RESENT: (f64, f64) = (0.25, 0.6);
/// Share of the lost packets that were the last chance of an attempt.
const GIVEN_UP: f64 = 0.10;
/// Seconds that a name server takes that does not answer at first, and how that spreads.
const NAMED: (f64, f64) = (1.0, 0.4);
/// Seconds until a rollout that has stalled goes on by itself: never.
const STALLED: f64 = f64::INFINITY;

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
    /// Attempts that a limit refused since the last scrape.
    pub(super) throttled: f64,
}

/// The pool between `checkout` and its database.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    /// Orders that wait for a connection.
    pub(super) line: Line,
    /// Orders that wait beyond what the steady state explains.
    pub(super) backlog: f64,
    /// Connections in use by orders: throughput times holding time.
    pub(super) busy: f64,
    /// Used share, leaked connections included.
    pub(super) used: f64,
    /// Wait for a connection.
    pub(super) wait: Moments,
    /// 99th percentile of the wait in seconds.
    pub(super) p99: f64,
    /// Share of orders that got none in time.
    pub(super) failed: f64,
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
    pub(super) edges: [Edge; CALLS],
    pub(super) pool: Pool,
    pub(super) mails: Fifo,
    /// Wait of a mail beyond its place in line, from the workers' ordinary randomness.
    pub(super) mail_wait: Moments,
    pub(super) browse: Journey,
    pub(super) order: Journey,
    /// Conflicts expected since the last scrape.
    pub(super) conflicts: f64,
    /// Log lines per failure, as a multiple of the usual, and of `checkout` per request.
    pub(super) talkative: (f64, f64),
    /// Seconds that the first mail seems to have waited beyond what it has, and by which the
    /// clock of the queue is ahead.
    pub(super) ages_off: (f64, f64),
    pub(super) locks: Locks,
    pub(super) tenants: Tenants,
    pub(super) operations: Operations,
    /// Share of users' requests that place an order.
    pub(super) ordering: f64,
    /// Time of one hop between services, and the share of attempts that the network loses.
    pub(super) network: (Moments, f64),
    /// Number of the bad version, and of the one before it, while it is out.
    pub(super) bad: Option<(u32, u32)>,
    pub(super) flaky: bool,
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
            edges: [first; CALLS],
            pool: Pool::default(),
            mails: Fifo::default(),
            mail_wait: Moments::default(),
            browse: Journey::default(),
            order: Journey::default(),
            conflicts: 0.0,
            talkative: (1.0, 1.0),
            ages_off: (0.0, 0.0),
            locks: Locks::default(),
            tenants: Tenants::new(),
            operations: Operations::new(seed),
            ordering: ORDERS,
            network: (HOP, 0.0),
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

    pub(super) fn tier_mut(&mut self, service: Service) -> &mut Tier {
        &mut self.tiers[service as usize]
    }

    /// Seconds of model time that have passed.
    pub(super) fn clock(&self) -> f64 {
        self.steps as f64 * STEP
    }

    /// Starts the counts of the next scrape.
    pub(super) fn forget_tallies(&mut self) {
        self.tiers.iter_mut().for_each(|tier| tier.tally = Tally::default());
        self.edges.iter_mut().for_each(|edge| (edge.tally, edge.throttled) = ([0.0; 3], 0.0));
        self.conflicts = 0.0;
    }

    /// Lets one step pass under `pressure`.
    pub(super) fn step(&mut self, now: Timestamp, arrivals: Arrivals, pressure: &Pressure) {
        self.steps += 1;
        self.live(now, pressure);
        let requests = self.arrive(arrivals.requests, pressure);
        let busy = 1.0 + WORLD_BUSY * arrivals.world;
        let orders = requests * self.ordering * self.tier(Service::Web).accepted;
        let attempts = orders * self.edges[WEB_CHECKOUT].calls.attempts;
        let working = attempts * self.tier(Service::Checkout).accepted;
        self.edges[WEB_CHECKOUT].wanted = orders;
        self.edges[CHECKOUT_PAYMENTS].wanted = working;
        self.edges[CHECKOUT_DB].wanted = working * QUERIES;
        self.stores(requests, arrivals.batch, pressure);
        self.payments(pressure, busy);
        self.pool(pressure.pool_leaked, working);
        self.checkout(attempts, pressure);
        self.web(requests, busy, pressure);
        self.mail(busy, pressure.workers_stuck);
        self.write_logs(pressure);
        for edge in &mut self.edges {
            let attempts = edge.wanted * edge.calls.attempts * STEP;
            edge.tally[0] += attempts;
            edge.tally[1] += attempts * edge.calls.failing;
            edge.tally[2] += edge.wanted * (edge.calls.attempts - 1.0) * STEP;
        }
    }

    /// Who comes, what for, and by which network. Returns the requests per second.
    fn arrive(&mut self, usual: f64, pressure: &Pressure) -> f64 {
        let everybody = usual + pressure.crowd;
        let requests = everybody + pressure.sale + pressure.tenant_orders;
        let only_orders =
            (pressure.sale + pressure.tenant_orders) / requests.max(f64::MIN_POSITIVE);
        self.ordering = ORDERS + (1.0 - ORDERS) * only_orders;
        self.tenants.send(everybody * ORDERS + pressure.sale, pressure);
        let (seconds, cv) = RESENT;
        let hop = HOP.plus(Moments::spread(seconds, cv)).mixed(pressure.loss, HOP);
        self.network =
            if pressure.loss > 0.0 { (hop, pressure.loss * GIVEN_UP) } else { (HOP, 0.0) };
        self.talkative = (pressure.failure_lines, pressure.chatter);
        self.ages_off = (pressure.stuck, pressure.skew);
        requests
    }

    /// Deploys, restarts, leaks, caches, and what wanders.
    fn live(&mut self, now: Timestamp, pressure: &Pressure) {
        for tier in &mut self.tiers {
            if self.steps % WANDER_STEPS == 1 {
                tier.wander(&mut self.weather, STEP * WANDER_STEPS as f64);
            }
            let calm = self.bad.is_none() && !pressure.events.stalled;
            let calm = calm || tier.spec.name != "checkout";
            tier.live(now, STEP, &mut self.life, calm);
        }
        let warmed = 1.0 - (-STEP / HIT_TAU).exp();
        for (n, instance) in self.tier_mut(Service::Web).instances.iter_mut().enumerate() {
            let (hit, unreadable) = tendency(n, pressure);
            instance.hit += (hit - instance.hit) * warmed;
            instance.unreadable += (unreadable - instance.unreadable) * warmed;
            // No two leak alike, or all would be killed in the same minute.
            instance.leaked += pressure.web_leak * STEP * (1.0 - LEAK_SPREAD * n as f64);
            // The fix restarts nothing by itself: what had leaked is given back.
            if pressure.web_leak <= 0.0 {
                instance.leaked = 0.0;
            }
        }
        self.operate(now, pressure);
        self.flaky_left -= STEP;
        if self.flaky_left <= 0.0 {
            self.flaky = !self.flaky;
            let mean = if self.flaky { 900.0 } else { 500.0 };
            self.flaky_left = self.trouble.exponential(mean).clamp(360.0, 3_600.0);
        }
    }

    /// What people do: versions and configurations, good and bad.
    fn operate(&mut self, now: Timestamp, pressure: &Pressure) {
        let events = pressure.events;
        let before = self.operations.live(now, STEP, events);
        let checkout = &mut self.tiers[Service::Checkout as usize];
        if events.deploy && !before.deploy {
            checkout.release(ROLLOUT_EVERY);
        }
        match (events.stalled, before.stalled) {
            (true, false) => {
                checkout.release(STALLED);
            }
            (false, true) => checkout.go_on(),
            _ => {}
        }
        match (pressure.bad_version, self.bad) {
            (Some(_), None) => {
                let good = checkout.instances[0].version;
                let every = if events.canary { STALLED } else { BAD_ROLLOUT_EVERY };
                self.bad = Some((checkout.release(every), good));
            }
            (None, Some((_, good))) => {
                checkout.roll_back(good);
                self.bad = None;
            }
            _ => {}
        }
    }

    fn web(&mut self, requests: f64, busy: f64, pressure: &Pressure) {
        let page = Moments::spread(PAYLOAD.0 * pressure.payload * busy, PAYLOAD.1);
        let page = page.plus(Moments::spread(NAMED.0, NAMED.1)).mixed(pressure.slow_names, page);
        let (cache, db) = (self.edges[WEB_CACHE].calls.time, self.edges[WEB_DB].calls.time);
        let (order, orders) = (self.edges[WEB_CHECKOUT].calls, self.ordering);
        let tier = &mut self.tiers[Service::Web as usize];
        tier.serve(requests, STEP, |_, instance, work| Work {
            cpu: work.cpu.scaled(pressure.page_cpu),
            held: order.time.mixed(orders, read(instance, cache, db)),
            kept: pressure.sessions,
        });
        let (mut browsing, mut ordering, mut seen) = (Moments::default(), Moments::default(), 0.0);
        for instance in tier.instances.iter_mut().filter(|i| i.is_up()) {
            seen += 1.0;
            // The page's way to the user holds no thread here: a proxy sends it.
            let own = instance.own.plus(page);
            instance.time = instance.time.plus(page);
            browsing = own.plus(read(instance, cache, db)).mixed(1.0 / seen, browsing);
            ordering = own.plus(order.time).mixed(1.0 / seen, ordering);
        }
        tier.time = tier.time.plus(page);
        let broken = 1.0 - (1.0 - tier.spec.errors) * tier.accepted;
        let failed = 1.0 - (1.0 - broken) * (1.0 - order.failed);
        tier.count(broken * (1.0 - orders) + failed * orders, STEP);
        tier.good *= 1.0 - pressure.lost_results;
        self.browse = Journey { p99: browsing.quantile(Z_99), failed: broken };
        self.order = Journey { p99: ordering.quantile(Z_99), failed };
    }

    /// Orders that ended well put a mail in the queue; the workers take them out, oldest first.
    fn mail(&mut self, slower: f64, stuck: f64) {
        let now = self.clock();
        let orders = self.tier(Service::Checkout).good;
        self.mails.push(now, orders * STEP);
        let tier = &mut self.tiers[Service::Worker as usize];
        let Work { cpu, held, .. } = tier.work(slower);
        let each = cpu.plus(held);
        let up = tier.instances.iter().filter(|i| i.is_up()).count() as f64;
        let threads = tier.spec.threads * up * (1.0 - stuck);
        let done = self.mails.take(threads / each.mean * STEP) / STEP;
        self.mail_wait = wait(done, each, threads).time;
        tier.serve_slowed(done, STEP, slower, |_, _, work| work);
        let failed = tier.spec.errors;
        tier.count(failed, STEP);
    }
}
