//! What stands in for a percentile where a histogram has no buckets: Micrometer's timers have none
//! unless they are switched on, and native histograms never do.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Signal;

/// What a signal knows of durations of which another would read a percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StandIn {
    /// The percentile of a native histogram.
    Native,
    /// The mean: it hides what only some requests see.
    Mean,
    /// The slowest of the last minutes: it tells of one request, not of most.
    Slowest,
}

impl StandIn {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native histogram",
            Self::Mean => "mean",
            Self::Slowest => "slowest",
        }
    }
}

/// The histograms whose buckets a signal requires, without `_bucket`.
pub fn histograms(signal: &Signal) -> impl Iterator<Item = &str> {
    signal.requires.iter().filter_map(|name| name.strip_suffix("_bucket"))
}

/// What a signal, judged by the metrics that it requires, knows of a histogram's durations; none
/// where it knows nothing of them, or reads the buckets.
pub fn stand_in(signal: &Signal, histogram: &str) -> Option<StandIn> {
    let requires = |suffix: &str| {
        signal.requires.iter().any(|name| name.strip_prefix(histogram) == Some(suffix))
    };
    if requires("_bucket") {
        return None;
    }
    let known = [
        (requires(""), StandIn::Native),
        (requires("_sum") && requires("_count"), StandIn::Mean),
        (requires("_max"), StandIn::Slowest),
    ];
    known.iter().find_map(|(known, what)| known.then_some(*what))
}

/// What there is in place of a percentile, as half a sentence: `mean and slowest instead of p99`.
pub fn instead_of_percentile(kinds: &BTreeSet<StandIn>) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    format!("{} instead of p99", names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Role;

    fn requiring(names: &[&str]) -> Signal {
        let requires = names.iter().map(|&name| name.to_owned()).collect();
        Signal { requires, ..Signal::plain("s", Role::Latency) }
    }

    #[test]
    fn a_signal_stands_in_by_what_it_requires() {
        let of = |names: &[&str]| stand_in(&requiring(names), "t_seconds");
        assert_eq!(of(&["t_seconds_sum", "t_seconds_count"]), Some(StandIn::Mean));
        assert_eq!(of(&["t_seconds_max"]), Some(StandIn::Slowest));
        assert_eq!(of(&["t_seconds"]), Some(StandIn::Native));
        // How many there were says nothing of how long they took.
        assert_eq!(of(&["t_seconds_count"]), None);
        assert_eq!(of(&["t_seconds_sum"]), None);
        assert_eq!(of(&["t_seconds_bucket"]), None);
        assert_eq!(of(&["other_t_seconds_max", "t_seconds_maximum"]), None);
        let percentile = requiring(&["t_seconds_bucket", "other"]);
        assert_eq!(histograms(&percentile).collect::<Vec<_>>(), ["t_seconds"]);
    }
}
