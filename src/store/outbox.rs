//! The outbox: one row for each message to one receiver, until the receiver has it.

use rusqlite::{OptionalExtension as _, Row, Transaction, named_params, params};

use super::{Store, StoreError};
use crate::engine::alert::Alert;
use crate::time::{Span, Timestamp};

/// No attempt is ever put off further than this, so a row that seems to be was written before
/// the clock was set back, and is due.
const PUT_OFF_MAX: Span = Span::from_hours(1);
/// Longest error text kept.
const ERROR_CHARS_MAX: usize = 500;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The alert's id, a slash, the receiver.
    pub id: String,
    /// To whom.
    pub receiver: String,
    /// Id of the first message about the same incident to the same receiver; its own id if it
    /// is the first.
    pub first: String,
    /// The alert as JSON.
    pub alert: String,
    /// The tick at which it was decided.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first_attempt_at: Option<Timestamp>,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// On its way.
    Pending,
    /// The receiver has it.
    Done,
    /// Given up.
    Dead,
}

impl RowState {
    const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

impl Store {
    /// What can be sent to a receiver now, at most `limit`: the longest due first.
    ///
    /// Messages about one incident keep their order: one is due only when those before it are
    /// done or given up, so that nobody reads of an end before its beginning.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn due(
        &self,
        now: Timestamp,
        receiver: &str,
        limit: u32,
    ) -> Result<Vec<Outgoing>, StoreError> {
        self.read("read what is due", |c| {
            c.prepare(
                "SELECT o.id, o.receiver, coalesce(t.first, o.id), o.alert, o.created_at,
                        o.attempts, o.first_attempt_at
                 FROM outbox o LEFT JOIN told t
                      ON t.incident = o.incident AND t.receiver = o.receiver
                 WHERE o.state = 'pending' AND o.receiver = :receiver
                   AND (o.next_attempt_at <= :now OR o.next_attempt_at > :never)
                   AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.state = 'pending'
                        AND e.receiver = o.receiver AND e.incident = o.incident
                        AND e.seq < o.seq)
                 ORDER BY o.next_attempt_at, o.seq LIMIT :limit",
            )?
            .query_map(
                named_params! {
                    ":receiver": receiver,
                    ":now": now.as_millis(),
                    ":never": (now + PUT_OFF_MAX).as_millis(),
                    ":limit": limit,
                },
                outgoing,
            )?
            .collect()
        })
    }

    /// When the next message to a receiver is due; `None` when nothing waits.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_due(&self, receiver: &str) -> Result<Option<Timestamp>, StoreError> {
        self.read("read what is due next", |c| {
            let at: Option<i64> = c
                .prepare(
                    "SELECT o.next_attempt_at FROM outbox o
                     WHERE o.state = 'pending' AND o.receiver = ?1
                       AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.state = 'pending'
                            AND e.receiver = o.receiver AND e.incident = o.incident
                            AND e.seq < o.seq)
                     ORDER BY o.next_attempt_at LIMIT 1",
                )?
                .query_row([receiver], |row| row.get(0))
                .optional()?;
            Ok(at.map(Timestamp::from_millis))
        })
    }

    /// The receiver has it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn mark_done(&mut self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.write("mark a message as delivered", |tx| {
            tx.execute(
                "UPDATE outbox SET state = 'done', attempts = attempts + 1, done_at = ?2,
                        first_attempt_at = coalesce(first_attempt_at, ?2), last_error = NULL
                 WHERE id = ?1 AND state = 'pending'",
                params![id, now.as_millis()],
            )
        })?;
        Ok(())
    }

    /// It failed; it will be tried again at `next_attempt`, an hour from now at most.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn mark_failed(
        &mut self,
        id: &str,
        now: Timestamp,
        error: &str,
        next_attempt: Timestamp,
    ) -> Result<(), StoreError> {
        let next = next_attempt.min(now + PUT_OFF_MAX);
        self.write("mark a message as failed", |tx| {
            tx.execute(
                "UPDATE outbox SET attempts = attempts + 1, last_error = ?3, next_attempt_at = ?4,
                        first_attempt_at = coalesce(first_attempt_at, ?2)
                 WHERE id = ?1 AND state = 'pending'",
                params![id, now.as_millis(), clip(error), next.as_millis()],
            )
        })?;
        Ok(())
    }

    /// It failed for good.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn mark_dead(&mut self, id: &str, now: Timestamp, error: &str) -> Result<(), StoreError> {
        self.write("give a message up", |tx| {
            tx.execute(
                "UPDATE outbox SET state = 'dead', attempts = attempts + 1, last_error = ?3,
                        first_attempt_at = coalesce(first_attempt_at, ?2), done_at = ?2
                 WHERE id = ?1 AND state = 'pending'",
                params![id, now.as_millis(), clip(error)],
            )
        })?;
        Ok(())
    }

    /// Puts every message that was given up back on its way; returns how many.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn retry_dead(&mut self, now: Timestamp) -> Result<usize, StoreError> {
        self.write("retry what was given up", |tx| {
            tx.execute(
                "UPDATE outbox SET state = 'pending', first_attempt_at = NULL, done_at = NULL,
                        next_attempt_at = ?1
                 WHERE state = 'dead'",
                [now.as_millis()],
            )
        })
    }

    /// Gives up what waits for receivers that are no longer configured; returns how many.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn give_up_strangers(
        &mut self,
        known: &[String],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.write("give up messages to unknown receivers", |tx| {
            let waiting: Vec<String> = tx
                .prepare("SELECT DISTINCT receiver FROM outbox WHERE state = 'pending'")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut given_up = 0;
            for receiver in waiting.iter().filter(|r| !known.contains(r)) {
                given_up += tx.execute(
                    "UPDATE outbox SET state = 'dead', done_at = ?2,
                            last_error = 'given up: the receiver is no longer configured'
                     WHERE state = 'pending' AND receiver = ?1",
                    params![receiver, now.as_millis()],
                )?;
            }
            Ok(given_up)
        })
    }

    /// How many messages wait.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn pending_count(&self) -> Result<u64, StoreError> {
        self.count(RowState::Pending)
    }

    /// How many messages stand so.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn count(&self, state: RowState) -> Result<u64, StoreError> {
        self.read("count messages", |c| {
            c.prepare("SELECT count(*) FROM outbox WHERE state = ?1")?
                .query_row([state.name()], |row| row.get::<_, i64>(0))
                .map(i64::unsigned_abs)
        })
    }

    /// Where a message stands, how often it was tried and its last error; `None` if unknown.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn message(&self, id: &str) -> Result<Option<(RowState, u32, Option<String>)>, StoreError> {
        self.read("read a message", |c| {
            c.prepare("SELECT state, attempts, last_error FROM outbox WHERE id = ?1")?
                .query_row([id], |row| {
                    let name: String = row.get(0)?;
                    let state = [RowState::Done, RowState::Dead]
                        .into_iter()
                        .find(|s| s.name() == name)
                        .unwrap_or(RowState::Pending);
                    Ok((state, row.get(1)?, row.get(2)?))
                })
                .optional()
        })
    }
}

/// Puts one message into the outbox; returns how many rows that made.
pub(super) fn put(
    tx: &Transaction<'_>,
    alert: &Alert,
    json: &str,
    receiver: &str,
) -> rusqlite::Result<usize> {
    let id = format!("{}/{receiver}", alert.id());
    tx.execute(
        "INSERT OR IGNORE INTO told (incident, receiver, first) VALUES (?1, ?2, ?3)",
        params![alert.incident, receiver, id],
    )?;
    tx.execute(
        "INSERT OR IGNORE INTO outbox (id, receiver, incident, alert, created_at, next_attempt_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![id, receiver, alert.incident, json, alert.at.as_millis()],
    )
}

fn outgoing(row: &Row<'_>) -> rusqlite::Result<Outgoing> {
    Ok(Outgoing {
        id: row.get(0)?,
        receiver: row.get(1)?,
        first: row.get(2)?,
        alert: row.get(3)?,
        created_at: Timestamp::from_millis(row.get(4)?),
        attempts: row.get(5)?,
        first_attempt_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
    })
}

fn clip(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}
