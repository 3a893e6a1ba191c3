//! What becomes of a message: delivered, failed, given up, let go early, tried again, dropped.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::due::PUT_OFF_MAX;
use super::{Hold, Outgoing, RowState};
use crate::problem::did_you_mean;
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

/// Longest error text kept.
const ERROR_CHARS_MAX: usize = 500;
/// Newest messages that an unknown one is compared with.
const COMPARED_MAX: i64 = 1_000;

/// Which messages a person speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one of this id, given up or still on its way.
    One(String),
    /// All that were given up, to one receiver or to any.
    Dead(Option<String>),
}

impl Store {
    /// The receiver has it, and calls it `handle` if it can be changed later.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn mark_done(
        &mut self,
        id: &str,
        now: Timestamp,
        handle: Option<&str>,
    ) -> Result<(), StoreError> {
        self.write("mark a message as delivered", |tx| {
            let before: Option<String> = tx
                .query_row("SELECT state FROM outbox WHERE id = ?1", [id], |row| row.get(0))
                .optional()?;
            let before = before.as_deref().map(RowState::from_name);
            if !matches!(before, Some(RowState::Pending | RowState::Superseded)) {
                return Ok(());
            }
            tx.execute(
                "UPDATE outbox SET state = 'done', attempts = attempts + 1, done_at = ?2,
                        first_attempt_at = coalesce(first_attempt_at, ?2), last_error = NULL
                 WHERE id = ?1",
                params![id, now.as_millis()],
            )?;
            tx.execute(
                "INSERT INTO told (incident, receiver, first, handle, delivered_at)
                 SELECT incident, receiver, id, ?2, ?3 FROM outbox
                 WHERE id = ?1 AND kind = 'alert'
                 ON CONFLICT DO UPDATE SET first = coalesce(first, excluded.first),
                    handle = coalesce(excluded.handle, handle),
                    delivered_at = excluded.delivered_at",
                params![id, handle, now.as_millis()],
            )?;
            if before == Some(RowState::Superseded) {
                revive_end(tx, id)?;
            }
            Ok(())
        })
    }

    /// The receiver has taken again what it was told of an open incident, or after all what it
    /// had refused.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn mark_repeated(
        &mut self,
        row: &Outgoing,
        now: Timestamp,
        handle: Option<&str>,
    ) -> Result<(), StoreError> {
        self.write("mark a message as repeated", |tx| {
            tx.execute(
                "UPDATE outbox SET state = 'done', done_at = ?2, last_error = NULL
                 WHERE id = ?1 AND state = 'dead'",
                params![row.id, now.as_millis()],
            )?;
            tx.execute(
                "UPDATE told SET delivered_at = ?3, handle = coalesce(?4, handle),
                        first = coalesce(first, ?5)
                 WHERE incident = ?1 AND receiver = ?2",
                params![row.incident, row.receiver, now.as_millis(), handle, row.id],
            )
        })?;
        Ok(())
    }

    /// What was to be repeated was not taken: it takes its turn as if it had been at `told_at`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn put_off_repeat(&mut self, row: &Outgoing, told_at: Timestamp) -> Result<(), StoreError> {
        self.write("put off what must be repeated", |tx| {
            tx.execute(
                "UPDATE told SET delivered_at = ?3 WHERE incident = ?1 AND receiver = ?2",
                params![row.incident, row.receiver, told_at.as_millis()],
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

    /// Lets what is held for this reason alone go now, and what is held for others too wait for
    /// them; returns how many messages go.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn release(&mut self, held_by: &str, now: Timestamp) -> Result<usize, StoreError> {
        self.write("let held messages go", |tx| release(tx, held_by, now))
    }

    /// Sends messages anew, as if they were never tried: those that were given up, and one that
    /// waits or is held where it alone is named. Returns how many.
    ///
    /// What was given up and is no longer true is superseded: nothing would ever take back a
    /// beginning that arrives after its end.
    ///
    /// # Errors
    ///
    /// When the one named does not exist or has arrived, and when it cannot be written.
    pub fn retry(&mut self, which: &Which, now: Timestamp) -> Result<usize, StoreError> {
        let changed = self.write("retry messages", |tx| {
            let mut again = tx.prepare(
                "UPDATE outbox SET state = 'pending', first_attempt_at = NULL, done_at = NULL,
                        next_attempt_at = ?2, hold_until = min(hold_until, ?2), held_also = NULL
                 WHERE seq = ?1 AND state != 'superseded'",
            )?;
            let found = undelivered(tx, which)?;
            for seq in &found {
                supersede_stale(tx, *seq, now)?;
            }
            found.iter().map(|seq| again.execute(params![seq, now.as_millis()])).sum()
        })?;
        self.named_exists(which, changed)
    }

    /// Forgets messages that were given up, or one that waits where it alone is named. Returns
    /// how many.
    ///
    /// # Errors
    ///
    /// As [`Store::retry`].
    pub fn drop_messages(&mut self, which: &Which) -> Result<usize, StoreError> {
        let changed = self.write("drop messages", |tx| {
            let mut forget = tx.prepare("DELETE FROM outbox WHERE seq = ?1")?;
            undelivered(tx, which)?.iter().map(|seq| forget.execute([seq])).sum()
        })?;
        self.named_exists(which, changed)
    }

    fn named_exists(&self, which: &Which, changed: usize) -> Result<usize, StoreError> {
        match which {
            Which::One(id) if changed == 0 => Err(self.no_such_message(id)?),
            _ => Ok(changed),
        }
    }

    fn no_such_message(&self, id: &str) -> Result<StoreError, StoreError> {
        let hint = if let Some((state, ..)) = self.message(id)? {
            let why = match state {
                RowState::Superseded => "what came after it about the same incident took its place",
                _ => "only what waits or was given up can be changed",
            };
            format!("it is {}: {why}", state.name())
        } else {
            let known: Vec<String> = self.read("read messages", |c| {
                c.prepare(
                    "SELECT id FROM outbox WHERE state IN ('pending', 'dead')
                     ORDER BY seq DESC LIMIT ?1",
                )?
                .query_map([COMPARED_MAX], |row| row.get(0))?
                .collect()
            })?;
            let near = did_you_mean(id, known.iter().map(String::as_str), "messages");
            near.unwrap_or_else(|| "no message waits, and none was given up".to_owned())
        };
        Ok(StoreError::NoSuchMessage { id: id.to_owned(), hint })
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
}

/// What [`Store::release`] does.
pub(in crate::store) fn release(
    tx: &Transaction<'_>,
    held_by: &str,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let rows: Vec<(i64, Hold)> = tx
        .prepare(
            "SELECT seq, hold_until, held_by, held_also FROM outbox
             WHERE state = 'pending' AND hold_until > ?2
               AND (held_by = ?1 OR held_also IS NOT NULL)",
        )?
        .query_map(params![held_by, now.as_millis()], |row| {
            let others: Option<String> = row.get(3)?;
            let until = Timestamp::from_millis(row.get(1)?);
            Ok((row.get(0)?, Hold::read(until, row.get(2)?, others.as_deref())))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut gone = 0;
    for (seq, hold) in rows {
        let left = hold.without(held_by, now);
        gone += usize::from(left.is_none());
        // Why it was held stays with what goes.
        tx.execute(
            "UPDATE outbox SET hold_until = ?2, held_by = coalesce(?3, held_by), held_also = ?4
             WHERE seq = ?1",
            params![
                seq,
                left.as_ref().map(|left| left.until.as_millis()),
                left.as_ref().map(|left| &left.by),
                left.as_ref().and_then(Hold::others_json)
            ],
        )?;
    }
    Ok(gone)
}

/// The rows that a person speaks of and that have not arrived.
fn undelivered(tx: &Transaction<'_>, which: &Which) -> rusqlite::Result<Vec<i64>> {
    match which {
        Which::One(id) => tx
            .prepare("SELECT seq FROM outbox WHERE id = ?1 AND state IN ('pending', 'dead')")?
            .query_map([id], |row| row.get(0))?
            .collect(),
        Which::Dead(receiver) => tx
            .prepare(
                "SELECT seq FROM outbox
                 WHERE state = 'dead' AND (?1 IS NULL OR receiver = ?1
                    OR substr(receiver, 1, length(?1) + 1) = ?1 || '/')",
            )?
            .query_map([receiver], |row| row.get(0))?
            .collect(),
    }
}

/// Supersedes a message that was given up, where something later about the same incident arrived
/// or the incident is over, which only its end may still tell.
fn supersede_stale(tx: &Transaction<'_>, seq: i64, now: Timestamp) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE outbox SET state = 'superseded', done_at = ?2
         WHERE seq = ?1 AND state = 'dead' AND kind = 'alert'
           AND (EXISTS (SELECT 1 FROM outbox l WHERE l.state = 'done'
                    AND l.receiver = outbox.receiver AND l.incident = outbox.incident
                    AND l.seq > outbox.seq)
                OR (iif(json_valid(alert), alert ->> 'state', '') != 'resolved'
                    AND EXISTS (SELECT 1 FROM incidents i WHERE i.id = outbox.incident
                        AND i.state = 'resolved')))",
        params![seq, now.as_millis()],
    )?;
    Ok(())
}

/// A message arrived that was in hand when it was superseded: whoever has it must hear of the
/// end after all, where that was superseded with it.
fn revive_end(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE outbox SET state = 'pending', done_at = NULL
         WHERE state = 'superseded' AND kind = 'alert' AND alert ->> 'state' = 'resolved'
           AND (incident, receiver) = (SELECT incident, receiver FROM outbox WHERE id = ?1)",
        [id],
    )?;
    Ok(())
}

fn clip(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}
