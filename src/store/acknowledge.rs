//! That somebody looks after an incident: said once, and told to the receivers that call people
//! until then.

use rusqlite::{Connection, OptionalExtension as _, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OPINION_CHARS_MAX, Store, StoreError};
use crate::time::Timestamp;

/// That somebody looks after an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledged {
    /// When it was said.
    pub at: Timestamp,
    /// Who said it.
    pub by: Option<String>,
}

impl Store {
    /// Writes down that somebody looks after an incident; returns what is written down, and
    /// whether that is new. The first word counts: a later one changes nothing and tells nobody.
    ///
    /// With it, in one transaction, those of `pagers` that were told of the incident get a
    /// message, unless it is over. A target whose first message is held has called nobody yet.
    ///
    /// # Errors
    ///
    /// An incident that the file does not know, a name that is too long, or the disk's refusal.
    pub fn acknowledge(
        &mut self,
        incident: &str,
        word: &Acknowledged,
        pagers: &[String],
    ) -> Result<(Acknowledged, bool), StoreError> {
        let found = word.by.as_ref().map_or(0, |by| by.chars().count());
        if OPINION_CHARS_MAX < found {
            return Err(StoreError::TooLong { found, most: OPINION_CHARS_MAX });
        }
        let json = serde_json::json!(word).to_string();
        let at = word.at.as_millis();
        let kept = self.write("write an acknowledgement", |tx| {
            if let Some(first) = read(tx, incident)? {
                return Ok(Some((first, false)));
            }
            // Its row is written only where there is such an incident.
            let new = tx.execute(
                "INSERT INTO acknowledgements (incident, at, \"by\")
                 SELECT id, ?2, ?3 FROM incidents WHERE id = ?1",
                params![incident, at, word.by],
            )?;
            if new == 0 {
                return Ok(None);
            }
            let mut tell = tx.prepare(
                "INSERT OR IGNORE INTO outbox (id, receiver, incident, kind, alert, created_at,
                                               next_attempt_at)
                 SELECT ?1 || '/acknowledge/' || ?2, ?2, ?1, 'acknowledge', ?3, ?4, ?4
                 FROM told t JOIN incidents i ON i.id = t.incident
                 WHERE t.incident = ?1 AND t.receiver = ?2 AND i.state <> 'resolved'
                   AND (t.first IS NOT NULL
                        OR EXISTS (SELECT 1 FROM outbox
                                   WHERE state = 'pending' AND kind = 'alert'
                                     AND receiver = ?2 AND incident = ?1
                                     AND hold_until IS NULL))",
            )?;
            for pager in pagers {
                tell.execute(params![incident, pager, json, at])?;
            }
            Ok(Some((word.clone(), true)))
        })?;
        match kept {
            Some(kept) => Ok(kept),
            None => Err(self.no_such_incident(incident)?),
        }
    }

    /// Who looks after an incident; none while nobody said so.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn acknowledged(&self, incident: &str) -> Result<Option<Acknowledged>, StoreError> {
        self.read("read an acknowledgement", |c| read(c, incident))
    }
}

fn read(c: &Connection, incident: &str) -> rusqlite::Result<Option<Acknowledged>> {
    c.prepare_cached("SELECT at, \"by\" FROM acknowledgements WHERE incident = ?1")?
        .query_row([incident], |row| {
            Ok(Acknowledged { at: Timestamp::from_millis(row.get(0)?), by: row.get(1)? })
        })
        .optional()
}
