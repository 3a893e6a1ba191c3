//! The state of everything that faults can change, at one instant.

use super::fault::{Fault, FaultPlan};
use super::lookalike::{Like, Outside};
use crate::time::{Span, Timestamp};

/// Bytes of a mebibyte.
pub(super) const MEBIBYTE: f64 = 1_048_576.0;

/// What a new version does worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BadVersion {
    /// Processor time per request, as a multiple.
    pub(super) cpu: f64,
    /// Seconds that each request waits for nothing.
    pub(super) stall: f64,
    /// Share of requests that fail.
    pub(super) errors: f64,
}

/// What is done to the fleet on purpose. Each happens once, when it turns true.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each goes on or does not, whatever the others do"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    /// A harmless version of `checkout` goes out.
    pub(super) deploy: bool,
    /// A harmless version of `checkout` goes out as far as its first instance, and on when this
    /// ends.
    pub(super) stalled: bool,
    /// The bad version goes out as far as its first instance.
    pub(super) canary: bool,
    /// `checkout` gets another configuration.
    pub(super) config_checkout: bool,
    /// `web` gets another configuration.
    pub(super) config_web: bool,
    /// Planned work on `payments`.
    pub(super) maintenance: bool,
}

/// The state of everything that faults can change, at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pressure {
    /// What is done on purpose.
    pub(super) events: Events,
    /// Multiplies the time that `payments` waits for its processor.
    pub(super) payments_time: f64,
    /// Failed share of attempts in the flaky phases of `payments`.
    pub(super) payments_errors: f64,
    /// Multiplies the same time in the flaky phases.
    pub(super) payments_flaky_time: f64,
    /// The client of `payments` retries three times, without a budget.
    pub(super) retries_unbounded: bool,
    /// Connections that never came back to the pool.
    pub(super) pool_leaked: f64,
    /// Share of the workers' threads that are stuck.
    pub(super) workers_stuck: f64,
    /// Multiplies the time that a page takes to reach a user.
    pub(super) payload: f64,
    /// Bytes per second that each web instance loses.
    pub(super) web_leak: f64,
    /// The version of `checkout` that is bad, while it is out.
    pub(super) bad_version: Option<BadVersion>,
    /// The exporters of `payments` are silent.
    pub(super) payments_silent: bool,
    /// Requests per second beyond the usual, from everybody.
    pub(super) crowd: f64,
    /// Orders per second beyond the usual, from everybody.
    pub(super) sale: f64,
    /// Orders per second beyond the usual, from one tenant.
    pub(super) tenant_orders: f64,
    /// What each of that tenant's orders costs, as a multiple.
    pub(super) tenant_weight: f64,
    /// Share of the orders that write to one row.
    pub(super) one_row: f64,
    /// Share of the cache's entries that one instance of `web` cannot use.
    pub(super) cache_apart: f64,
    /// Share of the cache's entries that no instance of `web` can use.
    pub(super) cache_cold: f64,
    /// Share of the orders that fail where half of the instances run another version.
    pub(super) disagreement: f64,
    /// Divides the threads of `checkout`.
    pub(super) threads_cut: f64,
    /// Multiplies the quota that the bank grants.
    pub(super) bank_quota: f64,
    /// Share of the processors of `orders-db` that something else takes.
    pub(super) cores_taken: f64,
    /// Share of the time of the disk of `orders-db` that something else takes.
    pub(super) disk_taken: f64,
    /// Seconds that each query waits for what nobody measures.
    pub(super) query_wait: f64,
    /// Seconds that an order waits for the locks of a job, on average.
    pub(super) job_locks: f64,
    /// Queries per second of that job.
    pub(super) job_queries: f64,
    /// Multiplies the log lines of `checkout`.
    pub(super) chatter: f64,
    /// Multiplies the log lines of a failure.
    pub(super) failure_lines: f64,
    /// Failing share of the orders of one route.
    pub(super) route_errors: f64,
    /// Colliding share of the orders of one tenant.
    pub(super) tenant_conflicts: f64,
    /// Multiplies the processor time of one instance of `checkout`.
    pub(super) host_cpu: f64,
    /// Share of the orders that this instance fails.
    pub(super) host_errors: f64,
    /// Share of the packets that get lost.
    pub(super) loss: f64,
    /// Memory that each request leaves in `web`, as a multiple.
    pub(super) sessions: f64,
    /// Share of the answers of `web` that are worth nothing.
    pub(super) lost_results: f64,
    /// Multiplies the processor time of a page.
    pub(super) page_cpu: f64,
    /// Seconds by which the clock of the queue is ahead.
    pub(super) skew: f64,
    /// Seconds for which the first mail has been stuck.
    pub(super) stuck: f64,
    /// Share of the pages that wait for a name server.
    pub(super) slow_names: f64,
}

impl Pressure {
    /// Nothing is wrong.
    pub(super) const NONE: Self = Self {
        events: Events {
            deploy: false,
            stalled: false,
            canary: false,
            config_checkout: false,
            config_web: false,
            maintenance: false,
        },
        payments_time: 1.0,
        payments_errors: 0.0,
        payments_flaky_time: 1.0,
        retries_unbounded: false,
        pool_leaked: 0.0,
        workers_stuck: 0.0,
        payload: 1.0,
        web_leak: 0.0,
        bad_version: None,
        payments_silent: false,
        crowd: 0.0,
        sale: 0.0,
        tenant_orders: 0.0,
        tenant_weight: 1.0,
        one_row: 0.0,
        cache_apart: 0.0,
        cache_cold: 0.0,
        disagreement: 0.0,
        threads_cut: 1.0,
        bank_quota: 1.0,
        cores_taken: 0.0,
        disk_taken: 0.0,
        query_wait: 0.0,
        job_locks: 0.0,
        job_queries: 0.0,
        chatter: 1.0,
        failure_lines: 1.0,
        route_errors: 0.0,
        tenant_conflicts: 0.0,
        host_cpu: 1.0,
        host_errors: 0.0,
        loss: 0.0,
        sessions: 1.0,
        lost_results: 0.0,
        page_cpu: 1.0,
        skew: 0.0,
        stuck: 0.0,
        slow_names: 0.0,
    };

    /// What the plans add up to at `now`.
    pub(super) fn at(plans: &[FaultPlan], now: Timestamp) -> Self {
        let mut all = Self::NONE;
        for plan in plans.iter().filter(|plan| plan.onset <= now && now < plan.end) {
            all.add(plan.fault, plan.severity.factor(), now - plan.onset);
        }
        all
    }

    /// Adds a fault of `factor` times the middling severity, `since` its onset.
    fn add(&mut self, fault: Fault, factor: f64, since: Span) {
        // A ramp: hours since the onset, as if the fault were of middling severity.
        let ramp = since.as_hours_f64() * factor;
        match fault {
            Fault::SlowDependency => self.payments_time *= 1.0 + (0.55 * ramp).min(9.0),
            Fault::RetryAmplification => {
                self.payments_errors = (self.payments_errors + 0.09 * ramp).min(0.6);
                self.payments_flaky_time *= 1.0 + (0.25 * ramp).min(2.0);
                self.retries_unbounded = true;
            }
            Fault::PoolExhaustion => self.pool_leaked += 1.6 * ramp,
            Fault::QueueBacklog => {
                self.workers_stuck = (self.workers_stuck + 0.16 * ramp).min(0.95);
            }
            Fault::BadDeploy => {
                self.bad_version = Some(BadVersion {
                    cpu: 1.0 + 0.8 * factor,
                    stall: 0.08 * factor,
                    errors: 0.045 * factor,
                });
            }
            Fault::TelemetryGap => self.payments_silent = true,
            Fault::ResourceLeak => self.web_leak += 240.0 * MEBIBYTE / 3_600.0 * factor,
            Fault::UnexplainedDrift => self.payload *= 1.0 + (0.40 * ramp).min(6.0),
            Fault::LookAlike(like) => self.resemble(like, factor, since),
            Fault::Outside(outside) => self.drift(outside, ramp),
            _ => self.strain(fault, factor, ramp),
        }
    }

    /// The faults of data, load, change and place.
    fn strain(&mut self, fault: Fault, factor: f64, ramp: f64) {
        match fault {
            Fault::HotTenant => {
                self.tenant_orders += (2.0 * ramp).min(14.0);
                self.tenant_weight *= 1.0 + (2.0 * ramp).min(12.0);
            }
            Fault::WriteRace => self.one_row = (self.one_row + 0.08 * ramp).min(0.7),
            Fault::CacheDivergence => self.cache_apart = (0.45 * factor.sqrt()).min(0.9),
            Fault::MixedDeploy => {
                self.events.stalled = true;
                // The rows that both versions have written become more and more.
                self.disagreement = (self.disagreement + 0.012 * ramp).min(0.3);
            }
            Fault::ConfigChange => {
                self.events.config_checkout = true;
                self.threads_cut *= 1.0 + 11.5 * factor;
            }
            Fault::ThirdPartyThrottling => self.bank_quota *= 0.62 * (-0.16 * ramp).exp().max(0.06),
            Fault::Overload => self.crowd += (26.0 * ramp).min(200.0),
            Fault::ResourceContention => {
                self.cores_taken = (self.cores_taken + 0.22 * ramp).min(0.94);
                self.disk_taken = (self.disk_taken + 0.25 * ramp).min(0.97);
            }
            Fault::TimeBoundary => {
                // It waits and holds more than it asks, so that no traffic explains it.
                self.job_queries += 8.0 * factor;
                self.job_locks += (0.03 + 0.05 * ramp).min(0.8);
            }
            Fault::LogFlood => self.chatter *= 1.0 + 12.0 * factor + (2.0 * ramp).min(15.0),
            Fault::DataShape => self.route_errors = (self.route_errors + 0.09 * ramp).min(0.9),
            Fault::InstanceOutlier => {
                self.host_cpu *= 1.3 + (0.7 * ramp).min(6.0);
                self.host_errors = (self.host_errors + 0.004 * ramp).min(0.1);
            }
            Fault::NetworkPath => self.loss = (self.loss + 0.022 * ramp).min(0.3),
            // Told above.
            _ => {}
        }
    }

    fn resemble(&mut self, like: Like, factor: f64, since: Span) {
        let ramp = since.as_hours_f64() * factor;
        let delay = like.about().after;
        let after = Span::from_millis(since.as_millis() - delay.as_millis());
        let mut then = |fault: Fault, factor: f64| {
            if delay <= since {
                self.add(fault, factor, after);
            }
        };
        match like {
            Like::HarmlessDeploy => {
                then(Fault::SlowDependency, factor);
                self.events.deploy = true;
            }
            Like::EveryTenant => then(Fault::Overload, factor),
            Like::Hammered => {
                self.payments_errors = (self.payments_errors + 0.12 * ramp).min(0.7);
                self.retries_unbounded = true;
            }
            Like::DatabaseFirst => {
                self.disk_taken = (self.disk_taken + 0.30 * ramp).min(0.985);
            }
            Like::MemoryOfTraffic => {
                self.crowd += (25.0 * ramp).min(25.0);
                self.sessions *= 1.0 + (0.5 * ramp).min(1.0);
            }
            Like::StuckHead => self.stuck += since.as_hours_f64() * 3_600.0,
            Like::ConflictsOfOne => {
                self.tenant_conflicts = (self.tenant_conflicts + 0.10 * ramp).min(0.8);
            }
            Like::ColdCaches => {
                self.events.config_web = true;
                self.cache_cold = (0.3 * factor.sqrt()).min(0.9);
            }
            Like::HarmlessStall => {
                then(Fault::ThirdPartyThrottling, factor);
                self.events.stalled = true;
            }
            Like::LateConfig => {
                then(Fault::PoolExhaustion, factor);
                self.events.config_checkout = Span::from_hours(3) <= since;
            }
            Like::Sale => self.sale += (10.0 * ramp).min(60.0),
            Like::DeployAtPeak => {
                then(Fault::BadDeploy, factor);
                self.crowd += (25.0 * ramp).min(25.0);
            }
            Like::BusyDay => self.crowd += (12.0 * ramp).min(15.0),
            Like::AfterMidnight => then(Fault::SlowDependency, factor),
            Like::TalkativeErrors => {
                then(Fault::DataShape, factor);
                self.failure_lines *= 10.0;
            }
            Like::ErrorsEverywhere => {
                let errors = 0.045 * factor;
                self.bad_version = Some(BadVersion { cpu: 1.0, stall: 0.0, errors });
            }
            Like::BadCanary => {
                then(Fault::BadDeploy, 2.0 * factor);
                self.events.canary = true;
            }
            Like::SlowForAll => self.query_wait += (0.012 * ramp).min(0.2),
            Like::PlannedSilence => {
                then(Fault::TelemetryGap, factor);
                self.events.maintenance = true;
            }
            Like::RefusedRetries => then(Fault::ThirdPartyThrottling, 0.6 * factor),
            Like::SlowCreep => then(Fault::SlowDependency, 0.2 * factor),
        }
    }

    fn drift(&mut self, outside: Outside, ramp: f64) {
        match outside {
            Outside::LostResults => self.lost_results = (self.lost_results + 0.06 * ramp).min(0.6),
            Outside::HeavierPages => {
                self.page_cpu *= 1.0 + (0.12 * ramp).min(1.0);
                self.payload *= 1.0 + (0.25 * ramp).min(3.0);
            }
            Outside::SkewedClock => self.skew += (30.0 * ramp).min(600.0),
            Outside::SlowNames => self.slow_names = (self.slow_names + 0.012 * ramp).min(0.2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Severity;

    #[test]
    fn nothing_is_wrong_outside_a_plan() {
        let at = Timestamp::from_secs;
        let plan = FaultPlan {
            fault: Fault::PoolExhaustion,
            onset: at(3_600),
            severity: Severity::Middling,
            end: at(7_200),
        };
        assert_eq!(Pressure::at(&[plan], at(3_599)), Pressure::NONE);
        assert_eq!(Pressure::at(&[plan], at(7_200)), Pressure::NONE);
        assert!(Pressure::at(&[plan], at(5_400)).pool_leaked > 0.0);
    }
}
