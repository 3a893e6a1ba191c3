//! What can be sent now, and when to look again.

use rusqlite::{OptionalExtension as _, Row, named_params};

use super::super::charts;
use super::{Kind, Outgoing};
use crate::store::{Store, StoreError};
use crate::time::{Span, Timestamp};

/// No attempt is ever put off further than this, so a row that seems to be was written before
/// the clock was set back, and is due. A hold has its own column, and may last for weeks.
pub(super) const PUT_OFF_MAX: Span = Span::from_hours(1);

impl Store {
    /// What can be sent to a receiver now, at most `limit`: the longest due first.
    ///
    /// Messages about one incident keep their order: one is due only when those before it are
    /// done, given up or superseded, so that nobody reads of an end before its beginning, and no
    /// two of the rows given are about the same incident. Only that somebody looks after it does
    /// not wait for what was held: who was told already calls people meanwhile.
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
            // The alert's id is looked up in its own index: the row's id without the receiver.
            c.prepare_cached(
                "SELECT o.id, o.receiver, o.incident, o.alert, o.created_at, o.attempts,
                        o.first_attempt_at, o.kind, coalesce(t.first, o.id), t.handle, c.bytes
                 FROM outbox o
                 LEFT JOIN told t ON t.incident = o.incident AND t.receiver = o.receiver
                 LEFT JOIN charts c
                    ON c.alert = substr(o.id, 1, length(o.id) - length(o.receiver) - 1)
                 WHERE o.state = 'pending' AND o.receiver = :receiver
                   AND (o.next_attempt_at <= :now OR o.next_attempt_at > :never)
                   AND coalesce(o.hold_until, 0) <= :now
                   AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.state = 'pending'
                        AND e.receiver = o.receiver AND e.incident = o.incident
                        AND e.seq < o.seq
                        AND NOT (o.kind = 'acknowledge' AND e.hold_until IS NOT NULL))
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
                .prepare_cached(
                    "SELECT min(max(o.next_attempt_at, coalesce(o.hold_until, 0))) FROM outbox o
                     WHERE o.state = 'pending' AND o.receiver = ?1
                       AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.state = 'pending'
                            AND e.receiver = o.receiver AND e.incident = o.incident
                            AND e.seq < o.seq
                            AND NOT (o.kind = 'acknowledge' AND e.hold_until IS NOT NULL))",
                )?
                .query_row([receiver], |row| row.get(0))
                .optional()?
                .flatten();
            Ok(at.map(Timestamp::from_millis))
        })
    }

    /// The newest message that a receiver took about each incident that is open, where that is
    /// `every` ago or longer: at most `limit`, the longest ago first. Where it took none and the
    /// newest was given up so long ago, that one: the receiver may have been mended since.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn to_repeat(
        &self,
        now: Timestamp,
        every: Span,
        receiver: &str,
        limit: u32,
    ) -> Result<Vec<Outgoing>, StoreError> {
        self.read("read what must be repeated", |c| {
            // From the incidents, of which few are open. A message that retention has taken is
            // made again of the incident's newest alert. A time in the future was written before
            // the clock was set back.
            c.prepare_cached(
                "SELECT coalesce(o.id, t.first, t.incident || '/' || t.receiver), t.receiver,
                        t.incident, coalesce(o.alert, i.alert),
                        coalesce(o.created_at, i.updated_at), 0, NULL, 'alert',
                        coalesce(t.first, o.id, t.incident || '/' || t.receiver), t.handle, NULL
                 FROM incidents i
                 CROSS JOIN told t ON t.incident = i.id AND t.receiver = :receiver
                 LEFT JOIN outbox o ON o.seq = coalesce(
                    (SELECT max(d.seq) FROM outbox d WHERE d.state = 'done'
                        AND d.kind = 'alert' AND d.receiver = t.receiver
                        AND d.incident = t.incident),
                    (SELECT max(d.seq) FROM outbox d WHERE d.state = 'dead'
                        AND d.kind = 'alert' AND d.receiver = t.receiver
                        AND d.incident = t.incident))
                 WHERE i.state IN ('firing', 'updated')
                   AND (t.delivered_at <= :before OR t.delivered_at > :now
                        OR (t.delivered_at IS NULL AND o.state = 'dead'
                            AND coalesce(o.done_at, o.created_at) <= :before
                            AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.state = 'pending'
                                AND p.kind = 'alert' AND p.receiver = t.receiver
                                AND p.incident = t.incident)))
                 ORDER BY t.delivered_at LIMIT :limit",
            )?
            .query_map(
                named_params! {
                    ":receiver": receiver,
                    ":before": (now - every).as_millis(),
                    ":now": now.as_millis(),
                    ":limit": limit,
                },
                outgoing,
            )?
            .collect()
        })
    }

    /// When the oldest of what a receiver was told about open incidents was told.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn told_longest_ago(&self, receiver: &str) -> Result<Option<Timestamp>, StoreError> {
        self.read("read what must be repeated next", |c| {
            let at: Option<i64> = c
                .prepare_cached(
                    "SELECT min(t.delivered_at) FROM incidents i
                     CROSS JOIN told t ON t.incident = i.id AND t.receiver = ?1
                     WHERE i.state IN ('firing', 'updated')",
                )?
                .query_row([receiver], |row| row.get(0))?;
            Ok(at.map(Timestamp::from_millis))
        })
    }
}

fn outgoing(row: &Row<'_>) -> rusqlite::Result<Outgoing> {
    let kind: String = row.get(7)?;
    let chart: Option<Vec<u8>> = row.get(10)?;
    Ok(Outgoing {
        id: row.get(0)?,
        receiver: row.get(1)?,
        incident: row.get(2)?,
        alert: row.get(3)?,
        created_at: Timestamp::from_millis(row.get(4)?),
        attempts: row.get(5)?,
        first_attempt_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
        kind: match kind.as_str() {
            "digest" => Kind::Digest,
            "acknowledge" => Kind::Acknowledge,
            _ => Kind::Alert,
        },
        first: row.get(8)?,
        handle: row.get(9)?,
        chart: chart.and_then(|bytes| charts::read(&bytes)),
    })
}
