//! When a rollout is over: the values that were there before the new one are gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Value;
use crate::time::{Span, Timestamp};

/// A value that was not seen for this long is gone; less is a scrape that failed, or a process
/// that starts again.
const GONE_FOR: Span = Span::from_mins(5);
/// Two versions that run side by side for longer are no rollout.
const ROLLOUT_MAX: Span = Span::WEEK;
/// Rollouts of one service at the same time; the oldest is given up.
const PER_SERVICE_MAX: usize = 16;

/// While an earlier rollout goes on, the values that it replaces go first: only when nothing else
/// went for this long after them was this one about the same values.
const OLDER_FIRST: Span = Span::HOUR;
/// Values that one rollout is compared with, at most.
const BESIDE_MAX: usize = 100;

/// A value that came beside others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollout {
    what: String,
    at: Timestamp,
    /// The values that were there when it came.
    beside: Vec<String>,
    /// Those of them that an earlier rollout is about, which goes on.
    older: Vec<String>,
}

/// A rollout that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) service: String,
    pub(super) what: String,
    pub(super) at: Timestamp,
    pub(super) end: Timestamp,
}

/// Rollouts that go on, by service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollouts(BTreeMap<String, Vec<Rollout>>);

impl Rollouts {
    /// A value came at `tick`. The service's others that are here, or were just before, are those
    /// that it may replace; without any it is no rollout.
    pub(super) fn begin(
        &mut self,
        service: &str,
        what: &str,
        tick: Timestamp,
        values: &BTreeMap<String, Value>,
    ) {
        let earlier = self.0.get(service).map_or(&[][..], Vec::as_slice);
        let earlier = || earlier.iter().filter(|rollout| rollout.at < tick);
        let (mut beside, mut older) = (Vec::new(), Vec::new());
        let others = values
            .iter()
            .filter(|(other, value)| other.as_str() != what && tick - value.at <= GONE_FOR);
        for (other, value) in others.take(BESIDE_MAX) {
            if !earlier().any(|rollout| rollout.beside.contains(other)) {
                beside.push(other.clone());
            } else if value.at == tick {
                older.push(other.clone());
            }
            // Gone already, it went with the earlier rollout.
        }
        if beside.is_empty() {
            beside = std::mem::take(&mut older);
        }
        if beside.is_empty() {
            return;
        }
        let open = self.0.entry(service.to_owned()).or_default();
        if PER_SERVICE_MAX <= open.len() {
            open.remove(0);
        }
        open.push(Rollout { what: what.to_owned(), at: tick, beside, older });
    }

    /// Takes out the rollouts that are over at `tick`, and marks the values that went as replaced.
    ///
    /// A rollout is over when the last of the values that went, went; or when its own value went,
    /// which is a roll back. While nothing of a service is seen nobody can say.
    pub(super) fn over(
        &mut self,
        tick: Timestamp,
        services: &mut BTreeMap<String, BTreeMap<String, Value>>,
    ) -> Vec<Over> {
        let mut over = Vec::new();
        self.0.retain(|service, open| {
            let Some(values) = services.get_mut(service) else { return false };
            if values.values().all(|value| value.at < tick) {
                return true;
            }
            open.retain(|rollout| match rollout.end(tick, values) {
                Some(end) => {
                    let older = rollout.older.iter();
                    for what in rollout.beside.iter().chain(older).chain([&rollout.what]) {
                        if let Some(value) = values.get_mut(what).filter(|value| value.at < tick) {
                            value.replaced = true;
                        }
                    }
                    let (what, at) = (rollout.what.clone(), rollout.at);
                    over.push(Over { service: service.clone(), what, at, end });
                    false
                }
                None => tick - rollout.at <= ROLLOUT_MAX,
            });
            !open.is_empty()
        });
        over
    }
}

impl Rollout {
    /// When it was over, if it is.
    fn end(&self, tick: Timestamp, values: &BTreeMap<String, Value>) -> Option<Timestamp> {
        let gone = |what: &String| values.get(what).map(|v| v.at).filter(|&at| at < tick);
        let last = |of: &[String]| of.iter().filter_map(gone).max();
        let older = last(&self.older);
        let (end, wait) = match (gone(&self.what), last(&self.beside)) {
            (Some(end), _) => (end, GONE_FOR),
            (None, Some(end)) => (older.map_or(end, |older| older.max(end)), GONE_FOR),
            (None, None) => (older?, OLDER_FIRST),
        };
        (tick - end >= wait).then_some(end.max(self.at))
    }
}
