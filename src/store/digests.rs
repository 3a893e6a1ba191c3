//! Digests that were told, and what a digest asks of the file.

use rusqlite::{OptionalExtension as _, Row, params};
use tracing::warn;

use super::{Place, Store, StoreError};
use crate::engine::alert::{Alert, State};
use crate::time::Timestamp;

/// Digests kept; the oldest go first. More than a year of them.
const DIGESTS_MAX: u32 = 500;
/// Alerts that one digest looks at, the newest of its time: more are no news but a flood.
const ALERTS_MAX: u32 = 10_000;

/// A digest on its way to its receivers.
#[derive(Clone, Copy, Debug)]
pub struct NewDigest<'a> {
    /// Its id, the same whenever it is made.
    pub id: &'a str,
    /// When its time ends.
    pub at: Timestamp,
    /// The digest as JSON.
    pub json: &'a str,
    /// Names of the targets.
    pub to: &'a [String],
}

/// Messages about one incident that something kept from a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// The incident.
    pub incident: String,
    /// To whom.
    pub receiver: String,
    /// What kept them.
    pub by: String,
    /// Those that wait.
    pub waiting: u64,
    /// Those that never went out, because something newer took their place.
    pub never_sent: u64,
}

/// A target that did not take messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubleRow {
    /// Which one.
    pub receiver: String,
    /// Messages given up.
    pub given_up: u64,
    /// Messages that failed and are tried again.
    pub retried: u64,
    /// What went wrong last.
    pub error: String,
}

impl Store {
    /// Keeps a digest with its messages, in one transaction; false when it was told already, and
    /// then nothing is written.
    ///
    /// # Errors
    ///
    /// When the disk or SQLite refuses; then nothing was written.
    pub fn keep_digest(&mut self, digest: &NewDigest<'_>) -> Result<bool, StoreError> {
        let NewDigest { id, at, json, to } = *digest;
        self.write("keep a digest", |tx| {
            let new = tx.execute(
                "INSERT OR IGNORE INTO digests (id, at, json) VALUES (?1, ?2, ?3)",
                params![id, at.as_millis(), json],
            )? > 0;
            for receiver in to.iter().filter(|_| new) {
                tx.execute(
                    "INSERT OR IGNORE INTO outbox (id, receiver, incident, kind, alert, created_at,
                                                   next_attempt_at)
                     VALUES (?1, ?2, ?3, 'digest', ?4, ?5, ?5)",
                    params![format!("{id}/{receiver}"), receiver, id, json, at.as_millis()],
                )?;
            }
            tx.execute(
                "DELETE FROM digests WHERE id IN
                    (SELECT id FROM digests ORDER BY at DESC, id LIMIT -1 OFFSET ?1)",
                [DIGESTS_MAX],
            )?;
            Ok(new)
        })
    }

    /// The newest digests as JSON, newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn digests(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        let found = self.digests_after(limit, None)?;
        Ok(found.into_iter().map(|(_, json)| json).collect())
    }

    /// The same, those that come after a place in the list, each with its own place: when its time
    /// ended, and its id.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn digests_after(
        &self,
        limit: u32,
        after: Option<Place>,
    ) -> Result<Vec<(Place, String)>, StoreError> {
        let (at, id) = after.unwrap_or((i64::MAX, String::new()));
        self.read("read digests", |c| {
            c.prepare(
                "SELECT at, id, json FROM digests
                 WHERE at <= ?2 AND (at < ?2 OR id > ?3) ORDER BY at DESC, id LIMIT ?1",
            )?
            .query_map(params![limit, at, id], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
            .collect()
        })
    }

    /// One digest as JSON; none if it is not kept any more.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn digest(&self, id: &str) -> Result<Option<String>, StoreError> {
        self.read("read a digest", |c| {
            c.query_row("SELECT json FROM digests WHERE id = ?1", [id], |row| row.get(0)).optional()
        })
    }

    /// The alerts decided between two instants, the second excluded, in order.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. An alert that cannot be is left out, and hides no other.
    pub fn alerts_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Alert>, StoreError> {
        let mut stored: Vec<String> = self.read("read alerts", |c| {
            c.prepare(
                "SELECT json FROM alerts WHERE at >= ?1 AND at < ?2 ORDER BY seq DESC LIMIT ?3",
            )?
            .query_map(params![from.as_millis(), to.as_millis(), ALERTS_MAX], |row| row.get(0))?
            .collect()
        })?;
        stored.reverse();
        Ok(readable(&stored))
    }

    /// The newest alerts before an instant of incidents that were open then. Of incidents that
    /// changed since, the log of alerts knows them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. An alert that cannot be is left out, and hides no other.
    pub fn open_at(&self, instant: Timestamp) -> Result<Vec<Alert>, StoreError> {
        let stored: Vec<String> = self.read("read incidents", |c| {
            c.prepare(
                "SELECT alert, updated_at AS at, id AS incident FROM incidents
                 WHERE state != 'resolved' AND updated_at < ?1
                 UNION ALL
                 SELECT json, at, incident FROM alerts WHERE seq IN
                    (SELECT max(seq) FROM alerts WHERE at < ?1 AND incident IN
                        (SELECT id FROM incidents WHERE updated_at >= ?1)
                     GROUP BY incident)
                 ORDER BY at, incident LIMIT ?2",
            )?
            .query_map(params![instant.as_millis(), ALERTS_MAX], |row| row.get(0))?
            .collect()
        })?;
        let mut open = readable(&stored);
        open.retain(|alert| alert.state != State::Resolved);
        Ok(open)
    }

    /// What was decided between two instants and kept from somebody who does not have it yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn held_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<HeldRow>, StoreError> {
        self.read("read what was held", |c| {
            c.prepare(
                "SELECT incident, receiver, held_by, sum(state = 'pending'),
                        sum(state = 'superseded')
                 FROM outbox
                 WHERE held_by IS NOT NULL AND state IN ('pending', 'superseded')
                   AND created_at >= ?1 AND created_at < ?2
                 GROUP BY incident, receiver, held_by ORDER BY min(seq)",
            )?
            .query_map(params![from.as_millis(), to.as_millis()], |row| {
                Ok(HeldRow {
                    incident: row.get(0)?,
                    receiver: row.get(1)?,
                    by: row.get(2)?,
                    waiting: count(row, 3)?,
                    never_sent: count(row, 4)?,
                })
            })?
            .collect()
        })
    }

    /// Which targets did not take what was decided between two instants, or what was given up
    /// between them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn troubles_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<TroubleRow>, StoreError> {
        self.read("read what was not delivered", |c| {
            // Of the columns beside `max`, SQLite takes the row in which it was found.
            c.prepare(
                "SELECT receiver, sum(state = 'dead'), sum(state = 'pending'), last_error, max(seq)
                 FROM outbox
                 WHERE last_error IS NOT NULL
                   AND iif(state = 'dead', coalesce(done_at, created_at), created_at) >= ?1
                   AND iif(state = 'dead', coalesce(done_at, created_at), created_at) < ?2
                   AND (state = 'dead' OR (state = 'pending' AND attempts > 0))
                 GROUP BY receiver ORDER BY receiver",
            )?
            .query_map(params![from.as_millis(), to.as_millis()], |row| {
                Ok(TroubleRow {
                    receiver: row.get(0)?,
                    given_up: count(row, 1)?,
                    retried: count(row, 2)?,
                    error: row.get(3)?,
                })
            })?
            .collect()
        })
    }
}

/// The alerts that can be read; that others cannot is logged.
fn readable(stored: &[String]) -> Vec<Alert> {
    let alerts: Vec<Alert> =
        stored.iter().filter_map(|json| serde_json::from_str(json).ok()).collect();
    let unreadable = stored.len() - alerts.len();
    if unreadable > 0 {
        warn!(unreadable, "stored alerts cannot be read; a digest leaves them out");
    }
    alerts
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}
