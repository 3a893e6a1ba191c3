//! What is left of an incident once it is over: what moved, as it was told last, and who was told.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError, charts};
use crate::engine::alert::Alert;
use crate::engine::chart::Chart;
use crate::time::Timestamp;

/// Alerts of one incident that are looked through for signals, the newest first: those behind are
/// about another part of its course.
const LOOKED_MAX: u32 = 20;

impl Store {
    /// The newest alert of an incident that tells of signals: one about its end tells of none.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. An alert that cannot be is left out, and hides no other.
    pub fn last_with_signals(&self, incident: &str) -> Result<Option<Alert>, StoreError> {
        self.read("read what moved in an incident", |c| {
            let mut query = c.prepare_cached(
                "SELECT json FROM alerts WHERE incident = ?1 ORDER BY seq DESC LIMIT ?2",
            )?;
            let mut rows = query.query(params![incident, LOOKED_MAX])?;
            while let Some(row) = rows.next()? {
                let json: String = row.get(0)?;
                let alert = serde_json::from_str::<Alert>(&json).ok();
                if let Some(alert) = alert.filter(|alert| !alert.signals.is_empty()) {
                    return Ok(Some(alert));
                }
            }
            Ok(None)
        })
    }

    /// The newest picture that was kept of an incident.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn last_chart(&self, incident: &str) -> Result<Option<Chart>, StoreError> {
        let kept: Option<Vec<u8>> = self.read("read a chart", |c| {
            c.prepare_cached(
                "SELECT c.bytes FROM alerts a CROSS JOIN charts c ON c.alert = a.id
                 WHERE a.incident = ?1 ORDER BY a.seq DESC LIMIT 1",
            )?
            .query_row([incident], |row| row.get(0))
            .optional()
        })?;
        Ok(kept.and_then(|bytes| charts::read(&bytes)))
    }

    /// Those of these alerts that were never a message to anybody, as far as the file remembers.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn sent_to_nobody(&self, alerts: &[Alert]) -> Result<BTreeSet<String>, StoreError> {
        self.read("read who was not told", |c| {
            // What waits is never forgotten, and so tells nothing of what was.
            let first: Option<(i64, i64)> = c
                .prepare_cached(
                    "SELECT seq, created_at FROM outbox
                     WHERE state != 'pending' ORDER BY seq LIMIT 1",
                )?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            // What is before the oldest message may have been sent and forgotten.
            let remembered = first.filter(|(seq, _)| *seq > 1);
            let remembered = remembered.map(|(_, at)| Timestamp::from_millis(at));
            let known = alerts.iter().filter(|alert| remembered.is_none_or(|from| from < alert.at));
            // The id of a message begins with that of its alert and a slash, which `0` follows.
            let mut any = c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM outbox WHERE id > ?1 || '/' AND id < ?1 || '0')",
            )?;
            let mut unsent = BTreeSet::new();
            for alert in known {
                let id = alert.id();
                if !any.query_row([&id], |row| row.get::<_, bool>(0))? {
                    unsent.insert(id);
                }
            }
            Ok(unsent)
        })
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::engine::alert::State;
    use crate::notify::sample;
    use crate::store::Tick;
    use crate::time::Span;

    #[test]
    fn what_moved_outlives_the_end() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(&dir.path().join("state.db")).unwrap();
        let firing = sample::alerts().remove(0);
        let updated = Alert { state: State::Updated, at: firing.at + Span::HOUR, ..firing.clone() };
        let resolved = Alert {
            state: State::Resolved,
            at: firing.at + Span::HOUR.times(2),
            signals: Vec::new(),
            ..firing.clone()
        };
        let (alerts, chart) = ([firing, updated, resolved], sample::chart());
        let charts = [chart.clone(), chart.clone(), Chart::default()];
        for (alert, chart) in alerts.iter().zip(&charts) {
            let (alerts, charts) = (std::slice::from_ref(alert), std::slice::from_ref(chart));
            let last_tick = alert.at;
            let tick = Tick { last_tick, snapshot: None, alerts, charts, deliveries: &[] };
            store.commit(&tick).unwrap();
        }
        let incident = &alerts[0].incident;
        let told = store.last_with_signals(incident).unwrap().unwrap();
        assert_eq!((told.at, told.state), (alerts[1].at, State::Updated));
        assert_eq!(store.last_chart(incident).unwrap(), Some(chart));
        assert_eq!(store.last_with_signals("none").unwrap(), None);
        assert_eq!(store.sent_to_nobody(&alerts).unwrap().len(), 3, "there is no receiver");
    }
}
