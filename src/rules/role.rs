//! Roles: what a signal means to the causes, with each role's usual direction and scale.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The direction that hurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Worse {
    /// Larger is worse.
    Up,
    /// Smaller is worse.
    Down,
    /// Any move is worth telling.
    Either,
}

/// How values are transformed before they are compared with their baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Ratios count: durations, rates, sizes.
    Log,
    /// Differences count.
    Linear,
    /// Shares in [0, 1].
    Logit,
    /// Events that are rare: compared as counts.
    Count,
}

macro_rules! roles {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $worse:ident, $scale:ident;)*) => {
        /// What a signal means to the causes.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        pub enum Role {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Role {
            /// Every role, in catalogue order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name used in files and alerts.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The direction that usually hurts.
            pub const fn worse(self) -> Worse {
                match self { $(Self::$variant => Worse::$worse),* }
            }

            /// The scale that usually fits.
            pub const fn scale(self) -> Scale {
                match self { $(Self::$variant => Scale::$scale),* }
            }
        }
    };
}

roles! {
    /// Requests accepted per second; context, never evidence by itself.
    Traffic = "traffic", Either, Log;
    /// Requests sent, retries included; context.
    Attempts = "attempts", Either, Log;
    /// Useful work completed per second.
    Goodput = "goodput", Down, Log;
    /// Tail latency.
    Latency = "latency", Up, Log;
    /// Median latency.
    LatencyTypical = "latency_typical", Up, Log;
    /// Failed share of requests.
    Errors = "errors", Up, Logit;
    /// Retries per second, or as a share of attempts.
    Retries = "retries", Up, Count;
    /// Time to get a connection, thread or slot.
    PoolWait = "pool_wait", Up, Log;
    /// Used share of a pool.
    PoolUse = "pool_use", Up, Logit;
    /// Age of the oldest item, or wait from enqueue to start.
    QueueAge = "queue_age", Up, Log;
    /// Waiting items.
    QueueDepth = "queue_depth", Up, Log;
    /// Latency of one named dependency.
    DependencyLatency = "dependency_latency", Up, Log;
    /// Failed share of calls to one named dependency.
    DependencyErrors = "dependency_errors", Up, Logit;
    /// Rate-limited answers from a dependency.
    Throttled = "throttled", Up, Count;
    /// Duplicate keys, serialization failures, deadlocks, lost optimistic locks.
    Conflicts = "conflicts", Up, Count;
    /// Time or sessions waiting on locks.
    LockWait = "lock_wait", Up, Log;
    /// Hit share of a cache.
    CacheHit = "cache_hit", Down, Logit;
    /// Processor use.
    Cpu = "cpu", Up, Linear;
    /// Memory use.
    Memory = "memory", Up, Log;
    /// Disk use.
    Disk = "disk", Up, Log;
    /// Open file descriptors.
    Fds = "fds", Up, Log;
    /// Threads.
    Threads = "threads", Up, Log;
    /// Sockets.
    Sockets = "sockets", Up, Log;
    /// Time spent collecting garbage.
    Gc = "gc", Up, Linear;
    /// Process restarts.
    Restarts = "restarts", Up, Count;
    /// Log lines or bytes per second.
    LogVolume = "log_volume", Up, Log;
    /// Age of the work or data acted on.
    Staleness = "staleness", Up, Log;
    /// Changes with a deploy.
    Version = "version", Either, Linear;
    /// Changes with a configuration.
    ConfigVersion = "config_version", Either, Linear;
    /// Anything else: correlated and shown; no built-in cause speaks of it.
    Custom = "custom", Either, Linear;
}

impl Role {
    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.name() == name)
    }

    /// What a person calls it in a sentence, of a service: `pool wait` of checkout. That of calls is
    /// of the calls.
    pub const fn words(self) -> &'static str {
        match self {
            Self::LatencyTypical => "typical latency",
            Self::PoolWait => "pool wait",
            Self::PoolUse => "pool use",
            Self::QueueAge => "queue age",
            Self::QueueDepth => "queue depth",
            Self::DependencyLatency => "latency of calls",
            Self::DependencyErrors => "errors of calls",
            Self::Throttled => "throttled calls",
            Self::LockWait => "lock wait",
            Self::CacheHit => "cache hits",
            Self::LogVolume => "log volume",
            Self::ConfigVersion => "config version",
            own => own.name(),
        }
    }

    /// Roles that set the scene and are never findings: how much work arrives is not a fault.
    pub const fn is_context(self) -> bool {
        matches!(self, Self::Traffic | Self::Attempts | Self::Version | Self::ConfigVersion)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for &role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
        assert_eq!(Role::from_name("latencies"), None);
        assert!(Role::ALL.iter().all(|role| !role.words().contains('_')), "for people");
    }
}
