//! What the fleet is built of: services, who calls whom, and with how much patience.

use super::queueing::Policy;
use super::tier::Spec;

/// Hit share of a warm cache.
pub(super) const HIT_WARM: f64 = 0.92;
/// Hit share of a cache that has just started.
pub(super) const HIT_COLD: f64 = 0.55;
/// Seconds between two instances when the bad version rolls out: a canary, then the rest.
pub(super) const BAD_ROLLOUT_EVERY: f64 = 2_400.0;

/// The services, in the order of [`SPECS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    Web,
    Checkout,
    Payments,
    OrdersDb,
    Cache,
    Worker,
}

const USUAL: Spec = Spec {
    name: "",
    instances: 3,
    threads: 64.0,
    cores: 2.0,
    cpu: 0.022,
    elsewhere: 0.0,
    cv: 0.7,
    memory_mib: 380.0,
    memory_per_rate_mib: 1.5,
    memory_limit_mib: 2_048.0,
    lines: 1.0,
    patience: 4.0,
    errors: 0.0004,
    deploys_per_week: 1.0,
    restart_days: 12.0,
};

/// What the services are made of.
#[rustfmt::skip]
pub(super) static SPECS: [Spec; 6] = [
    Spec { name: "web", lines: 2.0, patience: 10.0, ..USUAL },
    Spec { name: "checkout", threads: 32.0, cpu: 0.030, lines: 4.0, errors: 0.0003, ..USUAL },
    Spec {
        name: "payments", instances: 2, threads: 6.0, cpu: 0.008, elsewhere: 0.044,
        memory_mib: 300.0, lines: 3.0, ..USUAL
    },
    Spec {
        name: "orders-db", instances: 1, threads: 64.0, cores: 8.0, cpu: 0.006, elsewhere: 0.002,
        cv: 1.0, memory_mib: 6_000.0, memory_limit_mib: f64::INFINITY, lines: 0.02,
        errors: 0.0001, deploys_per_week: 0.25, restart_days: f64::INFINITY, ..USUAL
    },
    Spec {
        name: "cache", instances: 1, cores: 4.0, cpu: 0.0004, cv: 0.5, memory_mib: 3_000.0,
        memory_per_rate_mib: 0.5, memory_limit_mib: f64::INFINITY, lines: 0.005, errors: 0.0001,
        deploys_per_week: 0.25, restart_days: f64::INFINITY, ..USUAL
    },
    Spec {
        name: "worker", instances: 2, threads: 6.0, cpu: 0.015, elsewhere: 0.150, cv: 0.5,
        memory_mib: 260.0, lines: 2.0, errors: 0.0008, ..USUAL
    },
];

/// Who calls whom: the edges of the fleet, in the order of [`Fleet::edges`].
pub(super) const EDGES: [(Service, Service); 5] = [
    (Service::Web, Service::Checkout),
    (Service::Web, Service::Cache),
    (Service::Web, Service::OrdersDb),
    (Service::Checkout, Service::Payments),
    (Service::Checkout, Service::OrdersDb),
];
pub(super) const WEB_CHECKOUT: usize = 0;
pub(super) const WEB_CACHE: usize = 1;
pub(super) const WEB_DB: usize = 2;
pub(super) const CHECKOUT_PAYMENTS: usize = 3;
pub(super) const CHECKOUT_DB: usize = 4;
/// Calls of the bank, which is nobody's service and therefore no edge of the fleet.
pub(super) const PAYMENTS_BANK: usize = 5;
/// Kinds of calls: the edges and the bank.
pub(super) const CALLS: usize = EDGES.len() + 1;

/// The service that makes a kind of calls, and the name of what it calls.
pub(super) fn ends(call: usize) -> (Service, &'static str) {
    EDGES.get(call).map_or((Service::Payments, "bank"), |&(caller, callee)| {
        (caller, SPECS[callee as usize].name)
    })
}

const ONCE: Policy = Policy { timeout: 1.0, retries: 0, budget: 0.0, backoff: 0.0 };
#[rustfmt::skip]
pub(super) const POLICIES: [Policy; CALLS] = [
    Policy { timeout: 4.0, retries: 1, budget: 0.02, backoff: 0.05 },
    ONCE,
    ONCE,
    Policy { timeout: 1.5, retries: 1, budget: 0.10, backoff: 0.05 },
    Policy { timeout: 2.0, retries: 2, budget: 0.20, backoff: 0.01 },
    Policy { timeout: 1.0, retries: 2, budget: 0.50, backoff: 0.10 },
];
/// What replaces the policy towards `payments` when its retries have no bound.
pub(super) const UNBOUNDED: Policy =
    Policy { timeout: 1.5, retries: 3, budget: f64::INFINITY, backoff: 0.01 };
