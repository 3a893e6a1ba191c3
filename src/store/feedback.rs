//! What people said about incidents. Written by whoever asks them, beside a running daemon or in
//! it; read by the daemon, which hands it to the engine.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Store, StoreError};
use crate::problem::{did_you_mean, quoted};
use crate::series::{Feedback, Verdict};
use crate::time::Timestamp;

/// Rows kept; the oldest go first. The engine has used them long before.
const ROWS_MAX: i64 = 10_000;
/// Feedback handed to the engine at once.
const BATCH_MAX: i64 = 1_000;
/// Words on one incident that are shown, the newest.
const SHOWN_MAX: i64 = 100;
/// Characters of a note, of a name or of a cause's id.
pub const OPINION_CHARS_MAX: usize = 2_000;
/// Newest incidents that an unknown one is compared with.
const COMPARED_MAX: i64 = 1_000;

/// What a person says about one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Id of the incident.
    pub incident: String,
    /// What it was worth.
    pub verdict: Verdict,
    /// Id of the true cause, where it was found; see [`Self::check_cause`].
    pub cause: Option<String>,
    /// For other people.
    pub note: Option<String>,
    /// When it was said.
    pub at: Timestamp,
    /// Who said it.
    pub by: Option<String>,
}

/// Why a cause cannot be the true one.
#[derive(Debug, thiserror::Error)]
#[error("{problem}\nhint: {hint}")]
pub struct CauseError {
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub hint: String,
}

impl Opinion {
    /// Whether a verdict may name this cause, one of those that the rules know.
    ///
    /// # Errors
    ///
    /// A cause of what was false, and one that there is not.
    pub fn check_cause<'k>(
        verdict: Verdict,
        cause: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) -> Result<(), CauseError> {
        if verdict == Verdict::False {
            let problem = "what was false has no cause".to_owned();
            let hint = "leave it out, or say `useful` or `expected`".to_owned();
            return Err(CauseError { problem, hint });
        }
        if known.clone().any(|id| id == cause) {
            return Ok(());
        }
        let problem = format!("no cause is called {}", quoted(cause));
        let hint = did_you_mean(cause, known, "causes");
        Err(CauseError { problem, hint: hint.unwrap_or_else(|| "no rule file has any".to_owned()) })
    }
}

impl Store {
    /// Writes down what a person said; returns its number. More than one opinion on an incident
    /// is fine: the newest counts.
    ///
    /// # Errors
    ///
    /// An incident that the file does not know, a text that is too long, or the disk's refusal.
    pub fn give_feedback(&mut self, opinion: &Opinion) -> Result<i64, StoreError> {
        let texts = [&opinion.cause, &opinion.note, &opinion.by];
        let longest = texts.into_iter().flatten().map(|text| text.chars().count()).max();
        if let Some(found) = longest.filter(|&chars| chars > OPINION_CHARS_MAX) {
            return Err(StoreError::TooLong { found, most: OPINION_CHARS_MAX });
        }
        let number = self.write("write feedback", |tx| {
            let known = "SELECT 1 FROM incidents WHERE id = ?1";
            if tx.query_row(known, [&opinion.incident], |_| Ok(())).optional()?.is_none() {
                return Ok(None);
            }
            tx.execute(
                "INSERT INTO feedback (incident, verdict, cause, note, at, \"by\")
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    opinion.incident,
                    opinion.verdict.name(),
                    opinion.cause,
                    opinion.note,
                    opinion.at.as_millis(),
                    opinion.by
                ],
            )?;
            let number = tx.last_insert_rowid();
            tx.execute("DELETE FROM feedback WHERE number <= ?1", [number - ROWS_MAX])?;
            Ok(Some(number))
        })?;
        match number {
            Some(number) => Ok(number),
            None => Err(self.no_such_incident(&opinion.incident)?),
        }
    }

    /// Feedback with a number above `number`, in order, for the engine: a thousand at most, the
    /// rest when these are used.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn feedback_after(&self, number: i64) -> Result<Vec<Feedback>, StoreError> {
        self.read("read feedback", |c| {
            c.prepare(
                "SELECT number, at, incident, verdict, cause FROM feedback
                 WHERE number > ?1 ORDER BY number LIMIT ?2",
            )?
            .query_map([number, BATCH_MAX], |row| {
                Ok(Feedback {
                    number: row.get(0)?,
                    at: Timestamp::from_millis(row.get(1)?),
                    incident: row.get(2)?,
                    verdict: verdict(row, 3)?,
                    cause: row.get(4)?,
                })
            })?
            .collect()
        })
    }

    /// What was said about one incident last, a hundred words at most, oldest first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn feedback_of(&self, incident: &str) -> Result<Vec<Opinion>, StoreError> {
        self.read("read feedback", |c| {
            c.prepare(
                "SELECT incident, verdict, cause, note, at, \"by\" FROM
                    (SELECT * FROM feedback WHERE incident = ?1 ORDER BY number DESC LIMIT ?2)
                 ORDER BY number",
            )?
            .query_map(params![incident, SHOWN_MAX], |row| {
                Ok(Opinion {
                    incident: row.get(0)?,
                    verdict: verdict(row, 1)?,
                    cause: row.get(2)?,
                    note: row.get(3)?,
                    at: Timestamp::from_millis(row.get(4)?),
                    by: row.get(5)?,
                })
            })?
            .collect()
        })
    }

    pub(super) fn no_such_incident(&self, incident: &str) -> Result<StoreError, StoreError> {
        let newest: Vec<String> = self.read("read incidents", |c| {
            c.prepare("SELECT id FROM incidents ORDER BY updated_at DESC, id LIMIT ?1")?
                .query_map([COMPARED_MAX], |row| row.get(0))?
                .collect()
        })?;
        let known = newest.iter().map(String::as_str);
        let hint = did_you_mean(incident, known, "incidents, newest first");
        let hint = hint.unwrap_or_else(|| "no incident was ever told".to_owned());
        Ok(StoreError::NoSuchIncident { incident: incident.to_owned(), hint })
    }
}

/// The verdict in a column; the table holds no other words.
pub(super) fn verdict(row: &Row<'_>, column: usize) -> rusqlite::Result<Verdict> {
    let word: String = row.get(column)?;
    Verdict::ALL.into_iter().find(|verdict| verdict.name() == word).ok_or_else(|| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, format!("`{word}`").into())
    })
}
