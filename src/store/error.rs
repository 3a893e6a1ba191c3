//! Why the state file could not be used.

use super::SILENCES_OPEN_MAX;
use std::path::PathBuf;

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
    /// No such message waits or was given up.
    #[error("there is no message `{id}` to be changed\nhint: {hint}")]
    NoSuchMessage {
        /// What was asked for.
        id: String,
        /// The nearest one, or why not.
        hint: String,
    },
    /// It was never made, or is long over.
    #[error(
        "there is no silence {number}\nhint: `grayflag silence list` shows those that there are"
    )]
    NoSuchSilence {
        /// What was asked for.
        number: i64,
    },
    /// As many silences as there may be are open.
    #[error(
        "{SILENCES_OPEN_MAX} silences are open, and there can be no more\nhint: end some, or let one match what several do"
    )]
    TooManySilences,
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
            Self::NoSuchMessage { .. } => "no_such_message",
            Self::NoSuchSilence { .. } => "no_such_silence",
            Self::TooManySilences => "too_many_silences",
            Self::TooLong { .. } => "too_long",
            Self::Thread => "thread",
        }
    }
}
