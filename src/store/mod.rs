//! State and outbox in one SQLite file: what must survive a crash is written in one transaction.
//!
//! An operator may open the file with any SQLite tool while the daemon runs; the views
//! `readable_incidents` and `readable_outbox` show times as dates.

mod archive;
mod changes;
mod feedback;
mod incidents;
mod open;
mod outbox;
mod retention;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::engine::alert::Alert;
use crate::time::Timestamp;

pub use archive::StoreArchive;
pub use changes::{CHANGES_MAX, Stored, Wanted};
pub use feedback::{CauseError, OPINION_CHARS_MAX, Opinion};
pub use incidents::{Listed, Said, Summary, Whole};
pub use outbox::{Outgoing, RowState};
pub use retention::Limits;

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
    /// To whom each goes: name of the receiver, index into `alerts`.
    pub deliveries: &'a [(String, usize)],
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

/// Why the state file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder cannot be opened.
    #[error("cannot open the state file `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error(
        "the state file `{path}` is in use by another grayflag\nhint: stop the other one, or give this one its own `store.url`"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Not a state file.
    #[error(
        "`{path}` is not a grayflag state file\nhint: point `store.url` at a new file; this one was left as it is"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "the state file `{path}` has schema {found}, this grayflag knows up to {known}\nhint: run the newer grayflag that wrote it, or start with a new file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// SQLite refused.
    #[error("cannot {attempt} in the state file `{path}`")]
    Sqlite {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A delivery names an alert that is not in the same tick.
    #[error("delivery to `{receiver}` names alert {index} of {alerts}")]
    NoSuchAlert {
        /// The receiver.
        receiver: String,
        /// The index given.
        index: usize,
        /// How many alerts there were.
        alerts: usize,
    },
    /// There is none to be opened beside a daemon.
    #[error(
        "there is no state file `{path}`\nhint: `grayflag run` makes it; name the config that the daemon runs with"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Written by an earlier version that still runs.
    #[error(
        "the state file `{path}` has schema {found} and is in use, this grayflag needs {known}\nhint: restart the daemon with this version first"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema needed.
        known: i64,
    },
    /// Nobody was told of such an incident, or it was long ago.
    #[error("there is no incident `{incident}`\nhint: {hint}")]
    NoSuchIncident {
        /// What was asked for.
        incident: String,
        /// The nearest one, or those that there are.
        hint: String,
    },
    /// A note, a name or a cause is too long.
    #[error(
        "a text of {found} characters is too long\nhint: {most} are stored at most; link to the rest"
    )]
    TooLong {
        /// Its length.
        found: usize,
        /// The longest.
        most: usize,
    },
    /// The thread that used the file ended early.
    #[error("the thread that used the state file ended early")]
    Thread,
}

impl StoreError {
    /// A name of low cardinality, for metrics.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::InUse { .. } => "in_use",
            Self::Foreign { .. } => "foreign",
            Self::Newer { .. } => "newer",
            Self::Sqlite { .. } => "sqlite",
            Self::NoSuchAlert { .. } => "no_such_alert",
            Self::Missing { .. } => "missing",
            Self::Older { .. } => "older",
            Self::NoSuchIncident { .. } => "no_such_incident",
            Self::TooLong { .. } => "too_long",
            Self::Thread => "thread",
        }
    }
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
        for (receiver, index) in tick.deliveries {
            if *index >= tick.alerts.len() {
                return Err(StoreError::NoSuchAlert {
                    receiver: receiver.clone(),
                    index: *index,
                    alerts: tick.alerts.len(),
                });
            }
        }
        let limits = self.limits;
        self.write("write a tick", |tx| write_tick(tx, tick, limits))
    }

    /// Where to go on; `None` in a new file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn resume(&self) -> Result<Option<Resume>, StoreError> {
        self.read("read where to go on", |c| {
            let last: Option<i64> =
                c.query_row("SELECT last_tick FROM meta", [], |row| row.get(0)).optional()?;
            let Some(last_tick) = last.map(Timestamp::from_millis) else { return Ok(None) };
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

    /// The newest alert of each incident as JSON, latest changed first, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn incidents(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.read("read incidents", |c| {
            c.prepare("SELECT alert FROM incidents ORDER BY updated_at DESC, id LIMIT ?1")?
                .query_map([limit], |row| row.get(0))?
                .collect()
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
        for (receiver, _) in tick.deliveries.iter().filter(|(_, i)| *i == index) {
            done.messages += outbox::put(tx, alert, &json, receiver)?;
        }
    }
    if done.alerts > 0 {
        done.dropped = retention::apply(tx, limits)?;
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
