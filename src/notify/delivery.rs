//! Delivery from the outbox: a loop for each target, so that one that fails or hangs delays no
//! other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::handle::StoreHandle;
use super::receiver::Target;
use super::status::StatusBoard;
use super::worker::{Sender, Worker};
use crate::series::stable_hash;
use crate::time::{Span, Timestamp};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Delivers what the outbox holds.
pub struct Delivery {
    store: StoreHandle,
    targets: Vec<Arc<Target>>,
    clock: Clock,
    seed: u64,
    grace: Duration,
    status: StatusBoard,
}

/// The pause after the first failure lies between this and half of it.
const PAUSE_MIN: Span = Span::from_secs(2);
/// No pause is longer, unless the receiver asks for it.
const PAUSE_MAX: Span = Span::from_mins(5);
/// How long to wait before the store is asked again after it failed.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long a message in hand may take when the program stops.
const GRACE: Duration = Duration::from_secs(10);

/// The pause after the `failures`th failure in a row: doubled each time, and then drawn from its
/// upper half so that many senders do not come back at once. `jitter` is in [0, 1).
pub fn pause(failures: u32, jitter: f64) -> Span {
    let doubled = PAUSE_MIN.times(1_i64 << failures.saturating_sub(1).min(20)).min(PAUSE_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "a share of five minutes")]
    let part = (doubled.as_millis() as f64 * 0.5 * jitter.clamp(0.0, 1.0)) as i64;
    Span::from_millis(doubled.as_millis() / 2 + part)
}

impl Delivery {
    /// Delivery from `store` to `targets`. `seed` is for the jitter of pauses alone.
    pub fn new(store: StoreHandle, targets: Vec<Target>, clock: Clock, seed: u64) -> Self {
        let targets: Vec<Arc<Target>> = targets.into_iter().map(Arc::new).collect();
        let status = StatusBoard::default();
        for target in &targets {
            // Those that have had nothing to do are shown with zeros.
            status.update(target.name(), |_| {});
        }
        Self { store, targets, clock, seed, grace: GRACE, status }
    }

    /// With another time for the message in hand when the program stops.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Counts on a board that has counted before.
    #[must_use]
    pub fn with_status(mut self, status: StatusBoard) -> Self {
        for target in &self.targets {
            status.update(target.name(), |_| {});
        }
        self.status = status;
        self
    }

    /// How the targets fare.
    pub fn status(&self) -> StatusBoard {
        self.status.clone()
    }

    /// Delivers until `stop`; returns once the messages in hand are done or out of time.
    pub async fn run(self, stop: CancellationToken) {
        self.give_up_strangers(&stop).await;
        let mut tasks = JoinSet::new();
        let mut names = BTreeMap::new();
        for target in &self.targets {
            let id = tasks.spawn(self.worker(target, &stop).run()).id();
            names.insert(id, Arc::clone(target));
        }
        while let Some(ended) = tasks.join_next_with_id().await {
            let Err(error) = ended else { continue };
            // A panic in one loop is a bug, and no reason to lose alerts: it starts again.
            let Some(target) = names.remove(&error.id()) else { continue };
            tracing::error!(receiver = target.name(), %error, "a delivery ended early");
            if !stop.is_cancelled() {
                tokio::time::sleep(STORE_PAUSE).await;
                let id = tasks.spawn(self.worker(&target, &stop).run()).id();
                names.insert(id, target);
            }
        }
    }

    /// Gives up what waits for receivers that are not configured any more. A store that fails is
    /// asked again: without delivery nobody would be told of anything.
    async fn give_up_strangers(&self, stop: &CancellationToken) {
        let known: Vec<String> = self.targets.iter().map(|t| t.name().to_owned()).collect();
        while !stop.is_cancelled() {
            let (known, now) = (known.clone(), (self.clock)());
            match self.store.with(move |s| s.give_up_strangers(&known, now)).await {
                Ok(0) => return,
                Ok(messages) => {
                    tracing::error!(messages, "gave up messages to receivers not configured");
                    return;
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, cause, class = error.class(), "cannot start delivery, will try again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(STORE_PAUSE) => {}
            }
        }
    }

    fn worker(&self, target: &Arc<Target>, stop: &CancellationToken) -> Worker {
        let hash = stable_hash(&[target.name()]).to_le_bytes();
        let salt = hash.iter().rev().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let sender = Sender {
            target: Arc::clone(target),
            clock: Arc::clone(&self.clock),
            stop: stop.clone(),
            grace: self.grace,
        };
        Worker::new(self.store.clone(), sender, self.status.clone(), self.seed ^ salt)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("targets", &self.targets).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_bounds() {
        for (failures, lowest, highest) in
            [(0, 1_000, 2_000), (1, 1_000, 2_000), (2, 2_000, 4_000), (5, 16_000, 32_000)]
        {
            assert_eq!(pause(failures, 0.0).as_millis(), lowest, "{failures}");
            assert_eq!(pause(failures, 1.0).as_millis(), highest, "{failures}");
        }
        for failures in [9, 60, u32::MAX] {
            assert_eq!(pause(failures, 0.0), Span::from_millis(150_000));
            assert_eq!(pause(failures, 0.999_999_9), Span::from_millis(299_999));
        }
        assert_eq!(pause(1, f64::NAN), Span::SECOND);
    }
}
