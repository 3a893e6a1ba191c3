//! Delivery from the outbox: a loop for each target, so that one that fails or hangs delays no
//! other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::{NotifyError, Retry};
use super::handle::StoreHandle;
use super::receiver::{Envelope, Target};
use super::status::StatusBoard;
use crate::engine::alert::Alert;
use crate::series::stable_hash;
use crate::store::{Outgoing, Store, StoreError};
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
/// A message that nobody has taken for so long is given up.
const GIVE_UP_AFTER: Span = Span::from_hours(24);
/// Rows read at once.
const BATCH: u32 = 16;
/// A loop looks again after this at the latest, whatever the clock does.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// A loop looks again no sooner than this, so that a slip of arithmetic cannot make it spin.
const LOOK_MIN: Duration = Duration::from_millis(5);
/// How long to wait before the store is asked again after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
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
        let targets = targets.into_iter().map(Arc::new).collect();
        Self { store, targets, clock, seed, grace: GRACE, status: StatusBoard::default() }
    }

    /// With another time for the message in hand when the program stops.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How the targets fare.
    pub fn status(&self) -> StatusBoard {
        self.status.clone()
    }

    /// Delivers until `stop`; returns once the messages in hand are done or out of time.
    ///
    /// # Errors
    ///
    /// When the store cannot be used at the start.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        let known: Vec<String> = self.targets.iter().map(|t| t.name().to_owned()).collect();
        let now = (self.clock)();
        let strangers = self.store.with(move |s| s.give_up_strangers(&known, now)).await?;
        if strangers > 0 {
            tracing::error!(messages = strangers, "gave up messages to receivers not configured");
        }
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
        Ok(())
    }

    fn worker(&self, target: &Arc<Target>, stop: &CancellationToken) -> Worker {
        let hash = stable_hash(&[target.name()]).to_le_bytes();
        let salt = hash.iter().rev().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Worker {
            store: self.store.clone(),
            target: Arc::clone(target),
            clock: Arc::clone(&self.clock),
            random: ChaCha8Rng::seed_from_u64(self.seed ^ salt),
            stop: stop.clone(),
            grace: self.grace,
            status: self.status.clone(),
            failures: 0,
            rest_until: None,
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// The loop of one target.
struct Worker {
    store: StoreHandle,
    target: Arc<Target>,
    clock: Clock,
    random: ChaCha8Rng,
    stop: CancellationToken,
    grace: Duration,
    status: StatusBoard,
    /// Failures in a row, over all messages.
    failures: u32,
    /// The target rests until then: what failed for one message will mostly fail for the next.
    rest_until: Option<Timestamp>,
}

/// How an attempt ended.
enum Attempt {
    /// The row is done or given up.
    Settled,
    /// It failed for now; the target rests.
    Failed,
    /// The program stops.
    Stopped,
}

impl Worker {
    async fn run(mut self) {
        let mut news = self.store.listen();
        while !self.stop.is_cancelled() {
            news.mark_unchanged();
            let now = (self.clock)();
            let resting =
                self.rest_until.filter(|until| now < *until && *until - now <= Span::HOUR);
            let look = match resting {
                Some(until) => until - now,
                None => match self.round(now).await {
                    Ok(Some(at)) => at - (self.clock)(),
                    Ok(None) => Span::HOUR,
                    Err(error) => {
                        self.report_store(&error, "cannot read the outbox");
                        Span::SECOND
                    }
                },
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = news.changed() => {}
                () = tokio::time::sleep(look.to_std().clamp(LOOK_MIN, LOOK_MAX)) => {}
            }
        }
    }

    /// Tries what is due, oldest attempt first, until something fails; returns when to look
    /// again, if anything waits.
    async fn round(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let name = self.target.name().to_owned();
        let rows = self.store.with(move |s| s.due(now, &name, BATCH)).await?;
        let any = !rows.is_empty();
        for row in rows {
            if self.stop.is_cancelled() {
                return Ok(None);
            }
            match self.attempt(&row).await {
                Attempt::Settled => {}
                Attempt::Failed => return Ok(self.rest_until),
                Attempt::Stopped => return Ok(None),
            }
        }
        if any {
            return Ok(Some(now));
        }
        let name = self.target.name().to_owned();
        self.store.with(move |s| s.next_due(&name)).await
    }

    async fn attempt(&mut self, row: &Outgoing) -> Attempt {
        let alert: Alert = match serde_json::from_str(&row.alert) {
            Ok(alert) => alert,
            Err(error) => {
                let text = format!("cannot read the stored alert: {error}");
                return self.bury(row, text, "unreadable").await;
            }
        };
        let envelope = Envelope {
            alert: &alert,
            json: &row.alert,
            key: &row.id,
            first: &row.first,
            now: (self.clock)(),
        };
        let (stop, grace) = (self.stop.clone(), self.grace);
        let out_of_time = async move {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let result = tokio::select! {
            result = self.target.send(envelope) => result,
            () = out_of_time => return Attempt::Stopped,
        };
        match result {
            Ok(()) => self.settle(row).await,
            Err(error) => self.handle(row, &error).await,
        }
    }

    async fn settle(&mut self, row: &Outgoing) -> Attempt {
        let now = (self.clock)();
        self.failures = 0;
        self.rest_until = None;
        self.status.update(self.target.name(), |status| {
            status.sent += 1;
            status.sent_at = Some(now);
            status.error = None;
            status.rest_until = None;
        });
        let id = row.id.clone();
        // Before anything that can wait, such as the log: a crash between the receiver's word
        // and ours would send it twice.
        let marked = self.insist(move |store| store.mark_done(&id, now)).await;
        tracing::info!(receiver = self.target.name(), key = row.id, "delivered");
        marked
    }

    async fn handle(&mut self, row: &Outgoing, error: &NotifyError) -> Attempt {
        let now = (self.clock)();
        let class = error.class().name();
        let tried_for = row.first_attempt_at.map_or(Span::ZERO, |first| now - first);
        if error.retry() == Retry::Never || tried_for >= GIVE_UP_AFTER {
            return self.bury(row, error.to_string(), class).await;
        }
        self.failures = self.failures.saturating_add(1);
        let asked = match error.retry() {
            Retry::After(span) => span,
            Retry::Later | Retry::Never => Span::ZERO,
        };
        let jitter = self.random.random::<f64>();
        // The row's pause grows with its own failures, the target's with those in a row: a
        // message that alone is at fault must not hold the others up for long.
        let next = now + pause(row.attempts.saturating_add(1), jitter).max(asked);
        let rest_until = now + pause(self.failures, jitter).max(asked);
        self.rest_until = Some(rest_until);
        let text = error.to_string();
        let mut news = false;
        self.status.update(self.target.name(), |status| {
            *status.failed.entry(class).or_default() += 1;
            news = status.error.as_ref() != Some(&text);
            status.error = Some(text.clone());
            status.rest_until = Some(rest_until);
        });
        if news {
            tracing::warn!(receiver = self.target.name(), key = row.id, class, %error, "not delivered, will try again");
        } else {
            tracing::debug!(
                receiver = self.target.name(),
                key = row.id,
                class,
                "not delivered again"
            );
        }
        let id = row.id.clone();
        match self.insist(move |store| store.mark_failed(&id, now, &text, next)).await {
            Attempt::Settled => Attempt::Failed,
            other => other,
        }
    }

    /// Gives a message up.
    async fn bury(&mut self, row: &Outgoing, text: String, class: &'static str) -> Attempt {
        let now = (self.clock)();
        tracing::error!(
            receiver = self.target.name(),
            key = row.id,
            class,
            error = text,
            "gave a message up"
        );
        self.status.update(self.target.name(), |status| {
            *status.failed.entry(class).or_default() += 1;
            status.dead += 1;
            status.error = Some(text.clone());
        });
        let id = row.id.clone();
        self.insist(move |store| store.mark_dead(&id, now, &text)).await
    }

    /// Writes until it is written. What was delivered and is not marked so would be sent again,
    /// so nothing else is sent to this target before.
    async fn insist(
        &self,
        write: impl Fn(&mut Store) -> Result<(), StoreError> + Clone + Send + 'static,
    ) -> Attempt {
        loop {
            match self.store.with(write.clone()).await {
                Ok(()) => return Attempt::Settled,
                Err(error) => self.report_store(&error, "cannot write to the outbox"),
            }
            if self.stop.is_cancelled() {
                return Attempt::Stopped;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(STORE_PAUSE) => {}
            }
        }
    }

    fn report_store(&self, error: &StoreError, what: &str) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let class = error.class();
        tracing::error!(receiver = self.target.name(), %error, cause, class, "{what}");
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
