//! Silences: alerts that match are kept from receivers until the silence ends. Whoever may write
//! to the file makes them, beside a running daemon or in it.

use rusqlite::{OptionalExtension as _, Row, params};
use schemars::JsonSchema;
use serde::Serialize;
use tracing::warn;

use super::{Store, StoreError, outbox};
use crate::matcher::{Matcher, VALUE_CHARS_MAX, VALUES_MAX};
use crate::time::{Span, Timestamp};

/// A silence has an end, and it is not farther away than this.
pub const SILENCE_MAX: Span = Span::DAY.times(90);
/// Silences that are not over, at most: each alert is held against all of them.
pub const SILENCES_OPEN_MAX: u32 = 1_000;
/// Silences that are over and kept; those that ended first go first.
const OVER_MAX: u32 = 10_000;
/// What stands before the number in the name of a silence.
const NAME: &str = "silence ";
/// Characters of a comment or of a name.
const TEXT_CHARS_MAX: usize = 500;

/// A silence that somebody made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Silence {
    /// What it is called by.
    pub number: i64,
    /// Which alerts it keeps back.
    #[serde(rename = "match")]
    pub matcher: Matcher,
    /// From when on.
    pub starts_at: Timestamp,
    /// The first instant at which it holds no more.
    pub ends_at: Timestamp,
    /// Why.
    pub comment: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub by: Option<String>,
}

/// A silence that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Which alerts it is to keep back.
    pub matcher: Matcher,
    /// Whether it is meant to be about every alert.
    pub all: bool,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Why.
    pub comment: String,
    /// By whom.
    pub by: Option<String>,
}

/// What is wrong with a draft: one of its parts (`match`, `starts_at`, `ends_at`, `comment`, `by`)
/// and why it cannot be.
pub type Flaw = (&'static str, String);

impl Silence {
    /// How messages call it: `silence 3`.
    pub fn name(&self) -> String {
        name(self.number)
    }

    /// Whether it keeps alerts back at an instant.
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.starts_at <= at && at < self.ends_at
    }
}

fn name(number: i64) -> String {
    format!("{NAME}{number}")
}

/// The number of what is called as a silence is.
pub(super) fn number(name: &str) -> Option<i64> {
    name.strip_prefix(NAME)?.parse().ok()
}

impl Draft {
    /// Everything that is wrong with it; nothing if it can be kept.
    pub fn flaws(&self, now: Timestamp) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        match (self.matcher.is_empty(), self.all) {
            (true, false) => {
                flaws.push(("match", "says nothing, which would silence everything".to_owned()));
            }
            (false, true) => {
                flaws.push(("match", "does not go with a silence of everything".to_owned()));
            }
            _ if self.matcher.is_too_large() => {
                let what = format!(
                    "must have at most {VALUES_MAX} values of one key, of at most \
                     {VALUE_CHARS_MAX} characters"
                );
                flaws.push(("match", what));
            }
            _ => {}
        }
        if self.ends_at <= self.starts_at {
            flaws.push(("ends_at", "must be after the begin".to_owned()));
        } else if self.ends_at <= now {
            flaws.push(("ends_at", "is over already".to_owned()));
        } else if SILENCE_MAX < self.ends_at - now {
            flaws.push(("ends_at", format!("must be within {SILENCE_MAX}")));
        }
        if self.comment.trim().is_empty() {
            flaws.push(("comment", "must say why".to_owned()));
        }
        for (part, text) in [("comment", Some(&self.comment)), ("by", self.by.as_ref())] {
            if text.is_some_and(|text| TEXT_CHARS_MAX < text.chars().count()) {
                flaws.push((part, format!("must have at most {TEXT_CHARS_MAX} characters")));
            }
        }
        flaws
    }
}

impl Store {
    /// Keeps a silence, which must have no [`Draft::flaws`].
    ///
    /// # Errors
    ///
    /// When there are too many already, or the disk or SQLite refuses.
    pub fn add_silence(&mut self, draft: Draft, now: Timestamp) -> Result<Silence, StoreError> {
        let Draft { matcher, all: _, starts_at, ends_at, comment, by } = draft;
        // Lists of texts always become JSON.
        let json = serde_json::to_string(&matcher).unwrap_or_default();
        let number = self.write("keep a silence", |tx| {
            let open: u32 = tx.query_row(
                "SELECT count(*) FROM silences WHERE ends_at > ?1",
                [now.as_millis()],
                |row| row.get(0),
            )?;
            if SILENCES_OPEN_MAX <= open {
                return Ok(None);
            }
            tx.execute(
                "INSERT INTO silences (matchers, starts_at, ends_at, comment, created_at, \"by\")
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    json,
                    starts_at.as_millis(),
                    ends_at.as_millis(),
                    comment,
                    now.as_millis(),
                    by
                ],
            )?;
            let number = tx.last_insert_rowid();
            tx.execute(
                "DELETE FROM silences WHERE number IN (SELECT number FROM silences
                    WHERE ends_at <= ?1 ORDER BY ends_at DESC, number DESC LIMIT -1 OFFSET ?2)",
                params![now.as_millis(), OVER_MAX],
            )?;
            Ok(Some(number))
        })?;
        let number = number.ok_or(StoreError::TooManySilences)?;
        Ok(Silence { number, matcher, starts_at, ends_at, comment, created_at: now, by })
    }

    /// Silences that are not over at an instant, those that end first first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. A silence that cannot be is left out: it must not stop what
    /// others would let through.
    pub fn open_silences(&self, at: Timestamp) -> Result<Vec<Silence>, StoreError> {
        self.read("read silences", |c| {
            c.prepare_cached("SELECT * FROM silences WHERE ends_at > ?1 ORDER BY ends_at, number")?
                .query_map([at.as_millis()], readable)?
                .filter_map(Result::transpose)
                .collect()
        })
    }

    /// The newest silences, over or not, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. A silence that cannot be is left out.
    pub fn silences(&self, limit: u32) -> Result<Vec<Silence>, StoreError> {
        self.silences_before(limit, i64::MAX)
    }

    /// The same of those with a smaller number.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. A silence that cannot be is left out.
    pub fn silences_before(&self, limit: u32, number: i64) -> Result<Vec<Silence>, StoreError> {
        self.read("read silences", |c| {
            c.prepare("SELECT * FROM silences WHERE number < ?2 ORDER BY number DESC LIMIT ?1")?
                .query_map([i64::from(limit), number], readable)?
                .filter_map(Result::transpose)
                .collect()
        })
    }

    /// Ends a silence now and lets go what it held; one that is over stays as it is. Returns it and
    /// how many messages go out.
    ///
    /// # Errors
    ///
    /// When there is no such silence, or the disk or SQLite refuses.
    pub fn end_silence(
        &mut self,
        number: i64,
        now: Timestamp,
    ) -> Result<(Silence, usize), StoreError> {
        let ended = self.write("end a silence", |tx| {
            tx.execute(
                "UPDATE silences SET ends_at = min(ends_at, ?2), starts_at = min(starts_at, ?2)
                 WHERE number = ?1",
                params![number, now.as_millis()],
            )?;
            let silence = tx
                .query_row("SELECT * FROM silences WHERE number = ?1", [number], read)
                .optional()?;
            Ok(silence.zip(Some(outbox::release(tx, &name(number), now)?)))
        })?;
        ended.ok_or(StoreError::NoSuchSilence { number })
    }
}

/// A silence, or nothing where the row cannot be read: it hides no other.
#[expect(clippy::unnecessary_wraps, reason = "a query's mapping answers so")]
fn readable(row: &Row<'_>) -> rusqlite::Result<Option<Silence>> {
    let skip = |problem: &_| warn!(%problem, "a silence cannot be read and is skipped");
    Ok(read(row).inspect_err(skip).ok())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Silence> {
    let json: String = row.get("matchers")?;
    let matcher = serde_json::from_str(&json).map_err(|problem| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(1, kind, Box::new(problem))
    })?;
    let instant = |name| row.get(name).map(Timestamp::from_millis);
    Ok(Silence {
        number: row.get("number")?,
        matcher,
        starts_at: instant("starts_at")?,
        ends_at: instant("ends_at")?,
        comment: row.get("comment")?,
        created_at: instant("created_at")?,
        by: row.get("by")?,
    })
}
