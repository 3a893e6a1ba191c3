//! What the file holds, in numbers: for metrics, API and pages.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::{Store, StoreError};
use crate::time::{Span, Timestamp};

/// What the file holds at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// That instant.
    pub at: Timestamp,
    /// Size of the file, its log not counted.
    pub file_bytes: u64,
    /// The tick of the last snapshot, and its size in bytes.
    pub snapshot: Option<(Timestamp, u64)>,
    /// Incidents that go on, by severity.
    pub open: BTreeMap<String, u64>,
    /// Incidents of the last seven days that count against the budget for notices, and those of
    /// them that count against the one for alerts.
    pub charged: [u64; 2],
    /// Silences that are not over.
    pub silences: u64,
    /// Messages that have not arrived.
    pub outbox: Vec<Queue>,
}

impl Figures {
    /// How many messages stand so, of all receivers: `pending`, `held` or `dead`.
    pub fn messages(&self, state: &str) -> u64 {
        let queues = self.outbox.iter().filter(|queue| queue.state == state);
        queues.map(|queue| queue.messages).sum()
    }
}

/// Messages of one receiver that stand alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The target.
    pub receiver: String,
    /// `pending`, `held` or `dead`.
    pub state: &'static str,
    /// How many.
    pub messages: u64,
    /// When the oldest of them was decided.
    pub oldest: Timestamp,
}

impl Store {
    /// What the file holds. Cost: what waits or was given up, and the incidents of a week.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn figures(&self, now: Timestamp) -> Result<Figures, StoreError> {
        self.read("count what there is", |c| {
            let pages: i64 = c.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            let page: i64 = c.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            let silences = "SELECT count(*) FROM silences WHERE ends_at > ?1";
            Ok(Figures {
                at: now,
                file_bytes: pages.saturating_mul(page).unsigned_abs(),
                snapshot: snapshot(c)?,
                open: open(c)?,
                charged: charged(c, now - Span::WEEK)?,
                silences: c
                    .query_row(silences, [now.as_millis()], |row| row.get::<_, i64>(0))?
                    .unsigned_abs(),
                outbox: outbox(c, now)?,
            })
        })
    }
}

fn snapshot(c: &Connection) -> rusqlite::Result<Option<(Timestamp, u64)>> {
    c.query_row("SELECT at, length(bytes) FROM snapshot", [], |row| {
        Ok((Timestamp::from_millis(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs()))
    })
    .optional()
}

fn open(c: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    c.prepare("SELECT severity, count(*) FROM incidents WHERE state <> 'resolved' GROUP BY 1")?
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
        .collect()
}

/// As a digest counts them: told first in this time, users never affected, and nobody called them
/// useful. From the incidents to their alerts, since the log of alerts is long.
fn charged(c: &Connection, from: Timestamp) -> rusqlite::Result<[u64; 2]> {
    c.query_row(
        "SELECT count(*), coalesce(sum(highest), 0) FROM (
            SELECT max(CASE a.json ->> 'severity' WHEN 'critical' THEN 2 WHEN 'warning' THEN 1
                       ELSE 0 END) AS highest
            FROM incidents i CROSS JOIN alerts a ON a.incident = i.id AND a.at > :from
            WHERE i.updated_at > :from
              AND coalesce((SELECT verdict FROM feedback f WHERE f.incident = i.id
                            ORDER BY number DESC LIMIT 1), '') <> 'useful'
            GROUP BY i.id
            HAVING highest < 2 AND max(a.json ->> 'state' = 'firing') = 1)",
        named_params! { ":from": from.as_millis() },
        |row| Ok([row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs()]),
    )
}

fn outbox(c: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Queue>> {
    let mut queues = Vec::new();
    for (state, condition) in [
        ("pending", "state = 'pending' AND coalesce(hold_until, 0) <= ?1"),
        ("held", "state = 'pending' AND hold_until > ?1"),
        ("dead", "state = 'dead' AND ?1 IS NOT NULL"),
    ] {
        let query = format!(
            "SELECT receiver, count(*), min(created_at) FROM outbox WHERE {condition} GROUP BY 1"
        );
        let mut statement = c.prepare(&query)?;
        let rows = statement.query_map([now.as_millis()], |row| {
            Ok(Queue {
                receiver: row.get(0)?,
                state,
                messages: row.get::<_, i64>(1)?.unsigned_abs(),
                oldest: Timestamp::from_millis(row.get(2)?),
            })
        })?;
        for queue in rows {
            queues.push(queue?);
        }
    }
    Ok(queues)
}
