//! Steps that somebody has done, so that two people in one incident do not do the same.

use rusqlite::{OptionalExtension as _, params};

use super::{OPINION_CHARS_MAX, Store, StoreError};
use crate::time::Timestamp;

/// Steps kept of one incident; an alert has a tenth of it.
const STEPS_MAX: i64 = 500;

/// A step that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What identifies it among the steps of its incident.
    pub step: String,
    /// As it was shown.
    pub text: String,
    /// When it was ticked off.
    pub at: Timestamp,
    /// By whom.
    pub by: Option<String>,
}

impl Store {
    /// Writes down that a step is done. The first word counts: a repetition changes nothing.
    /// Beyond [`STEPS_MAX`] steps of one incident nothing is written.
    ///
    /// # Errors
    ///
    /// An incident that the file does not know, a text that is too long, or the disk's refusal.
    pub fn tick_step(&mut self, incident: &str, done: &Done) -> Result<(), StoreError> {
        let texts = [Some(&done.step), Some(&done.text), done.by.as_ref()];
        let longest = texts.into_iter().flatten().map(|text| text.chars().count()).max();
        if let Some(found) = longest.filter(|&chars| chars > OPINION_CHARS_MAX) {
            return Err(StoreError::TooLong { found, most: OPINION_CHARS_MAX });
        }
        let known = self.write("tick off a step", |tx| {
            let known = "SELECT 1 FROM incidents WHERE id = ?1";
            if tx.query_row(known, [incident], |_| Ok(())).optional()?.is_none() {
                return Ok(false);
            }
            tx.execute(
                "INSERT OR IGNORE INTO steps (incident, step, text, at, \"by\")
                 SELECT ?1, ?2, ?3, ?4, ?5
                 WHERE (SELECT count(*) FROM steps WHERE incident = ?1) < ?6",
                params![incident, done.step, done.text, done.at.as_millis(), done.by, STEPS_MAX],
            )?;
            Ok(true)
        })?;
        if known { Ok(()) } else { Err(self.no_such_incident(incident)?) }
    }

    /// Takes a tick back; one that is not there is no trouble.
    ///
    /// # Errors
    ///
    /// When the disk or SQLite refuses.
    pub fn untick_step(&mut self, incident: &str, step: &str) -> Result<(), StoreError> {
        self.write("take back a step", |tx| {
            tx.execute(
                "DELETE FROM steps WHERE incident = ?1 AND step = ?2",
                params![incident, step],
            )
        })?;
        Ok(())
    }

    /// The steps of an incident that are done, in order of time.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn done_steps(&self, incident: &str) -> Result<Vec<Done>, StoreError> {
        self.read("read the steps that are done", |c| {
            c.prepare_cached(
                "SELECT step, text, at, \"by\" FROM steps WHERE incident = ?1 ORDER BY at, step",
            )?
            .query_map([incident], |row| {
                Ok(Done {
                    step: row.get(0)?,
                    text: row.get(1)?,
                    at: Timestamp::from_millis(row.get(2)?),
                    by: row.get(3)?,
                })
            })?
            .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::engine::alert::Alert;
    use crate::store::Tick;

    const FIRING: &str = include_str!("../../tests/data/messages/firing.json");

    #[test]
    fn a_step_is_done_once_and_can_be_taken_back() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(&dir.path().join("state.db")).unwrap();
        let alert: Alert = serde_json::from_str(FIRING).unwrap();
        let (id, at) = (alert.incident.clone(), alert.at);
        let tick =
            Tick { last_tick: at, snapshot: None, alerts: &[alert], charts: &[], deliveries: &[] };
        store.commit(&tick).unwrap();
        let done = |by: &str| Done {
            step: "a1".to_owned(),
            text: "Look".to_owned(),
            at,
            by: Some(by.to_owned()),
        };
        store.tick_step(&id, &done("oncall")).unwrap();
        store.tick_step(&id, &done("backup")).unwrap();
        assert_eq!(store.done_steps(&id).unwrap(), [done("oncall")], "the first word counts");
        store.untick_step(&id, "a1").unwrap();
        store.untick_step(&id, "a1").unwrap();
        assert_eq!(store.done_steps(&id).unwrap(), []);
        let nowhere = store.tick_step("nowhere", &done("oncall")).unwrap_err();
        assert!(matches!(nowhere, StoreError::NoSuchIncident { .. }), "{nowhere}");
        for n in 0..=STEPS_MAX {
            store.tick_step(&id, &Done { step: n.to_string(), ..done("oncall") }).unwrap();
        }
        let kept = i64::try_from(store.done_steps(&id).unwrap().len()).unwrap();
        assert_eq!(kept, STEPS_MAX, "and no more");
    }
}
