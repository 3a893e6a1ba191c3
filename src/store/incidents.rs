//! Incidents as people ask for them: what was told last, and what was said about it.

use rusqlite::{OptionalExtension as _, Row};
use serde::Serialize;

use super::{Opinion, Store, StoreError};
use crate::engine::alert::{Alert, State};
use crate::series::Verdict;
use crate::time::Timestamp;

/// An incident in one row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Its id.
    pub incident: String,
    /// The service that it is about.
    pub service: String,
    /// `notice`, `warning`, `critical`.
    pub severity: String,
    /// `firing`, `updated`, `resolved`.
    pub state: String,
    /// What happens.
    pub title: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was seen to be over; none while it goes on.
    pub ended_at: Option<Timestamp>,
    /// Id of the leading cause.
    pub cause: Option<String>,
    /// How probable that is, 0 to 1.
    pub probability: Option<f64>,
    /// What was said about it, oldest first.
    pub feedback: Vec<Said>,
}

/// An incident with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Whole {
    /// The newest alert.
    pub alert: Alert,
    /// What was said about it, oldest first.
    pub feedback: Vec<Said>,
}

/// What somebody said about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// What it was worth.
    pub verdict: Verdict,
    /// The true cause.
    pub cause: Option<String>,
    /// For other people.
    pub note: Option<String>,
    /// When it was said.
    pub at: Timestamp,
    /// Who said it.
    pub by: Option<String>,
}

impl From<Opinion> for Said {
    fn from(opinion: Opinion) -> Self {
        let Opinion { verdict, cause, note, at, by, incident: _ } = opinion;
        Self { verdict, cause, note, at, by }
    }
}

impl Summary {
    fn new(whole: Whole) -> Self {
        let Whole { alert, feedback } = whole;
        let leading = alert.causes.into_iter().next();
        Self {
            incident: alert.incident,
            service: alert.service,
            severity: alert.severity.to_string(),
            state: alert.state.to_string(),
            title: alert.title,
            started_at: alert.started_at,
            ended_at: (alert.state == State::Resolved).then_some(alert.at),
            probability: leading.as_ref().map(|cause| cause.probability),
            cause: leading.map(|cause| cause.id),
            feedback,
        }
    }
}

impl Store {
    /// Incidents, the latest changed first, at most `limit`: only those that go on, or only those
    /// that are over, where `open` says so.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn summaries(&self, limit: u32, open: Option<bool>) -> Result<Vec<Summary>, StoreError> {
        let alerts: Vec<Alert> = self.read("read incidents", |c| {
            c.prepare(
                "SELECT alert FROM incidents WHERE coalesce((state != 'resolved') = ?2, TRUE)
                 ORDER BY updated_at DESC, id LIMIT ?1",
            )?
            .query_map((limit, open), alert)?
            .collect()
        })?;
        let whole = alerts.into_iter().map(|alert| self.with_feedback(alert));
        whole.map(|whole| whole.map(Summary::new)).collect()
    }

    /// One incident.
    ///
    /// # Errors
    ///
    /// When the file does not know it or cannot be read.
    pub fn incident(&self, id: &str) -> Result<Whole, StoreError> {
        let found = self.read("read an incident", |c| {
            c.query_row("SELECT alert FROM incidents WHERE id = ?1", [id], alert).optional()
        })?;
        match found {
            Some(alert) => self.with_feedback(alert),
            None => Err(self.no_such_incident(id)?),
        }
    }

    fn with_feedback(&self, alert: Alert) -> Result<Whole, StoreError> {
        let feedback = self.feedback_of(&alert.incident)?.into_iter().map(Said::from).collect();
        Ok(Whole { alert, feedback })
    }
}

/// The alert in the first column.
fn alert(row: &Row<'_>) -> rusqlite::Result<Alert> {
    let json: String = row.get(0)?;
    serde_json::from_str(&json).map_err(|problem| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(problem))
    })
}
