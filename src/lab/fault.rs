//! What can go wrong. A fault changes a cause; every symptom is the model's own doing.

use std::fmt;

use super::lookalike::{LOOKALIKES, Like, OUTSIDE, Outside};
use crate::time::{Span, Timestamp};

/// The cause that is named where no other fits.
pub(super) const UNEXPLAINED: &str = "unexplained-drift";

/// Something that can be made to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `payments` answers slower and slower.
    SlowDependency,
    /// `payments` is flaky now and then, and the client's retries have no budget.
    RetryAmplification,
    /// Connections of the checkout's pool leak away; the database stays fast.
    PoolExhaustion,
    /// Ever more workers are stuck on mails that do not end; as many arrive as ever.
    QueueBacklog,
    /// A new version of `checkout` is slower and fails more.
    BadDeploy,
    /// `web` keeps memory that it no longer needs.
    ResourceLeak,
    /// One tenant's orders grow in number and in size.
    HotTenant,
    /// More and more orders write to one and the same row.
    WriteRace,
    /// One instance of `web` reads its cache by another version of the keys.
    CacheDivergence,
    /// A rollout of `checkout` stalls; two versions disagree on what the other wrote.
    MixedDeploy,
    /// A new configuration leaves `checkout` few threads.
    ConfigChange,
    /// The bank that `payments` calls lowers its quota.
    ThirdPartyThrottling,
    /// A crowd comes, far beyond the busiest hour of a week.
    Overload,
    /// Something else takes processor and disk from `orders-db`.
    ResourceContention,
    /// The job that closes the day at midnight holds its locks for longer and longer.
    TimeBoundary,
    /// `checkout` logs every step of every order.
    LogFlood,
    /// One route of `checkout` gets rows that its handler cannot read.
    DataShape,
    /// One instance of `checkout` sits on a host that slows and fails.
    InstanceOutlier,
    /// Packets between the services get lost.
    NetworkPath,
    /// The exporters of `payments` stop.
    TelemetryGap,
    /// Pages grow, and take longer to reach users.
    UnexplainedDrift,
    /// What resembles another cause than the one it has.
    LookAlike(Like),
    /// What no cause of the catalogue explains.
    Outside(Outside),
}

/// What is known about a fault before it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultInfo {
    /// Which fault.
    pub fault: Fault,
    /// Its name: in [`FAULTS`] the same as the id of the cause that should be named.
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

/// One fault for every cause of the catalogue, most instructive first.
pub const FAULTS: [FaultInfo; 21] = [
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
        about: "workers get stuck one after the other, and the rest falls behind",
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
        fault: Fault::HotTenant,
        id: "hot-tenant",
        about: "one small tenant of checkout sends more and heavier orders by the hour",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::WriteRace,
        id: "write-race",
        about: "more and more orders of checkout write to the same row at once",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::CacheDivergence,
        id: "cache-divergence",
        about: "one instance of web cannot read the cache entries that the others write",
        service: "web",
        culprit: "web",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::MixedDeploy,
        id: "mixed-deploy",
        about: "a rollout of checkout stalls while two versions write the same orders",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::ConfigChange,
        id: "config-change",
        about: "a configuration of checkout leaves it fewer threads than a busy hour needs",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::ThirdPartyThrottling,
        id: "third-party-throttling",
        about: "the bank lowers its quota and refuses calls of payments",
        service: "payments",
        culprit: "bank",
        dependency: Some("bank"),
    },
    FaultInfo {
        fault: Fault::Overload,
        id: "overload",
        about: "a crowd comes that is larger by far than the busiest hour of the week",
        service: "web",
        culprit: "web",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::ResourceContention,
        id: "resource-contention",
        about: "another job takes processor and disk from orders-db",
        service: "orders-db",
        culprit: "orders-db",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::TimeBoundary,
        id: "time-boundary",
        about: "the job that closes the day at midnight no longer ends and locks orders-db",
        service: "checkout",
        culprit: "orders-db",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::LogFlood,
        id: "log-flood",
        about: "a debug level that was left on floods the logs of checkout",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::DataShape,
        id: "data-shape",
        about: "one route of checkout gets rows that its handler cannot read",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::InstanceOutlier,
        id: "instance-outlier",
        about: "one instance of checkout sits on a host that slows and fails",
        service: "checkout",
        culprit: "checkout",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::NetworkPath,
        id: "network-path",
        about: "packets between the services get lost, more by the hour",
        service: "checkout",
        culprit: "checkout",
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
        // The lists hold every variant; a test says so.
        everything().find(|info| info.fault == self).unwrap_or(&FAULTS[0])
    }

    /// Its name.
    pub fn id(self) -> &'static str {
        self.info().id
    }

    /// The fault of this name.
    pub fn from_id(id: &str) -> Option<Self> {
        everything().find(|info| info.id == id).map(|info| info.fault)
    }

    /// Id of the cause that should be named; none where nothing should be told.
    pub fn cause(self) -> Option<&'static str> {
        match self {
            Self::LookAlike(like) => like.about().cause,
            Self::Outside(_) => Some(UNEXPLAINED),
            _ => Some(self.id()),
        }
    }

    /// The first instant at or after `at` at which such a fault begins in real life: most at any
    /// time, some only at the turn of the day.
    #[must_use]
    pub fn natural_onset(self, at: Timestamp) -> Timestamp {
        match self {
            Self::TimeBoundary | Self::LookAlike(Like::AfterMidnight) => at.ceil_to(Span::DAY),
            _ => at,
        }
    }

    /// The label value to blame, beside the service and its dependency; none where there is none.
    pub const fn value(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::HotTenant => Some(("tenant", "t06")),
            Self::DataShape => Some(("route", "/coupon")),
            Self::InstanceOutlier => Some(("instance", "checkout-2")),
            Self::CacheDivergence => Some(("instance", "web-1")),
            _ => None,
        }
    }

    /// Whether no one service is to blame: the fleet as a whole has too much to do, or what lies
    /// between its parts is bad.
    pub const fn is_everywhere(self) -> bool {
        matches!(self, Self::Overload | Self::NetworkPath)
    }

    /// How long after a plan's onset the cause itself begins to change. Before that happens only
    /// what misleads.
    pub fn delay(self) -> Span {
        match self {
            Self::LookAlike(like) => like.about().after,
            _ => Span::ZERO,
        }
    }
}

/// Everything that can be planned.
fn everything() -> impl Iterator<Item = &'static FaultInfo> {
    FAULTS.iter().chain(LOOKALIKES.iter().map(|like| &like.info)).chain(&OUTSIDE)
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
    /// When it begins: the cause begins to change [`Fault::delay`] later.
    pub onset: Timestamp,
    /// How fast it grows.
    pub severity: Severity,
    /// When the cause is taken away.
    pub end: Timestamp,
}

/// Stands for the cause in a [`Truth`] where nothing should be told.
pub const NOTHING: &str = "nothing";

/// What really happened: one fault, and when users noticed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Id of the cause that should be named; [`NOTHING`] where nothing should be told.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_listed_once_under_its_own_id() {
        for info in everything() {
            assert_eq!(Fault::from_id(info.id), Some(info.fault));
            assert_eq!(info.fault.info(), info);
            assert_eq!(everything().filter(|other| other.fault == info.fault).count(), 1);
        }
        assert_eq!(Fault::from_id("gremlins"), None);
        assert_eq!(everything().count(), FAULTS.len() + LOOKALIKES.len() + OUTSIDE.len());
    }

    #[test]
    fn every_shipped_cause_has_its_fault_and_its_lookalike() {
        let causes = crate::lab::rules().unwrap().causes;
        for cause in &causes {
            assert!(FAULTS.iter().any(|info| info.id == cause.id), "{}", cause.id);
        }
        for info in &FAULTS {
            let like = LOOKALIKES.iter().find(|like| like.resembles == info.id);
            let like = like.unwrap_or_else(|| panic!("nothing resembles {}", info.id));
            assert_ne!(like.cause, Some(like.resembles), "{}", like.info.id);
        }
        for like in &LOOKALIKES {
            let known = |id: &str| FAULTS.iter().any(|info| info.id == id);
            assert!(known(like.resembles) && like.cause.is_none_or(known), "{}", like.info.id);
        }
    }

    #[test]
    fn what_belongs_to_the_turn_of_the_day_waits_for_it() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let (noon, midnight) = (at("2026-03-03T12:00:00Z"), at("2026-03-04T00:00:00Z"));
        assert_eq!(Fault::TimeBoundary.natural_onset(noon), midnight);
        assert_eq!(Fault::TimeBoundary.natural_onset(midnight), midnight);
        assert_eq!(Fault::SlowDependency.natural_onset(noon), noon);
    }
}
