//! The stores of the fleet: the database with its processors, its disk and its locks, and the
//! cache.

use super::blueprint::{
    CHECKOUT_DB, HIT_WARM, PAYMENTS_BANK, POLICIES, SPECS, Service, WEB_CACHE, WEB_DB,
};
use super::fleet::{Fleet, HOP, QUERIES, STEP};
use super::pressure::Pressure;
use super::queueing::{Line, Moments, Policy, calls};
use super::tier::{Instance, Work};

/// Seconds that an order holds its connection beside its queries.
pub(super) const HOLD: f64 = 0.05;
/// Conflicts per second for one order per second held for one second, squared: two transactions
/// meet on one row as often as their rates and their overlap allow (J. Gray, P. Helland,
/// P. O'Neil, D. Shasha, 1996, The Dangers of Replication and a Solution, section 3).
const CONFLICTS: f64 = 4e-4;
/// Share of the orders that find their row taken and that fail instead of waiting.
const LOST_RACES: f64 = 0.25;
/// Disks of the database: as many requests as it works on at a time.
const DISKS: f64 = 4.0;
/// Busy share of a disk that nobody asks for anything.
const DISK_IDLE: f64 = 0.03;
/// Seconds of the disk per log line.
const LINE_DISK: f64 = 5e-4;
/// Queries that bring a page together where the cache has no entry that can be read.
const REBUILD: f64 = 4.0;

/// Waiting for rows that others hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Locks {
    /// Orders that wait for the row that many write to.
    row: Line,
    /// Wait of an order for all its rows.
    pub(super) wait: Moments,
}

impl Fleet {
    /// The database and the cache.
    pub(super) fn stores(&mut self, requests: f64, batch: f64, pressure: &Pressure) {
        let browsing = 1.0 - self.ordering;
        let misses = self.misses() * requests * browsing;
        self.edges[WEB_CACHE].wanted = requests * browsing;
        self.edges[WEB_DB].wanted = misses;
        let queries = misses + self.attempts(CHECKOUT_DB) + batch + pressure.job_queries;
        let lookups = self.edges[WEB_CACHE].wanted;
        self.database(queries, pressure);
        self.plain(Service::Cache, lookups, |work| work);
        let db = self.tier(Service::OrdersDb).time;
        let refused = self.rows(db, pressure);
        let (cache, errors) = (self.tier(Service::Cache).time, SPECS[3].errors);
        self.observe(WEB_CACHE, cache, SPECS[4].errors, &POLICIES[WEB_CACHE]);
        self.observe(WEB_DB, db, errors, &POLICIES[WEB_DB]);
        self.observe(CHECKOUT_DB, db, errors + refused, &POLICIES[CHECKOUT_DB]);
    }

    /// Who shares a processor or a disk gets what the other leaves.
    fn database(&mut self, queries: f64, pressure: &Pressure) {
        let (cores, disk) = (1.0 - pressure.cores_taken, 1.0 - pressure.disk_taken);
        let waiting = Moments::spread(pressure.query_wait, 1.0);
        self.plain(Service::OrdersDb, queries, |work| Work {
            cpu: work.cpu.scaled(1.0 / cores),
            held: work.held.scaled(1.0 / disk).plus(waiting),
            ..work
        });
        let level = self.tier(Service::OrdersDb).level;
        for instance in &mut self.tier_mut(Service::OrdersDb).instances {
            instance.cpu = pressure.cores_taken + cores * instance.cpu;
            let own = instance.served * SPECS[3].elsewhere * level / (disk * DISKS);
            instance.disk = (pressure.disk_taken + disk * own + DISK_IDLE).min(1.0);
        }
    }

    /// Orders that meet on a row: most wait for each other, some are refused and tried again.
    /// Returns the refused share of the queries.
    ///
    /// The row that many write to is a queue with one server, and the transaction its service.
    fn rows(&mut self, db: Moments, pressure: &Pressure) -> f64 {
        let working = self.edges[CHECKOUT_DB].wanted / QUERIES;
        let hold = HOLD * self.weight() + QUERIES * db.mean;
        let met = CONFLICTS * working * hold;
        let writers = working * pressure.one_row;
        let row = self.locks.row.settle(writers, Moments::spread(hold, 0.5), 1.0, STEP);
        let nobody = Moments::default();
        let elsewhere = Moments::spread(hold / 2.0, 0.6).mixed(met.min(1.0), nobody);
        let job = Moments::spread(pressure.job_locks, 1.5);
        self.locks.wait = row.time.mixed(pressure.one_row, nobody).plus(elsewhere).plus(job);
        let raced = writers * row.utilisation.min(1.0) * LOST_RACES;
        let (share, collide) = (self.tenants.share_of_bad(), pressure.tenant_conflicts);
        let twice = working * share * collide;
        let conflicts = met * working + raced + twice;
        self.conflicts += conflicts * STEP;
        if working > 0.0 { (met * working + raced) / (working * QUERIES) } else { 0.0 }
    }

    /// Queries per request of a page: what the cache does not have, and four for each entry that
    /// it has and that cannot be read.
    fn misses(&self) -> f64 {
        let up = self.tier(Service::Web).instances.iter().filter(|i| i.is_up());
        let (sum, n) = up.fold((0.0, 0.0), |(sum, n), i| (sum + queries(i), n + 1.0));
        if n > 0.0 { sum / n } else { 0.0 }
    }

    /// A service whose work needs nothing else of the fleet.
    fn plain(&mut self, service: Service, arrivals: f64, cost: impl Fn(Work) -> Work) {
        let tier = self.tier_mut(service);
        tier.serve(arrivals, STEP, |_, _, work| cost(work));
        let failed = tier.spec.errors + (1.0 - tier.accepted);
        tier.count(failed, STEP);
    }

    pub(super) fn attempts(&self, edge: usize) -> f64 {
        self.edges[edge].wanted * self.edges[edge].calls.attempts
    }

    /// Lets the client of `edge` see attempts that take `time` and are `refused` so often.
    pub(super) fn observe(&mut self, edge: usize, time: Moments, refused: f64, policy: &Policy) {
        // The bank is reached by another way.
        let (hop, lost) = if edge == PAYMENTS_BANK { (HOP, 0.0) } else { self.network };
        let edge = &mut self.edges[edge];
        edge.attempt = time.plus(hop);
        edge.timeout = policy.timeout;
        let refused = 1.0 - (1.0 - refused.clamp(0.0, 1.0)) * (1.0 - lost);
        edge.calls = calls(edge.attempt, refused, policy);
    }

    /// Lets disks write what is logged.
    pub(super) fn write_logs(&mut self, pressure: &Pressure) {
        for service in [Service::Web, Service::Checkout, Service::Payments, Service::Worker] {
            let tier = self.tier_mut(service);
            let chatter = if service == Service::Checkout { pressure.chatter } else { 1.0 };
            let lines = tier.spec.lines * chatter;
            for instance in &mut tier.instances {
                instance.disk = (DISK_IDLE + instance.served * lines * LINE_DISK).min(1.0);
            }
        }
        let cache = self.tier_mut(Service::Cache);
        cache.instances.iter_mut().for_each(|instance| instance.disk = DISK_IDLE);
    }
}

/// Queries that one page costs on an instance, on average.
fn queries(instance: &Instance) -> f64 {
    1.0 - instance.hit + (REBUILD - 1.0) * instance.unreadable
}

/// Time to read what a page needs, from the cache or from the database.
pub(super) fn read(instance: &Instance, cache: Moments, db: Moments) -> Moments {
    let miss = 1.0 - instance.hit;
    let each = if miss > 0.0 { queries(instance) / miss } else { 1.0 };
    cache.mixed(instance.hit, cache.plus(db.times(each)))
}

/// The hit share that an instance tends to, and the share of entries that it finds and cannot
/// read.
pub(super) fn tendency(number: usize, pressure: &Pressure) -> (f64, f64) {
    let apart = if number == 0 { pressure.cache_apart } else { 0.0 };
    let unreadable = HIT_WARM * (1.0 - (1.0 - apart) * (1.0 - pressure.cache_cold));
    (HIT_WARM - unreadable, unreadable)
}
