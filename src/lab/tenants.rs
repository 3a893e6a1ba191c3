//! Whose requests they are: tenants of very different sizes, and the routes that they take.

use super::blueprint::Service;
use super::fleet::Fleet;
use super::pressure::Pressure;

/// Tenants of the fleet.
pub(super) const TENANTS: usize = 40;
/// The tenant that may become hot: an ordinary one.
const HOT: usize = 5;
/// The tenant whose orders may collide.
const BAD: usize = 2;
/// Routes of `web` and their shares of what is no order; orders have the last one.
pub(super) const PAGES: [(&str, f64); 6] = [
    ("/", 0.36),
    ("/product", 0.31),
    ("/search", 0.21),
    ("/cart", 0.08),
    ("/account", 0.04),
    ("/order", 0.0),
];
/// Routes of `checkout` and their shares.
pub(super) const HANDLERS: [(&str, f64); 6] = [
    ("/order", 0.47),
    ("/quote", 0.28),
    ("/coupon", 0.10),
    ("/address", 0.08),
    ("/gift", 0.04),
    ("/refund", 0.03),
];
/// The route of `checkout` whose rows may become unreadable.
const BAD_CALL: usize = 2;

/// Who sends what.
#[derive(Clone, Debug)]
pub(super) struct Tenants {
    /// Usual share of each of the requests, largest first.
    shares: [f64; TENANTS],
    /// Share of the orders that the hot tenant sends beyond its usual.
    extra: f64,
    /// What one of its orders costs, as a multiple.
    weight: f64,
}

/// What one value of a label stands for, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Part {
    /// Requests.
    pub(super) requests: f64,
    /// Requests that fail.
    pub(super) errors: f64,
    /// Seconds that requests spend in the service.
    pub(super) seconds: f64,
}

impl Tenants {
    /// Tenants whose sizes follow Zipf's law: the n-th is an n-th of the first.
    pub(super) fn new() -> Self {
        let total: f64 = (1..=TENANTS).map(|rank| 1.0 / rank as f64).sum();
        let shares = std::array::from_fn(|n| 1.0 / ((n + 1) as f64 * total));
        Self { shares, extra: 0.0, weight: 1.0 }
    }

    /// Takes in what arrives now: `usual` orders per second, and those of the hot tenant.
    pub(super) fn send(&mut self, usual: f64, pressure: &Pressure) {
        let all = usual + pressure.tenant_orders;
        self.extra = if all > 0.0 { pressure.tenant_orders / all } else { 0.0 };
        self.weight = pressure.tenant_weight;
    }

    /// Share of the orders that come from the hot tenant.
    pub(super) fn hot_share(&self) -> f64 {
        self.shares[HOT] * (1.0 - self.extra) + self.extra
    }

    /// What one of its orders costs, as a multiple.
    pub(super) const fn hot_weight(&self) -> f64 {
        self.weight
    }

    /// Share of the orders that come from the tenant whose orders may collide.
    pub(super) fn share_of_bad(&self) -> f64 {
        self.shares[BAD] * (1.0 - self.extra)
    }

    /// Share of the orders whose data cannot be read or collides, however often it is tried.
    pub(super) fn hopeless(&self, pressure: &Pressure) -> f64 {
        HANDLERS[BAD_CALL].1 * pressure.route_errors
            + self.share_of_bad() * pressure.tenant_conflicts
    }

    /// The name of a tenant.
    pub(super) fn name(number: usize) -> String {
        format!("t{:02}", number + 1)
    }
}

impl Fleet {
    /// What an order costs, on average, relative to the usual.
    pub(super) fn weight(&self) -> f64 {
        1.0 + self.tenants.hot_share() * (self.tenants.hot_weight() - 1.0)
    }

    /// What each tenant and each route of `web` or `checkout` stands for now.
    pub(super) fn parts(&self, service: Service, pressure: &Pressure) -> (Vec<Part>, Vec<Part>) {
        let tier = self.tier(service);
        let (arrivals, time) = (tier.arrivals, tier.time.mean);
        let at_web = service == Service::Web;
        let orders = if at_web { self.ordering } else { 1.0 };
        let (browse, order) = (self.browse.failed, self.order.failed);
        let failed = if at_web {
            arrivals * (browse * (1.0 - orders) + order * orders)
        } else {
            arrivals - tier.good
        };
        let of_route = arrivals * orders * HANDLERS[BAD_CALL].1 * pressure.route_errors;
        let of_tenant = arrivals * orders * self.tenants.share_of_bad() * pressure.tenant_conflicts;
        let of_all = (failed - of_route - of_tenant).max(0.0);
        let extra = self.tenants.extra * orders;
        let tenants = (0..TENANTS).map(|n| {
            let more = if n == HOT { extra } else { 0.0 };
            let share = self.tenants.shares[n] * (1.0 - extra) + more;
            let heavy = n == HOT && !at_web;
            let cost = if heavy { self.tenants.weight } else { 1.0 };
            let usual = if at_web { 1.0 } else { self.weight() };
            Part {
                requests: arrivals * share,
                errors: (of_all + of_route) * share + if n == BAD { of_tenant } else { 0.0 },
                seconds: arrivals * share * time * cost / usual,
            }
        });
        let pages = || {
            PAGES.iter().enumerate().map(|(n, (_, share))| {
                let share = if n + 1 == PAGES.len() { orders } else { share * (1.0 - orders) };
                // What checkout fails shows on the way to an order alone.
                let failing = if n + 1 == PAGES.len() { order } else { browse };
                let requests = arrivals * share;
                Part { requests, errors: requests * failing, seconds: requests * time }
            })
        };
        let calls = || {
            HANDLERS.iter().enumerate().map(|(n, (_, share))| Part {
                requests: arrivals * share,
                errors: (of_all + of_tenant) * share + if n == BAD_CALL { of_route } else { 0.0 },
                seconds: arrivals * share * time,
            })
        };
        (tenants.collect(), if at_web { pages().collect() } else { calls().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_follow_zipf() {
        let tenants = Tenants::new();
        assert!((tenants.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((tenants.shares[0] / tenants.shares[9] - 10.0).abs() < 1e-12);
        for routes in [PAGES, HANDLERS] {
            assert!((routes.iter().map(|route| route.1).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
