//! Every metric of the lab: its labels, where its truth lies in the model, and how it is noisy.

use super::blueprint::{
    CALLS, CHECKOUT_DB, CHECKOUT_PAYMENTS, PAYMENTS_BANK, SPECS, Service, WEB_CHECKOUT, ends,
};
use super::fleet::{Edge, Fleet};
use super::queueing::Z_99;
use super::tier::{Instance, Tier};
use crate::series::Labels;
use crate::time::Timestamp;

/// What a series would show without noise, and what its noise is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    /// Many events per second: as exact as their number in the window.
    Rate(f64),
    /// A positive level with relative noise of this size.
    Level(f64, f64),
    /// A duration with relative noise of this size; now and then a spike.
    Duration(f64, f64),
    /// A share with absolute noise of this size.
    Share(f64, f64),
    /// Expected events since the last scrape, and what their number is divided by; the window's
    /// events over the window's divisors are shown.
    Count(f64, Per),
    /// A number as it is, from whoever runs the service: shown even where its exporters are
    /// silent.
    Known(f64),
    /// A number as it is.
    Exact(f64),
    /// Nothing to show.
    Nothing,
}

/// What a number of events is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Per {
    /// Requests since the last scrape.
    Requests(f64),
    /// The seconds of the window.
    Second,
    /// Nothing: the events of the window are counted.
    Window,
}

/// For which things of the fleet a metric exists.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    /// Every service.
    Services,
    /// Every instance of every service.
    Instances,
    /// Every instance of one service.
    Of(Service),
    /// Every instance of the services that collect garbage.
    Collecting,
    /// Some kinds of calls: caller and dependency.
    Edges(&'static [usize]),
    /// One service, with one more label.
    One(Service, &'static [(&'static str, &'static str)]),
}

/// One metric: its scope, and how to read it for one thing of that scope. The numbers are the
/// service and the instance, or the kind of calls.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    pub(super) read: fn(&Fleet, usize, usize) -> Seen,
}

/// Relative error of a quantile estimated from `n` lognormal samples with σ near 0.6:
/// √(p(1 − p)/n) over the density at the quantile.
fn quantile_error(at_p99: bool, per_second: f64) -> f64 {
    let n = (per_second * 300.0).max(1.0);
    let unit = if at_p99 { 2.2 } else { 0.75 };
    (unit / n.sqrt()).clamp(0.012, 0.5)
}

fn instance(fleet: &Fleet, service: usize, index: usize) -> Option<(&Tier, &Instance)> {
    let tier = fleet.tiers.get(service)?;
    let instance = tier.instances.get(index)?;
    instance.is_up().then_some((tier, instance))
}

fn tail(fleet: &Fleet, service: usize, index: usize) -> Seen {
    instance(fleet, service, index).map_or(Seen::Nothing, |(_, i)| {
        Seen::Duration(i.time.quantile(Z_99), quantile_error(true, i.served))
    })
}

fn typical(fleet: &Fleet, service: usize, _: usize) -> Seen {
    let tier = &fleet.tiers[service];
    Seen::Duration(tier.time.quantile(0.0), quantile_error(false, tier.arrivals))
}

fn edge_tail(fleet: &Fleet, edge: usize, _: usize) -> Seen {
    let Edge { attempt, timeout, wanted, .. } = fleet.edges[edge];
    Seen::Duration(attempt.quantile(Z_99).min(timeout), quantile_error(true, wanted))
}

fn cpu(fleet: &Fleet, service: usize, index: usize) -> Seen {
    // A few percent go to the runtime whatever arrives.
    instance(fleet, service, index).map_or(Seen::Nothing, |(_, i)| Seen::Share(0.03 + i.cpu, 0.006))
}

fn memory(fleet: &Fleet, service: usize, index: usize) -> Seen {
    instance(fleet, service, index).map_or(Seen::Nothing, |(_, i)| Seen::Level(i.memory, 0.012))
}

fn hit(fleet: &Fleet, service: usize, index: usize) -> Seen {
    instance(fleet, service, index).map_or(Seen::Nothing, |(_, i)| Seen::Share(i.hit, 0.004))
}

/// Lines per request, per failure and per retry: trouble talks.
fn log_lines(fleet: &Fleet, service: usize, _: usize) -> Seen {
    let tier = &fleet.tiers[service];
    let failing = tier.arrivals - tier.good;
    let retries: f64 = (0..CALLS)
        .filter(|&call| ends(call).0 as usize == service)
        .map(|call| fleet.edges[call].wanted * (fleet.edges[call].calls.attempts - 1.0))
        .sum();
    let (failure, chatter) =
        if service == Service::Checkout as usize { fleet.talkative } else { (1.0, 1.0) };
    let usual = tier.arrivals * tier.spec.lines * chatter;
    Seen::Level(0.2 + usual + failing * 12.0 * failure + retries * 3.0, 0.02)
}

fn edge_share(fleet: &Fleet, edge: usize, _: usize) -> Seen {
    let [attempts, failed, _] = fleet.edges[edge].tally;
    Seen::Count(failed, Per::Requests(attempts))
}

fn queue_age(fleet: &Fleet, _: usize, _: usize) -> Seen {
    // Half a second passes until a worker polls.
    let waited = fleet.mails.age(fleet.clock()) + fleet.mail_wait.mean + 0.5;
    let (stuck, skew) = fleet.ages_off;
    Seen::Duration(waited.max(stuck) + skew, 0.05)
}

/// Age of a mail when a worker has done it; a mail that is stuck is not done.
fn staleness(fleet: &Fleet, service: usize, _: usize) -> Seen {
    let waited = fleet.mails.age(fleet.clock()) + fleet.mail_wait.mean + 0.5;
    Seen::Duration(waited + fleet.tiers[service].time.mean + fleet.ages_off.1, 0.05)
}

fn disk(fleet: &Fleet, service: usize, index: usize) -> Seen {
    instance(fleet, service, index).map_or(Seen::Nothing, |(_, i)| Seen::Share(i.disk, 0.004))
}

/// The runtime keeps some threads for itself.
fn threads(fleet: &Fleet, service: usize, index: usize) -> Seen {
    instance(fleet, service, index)
        .map_or(Seen::Nothing, |(_, i)| Seen::Level(8.0 + i.working, 0.02))
}

fn collecting(fleet: &Fleet, service: usize, index: usize) -> Seen {
    instance(fleet, service, index)
        .map_or(Seen::Nothing, |(_, i)| Seen::Share(i.collecting, 0.0004))
}

/// An instant as the exporters of such things show it: its Unix time in seconds.
fn instant(at: Option<Timestamp>) -> Seen {
    at.map_or(Seen::Nothing, |at| Seen::Known(at.as_secs() as f64))
}

fn queue_depth(fleet: &Fleet, _: usize, _: usize) -> Seen {
    // Little's law for those that only wait for a worker to poll and to be free.
    let rate = fleet.tier(Service::Worker).arrivals;
    Seen::Level(fleet.mails.waiting() + rate * (fleet.mail_wait.mean + 0.5), 0.05)
}

/// So many of the metrics draw their noise from the first streams of chance.
pub(super) const FIRST_METRICS: usize = 20;

/// Every metric but the versions, whose series come and go. New ones stand at the end.
pub(super) const METRICS: [Metric; 28] = [
    Metric {
        name: "lab_traffic",
        scope: Scope::Services,
        read: |fleet, s, _| Seen::Rate(fleet.tiers[s].arrivals),
    },
    Metric {
        name: "lab_goodput",
        scope: Scope::Services,
        read: |fleet, s, _| Seen::Rate(fleet.tiers[s].good),
    },
    Metric {
        name: "lab_attempts",
        scope: Scope::Edges(&ALL_CALLS),
        read: |fleet, e, _| Seen::Rate(fleet.edges[e].wanted * fleet.edges[e].calls.attempts),
    },
    Metric { name: "lab_latency_p99", scope: Scope::Instances, read: tail },
    Metric { name: "lab_latency_p50", scope: Scope::Services, read: typical },
    Metric {
        name: "lab_errors",
        scope: Scope::Services,
        read: |fleet, s, _| {
            let tally = fleet.tiers[s].tally;
            Seen::Count(tally.errors, Per::Requests(tally.requests))
        },
    },
    Metric {
        name: "lab_retries",
        scope: Scope::Edges(&[WEB_CHECKOUT, CHECKOUT_PAYMENTS, CHECKOUT_DB, PAYMENTS_BANK]),
        read: |fleet, e, _| Seen::Count(fleet.edges[e].tally[2], Per::Second),
    },
    Metric { name: "lab_dependency_latency", scope: Scope::Edges(&ALL_CALLS), read: edge_tail },
    Metric { name: "lab_dependency_errors", scope: Scope::Edges(&ALL_CALLS), read: edge_share },
    Metric {
        name: "lab_pool_wait",
        scope: Scope::One(Service::Checkout, &[("pool", "orders-db")]),
        // Taking a free connection costs some tenths of a millisecond.
        read: |fleet, _, _| Seen::Duration(fleet.pool.p99.max(fleet.pool.wait.mean) + 4e-4, 0.04),
    },
    Metric {
        name: "lab_pool_use",
        scope: Scope::One(Service::Checkout, &[("pool", "orders-db")]),
        read: |fleet, _, _| Seen::Share(fleet.pool.used, 0.012),
    },
    Metric {
        name: "lab_queue_age",
        scope: Scope::One(Service::Worker, &[("queue", "emails")]),
        read: queue_age,
    },
    Metric {
        name: "lab_queue_depth",
        scope: Scope::One(Service::Worker, &[("queue", "emails")]),
        read: queue_depth,
    },
    Metric { name: "lab_cache_hit", scope: Scope::Of(Service::Web), read: hit },
    Metric { name: "lab_cpu", scope: Scope::Instances, read: cpu },
    Metric { name: "lab_memory", scope: Scope::Instances, read: memory },
    Metric {
        name: "lab_restarts",
        scope: Scope::Services,
        read: |fleet, s, _| Seen::Count(fleet.tiers[s].tally.restarts, Per::Window),
    },
    Metric { name: "lab_log_volume", scope: Scope::Services, read: log_lines },
    Metric {
        name: "lab_throttled",
        scope: Scope::Edges(&[CHECKOUT_PAYMENTS, PAYMENTS_BANK]),
        read: |fleet, e, _| Seen::Count(fleet.edges[e].throttled, Per::Second),
    },
    Metric {
        name: "lab_conflicts",
        scope: Scope::One(Service::Checkout, &[]),
        read: |fleet, _, _| Seen::Count(fleet.conflicts, Per::Second),
    },
    Metric {
        name: "lab_lock_wait",
        scope: Scope::One(Service::OrdersDb, &[]),
        // Looking whether a row is free takes some microseconds.
        read: |fleet, _, _| Seen::Duration(fleet.locks.wait.mean + 2e-5, 0.05),
    },
    Metric { name: "lab_disk", scope: Scope::Instances, read: disk },
    Metric { name: "lab_threads", scope: Scope::Instances, read: threads },
    Metric { name: "lab_gc", scope: Scope::Collecting, read: collecting },
    Metric { name: "lab_staleness", scope: Scope::One(Service::Worker, &[]), read: staleness },
    Metric {
        name: "lab_config_version",
        scope: Scope::Services,
        read: |fleet, s, _| Seen::Exact(f64::from(fleet.operations.configs[s])),
    },
    Metric {
        name: "lab_migration",
        scope: Scope::One(Service::OrdersDb, &[]),
        read: |fleet, _, _| instant(fleet.operations.migrated),
    },
    Metric {
        name: "lab_maintenance",
        scope: Scope::One(Service::Payments, &[]),
        read: |fleet, _, _| instant(fleet.operations.maintained),
    },
];

const ALL_CALLS: [usize; CALLS] = [0, 1, 2, 3, 4, 5];

impl Scope {
    /// Whether its things are kinds of calls.
    pub(super) const fn is_calls(self) -> bool {
        matches!(self, Self::Edges(_))
    }

    /// The numbers that [`Metric::read`] takes for each thing of this scope, whose first is the
    /// service that exports it, and its labels.
    pub(super) fn things(self) -> Vec<Thing> {
        let services = 0..SPECS.len();
        match self {
            Self::Services => services.map(|s| Thing::new(s, None, &[])).collect(),
            Self::Instances => services.flat_map(instances).collect(),
            Self::Of(service) => instances(service as usize).collect(),
            Self::Collecting => services
                .filter(|&service| SPECS[service].memory_limit_mib.is_finite())
                .flat_map(instances)
                .collect(),
            Self::Edges(edges) => edges
                .iter()
                .map(|&edge| {
                    let (caller, callee) = ends(edge);
                    let label = ("dependency", callee);
                    Thing { a: edge, ..Thing::new(caller as usize, None, &[label]) }
                })
                .collect(),
            Self::One(service, labels) => vec![Thing::new(service as usize, None, labels)],
        }
    }
}

fn instances(service: usize) -> impl Iterator<Item = Thing> {
    (0..SPECS[service].instances).map(move |index| Thing::new(service, Some(index), &[]))
}

/// One thing of a scope.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    /// First number for [`Metric::read`].
    pub(super) a: usize,
    /// Second number for [`Metric::read`].
    pub(super) b: usize,
    /// The service whose exporter shows it.
    pub(super) service: usize,
    /// The instance whose exporter shows it; none for what is recorded per service.
    pub(super) instance: Option<usize>,
    /// Labels of the series.
    pub(super) labels: Labels,
}

impl Thing {
    pub(super) fn new(service: usize, instance: Option<usize>, more: &[(&str, &str)]) -> Self {
        let name = SPECS[service].name;
        let mut labels = Labels::from([("service".to_owned(), name.to_owned())]);
        if let Some(index) = instance {
            labels.insert("instance".to_owned(), format!("{name}-{}", index + 1));
        }
        labels.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        Self { a: service, b: instance.unwrap_or(0), service, instance, labels }
    }
}
