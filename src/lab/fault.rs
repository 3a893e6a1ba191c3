//! What can go wrong. A fault changes a cause; every symptom is the model's own doing.

use std::fmt;

use crate::time::{Span, Timestamp};

/// A cause that the lab can inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `payments` answers slower and slower.
    SlowDependency,
    /// `payments` is flaky now and then, and the client's retries have no budget.
    RetryAmplification,
    /// Connections of the checkout's pool leak away; the database stays fast.
    PoolExhaustion,
    /// Each mail takes the workers longer; as many arrive as ever.
    QueueBacklog,
    /// A new version of `checkout` is slower and fails more.
    BadDeploy,
    /// The exporters of `payments` stop.
    TelemetryGap,
    /// `web` keeps memory that it no longer needs.
    ResourceLeak,
    /// Pages grow, and take longer to reach users.
    UnexplainedDrift,
}

/// What is known about a fault before it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultInfo {
    /// Which fault.
    pub fault: Fault,
    /// The same as the id of the cause that should be named.
    pub id: &'static str,
    /// One line for a list.
    pub about: &'static str,
    /// The service that an alert should be about or involve.
    pub service: &'static str,
    /// The service to blame.
    pub culprit: &'static str,
    /// The dependency label that narrows the culprit down.
    pub dependency: Option<&'static str>,
}

/// Every fault, most instructive first.
pub const FAULTS: [FaultInfo; 8] = [
    FaultInfo {
        fault: Fault::SlowDependency,
        id: "slow-dependency",
        about: "payments answers slower by the hour",
        service: "checkout",
        culprit: "payments",
        dependency: Some("payments"),
    },
    FaultInfo {
        fault: Fault::RetryAmplification,
        id: "retry-amplification",
        about: "payments is flaky and checkout retries three times without a budget",
        service: "checkout",
        culprit: "payments",
        dependency: Some("payments"),
    },
    FaultInfo {
        fault: Fault::PoolExhaustion,
        id: "pool-exhaustion",
        about: "connections leak from checkout's pool while the database stays fast",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::QueueBacklog,
        id: "queue-backlog",
        about: "the workers take longer for each mail and fall behind",
        service: "worker",
        culprit: "worker",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::BadDeploy,
        id: "bad-deploy",
        about: "a slower, more fragile version of checkout rolls out instance by instance",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::ResourceLeak,
        id: "resource-leak",
        about: "web leaks memory until garbage collection slows it",
        service: "web",
        culprit: "web",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::TelemetryGap,
        id: "telemetry-gap",
        about: "the exporters of payments fall silent",
        service: "payments",
        culprit: "payments",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::UnexplainedDrift,
        id: "unexplained-drift",
        about: "pages grow and web latency creeps up without any other sign",
        service: "web",
        culprit: "web",
        dependency: None,
    },
];

impl Fault {
    /// What is known about it.
    pub fn info(self) -> &'static FaultInfo {
        // The list holds every variant; a test says so.
        FAULTS.iter().find(|info| info.fault == self).unwrap_or(&FAULTS[0])
    }

    /// The id of the cause that should be named.
    pub fn id(self) -> &'static str {
        self.info().id
    }

    /// The fault of this id.
    pub fn from_id(id: &str) -> Option<Self> {
        FAULTS.iter().find(|info| info.id == id).map(|info| info.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// How fast a fault grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Half as fast; users may never notice.
    Faint,
    /// Users notice within hours.
    #[default]
    Middling,
    /// Twice as fast.
    Strong,
}

impl Severity {
    /// Multiplies rates of growth and sizes of steps.
    pub const fn factor(self) -> f64 {
        match self {
            Self::Faint => 0.5,
            Self::Middling => 1.0,
            Self::Strong => 2.0,
        }
    }
}

/// A fault that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// Which.
    pub fault: Fault,
    /// When the cause begins to change.
    pub onset: Timestamp,
    /// How fast it grows.
    pub severity: Severity,
    /// When the cause is taken away.
    pub end: Timestamp,
}

/// What really happened: one fault, and when users noticed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Id of the cause.
    pub cause: &'static str,
    /// The service that an alert should be about or involve.
    pub service: &'static str,
    /// The service to blame.
    pub culprit: &'static str,
    /// The dependency label that narrows the culprit down.
    pub dependency: Option<&'static str>,
    /// When the cause began to change.
    pub onset: Timestamp,
    /// When users had noticed, if they have so far.
    pub noticed: Option<Timestamp>,
    /// When the cause is taken away.
    pub end: Timestamp,
}

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

/// The state of everything that faults can change, at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pressure {
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
    /// Multiplies the time per mail.
    pub(super) worker_time: f64,
    /// Multiplies the time that a page takes to reach a user.
    pub(super) payload: f64,
    /// Bytes per second that each web instance loses.
    pub(super) web_leak: f64,
    /// The version of `checkout` that is bad, while it is out.
    pub(super) bad_version: Option<BadVersion>,
    /// The exporters of `payments` are silent.
    pub(super) payments_silent: bool,
}

impl Pressure {
    /// Nothing is wrong.
    pub(super) const NONE: Self = Self {
        payments_time: 1.0,
        payments_errors: 0.0,
        payments_flaky_time: 1.0,
        retries_unbounded: false,
        pool_leaked: 0.0,
        worker_time: 1.0,
        payload: 1.0,
        web_leak: 0.0,
        bad_version: None,
        payments_silent: false,
    };

    /// What the plans add up to at `now`.
    pub(super) fn at(plans: &[FaultPlan], now: Timestamp) -> Self {
        let mut all = Self::NONE;
        for plan in plans.iter().filter(|plan| plan.onset <= now && now < plan.end) {
            all.add(plan, now - plan.onset);
        }
        all
    }

    fn add(&mut self, plan: &FaultPlan, since: Span) {
        let factor = plan.severity.factor();
        // A ramp: hours since the onset, as if the fault were of middling severity.
        let ramp = since.as_hours_f64() * factor;
        match plan.fault {
            Fault::SlowDependency => self.payments_time *= 1.0 + (0.55 * ramp).min(9.0),
            Fault::RetryAmplification => {
                self.payments_errors = (self.payments_errors + 0.09 * ramp).min(0.6);
                self.payments_flaky_time *= 1.0 + (0.25 * ramp).min(2.0);
                self.retries_unbounded = true;
            }
            Fault::PoolExhaustion => self.pool_leaked += 1.6 * ramp,
            Fault::QueueBacklog => self.worker_time *= 1.0 + (0.30 * ramp).min(3.0),
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
        }
    }
}

/// Bytes of a mebibyte.
pub(super) const MEBIBYTE: f64 = 1_048_576.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_listed_once_under_its_own_id() {
        for info in FAULTS {
            assert_eq!(Fault::from_id(info.id), Some(info.fault));
            assert_eq!(info.fault.info(), &info);
        }
        assert_eq!(Fault::from_id("gremlins"), None);
        // The match fails to compile when a variant is added, which is when the list must grow.
        let listed = |fault: Fault| match fault {
            Fault::SlowDependency
            | Fault::RetryAmplification
            | Fault::PoolExhaustion
            | Fault::QueueBacklog
            | Fault::BadDeploy
            | Fault::TelemetryGap
            | Fault::ResourceLeak
            | Fault::UnexplainedDrift => FAULTS.iter().filter(|i| i.fault == fault).count(),
        };
        assert!(FAULTS.iter().all(|info| listed(info.fault) == 1));
        assert_eq!(FAULTS.len(), 8);
    }

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
