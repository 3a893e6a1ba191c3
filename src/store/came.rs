//! What incidents came to: what moved, what was blamed, and what people said.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, params};
use serde::Deserialize;

use super::{Store, StoreError, feedback};
use crate::series::Verdict;

/// What an incident was about, and what people said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// The signals that moved.
    pub signals: BTreeSet<String>,
    /// The causes that were named, the leading one first.
    pub causes: Vec<String>,
    /// The newest that was said of it.
    pub verdict: Option<Verdict>,
}

/// The parts of an alert that [`Came`] is made of.
#[derive(Deserialize)]
struct Brief {
    causes: Vec<Named>,
    signals: Vec<Moved>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Moved {
    signal: String,
}

impl Store {
    /// What the latest changed incidents came to, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. An incident that cannot be is left out.
    pub fn came(&self, limit: u32) -> Result<Vec<Came>, StoreError> {
        self.read("read incidents", |c| {
            let mut said = c.prepare_cached(
                "SELECT verdict FROM feedback WHERE incident = ?1 ORDER BY number DESC LIMIT 1",
            )?;
            let mut statement =
                c.prepare("SELECT id, alert FROM incidents ORDER BY updated_at DESC, id LIMIT ?1")?;
            let mut rows = statement.query(params![limit])?;
            let mut came = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, json): (String, String) = (row.get(0)?, row.get(1)?);
                let Ok(Brief { causes, signals }) = serde_json::from_str(&json) else { continue };
                came.push(Came {
                    signals: signals.into_iter().map(|moved| moved.signal).collect(),
                    causes: causes.into_iter().map(|cause| cause.id).collect(),
                    verdict: said.query_row([id], |row| feedback::verdict(row, 0)).optional()?,
                });
            }
            Ok(came)
        })
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::engine::alert::{Alert, Severity};
    use crate::store::{Opinion, Tick};

    const FIRING: &str = include_str!("../../tests/data/messages/firing.json");

    #[test]
    fn incidents_are_told_with_what_was_said_of_them() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(&dir.path().join("state.db")).unwrap();
        let base: Alert = serde_json::from_str(FIRING).unwrap();
        let severities =
            [Severity::Notice, Severity::Warning, Severity::Critical, Severity::Warning];
        let mut alerts = Vec::new();
        for (n, severity) in severities.into_iter().enumerate() {
            let mut alert = base.clone();
            alert.incident = format!("web-{n}");
            alert.severity = severity;
            alerts.push(alert);
        }
        let last_tick = base.at;
        let tick =
            Tick { last_tick, snapshot: None, alerts: &alerts, charts: &[], deliveries: &[] };
        store.commit(&tick).unwrap();
        for (incident, verdict) in [("web-1", Verdict::Useful), ("web-3", Verdict::False)] {
            let (incident, at) = (incident.to_owned(), base.at);
            let opinion = Opinion { incident, verdict, cause: None, note: None, at, by: None };
            store.give_feedback(&opinion).unwrap();
        }
        let came = store.came(10).unwrap();
        let verdicts: Vec<Option<Verdict>> = came.iter().map(|one| one.verdict).collect();
        assert_eq!(verdicts, [None, Some(Verdict::Useful), None, Some(Verdict::False)]);
        assert_eq!(came[0].causes[0], base.causes[0].id);
        assert!(came[0].signals.contains(&base.signals[0].signal));
    }
}
