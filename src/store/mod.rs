//! State and outbox in one SQLite file: what must survive a crash is written in one transaction.
//!
//! An operator may open the file with any SQLite tool while the daemon runs; the views
//! `readable_incidents` and `readable_outbox` show times as dates.

mod acknowledge;
mod archive;
mod came;
mod changes;
mod charts;
mod digests;
mod error;
mod feedback;
mod figures;
mod incidents;
mod notes;
mod open;
mod outbox;
mod retention;
mod shown;
mod silences;
mod steps;
mod told;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use crate::engine::alert::Alert;
use crate::engine::chart::Chart;
use crate::time::Timestamp;

pub use acknowledge::Acknowledged;
pub use archive::StoreArchive;
pub use came::Came;
pub use changes::{CHANGES_MAX, Stored, Wanted};
pub use digests::{HeldRow, NewDigest, TroubleRow};
pub use error::StoreError;
pub use feedback::{CauseError, OPINION_CHARS_MAX, Opinion};
pub use figures::{Figures, Queue};
pub use incidents::{Held, Listed, Place, Said, Summary, Whole};
pub use notes::{NOTE_BREAK, Note, NoteKind};
pub use outbox::{Dispatch, Hold, Kind, ListedMessage, MessageFilter, Outgoing, RowState, Which};
pub use retention::Limits;
pub use shown::{IncidentFilter, Sent};
pub use silences::{Draft, Flaw, SILENCE_MAX, SILENCES_OPEN_MAX, Silence};
pub use steps::Done;

/// The open state file. While it lives, no other process can open the same file, but beside it.
///
/// Calls block on the disk; asynchronous code goes through a blocking thread.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    limits: Limits,
    /// Held for its lock, which the kernel lets go when the process ends in whatever way; none
    /// beside another process.
    _lock: Option<File>,
}

/// What one tick, or a batch of ticks in catch-up, leaves behind.
#[derive(Clone, Copy, Debug)]
pub struct Tick<'a> {
    /// The newest tick processed.
    pub last_tick: Timestamp,
    /// The engine's state after `last_tick`: version of the format, then the bytes.
    pub snapshot: Option<(u32, &'a [u8])>,
    /// The alerts decided, in order of time.
    pub alerts: &'a [Alert],
    /// What can be drawn of them, in the same order; fewer or none where nothing can.
    pub charts: &'a [Chart],
    /// To whom each goes.
    pub deliveries: &'a [Dispatch],
}

/// Where to go on after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The newest tick processed. Ticks after the snapshot up to this one are processed again;
    /// what they decided is already here and is not written twice.
    pub last_tick: Timestamp,
    /// The newest state of the engine, if one was stored.
    pub snapshot: Option<Snapshot>,
}

/// A stored state of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The tick after which it was taken; at most [`Resume::last_tick`].
    pub at: Timestamp,
    /// Version of its format.
    pub version: u32,
    /// The state.
    pub bytes: Vec<u8>,
}

/// What a commit added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Alerts that were not known before.
    pub alerts: usize,
    /// Messages put into the outbox.
    pub messages: usize,
    /// Messages given up because the outbox was full.
    pub dropped: usize,
}

impl Store {
    /// Writes what a tick leaves behind, all of it or nothing.
    ///
    /// An alert that is already known is left alone with everything that belongs to it: its
    /// messages, its incident. So a repetition changes nothing, and ticks processed again after
    /// a crash send nothing again. `last_tick` and the snapshot only move forward.
    ///
    /// # Errors
    ///
    /// When the disk or SQLite refuses; then nothing was written.
    pub fn commit(&mut self, tick: &Tick<'_>) -> Result<Committed, StoreError> {
        for Dispatch { receiver, alert, .. } in tick.deliveries {
            if *alert >= tick.alerts.len() {
                return Err(StoreError::NoSuchAlert {
                    receiver: receiver.clone(),
                    index: *alert,
                    alerts: tick.alerts.len(),
                });
            }
        }
        let limits = self.limits;
        self.write("write a tick", |tx| write_tick(tx, tick, limits))
    }

    /// The newest tick that was written; `None` in a new file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn last_tick(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("read the last tick", last_tick)
    }

    /// Where to go on; `None` in a new file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn resume(&self) -> Result<Option<Resume>, StoreError> {
        self.read("read where to go on", |c| {
            let Some(last_tick) = last_tick(c)? else { return Ok(None) };
            let snapshot = c
                .query_row("SELECT at, version, bytes FROM snapshot", [], |row| {
                    Ok(Snapshot {
                        at: Timestamp::from_millis(row.get(0)?),
                        version: row.get(1)?,
                        bytes: row.get(2)?,
                    })
                })
                .optional()?;
            Ok(Some(Resume { last_tick, snapshot }))
        })
    }

    /// Who was told of an incident.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn told(&self, incident: &str) -> Result<BTreeSet<String>, StoreError> {
        self.read("read who was told", |c| {
            c.prepare("SELECT receiver FROM told WHERE incident = ?1")?
                .query_map([incident], |row| row.get(0))?
                .collect()
        })
    }

    /// The newest alerts as JSON, newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn alerts(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.read("read alerts", |c| {
            c.prepare("SELECT json FROM alerts ORDER BY seq DESC LIMIT ?1")?
                .query_map([limit], |row| row.get(0))?
                .collect()
        })
    }

    /// The newest alert of each incident as JSON, latest changed first, at most `limit`: only of
    /// those that go on, or only of those that are over, where `open` says so. Cost: what is
    /// returned, however many there are.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn incidents(&self, limit: u32, open: Option<bool>) -> Result<Vec<String>, StoreError> {
        let stored = self.incidents_after(limit, open, None)?;
        Ok(stored.into_iter().map(|(_, json)| json).collect())
    }

    fn incidents_after(
        &self,
        limit: u32,
        open: Option<bool>,
        after: Option<Place>,
    ) -> Result<Vec<(Place, String)>, StoreError> {
        let (at, id) = after.unwrap_or((i64::MAX, String::new()));
        self.read("read incidents", |c| {
            let place = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?), row.get(2)?));
            c.prepare(incidents::list(open))?.query_map(params![limit, at, id], place)?.collect()
        })
    }

    fn read<T>(
        &self,
        attempt: &'static str,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        f(&self.connection).map_err(|source| StoreError::Sqlite {
            attempt,
            path: self.path.clone(),
            source,
        })
    }

    fn write<T>(
        &mut self,
        attempt: &'static str,
        f: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let path = &self.path;
        let failed = |source| StoreError::Sqlite { attempt, path: path.clone(), source };
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let value = f(&tx).map_err(failed)?;
        tx.commit().map_err(failed)?;
        Ok(value)
    }
}

fn last_tick(c: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let last = c.query_row("SELECT last_tick FROM meta", [], |row| row.get(0)).optional()?;
    Ok(last.map(Timestamp::from_millis))
}

fn write_tick(
    tx: &Transaction<'_>,
    tick: &Tick<'_>,
    limits: Limits,
) -> rusqlite::Result<Committed> {
    let mut done = Committed::default();
    tx.execute(
        "INSERT INTO meta (id, last_tick) VALUES (1, ?1)
         ON CONFLICT DO UPDATE SET last_tick = max(last_tick, excluded.last_tick)",
        [tick.last_tick.as_millis()],
    )?;
    if let Some((version, bytes)) = tick.snapshot {
        tx.execute(
            "INSERT INTO snapshot (id, at, version, bytes) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET at = excluded.at, version = excluded.version,
                bytes = excluded.bytes WHERE excluded.at >= at",
            params![tick.last_tick.as_millis(), version, bytes],
        )?;
    }
    for (index, alert) in tick.alerts.iter().enumerate() {
        let json = alert.to_json();
        if !write_alert(tx, alert, &json)? {
            continue;
        }
        done.alerts += 1;
        if let Some(chart) = tick.charts.get(index).filter(|chart| !chart.panels.is_empty()) {
            charts::put(tx, &alert.id(), chart)?;
        }
        for delivery in tick.deliveries.iter().filter(|delivery| delivery.alert == index) {
            done.messages += outbox::put(tx, alert, &json, delivery)?;
        }
    }
    if done.alerts > 0 {
        done.dropped = retention::apply(tx, limits, tick.last_tick)?;
    }
    Ok(done)
}

/// Logs an alert and brings its incident up to date; false when it was known already.
fn write_alert(tx: &Transaction<'_>, alert: &Alert, json: &str) -> rusqlite::Result<bool> {
    let new = tx.execute(
        "INSERT OR IGNORE INTO alerts (id, incident, at, json) VALUES (?1, ?2, ?3, ?4)",
        params![alert.id(), alert.incident, alert.at.as_millis(), json],
    )? > 0;
    if new {
        tx.execute(
            "INSERT INTO incidents (id, service, severity, state, started_at, updated_at, alert)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET service = excluded.service, severity = excluded.severity,
                state = excluded.state, started_at = excluded.started_at,
                updated_at = excluded.updated_at, alert = excluded.alert
                WHERE excluded.updated_at >= updated_at",
            params![
                alert.incident,
                alert.service,
                alert.severity.name(),
                alert.state.name(),
                alert.started_at.as_millis(),
                alert.at.as_millis(),
                json
            ],
        )?;
    }
    Ok(new)
}
