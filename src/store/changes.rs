//! Changes that were posted: kept until they are too old to matter.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{Store, StoreError};
use crate::changes::outside::Posted;
use crate::series::{Change, ChangeKind, stable_hash};
use crate::time::Timestamp;

/// Posted changes that are kept; the first posted go first. As many as an engine remembers.
pub const CHANGES_MAX: u32 = 10_000;

/// What became of a posted change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its id: the same for the same kind, service, time and text.
    pub id: String,
    /// False when it was known already, with this end.
    pub new: bool,
}

/// Which posted changes are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Those that begin at this instant or later.
    pub from: Option<Timestamp>,
    /// Those that begin at this instant or earlier.
    pub to: Option<Timestamp>,
    /// Those of this service.
    pub service: Option<String>,
    /// Those that come after this place in the list: when one began, and its number.
    pub after: Option<(Timestamp, i64)>,
    /// So many at most.
    pub limit: u32,
}

impl Store {
    /// Keeps changes, all or none. One that is known is left as it is; one with another end than
    /// before counts as posted anew, so that the engine hears of it. The earlier word stays for
    /// ticks that may be processed again and did not know the newer one.
    ///
    /// # Errors
    ///
    /// When the disk or SQLite refuses; then nothing was written.
    pub fn post_changes(
        &mut self,
        posted_at: Timestamp,
        changes: &[Change],
    ) -> Result<Vec<Stored>, StoreError> {
        self.write("keep posted changes", |tx| {
            let stored = changes
                .iter()
                .map(|change| put(tx, posted_at, change))
                .collect::<rusqlite::Result<Vec<_>>>()?;
            tx.execute(
                "DELETE FROM changes WHERE EXISTS
                    (SELECT 1 FROM changes AS newer
                     WHERE newer.id = changes.id AND newer.number > changes.number
                       AND newer.posted_at <= (SELECT at FROM snapshot))",
                [],
            )?;
            tx.execute(
                "DELETE FROM changes WHERE number IN
                    (SELECT number FROM changes ORDER BY number DESC LIMIT -1 OFFSET ?1)",
                [CHANGES_MAX],
            )?;
            Ok(stored)
        })
    }

    /// Changes posted after number `after`, in the order in which they were posted: every word,
    /// also those that a later one replaced.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn changes_after(&self, after: i64) -> Result<Vec<Posted>, StoreError> {
        self.read("read posted changes", |c| {
            c.prepare_cached("SELECT * FROM changes WHERE number > ?1 ORDER BY number")?
                .query_map([after], read)?
                .collect()
        })
    }

    /// Posted changes that match, each with its newest end, the latest first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn changes(&self, wanted: &Wanted) -> Result<Vec<Posted>, StoreError> {
        self.read("read posted changes", |c| {
            c.prepare(
                "SELECT * FROM changes
                 WHERE at >= coalesce(?1, at) AND at <= coalesce(?2, at)
                   AND service = coalesce(?3, service)
                   AND (?5 IS NULL OR (at, number) < (?5, ?6))
                   AND NOT EXISTS (SELECT 1 FROM changes AS newer
                                   WHERE newer.id = changes.id AND newer.number > changes.number)
                 ORDER BY at DESC, number DESC LIMIT ?4",
            )?
            .query_map(
                params![
                    wanted.from.map(Timestamp::as_millis),
                    wanted.to.map(Timestamp::as_millis),
                    wanted.service,
                    wanted.limit,
                    wanted.after.map(|(at, _)| at.as_millis()),
                    wanted.after.map(|(_, number)| number)
                ],
                read,
            )?
            .collect()
        })
    }
}

/// The name of a change: 32 hexadecimal digits.
fn id_of(change: &Change) -> String {
    let at = change.at.as_millis().to_string();
    let id = stable_hash(&[change.kind.name(), &change.service, &at, &change.what]);
    format!("{id:032x}")
}

fn put(tx: &Transaction<'_>, posted_at: Timestamp, change: &Change) -> rusqlite::Result<Stored> {
    let id = id_of(change);
    let end = change.end.map(Timestamp::as_millis);
    let known: Option<Option<i64>> = tx
        .query_row(
            "SELECT ended_at FROM changes WHERE id = ?1 ORDER BY number DESC LIMIT 1",
            [&id],
            |row| row.get(0),
        )
        .optional()?;
    // Who says again how it began does not take back when it was over.
    if known.is_some_and(|known| end.is_none() || known == end) {
        return Ok(Stored { id, new: false });
    }
    tx.execute(
        "INSERT INTO changes (id, posted_at, at, ended_at, kind, service, what)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            id,
            posted_at.as_millis(),
            change.at.as_millis(),
            end,
            change.kind.name(),
            change.service,
            change.what
        ],
    )?;
    Ok(Stored { id, new: true })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Posted> {
    let kind: String = row.get("kind")?;
    let known = ChangeKind::ALL.into_iter().find(|known| known.name() == kind);
    let kind = known.ok_or_else(|| {
        let what = format!("`{kind}` is no kind of change").into();
        rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Text, what)
    })?;
    Ok(Posted {
        number: row.get("number")?,
        id: row.get("id")?,
        posted_at: Timestamp::from_millis(row.get("posted_at")?),
        change: Change {
            at: Timestamp::from_millis(row.get("at")?),
            end: row.get::<_, Option<i64>>("ended_at")?.map(Timestamp::from_millis),
            kind,
            service: row.get("service")?,
            what: row.get("what")?,
        },
    })
}
