//! The outbox: one row for each message to one receiver, until the receiver has it.
//!
//! A row may be held: by a silence, quiet hours or maintenance. While it is held and was never
//! tried, anything newer about the same incident to the same target takes its place, so that the
//! end of a night is one message and not twelve. Where the newer one is the end, and the target
//! was told nothing, nobody needs it: it is superseded too.

mod due;
mod list;
mod marks;

use std::collections::BTreeSet;

use rusqlite::{Transaction, params};

use crate::engine::alert::{Alert, State};
use crate::engine::chart::Chart;
use crate::store::silences;
use crate::time::Timestamp;

pub use list::{ListedMessage, MessageFilter};
pub use marks::Which;
pub(super) use marks::release;

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

/// Why a message waits: for what holds it longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Not sent before.
    pub until: Timestamp,
    /// For people, and to let it go early: `silence 3`, `quiet hours of oncall`,
    /// `maintenance backup`.
    pub by: String,
    /// What holds it as well, and not longer: it still does when this ends early.
    pub others: Vec<Hold>,
}

impl Hold {
    /// One reason alone.
    pub fn new(until: Timestamp, by: impl Into<String>) -> Self {
        Self { until, by: by.into(), others: Vec::new() }
    }

    /// All of them at once; the first of two that last as long counts.
    pub fn all(holds: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut parts: Vec<Self> = holds.into_iter().flat_map(Self::parts).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.until));
        let mut names = BTreeSet::new();
        parts.retain(|part| names.insert(part.by.clone()));
        let mut parts = parts.into_iter();
        let longest = parts.next()?;
        Some(Self { others: parts.collect(), ..longest })
    }

    /// Its reasons, one by one.
    fn parts(mut self) -> Vec<Self> {
        let mut others: Vec<Self> =
            std::mem::take(&mut self.others).into_iter().flat_map(Self::parts).collect();
        others.insert(0, self);
        others
    }

    /// The other reasons as the file keeps them; none where there are none.
    fn others_json(&self) -> Option<String> {
        let pairs: Vec<(i64, &str)> =
            self.others.iter().map(|other| (other.until.as_millis(), other.by.as_str())).collect();
        // Numbers and texts always become JSON.
        (!pairs.is_empty()).then(|| serde_json::to_string(&pairs).unwrap_or_default())
    }

    /// As the file keeps it. What nobody can read there holds nothing.
    fn read(until: Timestamp, by: String, others: Option<&str>) -> Self {
        let pairs: Vec<(i64, String)> =
            others.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let other = |(until, by)| Self::new(Timestamp::from_millis(until), by);
        Self { until, by, others: pairs.into_iter().map(other).collect() }
    }

    /// Without one reason, and without those that are over.
    fn without(self, by: &str, now: Timestamp) -> Option<Self> {
        Self::all(self.parts().into_iter().filter(|part| part.by != by && now < part.until))
    }
}

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// News of an incident.
    Alert,
    /// News of a day or week.
    Digest,
    /// That somebody looks after an incident.
    Acknowledge,
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
    /// The alert, digest or acknowledgement as JSON.
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
    let receiver = &delivery.receiver;
    let hold = in_force(tx, delivery.hold.as_ref())?;
    let id = format!("{}/{receiver}", alert.id());
    let superseded = supersede(tx, alert, receiver)?;
    let hold_until = hold.as_ref().map(|hold| hold.until.as_millis());
    let held_by = hold.as_ref().map(|hold| &hold.by);
    let held_also = hold.as_ref().and_then(Hold::others_json);
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
                                       held_by, held_also, next_attempt_at, state, done_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?5, ?9, ?10)",
        params![
            id,
            receiver,
            alert.incident,
            json,
            at,
            hold_until,
            held_by,
            held_also,
            state.name(),
            unheard_end.then_some(at)
        ],
    )
}

/// A hold without the silences that were ended since it was decided, by another process perhaps:
/// nobody would let the message go any more.
fn in_force(tx: &Transaction<'_>, hold: Option<&Hold>) -> rusqlite::Result<Option<Hold>> {
    let Some(hold) = hold else { return Ok(None) };
    let mut parts = Vec::new();
    for part in hold.clone().parts() {
        let ended = match silences::number(&part.by) {
            Some(number) => tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM silences WHERE number = ?1 AND ends_at < ?2)",
                params![number, part.until.as_millis()],
                |row| row.get(0),
            )?,
            None => false,
        };
        if !ended {
            parts.push(part);
        }
    }
    Ok(Hold::all(parts))
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
