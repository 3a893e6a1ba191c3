//! What happened in a day or a week, told once and not to a pager.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::series::Verdict;
use crate::time::Timestamp;

/// The value of every digest's `schema` field.
pub const SCHEMA: &str = "grayflag.digest/v1";
/// Entries of each list; the rest is counted.
pub const ENTRIES_MAX: usize = 20;

/// A day's or a week's news of all services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Digest {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// How often it is told.
    pub every: Every,
    /// When the time begins that it is about.
    pub from: Timestamp,
    /// When that time ends.
    pub to: Timestamp,
    /// What was watched at its end.
    pub watched: Watched,
    /// Warning and critical incidents, and those that were so when they ended; critical ones first,
    /// and the latest first among their like.
    pub incidents: Listed<Told>,
    /// How many of them were critical, also of those that are left out of the list.
    #[serde(default)]
    pub critical: usize,
    /// Incidents that stayed notices: they are told here and to nobody else.
    pub notices: Listed<Told>,
    /// What users knew first, or may have.
    pub users_first: Listed<UsersFirst>,
    /// What moved too slowly for an incident.
    pub crept: Listed<Line>,
    /// Levels that are normal from now on.
    pub relevelled: Listed<Line>,
    /// What did not interrupt although it was loud enough: used-up budgets and habits.
    pub held_back: Listed<Line>,
    /// Messages that a silence, quiet hours or maintenance kept from a receiver.
    pub kept_quiet: Listed<KeptQuiet>,
    /// What gave more than one incident that was false or expected.
    pub noisy: Listed<Noisy>,
    /// Signals without data, and times in which services could not be judged.
    pub silent: Listed<Silent>,
    /// Changes, and how many of them nothing followed.
    pub changes: Changes,
    /// False alarms against what is accepted.
    pub budget: BudgetUse,
    /// Receivers that did not take their messages.
    pub delivery: Listed<Undelivered>,
}

/// How often a digest is told.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    /// Every day.
    Day,
    /// Every week.
    Week,
}

/// The first entries of a list, and how many there are besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "First{T}")]
pub struct Listed<T> {
    /// At most [`ENTRIES_MAX`].
    pub items: Vec<T>,
    /// How many were left out.
    pub more: usize,
}

/// How much was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Watched {
    /// Services seen.
    pub services: usize,
    /// Those with enough history to be judged.
    pub judged: usize,
    /// Rules that have series.
    pub signals: usize,
    /// Series.
    pub series: usize,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DigestIncident")]
pub struct Told {
    /// Its id.
    pub incident: String,
    /// The service that it is about.
    pub service: String,
    /// `notice`, `warning`, `critical`: the highest that it was in this time.
    pub severity: String,
    /// What happened.
    pub title: String,
    /// Id of the leading cause.
    pub cause: Option<String>,
    /// How probable that is, 0 to 1.
    pub probability: Option<f64>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was seen to be over; none while it went on at the end of this time.
    pub ended_at: Option<Timestamp>,
    /// The newest that was said of it.
    pub verdict: Option<Verdict>,
}

/// An incident that users may have noticed before it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsersFirst {
    /// Its id.
    pub incident: String,
    /// The service that it is about.
    pub service: String,
    /// What happened.
    pub title: String,
    /// What speaks for it.
    pub why: String,
}

/// Something noticed beside incidents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DigestLine")]
pub struct Line {
    /// Whose.
    pub service: String,
    /// When it was first noticed.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// An incident of which somebody was not told at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptQuiet {
    /// Its id.
    pub incident: String,
    /// The service that it is about.
    pub service: String,
    /// What happened.
    pub title: String,
    /// What kept it: `silence 3`, `quiet hours of oncall`, `maintenance backup`.
    pub by: String,
    /// Receivers that it was kept from.
    pub receivers: Vec<String>,
    /// How many messages are still to come when the hold ends; the others never were sent.
    pub waiting: u64,
    /// How many were never sent, because something newer took their place.
    pub never_sent: u64,
}

/// A signal or a cause that leads to false alarms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Noisy {
    /// `signal` or `cause`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Incidents in which it led.
    pub incidents: usize,
    /// How many of these somebody called false or expected.
    pub unwanted: usize,
    /// What can be done.
    pub advice: String,
}

/// A signal without data, or a service that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DigestSilence")]
pub struct Silent {
    /// Whose; empty where it is a whole signal.
    pub service: String,
    /// The signal; empty where it is a whole service.
    pub signal: String,
    /// Since when.
    pub since: Timestamp,
    /// When it was over; none while it goes on.
    pub until: Option<Timestamp>,
    /// Why, as far as it is known.
    pub why: String,
}

/// Changes that were reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DigestChanges")]
pub struct Changes {
    /// All that began in this time.
    pub total: usize,
    /// Those near which no incident began.
    pub without_incident: usize,
}

/// False alarms of the time against those that are accepted, over all services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetUse {
    /// Warnings and criticals that began, without those that users felt or somebody called useful.
    pub alerts: usize,
    /// How many are accepted in this time.
    pub alerts_accepted: f64,
    /// Incidents of any severity that began, without the same.
    pub notices: usize,
    /// How many are accepted in this time.
    pub notices_accepted: f64,
}

/// A receiver that did not take its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Undelivered {
    /// The target.
    pub receiver: String,
    /// Messages given up in this time.
    pub given_up: u64,
    /// Messages that failed and are tried again.
    pub retried: u64,
    /// What went wrong last.
    pub error: String,
}

impl Digest {
    /// A digest of a time in which nothing happened.
    pub fn new(every: Every, from: Timestamp, to: Timestamp) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            every,
            from,
            to,
            watched: Watched::default(),
            incidents: Listed::default(),
            critical: 0,
            notices: Listed::default(),
            users_first: Listed::default(),
            crept: Listed::default(),
            relevelled: Listed::default(),
            held_back: Listed::default(),
            kept_quiet: Listed::default(),
            noisy: Listed::default(),
            silent: Listed::default(),
            changes: Changes::default(),
            budget: BudgetUse::default(),
            delivery: Listed::default(),
        }
    }

    /// Identifies it among all messages, so that an outbox can tell a repetition from news.
    pub fn id(&self) -> String {
        format!("digest/{}/{}", self.every.name(), self.to.as_secs())
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a digest holds only texts, numbers and lists")
    }
}

impl Every {
    /// The name used in digests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), more: 0 }
    }
}

impl<T> FromIterator<T> for Listed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut all = all.into_iter();
        let items = all.by_ref().take(ENTRIES_MAX).collect();
        Self { items, more: all.count() }
    }
}

impl<T> Listed<T> {
    /// How many there are, those left out among them.
    pub fn count(&self) -> usize {
        self.items.len() + self.more
    }
}
