//! Incidents as people ask for them: what was told last, and what was said about it.

use rusqlite::{OptionalExtension as _, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Acknowledged, Opinion, Store, StoreError};
use crate::engine::alert::{Alert, State};
use crate::series::Verdict;
use crate::time::Timestamp;

/// An incident in one row.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "IncidentSummary")]
pub struct Summary {
    /// Its id.
    pub incident: String,
    /// The service that it is about.
    pub service: String,
    /// `notice`, `warning`, `critical`.
    pub severity: String,
    /// `firing`, `updated`, `resolved`.
    pub state: String,
    /// What happens; not what changed last.
    pub title: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was seen to be over; none while it goes on.
    pub ended_at: Option<Timestamp>,
    /// When it was told last, for pages: what the title says was true then.
    #[serde(skip)]
    pub told_at: Timestamp,
    /// Id of the leading cause.
    pub cause: Option<String>,
    /// How probable that is, 0 to 1.
    pub probability: Option<f64>,
    /// Who looks after it; none while nobody said so.
    pub acknowledged: Option<Acknowledged>,
    /// What was said about it, oldest first.
    pub feedback: Vec<Said>,
    /// Messages about it that wait for a silence, maintenance or quiet hours to end.
    pub held: Vec<Held>,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "HeldMessage")]
pub struct Held {
    /// To whom it is.
    pub receiver: String,
    /// Until when it waits.
    pub until: Timestamp,
    /// For what: `silence 3`, `quiet hours of oncall`, `maintenance backup`.
    pub by: String,
}

/// A list of incidents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// Those that could be read.
    pub incidents: Vec<Summary>,
    /// Those that could not.
    pub unreadable: usize,
    /// The last one looked at, where there may be more behind it.
    pub last: Option<Place>,
}

/// A place in a list of which the latest comes first: when that was, in Unix milliseconds, and its
/// id. Of an incident, when it changed.
pub type Place = (i64, String);

/// An incident with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Incident")]
pub struct Whole {
    /// The newest alert.
    pub alert: Alert,
    /// Who looks after it; none while nobody said so.
    pub acknowledged: Option<Acknowledged>,
    /// What was said about it, oldest first.
    pub feedback: Vec<Said>,
}

/// What somebody said about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Feedback")]
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
    pub(super) fn new(whole: Whole, held: Vec<Held>) -> Self {
        let Whole { alert, acknowledged, feedback } = whole;
        let title = alert.news().1.to_owned();
        let leading = alert.causes.into_iter().next();
        Self {
            incident: alert.incident,
            service: alert.service,
            severity: alert.severity.to_string(),
            state: alert.state.to_string(),
            title,
            started_at: alert.started_at,
            ended_at: (alert.state == State::Resolved).then_some(alert.at),
            told_at: alert.at,
            probability: leading.as_ref().map(|cause| cause.probability),
            cause: leading.map(|cause| cause.id),
            acknowledged,
            feedback,
            held,
        }
    }
}

impl Store {
    /// Incidents, the latest changed first, at most `limit`: only those that go on, or only those
    /// that are over, where `open` says so. Cost: what is returned, however many there are.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. An alert that cannot be is counted, and hides no other.
    pub fn summaries(&self, limit: u32, open: Option<bool>) -> Result<Listed, StoreError> {
        self.summaries_after(limit, open, None)
    }

    /// The same, those that come after a place in the list.
    ///
    /// # Errors
    ///
    /// As with [`Self::summaries`].
    pub fn summaries_after(
        &self,
        limit: u32,
        open: Option<bool>,
        after: Option<Place>,
    ) -> Result<Listed, StoreError> {
        let stored = self.incidents_after(limit, open, after)?;
        let mut listed = Listed::default();
        let full = u32::try_from(stored.len()).is_ok_and(|count| count == limit);
        for (place, json) in stored {
            listed.last = Some(place).filter(|_| full);
            match serde_json::from_str::<Alert>(&json) {
                Ok(alert) => {
                    let held = self.held(&alert.incident)?;
                    listed.incidents.push(Summary::new(self.with_words(alert)?, held));
                }
                Err(_) => listed.unreadable += 1,
            }
        }
        Ok(listed)
    }

    /// What waits of the messages about one incident.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn held(&self, incident: &str) -> Result<Vec<Held>, StoreError> {
        self.read("read what waits", |c| {
            c.prepare_cached(
                "SELECT o.receiver, o.hold_until, o.held_by
                 FROM told t JOIN outbox o ON o.receiver = t.receiver AND o.incident = t.incident
                 WHERE t.incident = ?1 AND o.state = 'pending' AND o.hold_until IS NOT NULL
                   AND o.held_by IS NOT NULL
                 ORDER BY o.seq",
            )?
            .query_map([incident], |row| {
                let until = Timestamp::from_millis(row.get(1)?);
                Ok(Held { receiver: row.get(0)?, until, by: row.get(2)? })
            })?
            .collect()
        })
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
            Some(alert) => self.with_words(alert),
            None => Err(self.no_such_incident(id)?),
        }
    }

    pub(super) fn with_words(&self, alert: Alert) -> Result<Whole, StoreError> {
        let feedback = self.feedback_of(&alert.incident)?.into_iter().map(Said::from).collect();
        let acknowledged = self.acknowledged(&alert.incident)?;
        Ok(Whole { alert, acknowledged, feedback })
    }
}

/// The newest alerts behind a place, in the order of an index: one for each question, since SQLite
/// uses none for a condition that is a parameter.
pub(super) const fn list(open: Option<bool>) -> &'static str {
    match open {
        None => {
            "SELECT updated_at, id, alert FROM incidents
             WHERE updated_at <= ?2 AND (updated_at < ?2 OR id > ?3)
             ORDER BY updated_at DESC, id LIMIT ?1"
        }
        Some(true) => {
            "SELECT updated_at, id, alert FROM incidents
             WHERE state <> 'resolved' AND updated_at <= ?2 AND (updated_at < ?2 OR id > ?3)
             ORDER BY updated_at DESC, id LIMIT ?1"
        }
        Some(false) => {
            "SELECT updated_at, id, alert FROM incidents
             WHERE state = 'resolved' AND updated_at <= ?2 AND (updated_at < ?2 OR id > ?3)
             ORDER BY updated_at DESC, id LIMIT ?1"
        }
    }
}

/// The alert in the first column.
pub(super) fn alert(row: &Row<'_>) -> rusqlite::Result<Alert> {
    let json: String = row.get(0)?;
    serde_json::from_str(&json).map_err(|problem| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(problem))
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use tempfile::TempDir;

    use super::*;
    use crate::store::Tick;
    use crate::time::Span;

    const FIRING: &str = include_str!("../../tests/data/messages/firing.json");

    fn nth(n: i64) -> Alert {
        let mut alert: Alert = serde_json::from_str(FIRING).unwrap();
        alert.incident = format!("web-{n}");
        alert.at = alert.at + Span::from_mins(n);
        alert.state = if n % 50 == 0 { State::Firing } else { State::Resolved };
        alert
    }

    #[test]
    fn a_list_costs_what_it_holds() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(&dir.path().join("state.db")).unwrap();
        let steps = |store: &Store, open| {
            let mut statement = store.connection.prepare(list(open)).unwrap();
            let from = rusqlite::params![3, i64::MAX, ""];
            let rows: Vec<String> =
                statement.query_map(from, |row| row.get(2)).unwrap().map(Result::unwrap).collect();
            assert_eq!(rows.len(), 3);
            (statement.get_status(StatementStatus::VmStep), rows)
        };
        let mut costs = Vec::new();
        for part in [0..300, 300..900] {
            let alerts: Vec<Alert> = part.map(nth).collect();
            let last_tick = alerts.last().unwrap().at;
            let tick =
                Tick { last_tick, snapshot: None, alerts: &alerts, charts: &[], deliveries: &[] };
            store.commit(&tick).unwrap();
            costs.push([None, Some(true), Some(false)].map(|open| steps(&store, open).0));
        }
        assert_eq!(costs[0], costs[1], "as much with three times as many");
        let (_, open) = steps(&store, Some(true));
        let newest: Alert = serde_json::from_str(&open[0]).unwrap();
        assert_eq!(newest.incident, "web-850");
    }

    #[test]
    fn an_alert_that_cannot_be_read_hides_no_other() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(&dir.path().join("state.db")).unwrap();
        let alerts: Vec<Alert> = (0..3).map(nth).collect();
        let last_tick = alerts[2].at;
        let tick =
            Tick { last_tick, snapshot: None, alerts: &alerts, charts: &[], deliveries: &[] };
        store.commit(&tick).unwrap();
        let damage = "UPDATE incidents SET alert = '{\"schema\": 1}' WHERE id = 'web-1'";
        store.connection.execute(damage, []).unwrap();
        let listed = store.summaries(10, None).unwrap();
        let ids: Vec<&str> = listed.incidents.iter().map(|row| row.incident.as_str()).collect();
        assert_eq!((ids, listed.unreadable), (vec!["web-2", "web-0"], 1));
    }
}
