//! The outbox: one row for each message to one receiver, until the receiver has it.
//!
//! A row may be held: by a silence, quiet hours or maintenance. While it is held and was never
//! tried, anything newer about the same incident to the same target takes its place, so that the
//! end of a night is one message and not twelve. Where the newer one is the end, and the target
//! was told nothing, nobody needs it: it is superseded too.

mod due;
mod list;
mod marks;

use rusqlite::{Transaction, params};

use crate::engine::alert::{Alert, State};
use crate::engine::chart::Chart;
use crate::time::Timestamp;

pub use list::{ListedMessage, MessageFilter};
pub use marks::Which;

/// A message to be put into the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Name of the target.
    pub receiver: String,
    /// Index of the alert among those of the tick.
    pub alert: usize,
    /// Why and until when it waits, if it does.
    pub hold: Option<Hold>,
}

/// Why a message waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Not sent before.
    pub until: Timestamp,
    /// For people, and to let it go early: `silence 3`, `quiet hours of oncall`,
    /// `maintenance backup`.
    pub by: String,
}

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// News of an incident.
    Alert,
    /// News of a day or week.
    Digest,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The alert's id, a slash, the receiver.
    pub id: String,
    /// To whom.
    pub receiver: String,
    /// The incident, or the digest's own id.
    pub incident: String,
    /// Id of the first message about the same incident that the receiver took; its own id while
    /// it took none.
    pub first: String,
    /// What the receiver answered to the newest message about the same incident that it took.
    pub handle: Option<String>,
    /// What it carries.
    pub kind: Kind,
    /// The alert or digest as JSON.
    pub alert: String,
    /// What can be drawn of it.
    pub chart: Option<Chart>,
    /// The tick at which it was decided.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first_attempt_at: Option<Timestamp>,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// On its way.
    Pending,
    /// The receiver has it.
    Done,
    /// Given up.
    Dead,
    /// Never sent: something newer about the same incident took its place while it was held.
    Superseded,
}

impl RowState {
    const ALL: [Self; 4] = [Self::Pending, Self::Done, Self::Dead, Self::Superseded];

    /// The name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Superseded => "superseded",
        }
    }

    /// The state of this name; the table holds no other names.
    fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Pending)
    }
}

/// Puts one message into the outbox; returns how many rows that made.
pub(super) fn put(
    tx: &Transaction<'_>,
    alert: &Alert,
    json: &str,
    delivery: &Dispatch,
) -> rusqlite::Result<usize> {
    let Dispatch { receiver, hold, .. } = delivery;
    let id = format!("{}/{receiver}", alert.id());
    let superseded = supersede(tx, alert, receiver)?;
    let hold_until = hold.as_ref().map(|hold| hold.until.as_millis());
    let held_by = hold.as_ref().map(|hold| &hold.by);
    let unheard_end =
        superseded > 0 && alert.state == State::Resolved && !knows(tx, &alert.incident, receiver)?;
    let state = if unheard_end { RowState::Superseded } else { RowState::Pending };
    if unheard_end {
        tx.execute(
            "DELETE FROM told WHERE incident = ?1 AND receiver = ?2",
            params![alert.incident, receiver],
        )?;
    } else {
        tx.execute(
            "INSERT OR IGNORE INTO told (incident, receiver) VALUES (?1, ?2)",
            params![alert.incident, receiver],
        )?;
    }
    let at = alert.at.as_millis();
    tx.execute(
        "INSERT OR IGNORE INTO outbox (id, receiver, incident, alert, created_at, hold_until,
                                       held_by, next_attempt_at, state, done_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?5, ?8, ?9)",
        params![
            id,
            receiver,
            alert.incident,
            json,
            at,
            hold_until,
            held_by,
            state.name(),
            unheard_end.then_some(at)
        ],
    )
}

/// Takes held rows that are older than an alert out of its way; returns how many.
///
/// A row that was tried may have arrived, and one whose hold is over may be in hand: both stay.
fn supersede(tx: &Transaction<'_>, alert: &Alert, receiver: &str) -> rusqlite::Result<usize> {
    tx.execute(
        "UPDATE outbox SET state = 'superseded', done_at = ?3
         WHERE state = 'pending' AND kind = 'alert' AND receiver = ?1 AND incident = ?2
           AND attempts = 0 AND hold_until > ?3",
        params![receiver, alert.incident, alert.at.as_millis()],
    )
}

/// Whether a target was told of an incident, or will have been by what is before it.
fn knows(tx: &Transaction<'_>, incident: &str, receiver: &str) -> rusqlite::Result<bool> {
    tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM told
                        WHERE incident = ?1 AND receiver = ?2 AND first IS NOT NULL)
             OR EXISTS (SELECT 1 FROM outbox
                        WHERE incident = ?1 AND receiver = ?2 AND state = 'pending')",
        params![incident, receiver],
        |row| row.get(0),
    )
}
