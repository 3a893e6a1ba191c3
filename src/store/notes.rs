//! What was noticed beside incidents: written with the ticks, read for the digest.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{Store, StoreError};
use crate::time::{Span, Timestamp};

/// Rows kept; those over longest go first.
const ROWS_MAX: u32 = 20_000;
/// No digest looks further back.
const KEPT_FOR: Span = Span::WEEK.times(5);
/// Noticed again within this, it never stopped.
pub const NOTE_BREAK: Span = Span::from_hours(3);

/// Something that was noticed, for as long as it went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When it was first noticed.
    pub at: Timestamp,
    /// When it was noticed last.
    pub until: Timestamp,
    /// What it was.
    pub kind: NoteKind,
    /// Whose; empty where it concerns all.
    pub service: String,
    /// What tells it from others of its kind: a signal, an incident.
    pub subject: String,
    /// In words.
    pub text: String,
}

/// What can be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// A series moved too slowly for an incident.
    Crept,
    /// A level became normal.
    Relevelled,
    /// An incident stayed a notice because the budget was used up.
    Budget,
    /// An incident stayed a notice because people called its like false or expected.
    Habit,
    /// The whole fleet was low at once, and judged with more care.
    Calendar,
    /// Too much of a service was missing to judge it.
    Blind,
    /// The backend gave no answer to a signal's query.
    Unanswered,
    /// Series beyond the limit were left out.
    Beyond,
}

impl NoteKind {
    const ALL: [Self; 8] = [
        Self::Crept,
        Self::Relevelled,
        Self::Budget,
        Self::Habit,
        Self::Calendar,
        Self::Blind,
        Self::Unanswered,
        Self::Beyond,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Crept => "crept",
            Self::Relevelled => "relevelled",
            Self::Budget => "budget",
            Self::Habit => "habit",
            Self::Calendar => "calendar",
            Self::Blind => "blind",
            Self::Unanswered => "unanswered",
            Self::Beyond => "beyond",
        }
    }
}

impl Store {
    /// Keeps what was noticed at some ticks. What goes on is one row, which grows; the same notes
    /// again change nothing, so ticks may be processed twice.
    ///
    /// # Errors
    ///
    /// When the disk or SQLite refuses; then nothing was written.
    pub fn note(&mut self, notes: &[Note]) -> Result<(), StoreError> {
        let Some(newest) = notes.iter().map(|note| note.until).max() else { return Ok(()) };
        self.write("keep what was noticed", |tx| {
            for note in notes {
                put(tx, note)?;
            }
            tx.execute(
                "DELETE FROM notes WHERE until < ?2 OR number IN
                    (SELECT number FROM notes ORDER BY until DESC, number DESC LIMIT -1 OFFSET ?1)",
                params![ROWS_MAX, (newest - KEPT_FOR).as_millis()],
            )?;
            Ok(())
        })
    }

    /// What was noticed between two instants, the second excluded, in order of its beginning.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn notes(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Note>, StoreError> {
        self.read("read what was noticed", |c| {
            c.prepare(
                "SELECT at, until, kind, service, subject, text FROM notes
                 WHERE until >= ?1 AND at < ?2 ORDER BY at, kind, service, subject",
            )?
            .query_map(params![from.as_millis(), to.as_millis()], read)?
            .collect()
        })
    }
}

fn put(tx: &Transaction<'_>, note: &Note) -> rusqlite::Result<()> {
    let Note { at, until, kind, service, subject, text } = note;
    let (at, until, kind) = (at.as_millis(), until.as_millis(), kind.name());
    let same: Option<i64> = tx
        .prepare_cached(
            "SELECT number FROM notes
             WHERE kind = ?1 AND service = ?2 AND subject = ?3 AND at <= ?5 AND ?4 <= until + ?6
             ORDER BY at DESC LIMIT 1",
        )?
        .query_row(params![kind, service, subject, at, until, NOTE_BREAK.as_millis()], |row| {
            row.get(0)
        })
        .optional()?;
    match same {
        Some(number) => tx
            .prepare_cached(
                "UPDATE notes SET until = ?2, text = ?3 WHERE number = ?1 AND until < ?2",
            )?
            .execute(params![number, until, text]),
        None => tx
            .prepare_cached(
                "INSERT INTO notes (at, until, kind, service, subject, text)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![at, until, kind, service, subject, text]),
    }?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Note> {
    let name: String = row.get(2)?;
    let kind = NoteKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let what = format!("`{name}` is no kind of note").into();
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, what)
    })?;
    Ok(Note {
        at: Timestamp::from_millis(row.get(0)?),
        until: Timestamp::from_millis(row.get(1)?),
        kind,
        service: row.get(3)?,
        subject: row.get(4)?,
        text: row.get(5)?,
    })
}
