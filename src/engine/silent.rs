//! Which signals say nothing at present, though they used to.

use std::collections::BTreeMap;

use super::Engine;
use crate::time::{Span, Timestamp};

/// What is missing for less than this may be one scrape that failed.
const SILENT_MIN: Span = Span::HOUR;
/// What is missing for longer was taken away for good.
const SILENT_MAX: Span = Span::WEEK.times(2);

/// A signal of a service of which no series reports any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentSignal {
    /// Whose.
    pub service: String,
    /// Name of the signal.
    pub signal: String,
    /// When it reported last.
    pub since: Timestamp,
}

impl Engine {
    /// Signals of which nothing was seen for an hour to two weeks, in order of service and name.
    /// Counts of rare events are left out: they say nothing most of the time.
    pub fn silent(&self) -> Vec<SilentSignal> {
        let Some(now) = self.state.now else { return Vec::new() };
        let mut last: BTreeMap<(&str, &str), Option<Timestamp>> = BTreeMap::new();
        for tracked in &self.state.tracks.all {
            // A series without a baseline may never have been more than a passing visitor.
            let usual = tracked.baseline.is_some() && tracked.drift.events().is_none();
            if tracked.apart.is_none() && usual {
                let group = (tracked.series.service.as_str(), tracked.series.signal.as_str());
                let seen = last.entry(group).or_default();
                *seen = (*seen).max(self.state.tracks.newest(tracked).seen);
            }
        }
        let gone = last.into_iter().filter_map(|((service, signal), seen)| {
            let since = seen.filter(|&seen| (SILENT_MIN..=SILENT_MAX).contains(&(now - seen)))?;
            Some(SilentSignal { service: service.to_owned(), signal: signal.to_owned(), since })
        });
        gone.collect()
    }

    /// How many rules have series.
    pub fn signals_seen(&self) -> usize {
        let mut seen: Vec<usize> = self.state.tracks.all.iter().map(|one| one.signal).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len()
    }
}
