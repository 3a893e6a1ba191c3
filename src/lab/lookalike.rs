//! What resembles one cause and has another, or none; and what no cause of the catalogue explains.

use super::fault::{Fault, FaultInfo, UNEXPLAINED};
use crate::time::Span;

/// What resembles another cause than the one it has. [`LOOKALIKES`] says what each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the list of look-alikes describes each")]
pub enum Like {
    HarmlessDeploy,
    EveryTenant,
    Hammered,
    DatabaseFirst,
    MemoryOfTraffic,
    StuckHead,
    ConflictsOfOne,
    ColdCaches,
    HarmlessStall,
    LateConfig,
    Sale,
    DeployAtPeak,
    BusyDay,
    AfterMidnight,
    TalkativeErrors,
    ErrorsEverywhere,
    BadCanary,
    SlowForAll,
    PlannedSilence,
    RefusedRetries,
    SlowCreep,
}

/// What no cause of the catalogue explains. [`OUTSIDE`] says what each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the list describes each")]
pub enum Outside {
    LostResults,
    HeavierPages,
    SkewedClock,
    SlowNames,
}

/// What is known about a look-alike before it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookAlike {
    /// Its name, and whom an alert should be about and blame.
    pub info: FaultInfo,
    /// Id of the cause that it could be taken for.
    pub resembles: &'static str,
    /// Id of its true cause; none where nothing is wrong and nothing should be told.
    pub cause: Option<&'static str>,
    /// How long after its onset the true cause begins to change.
    pub after: Span,
}

/// One look-alike for every cause of the catalogue.
pub const LOOKALIKES: [LookAlike; 21] = [
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::HarmlessDeploy),
            id: "harmless-deploy",
            about: "a harmless deploy of checkout, twenty minutes before payments slows",
            service: "checkout",
            culprit: "payments",
            dependency: Some("payments"),
        },
        resembles: "bad-deploy",
        cause: Some("slow-dependency"),
        after: Span::from_mins(20),
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::EveryTenant),
            id: "every-tenant",
            about: "the largest tenant grows, and so does every other: a crowd",
            service: "web",
            culprit: "web",
            dependency: None,
        },
        resembles: "hot-tenant",
        cause: Some("overload"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::Hammered),
            id: "hammered",
            about: "payments answers late because checkout sends everything three times",
            service: "checkout",
            culprit: "payments",
            dependency: Some("payments"),
        },
        resembles: "slow-dependency",
        cause: Some("retry-amplification"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::DatabaseFirst),
            id: "database-first",
            about: "orders wait for connections because orders-db has lost its disk",
            service: "orders-db",
            culprit: "orders-db",
            dependency: None,
        },
        resembles: "pool-exhaustion",
        cause: Some("resource-contention"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::MemoryOfTraffic),
            id: "memory-of-traffic",
            about: "every visitor leaves a session in the memory of web; on a busy day there are more",
            service: "web",
            culprit: "web",
            dependency: None,
        },
        resembles: "resource-leak",
        cause: None,
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::StuckHead),
            id: "stuck-head",
            about: "one mail cannot be sent and stays first in line; all others pass it",
            service: "worker",
            culprit: "worker",
            dependency: None,
        },
        resembles: "queue-backlog",
        cause: Some(UNEXPLAINED),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::ConflictsOfOne),
            id: "conflicts-of-one",
            about: "one tenant sends every order twice, so that half of them collide",
            service: "checkout",
            culprit: "checkout",
            dependency: None,
        },
        resembles: "write-race",
        cause: Some("data-shape"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::ColdCaches),
            id: "cold-caches",
            about: "a configuration of web changes the keys of all its caches at once",
            service: "web",
            culprit: "web",
            dependency: None,
        },
        resembles: "cache-divergence",
        cause: Some("config-change"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::HarmlessStall),
            id: "harmless-stall",
            about: "a rollout of checkout stalls harmlessly, half an hour before the bank lowers its quota",
            service: "payments",
            culprit: "bank",
            dependency: Some("bank"),
        },
        resembles: "mixed-deploy",
        cause: Some("third-party-throttling"),
        after: Span::from_mins(30),
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::LateConfig),
            id: "late-config",
            about: "a harmless configuration of checkout, three hours into a leak of its pool",
            service: "checkout",
            culprit: "checkout",
            dependency: None,
        },
        resembles: "config-change",
        cause: Some("pool-exhaustion"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::Sale),
            id: "sale",
            about: "a sale: so many orders that payments refuses what is beyond its limit",
            service: "checkout",
            culprit: "checkout",
            dependency: None,
        },
        resembles: "third-party-throttling",
        cause: Some("overload"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::DeployAtPeak),
            id: "deploy-at-peak",
            about: "a bad version of checkout goes out on a busy day",
            service: "checkout",
            culprit: "checkout",
            dependency: None,
        },
        resembles: "overload",
        cause: Some("bad-deploy"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::BusyDay),
            id: "busy-day",
            about: "processors follow a day with more traffic than usual, as they always do",
            service: "web",
            culprit: "web",
            dependency: None,
        },
        resembles: "resource-contention",
        cause: None,
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::AfterMidnight),
            id: "after-midnight",
            about: "payments slows, by chance forty minutes after midnight",
            service: "checkout",
            culprit: "payments",
            dependency: Some("payments"),
        },
        resembles: "time-boundary",
        cause: Some("slow-dependency"),
        after: Span::from_mins(40),
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::TalkativeErrors),
            id: "talkative-errors",
            about: "orders of one route fail, each with a page of log lines",
            service: "checkout",
            culprit: "checkout",
            dependency: None,
        },
        resembles: "log-flood",
        cause: Some("data-shape"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::ErrorsEverywhere),
            id: "errors-everywhere",
            about: "a version of checkout is no slower and fails now and then, on every route",
            service: "checkout",
            culprit: "checkout",
            dependency: None,
        },
        resembles: "data-shape",
        cause: Some("bad-deploy"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::BadCanary),
            id: "bad-canary",
            about: "one instance of checkout is slow: the first and only one with a new version",
            service: "checkout",
            culprit: "checkout",
            dependency: None,
        },
        resembles: "instance-outlier",
        cause: Some("bad-deploy"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::SlowForAll),
            id: "slow-for-all",
            about: "orders-db answers late to everybody and to nobody else is anything late",
            service: "checkout",
            culprit: "orders-db",
            dependency: Some("orders-db"),
        },
        resembles: "network-path",
        cause: Some("slow-dependency"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::PlannedSilence),
            id: "planned-silence",
            about: "the exporters of payments are switched off in a maintenance that was announced",
            service: "payments",
            culprit: "payments",
            dependency: None,
        },
        resembles: "telemetry-gap",
        cause: None,
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::RefusedRetries),
            id: "refused-retries",
            about: "the bank refuses, and payments tries again within its budget",
            service: "payments",
            culprit: "bank",
            dependency: Some("bank"),
        },
        resembles: "retry-amplification",
        cause: Some("third-party-throttling"),
        after: Span::ZERO,
    },
    LookAlike {
        info: FaultInfo {
            fault: Fault::LookAlike(Like::SlowCreep),
            id: "slow-creep",
            about: "payments slows so slowly that nothing stands out for hours",
            service: "checkout",
            culprit: "payments",
            dependency: Some("payments"),
        },
        resembles: UNEXPLAINED,
        cause: Some("slow-dependency"),
        after: Span::ZERO,
    },
];

/// Faults that no cause of the catalogue explains: the true answer is that nobody knows yet.
pub const OUTSIDE: [FaultInfo; 4] = [
    FaultInfo {
        fault: Fault::Outside(Outside::LostResults),
        id: "lost-results",
        about: "web answers well, but more and more answers are empty: only good work shrinks",
        service: "web",
        culprit: "web",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::Outside(Outside::HeavierPages),
        id: "heavier-pages",
        about: "visitors turn to pages that cost more, at the same rate of requests",
        service: "web",
        culprit: "web",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::Outside(Outside::SkewedClock),
        id: "skewed-clock",
        about: "the clock of the mail queue runs ahead and every age is off",
        service: "worker",
        culprit: "worker",
        dependency: None,
    },
    FaultInfo {
        fault: Fault::Outside(Outside::SlowNames),
        id: "slow-names",
        about: "some visitors wait for their name servers before a page arrives",
        service: "web",
        culprit: "web",
        dependency: None,
    },
];

impl Like {
    /// What is known about it.
    pub fn about(self) -> &'static LookAlike {
        // The list holds every variant; a test of the faults says so.
        let mine = |like: &&LookAlike| like.info.fault == Fault::LookAlike(self);
        LOOKALIKES.iter().find(mine).unwrap_or(&LOOKALIKES[0])
    }
}
