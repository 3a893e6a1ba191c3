//! What the outbox holds, for people and for counts.

use rusqlite::{OptionalExtension as _, Row, named_params, params};
use serde::Serialize;

use super::RowState;
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

/// Messages of one incident that are read, at most.
const MESSAGES_ABOUT_MAX: u32 = 200;

/// Which messages are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// The states, as [`ListedMessage::state`] names them; none for what has not arrived: pending, held
    /// and dead.
    pub state: Option<&'static str>,
    /// A receiver with all its addresses, or one address.
    pub receiver: Option<String>,
    /// How many at most, the newest.
    pub limit: u32,
}

/// A message as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedMessage {
    /// Its id.
    pub id: String,
    /// To whom.
    pub receiver: String,
    /// The incident, or the digest's own id.
    pub incident: String,
    /// `pending`, `held`, `done`, `dead` or `superseded`.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// The tick at which it was decided.
    pub created_at: Timestamp,
    /// When it is tried next; none once it is not on its way.
    pub next_attempt_at: Option<Timestamp>,
    /// Why it was held, if it was.
    pub held_by: Option<String>,
    /// When it arrived, was given up or superseded.
    pub done_at: Option<Timestamp>,
}

impl Store {
    /// The messages that a filter lets through, newest first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn messages(
        &self,
        filter: &MessageFilter,
        now: Timestamp,
    ) -> Result<Vec<ListedMessage>, StoreError> {
        self.read("list messages", |c| {
            c.prepare(
                "SELECT * FROM (
                    SELECT id, receiver, incident,
                        iif(state = 'pending' AND hold_until > :now, 'held', state) AS standing,
                        attempts, last_error, created_at,
                        iif(state = 'pending', max(next_attempt_at, coalesce(hold_until, 0)), NULL),
                        held_by, done_at, seq
                    FROM outbox)
                 WHERE (standing = :state
                        OR (:state IS NULL AND standing IN ('pending', 'held', 'dead')))
                   AND (:receiver IS NULL OR receiver = :receiver
                        OR substr(receiver, 1, length(:receiver) + 1) = :receiver || '/')
                 ORDER BY seq DESC LIMIT :limit",
            )?
            .query_map(
                named_params! {
                    ":now": now.as_millis(),
                    ":state": filter.state,
                    ":receiver": filter.receiver,
                    ":limit": filter.limit,
                },
                listed,
            )?
            .collect()
        })
    }

    /// The messages about one incident that are still known, in the order in which they were
    /// decided.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn messages_about(
        &self,
        incident: &str,
        now: Timestamp,
    ) -> Result<Vec<ListedMessage>, StoreError> {
        self.read("list messages of an incident", |c| {
            c.prepare(
                "SELECT id, receiver, incident,
                    iif(state = 'pending' AND hold_until > ?2, 'held', state),
                    attempts, last_error, created_at,
                    iif(state = 'pending', max(next_attempt_at, coalesce(hold_until, 0)), NULL),
                    held_by, done_at
                 FROM outbox WHERE incident = ?1 ORDER BY seq LIMIT ?3",
            )?
            .query_map(params![incident, now.as_millis(), MESSAGES_ABOUT_MAX], listed)?
            .collect()
        })
    }

    /// How many messages are on their way, held ones among them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn pending_count(&self) -> Result<u64, StoreError> {
        self.count(RowState::Pending)
    }

    /// How many messages are on their way and not held.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn waiting_count(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.read("count what waits", |c| {
            c.prepare(
                "SELECT count(*) FROM outbox
                 WHERE state = 'pending' AND coalesce(hold_until, 0) <= ?1",
            )?
            .query_row([now.as_millis()], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
        })
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
                    Ok((RowState::from_name(&name), row.get(1)?, row.get(2)?))
                })
                .optional()
        })
    }
}

fn listed(row: &Row<'_>) -> rusqlite::Result<ListedMessage> {
    let at = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    Ok(ListedMessage {
        id: row.get(0)?,
        receiver: row.get(1)?,
        incident: row.get(2)?,
        state: row.get(3)?,
        attempts: row.get(4)?,
        last_error: row.get(5)?,
        created_at: Timestamp::from_millis(row.get(6)?),
        next_attempt_at: at(7)?,
        held_by: row.get(8)?,
        done_at: at(9)?,
    })
}
