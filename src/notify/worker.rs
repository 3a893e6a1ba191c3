//! The loop of one target: what is due goes out, what failed waits, what must be kept alive is
//! repeated.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::CancellationToken;

use super::delivery::{Clock, STORE_PAUSE, pause};
use super::digest::Digest;
use super::error::{NotifyError, Retry};
use super::handle::StoreHandle;
use super::receiver::{Content, Envelope, Receipt, Target};
use super::status::StatusBoard;
use crate::engine::alert::Alert;
use crate::store::{Acknowledged, Kind, Outgoing, Store, StoreError};
use crate::time::{Span, Timestamp};

/// A message that nobody has taken for so long is given up.
const GIVE_UP_AFTER: Span = Span::from_hours(24);
/// Rows read at once.
const BATCH: u32 = 16;
/// A loop looks again after this at the latest, whatever the clock does: another process may have
/// put messages on their way again.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// A loop looks again no sooner than this, so that a slip of arithmetic cannot make it spin.
const LOOK_MIN: Duration = Duration::from_millis(5);

/// Hands messages of one target over.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) target: Arc<Target>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    pub(super) grace: Duration,
}

/// The loop of one target.
pub(super) struct Worker {
    store: StoreHandle,
    sender: Sender,
    status: StatusBoard,
    random: ChaCha8Rng,
    /// Failures in a row, over all messages.
    failures: u32,
    /// The target rests until then: what failed for one message will mostly fail for the next.
    rest_until: Option<Timestamp>,
}

/// A message's content, read back.
enum Stored {
    Alert(Box<Alert>),
    Digest(Box<Digest>),
    Acknowledged(Acknowledged),
}

/// What came of handing a message over.
enum Handed {
    Taken(Receipt),
    Failed(NotifyError),
    /// What is stored cannot be read.
    Unreadable(String),
    /// The program stops.
    OutOfTime,
}

/// Why a message goes out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It is news.
    News,
    /// The receiver would take the incident as over.
    KeepAlive,
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

/// When to look again.
enum Look {
    /// At once: something was sent, and more may be due.
    Now,
    /// At this time.
    At(Timestamp),
    /// When there is news.
    Later,
}

impl Stored {
    fn read(row: &Outgoing) -> Result<Self, serde_json::Error> {
        match row.kind {
            Kind::Alert => serde_json::from_str(&row.alert).map(Self::Alert),
            Kind::Digest => serde_json::from_str(&row.alert).map(Self::Digest),
            Kind::Acknowledge => serde_json::from_str(&row.alert).map(Self::Acknowledged),
        }
    }
}

impl Sender {
    fn name(&self) -> &str {
        self.target.name()
    }

    async fn hand_over(self, row: Outgoing, status: StatusBoard) -> (Outgoing, Handed) {
        let began = (self.clock)();
        let handed = self.try_once(&row).await;
        let spent = (self.clock)() - began;
        // A clock that was set back must not take time away.
        status.update(self.name(), |status| status.busy = status.busy + spent.max(Span::ZERO));
        (row, handed)
    }

    async fn try_once(&self, row: &Outgoing) -> Handed {
        let stored = match Stored::read(row) {
            Ok(stored) => stored,
            Err(error) => {
                return Handed::Unreadable(format!("cannot read what is stored: {error}"));
            }
        };
        let out_of_time = async {
            self.stop.cancelled().await;
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            result = self.send(&stored, row) => match result {
                Ok(receipt) => Handed::Taken(receipt),
                Err(error) => Handed::Failed(error),
            },
            () = out_of_time => Handed::OutOfTime,
        }
    }

    async fn send(&self, stored: &Stored, row: &Outgoing) -> Result<Receipt, NotifyError> {
        let now = (self.clock)();
        let content = match stored {
            Stored::Alert(alert) => Content::Alert(alert, row.chart.as_ref()),
            Stored::Digest(digest) => Content::Digest(digest),
            Stored::Acknowledged(word) => {
                self.target.acknowledge(&row.incident, word.by.as_deref(), now).await?;
                return Ok(Receipt::default());
            }
        };
        let (json, key, first) = (&row.alert, &row.id, &row.first);
        let handle = row.handle.as_deref();
        self.target.send(Envelope { content, json, key, first, handle, now }).await
    }
}

impl Worker {
    /// A loop that has failed nothing yet; `seed` is for the jitter of pauses.
    pub(super) fn new(store: StoreHandle, sender: Sender, status: StatusBoard, seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { store, sender, status, random, failures: 0, rest_until: None }
    }

    pub(super) async fn run(mut self) {
        let mut news = self.store.listen();
        while !self.sender.stop.is_cancelled() {
            news.mark_unchanged();
            let now = self.now();
            let resting =
                self.rest_until.filter(|until| now < *until && *until - now <= Span::HOUR);
            let look = match resting {
                Some(until) => Look::At(until),
                None => self.round(now).await.unwrap_or_else(|error| {
                    self.report_store(&error, "cannot read the outbox");
                    Look::At(now + Span::SECOND)
                }),
            };
            let sleep = match look {
                Look::Now => continue,
                Look::At(at) => (at - self.now()).to_std().clamp(LOOK_MIN, LOOK_MAX),
                Look::Later => LOOK_MAX,
            };
            tokio::select! {
                () = self.sender.stop.cancelled() => break,
                _ = news.changed() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    fn now(&self) -> Timestamp {
        (self.sender.clock)()
    }

    /// Sends what is due and then what must be kept alive, a batch of each, so that neither waits
    /// for the end of the other; what cannot be kept alive holds up no news.
    async fn round(&mut self, now: Timestamp) -> Result<Look, StoreError> {
        self.rest_until = None;
        let name = self.sender.name().to_owned();
        let rows = self.store.with(move |s| s.due(now, &name, BATCH)).await?;
        let had_news = !rows.is_empty();
        if had_news {
            let look = self.send(rows, Reason::News).await;
            if !matches!(look, Look::Now) {
                return Ok(look);
            }
        }
        let repeated = self.keep_alive(now).await?;
        if self.rest_until.is_some() {
            return Ok(repeated);
        }
        if had_news {
            return Ok(Look::Now);
        }
        let name = self.sender.name().to_owned();
        let next = self.store.with(move |s| s.next_due(&name)).await?;
        Ok(match (repeated, next) {
            (Look::Now, _) => Look::Now,
            (Look::At(at), Some(next)) => Look::At(at.min(next)),
            (Look::At(at), None) | (Look::Later, Some(at)) => Look::At(at),
            (Look::Later, None) => Look::Later,
        })
    }

    /// Repeats what its receiver would else take as over, a batch at most; says when to look
    /// again for more.
    async fn keep_alive(&mut self, now: Timestamp) -> Result<Look, StoreError> {
        let Some(every) = self.sender.target.keep_alive() else { return Ok(Look::Later) };
        let name = self.sender.name().to_owned();
        let rows = self.store.with(move |s| s.to_repeat(now, every, &name, BATCH)).await?;
        if !rows.is_empty() {
            return Ok(self.send(rows, Reason::KeepAlive).await);
        }
        let name = self.sender.name().to_owned();
        let oldest = self.store.with(move |s| s.told_longest_ago(&name)).await?;
        Ok(oldest.map_or(Look::Later, |at| Look::At(at + every)))
    }

    /// Sends messages, of which no two are about the same incident, until one fails. As many are
    /// in hand at once as the receiver takes, and no more go out than its rate allows.
    async fn send(&mut self, rows: Vec<Outgoing>, reason: Reason) -> Look {
        let mut rows = rows.into_iter();
        let mut in_hand = FuturesUnordered::new();
        let mut look = Look::Now;
        loop {
            while matches!(look, Look::Now) && in_hand.len() < self.sender.target.at_once() {
                if self.sender.stop.is_cancelled() {
                    look = Look::Later;
                    break;
                }
                let Some(row) = rows.next() else { break };
                // What is left of the batch is read again later.
                if let Err(wait) = self.sender.target.take_turn(self.now()) {
                    look = Look::At(self.now() + wait);
                    break;
                }
                in_hand.push(self.sender.clone().hand_over(row, self.status.clone()));
            }
            let Some((row, handed)) = in_hand.next().await else { return look };
            match self.conclude(&row, handed, reason).await {
                Attempt::Settled => {}
                Attempt::Failed => look = self.rest_until.map_or(Look::Now, Look::At),
                Attempt::Stopped => look = Look::Later,
            }
        }
    }

    async fn conclude(&mut self, row: &Outgoing, handed: Handed, reason: Reason) -> Attempt {
        match (handed, reason) {
            (Handed::OutOfTime, _) => Attempt::Stopped,
            (Handed::Taken(receipt), Reason::News) => self.settle(row, receipt).await,
            (Handed::Failed(error), Reason::News) => self.handle(row, &error).await,
            (Handed::Unreadable(text), Reason::News) => self.bury(row, text, "unreadable").await,
            (Handed::Taken(receipt), Reason::KeepAlive) => {
                self.fares_well(|status| status.kept_alive += 1);
                let (row, now) = (row.clone(), self.now());
                self.insist(move |store| store.mark_repeated(&row, now, receipt.handle.as_deref()))
                    .await
            }
            // It stays due, behind all others that are.
            (Handed::Failed(error), Reason::KeepAlive) if error.retry() != Retry::Never => {
                self.rest(row, &error);
                let every = self.sender.target.keep_alive().unwrap_or(Span::ZERO);
                match self.put_off(row, self.now() - every).await {
                    Attempt::Settled => Attempt::Failed,
                    other => other,
                }
            }
            // The same would be refused again at once: its next turn is soon enough.
            (Handed::Failed(error), Reason::KeepAlive) => {
                let rest_until = self.rest_until;
                self.rest(row, &error);
                self.rest_until = rest_until;
                self.put_off(row, self.now()).await
            }
            (Handed::Unreadable(_), Reason::KeepAlive) => self.put_off(row, self.now()).await,
        }
    }

    /// The target has taken something. Where it failed at another that was in hand beside it, it
    /// rests all the same: it may have asked for that.
    fn fares_well(&mut self, count: impl FnOnce(&mut super::status::Status)) {
        if self.rest_until.is_none() {
            self.failures = 0;
        }
        let rests = self.rest_until.is_some();
        self.status.update(self.sender.name(), |status| {
            count(status);
            if !rests {
                status.error = None;
                status.rest_until = None;
            }
        });
    }

    async fn put_off(&self, row: &Outgoing, told_at: Timestamp) -> Attempt {
        let row = row.clone();
        self.insist(move |store| store.put_off_repeat(&row, told_at)).await
    }

    async fn settle(&mut self, row: &Outgoing, receipt: Receipt) -> Attempt {
        let now = self.now();
        self.fares_well(|status| {
            status.sent += 1;
            status.sent_at = Some(now);
        });
        let id = row.id.clone();
        let Receipt { handle, failure } = receipt;
        // Before anything that can wait, such as the log: a crash between the receiver's word
        // and ours would send it twice.
        let marked = self.insist(move |store| store.mark_done(&id, now, handle.as_deref())).await;
        tracing::info!(receiver = self.sender.name(), key = row.id, "delivered");
        if let Some(failure) = failure {
            self.status.update(self.sender.name(), |status| status.not_laid_out += 1);
            tracing::error!(key = row.id, failure, "a message could not be laid out");
        }
        marked
    }

    async fn handle(&mut self, row: &Outgoing, error: &NotifyError) -> Attempt {
        let now = self.now();
        let tried_for = row.first_attempt_at.map_or(Span::ZERO, |first| now - first);
        if error.retry() == Retry::Never || tried_for >= GIVE_UP_AFTER {
            return self.bury(row, error.to_string(), error.class().name()).await;
        }
        let (jitter, asked) = self.rest(row, error);
        // The row's pause grows with its own failures, the target's with those in a row: a
        // message that alone is at fault must not hold the others up for long.
        let next = now + pause(row.attempts.saturating_add(1), jitter).max(asked);
        let (id, text) = (row.id.clone(), error.to_string());
        match self.insist(move |store| store.mark_failed(&id, now, &text, next)).await {
            Attempt::Settled => Attempt::Failed,
            other => other,
        }
    }

    /// The target rests after a failure; says the draw of its pause, and for how long the
    /// receiver asked at least.
    fn rest(&mut self, row: &Outgoing, error: &NotifyError) -> (f64, Span) {
        let class = error.class().name();
        self.failures = self.failures.saturating_add(1);
        let asked = match error.retry() {
            Retry::After(span) => span,
            Retry::Later | Retry::Never => Span::ZERO,
        };
        let jitter = self.random.random::<f64>();
        let rest_until = self.now() + pause(self.failures, jitter).max(asked);
        // Of two that failed beside each other, what the first asked for counts too.
        let rest_until = self.rest_until.map_or(rest_until, |before| before.max(rest_until));
        self.rest_until = Some(rest_until);
        let text = error.to_string();
        let mut news = false;
        self.status.update(self.sender.name(), |status| {
            *status.failed.entry(class).or_default() += 1;
            news = status.error.as_ref() != Some(&text);
            status.error = Some(text);
            status.rest_until = Some(rest_until);
        });
        let (receiver, key) = (self.sender.name(), &row.id);
        if news {
            tracing::warn!(receiver, key, class, %error, "not delivered, will try again");
        } else {
            tracing::debug!(receiver, key, class, "not delivered again");
        }
        (jitter, asked)
    }

    /// Gives a message up.
    async fn bury(&mut self, row: &Outgoing, text: String, class: &'static str) -> Attempt {
        let now = self.now();
        tracing::error!(
            receiver = self.sender.name(),
            key = row.id,
            class,
            error = text,
            "gave a message up; `grayflag outbox` lists and retries it"
        );
        self.status.update(self.sender.name(), |status| {
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
            if self.sender.stop.is_cancelled() {
                return Attempt::Stopped;
            }
            tokio::select! {
                () = self.sender.stop.cancelled() => {}
                () = tokio::time::sleep(STORE_PAUSE) => {}
            }
        }
    }

    fn report_store(&self, error: &StoreError, what: &str) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let class = error.class();
        tracing::error!(receiver = self.sender.name(), %error, cause, class, "{what}");
    }
}
