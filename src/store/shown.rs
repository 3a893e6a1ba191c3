//! What pages ask of the file: incidents page by page, and everything that was told of one.

use rusqlite::{Row, params};

use super::{Listed, Store, StoreError, Summary, Whole};
use crate::engine::alert::{Alert, Severity};
use crate::time::Timestamp;

/// Alerts of one incident, the newest.
const ALERTS_MAX: u32 = 200;

/// Which incidents a page lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// Only those that go on, or only those that are over.
    pub open: Option<bool>,
    /// Only those that this service was ever told to be in.
    pub service: Option<String>,
    /// Only those of this severity.
    pub severity: Option<Severity>,
    /// Only those behind this one: when it changed, and its id.
    pub after: Option<(Timestamp, String)>,
    /// So many at most.
    pub limit: u32,
}

/// A message about an incident that is on its way, arrived or never will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The alert that it carries.
    pub alert: String,
    /// To whom it is.
    pub receiver: String,
    /// `pending`, `done`, `dead` or `superseded`.
    pub state: String,
    /// What held it, if something did.
    pub held_by: Option<String>,
    /// Until when it is held.
    pub hold_until: Option<Timestamp>,
    /// When it arrived, was given up or superseded.
    pub done_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

impl Store {
    /// Incidents that a filter lets through, the latest changed first, and behind which the next
    /// page begins. Cost: what is returned, and what a severity leaves out on the way.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. An alert that cannot be is counted, and hides no other.
    pub fn incident_page(
        &self,
        filter: &IncidentFilter,
    ) -> Result<(Listed, Option<(Timestamp, String)>), StoreError> {
        let after = filter.after.as_ref().map(|(at, id)| (at.as_millis(), id.as_str()));
        let mut rows: Vec<(i64, String, String)> = self.read("list incidents", |c| {
            c.prepare_cached(&page_query(filter))?
                .query_map(
                    params![
                        filter.service,
                        filter.severity.map(Severity::name),
                        after.map(|(at, _)| at),
                        after.map(|(_, id)| id),
                        filter.limit + 1
                    ],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )?
                .collect()
        })?;
        let full = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let more = rows.len() > full;
        rows.truncate(full);
        let last = rows.last().filter(|_| more);
        let next = last.map(|(at, id, _)| (Timestamp::from_millis(*at), id.clone()));
        let mut listed = Listed::default();
        for (_, _, json) in &rows {
            match serde_json::from_str::<Alert>(json) {
                Ok(alert) => {
                    let held = self.held(&alert.incident)?;
                    listed.incidents.push(Summary::new(self.with_words(alert)?, held));
                }
                Err(_) => listed.unreadable += 1,
            }
        }
        Ok((listed, next))
    }

    /// The newest incidents with everything that was said about them, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. An alert that cannot be is left out, and hides no other.
    pub fn newest(&self, limit: u32) -> Result<Vec<Whole>, StoreError> {
        let stored = self.incidents(limit, None)?;
        let alerts = stored.iter().filter_map(|json| serde_json::from_str(json).ok());
        alerts.map(|alert| self.with_words(alert)).collect()
    }

    /// How many incidents there are that go on, and how many in all.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn incident_counts(&self) -> Result<(u64, u64), StoreError> {
        self.read("count incidents", |c| {
            let count = |sql| c.query_row(sql, [], |row| row.get::<_, i64>(0));
            let open = count("SELECT count(*) FROM incidents WHERE state <> 'resolved'")?;
            Ok((open.unsigned_abs(), count("SELECT count(*) FROM incidents")?.unsigned_abs()))
        })
    }

    /// How many incidents began at an instant or later, those told as notices and those that
    /// interrupted somebody.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn begun_since(&self, from: Timestamp) -> Result<[u64; 2], StoreError> {
        self.read("count incidents", |c| {
            // What began since changed since: the index finds those.
            c.prepare_cached(
                "SELECT sum(severity = 'notice'), sum(severity <> 'notice')
                 FROM incidents INDEXED BY incidents_by_update
                 WHERE updated_at >= ?1 AND started_at >= ?1",
            )?
            .query_row([from.as_millis()], |row| {
                let count =
                    |at| row.get::<_, Option<i64>>(at).map(|n| n.unwrap_or(0).unsigned_abs());
                Ok([count(0)?, count(1)?])
            })
        })
    }

    /// What was told of an incident, in order; the newest two hundred alerts.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. An alert that cannot be is left out, and hides no other.
    pub fn alerts_of(&self, incident: &str) -> Result<Vec<Alert>, StoreError> {
        let stored: Vec<String> = self.read("read the alerts of an incident", |c| {
            c.prepare_cached(
                "SELECT json FROM alerts WHERE incident = ?1 ORDER BY seq DESC LIMIT ?2",
            )?
            .query_map(params![incident, ALERTS_MAX], |row| row.get(0))?
            .collect()
        })?;
        Ok(stored.iter().rev().filter_map(|json| serde_json::from_str(json).ok()).collect())
    }

    /// The messages about an incident to those who are told of it, in order.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn sent(&self, incident: &str) -> Result<Vec<Sent>, StoreError> {
        self.read("read who was told", |c| {
            // The indexes go by receiver, of whom an incident has few.
            c.prepare_cached(
                "SELECT o.id, o.receiver, o.state, o.held_by, o.hold_until, o.done_at, o.last_error
                 FROM told t JOIN outbox o ON o.receiver = t.receiver AND o.incident = t.incident
                     AND o.state IN ('pending', 'done', 'dead')
                 WHERE t.incident = ?1 AND o.kind = 'alert' ORDER BY o.seq",
            )?
            .query_map([incident], sent)?
            .collect()
        })
    }

    /// How many messages each name of a silence, of quiet hours or of maintenance holds.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn held_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read("count what is held", |c| {
            c.prepare_cached(
                "SELECT held_by, count(*) FROM outbox
                 WHERE state = 'pending' AND hold_until IS NOT NULL AND held_by IS NOT NULL
                 GROUP BY held_by ORDER BY held_by",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
            .collect()
        })
    }
}

/// The newest alerts in the order of an index: a condition that is a parameter keeps SQLite from
/// using one, so each question has words of its own.
fn page_query(filter: &IncidentFilter) -> String {
    let mut conditions = vec![match filter.open {
        None => "1",
        Some(true) => "state <> 'resolved'",
        Some(false) => "state = 'resolved'",
    }];
    if filter.service.is_some() {
        conditions.push("id IN (SELECT incident FROM incident_services WHERE service = ?1)");
    }
    if filter.severity.is_some() {
        conditions.push("severity = ?2");
    }
    if filter.after.is_some() {
        conditions.push("updated_at <= ?3 AND (updated_at < ?3 OR id > ?4)");
    }
    // One service may be in all of them: sorting those with their alerts takes longer than walking
    // along the index, which says who is in.
    let along = match (&filter.service, filter.open) {
        (None, _) => "",
        (Some(_), None) => "INDEXED BY incidents_by_update",
        (Some(_), Some(true)) => "INDEXED BY incidents_open",
        (Some(_), Some(false)) => "INDEXED BY incidents_over",
    };
    format!(
        "SELECT updated_at, id, alert FROM incidents {along} WHERE {}
         ORDER BY updated_at DESC, id LIMIT ?5",
        conditions.join(" AND ")
    )
}

fn sent(row: &Row<'_>) -> rusqlite::Result<Sent> {
    let at = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    let receiver: String = row.get(1)?;
    let id: String = row.get(0)?;
    let alert = id.strip_suffix(&receiver).and_then(|id| id.strip_suffix('/'));
    Ok(Sent {
        alert: alert.unwrap_or(&id).to_owned(),
        receiver,
        state: row.get(2)?,
        held_by: row.get(3)?,
        hold_until: at(4)?,
        done_at: at(5)?,
        error: row.get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tempfile::TempDir;

    use super::*;
    use crate::engine::alert::State;
    use crate::store::Tick;
    use crate::time::Span;

    const FIRING: &str = include_str!("../../tests/data/messages/firing.json");

    /// Twenty incidents, four at each of five instants; every fifth is open.
    fn filled(dir: &TempDir) -> (Store, Vec<Alert>) {
        let mut store = Store::open(&dir.path().join("state.db")).unwrap();
        let first: Alert = serde_json::from_str(FIRING).unwrap();
        let nth = |n: i64| Alert {
            incident: format!("web-{n:02}"),
            at: first.at + Span::HOUR.times(n / 4),
            started_at: first.at + Span::HOUR.times(n / 4),
            service: if n % 2 == 0 { "even".to_owned() } else { "odd".to_owned() },
            severity: if n % 4 == 3 { Severity::Critical } else { Severity::Notice },
            state: if n % 5 == 0 { State::Firing } else { State::Resolved },
            ..first.clone()
        };
        let alerts: Vec<Alert> = (0..20).map(nth).collect();
        let last_tick = alerts[19].at;
        let tick =
            Tick { last_tick, snapshot: None, alerts: &alerts, charts: &[], deliveries: &[] };
        store.commit(&tick).unwrap();
        (store, alerts)
    }

    /// Every incident that a filter lets through, page by page.
    fn all(store: &Store, mut filter: IncidentFilter) -> Vec<String> {
        let mut found = Vec::new();
        filter.limit = 3;
        loop {
            let (listed, next) = store.incident_page(&filter).unwrap();
            assert!(listed.incidents.len() <= 3);
            found.extend(listed.incidents.into_iter().map(|one| one.incident));
            match next {
                Some(next) => filter.after = Some(next),
                None => return found,
            }
        }
    }

    #[test]
    fn pages_hold_every_incident_once() {
        let dir = TempDir::new().unwrap();
        let (store, alerts) = filled(&dir);
        let every = all(&store, IncidentFilter::default());
        assert_eq!((every.len(), every.iter().collect::<BTreeSet<_>>().len()), (20, 20));
        assert_eq!(every[..4], ["web-16", "web-17", "web-18", "web-19"], "the newest first");
        let with = |change: fn(&mut IncidentFilter)| {
            let mut filter = IncidentFilter::default();
            change(&mut filter);
            all(&store, filter).len()
        };
        assert_eq!(with(|filter| filter.open = Some(true)), 4);
        assert_eq!(with(|filter| filter.open = Some(false)), 16);
        assert_eq!(with(|filter| filter.service = Some("odd".to_owned())), 10);
        let of = &alerts[0].services;
        assert!(!of.contains(&"odd".to_owned()) && !of.is_empty(), "{of:?}");
        assert_eq!(with(|filter| filter.service = Some("checkout".to_owned())), 20, "part of it");
        let all_of = |open| {
            let service = Some("checkout".to_owned());
            let filter = IncidentFilter { service, open: Some(open), ..IncidentFilter::default() };
            all(&store, filter).len()
        };
        assert_eq!((all_of(true), all_of(false)), (4, 16));
        assert_eq!(with(|filter| filter.severity = Some(Severity::Critical)), 5);
        assert_eq!(store.incident_counts().unwrap(), (4, 20));
        let since = alerts[12].at;
        assert_eq!(store.begun_since(since).unwrap(), [6, 2], "of the last two hours");
        assert_eq!(store.begun_since(since + Span::WEEK).unwrap(), [0, 0]);
    }
}
