//! When a rollout is over: the values that were there before the new one are gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Value;
use crate::time::{Span, Timestamp};

/// A value that was not seen for this long is gone; less is a scrape that failed, or a process
/// that starts again.
pub(super) const GONE_FOR: Span = Span::from_mins(5);
/// Two versions that run side by side for longer are no rollout.
const ROLLOUT_MAX: Span = Span::WEEK;
/// Rollouts of one service at the same time; the oldest is given up.
const PER_SERVICE_MAX: usize = 16;

/// A value that came beside others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollout {
    what: String,
    at: Timestamp,
    /// The values that were there when it came.
    beside: Vec<String>,
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
    /// A value came at `at` beside others; beside none it is no rollout.
    pub(super) fn begin(&mut self, service: &str, what: &str, at: Timestamp, beside: Vec<String>) {
        if beside.is_empty() {
            return;
        }
        let open = self.0.entry(service.to_owned()).or_default();
        if PER_SERVICE_MAX <= open.len() {
            open.remove(0);
        }
        open.push(Rollout { what: what.to_owned(), at, beside });
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
                    for what in rollout.beside.iter().chain([&rollout.what]) {
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
        let end = gone(&self.what).or_else(|| self.beside.iter().filter_map(gone).max())?;
        (tick - end >= GONE_FOR).then_some(end.max(self.at))
    }
}
