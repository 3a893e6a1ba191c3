//! What is kept, and what happens at each limit.

use rusqlite::{Transaction, params};

use crate::time::Timestamp;

/// How many rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Alerts in the log; the oldest go first.
    pub alerts: u32,
    /// Messages delivered, given up or superseded; the oldest go first.
    pub finished: u32,
    /// Messages waiting; beyond this the oldest are given up.
    pub pending: u32,
    /// Resolved incidents; those over longest go first.
    pub resolved: u32,
    /// Open incidents; those silent longest go first.
    pub open: u32,
}

/// Years of alerts at any sane budget.
const ALERTS_MAX: u32 = 100_000;
/// Enough to answer "was it sent, and when" for months.
const FINISHED_MAX: u32 = 10_000;
/// About 0.5 GB of messages that no receiver took.
const PENDING_MAX: u32 = 100_000;
/// As many as the log of messages.
const RESOLVED_MAX: u32 = 10_000;
/// Far more than can be open at once with the engine's own limits.
const OPEN_MAX: u32 = 10_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            alerts: ALERTS_MAX,
            finished: FINISHED_MAX,
            pending: PENDING_MAX,
            resolved: RESOLVED_MAX,
            open: OPEN_MAX,
        }
    }
}

/// Brings every table within its limit; returns how many waiting messages were given up.
///
/// Alerts after the snapshot stay whatever their number: their ticks will be processed again
/// after a crash, and only the log tells that what they decide is not news.
pub(super) fn apply(
    tx: &Transaction<'_>,
    limits: Limits,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let dropped = tx.execute(
        "UPDATE outbox SET state = 'dead', last_error = 'given up: the outbox is full', done_at = ?2
         WHERE seq IN (SELECT seq FROM outbox WHERE state = 'pending'
                       ORDER BY seq DESC LIMIT -1 OFFSET ?1)",
        params![limits.pending, now.as_millis()],
    )?;
    tx.execute(
        "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE state != 'pending'
                                          ORDER BY seq DESC LIMIT -1 OFFSET ?1)",
        [limits.finished],
    )?;
    tx.execute(
        "DELETE FROM alerts WHERE seq <= (SELECT max(seq) FROM alerts) - ?1
            AND at <= coalesce((SELECT at FROM snapshot), -9223372036854775807)",
        [limits.alerts],
    )?;
    // Pages draw the newest that an incident has, messages what they are about. The id of a message
    // begins with that of its alert and a slash, which `0` follows.
    tx.execute(
        "DELETE FROM charts
         WHERE NOT EXISTS (SELECT 1 FROM alerts a WHERE a.id = charts.alert AND NOT EXISTS
                (SELECT 1 FROM alerts n JOIN charts c ON c.alert = n.id
                 WHERE n.incident = a.incident AND n.seq > a.seq))
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id > charts.alert || '/'
                AND o.id < charts.alert || '0' AND o.state IN ('pending', 'dead'))",
        [],
    )?;
    for (condition, keep) in
        [("state = 'resolved'", limits.resolved), ("state IN ('firing', 'updated')", limits.open)]
    {
        let gone = tx.execute(
            &format!(
                "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE {condition}
                    ORDER BY updated_at DESC, id LIMIT -1 OFFSET ?1)"
            ),
            [keep],
        )?;
        if gone > 0 {
            for table in ["told", "acknowledgements", "steps"] {
                let orphans = "incident NOT IN (SELECT id FROM incidents)";
                tx.execute(&format!("DELETE FROM {table} WHERE {orphans}"), [])?;
            }
        }
    }
    Ok(dropped)
}
