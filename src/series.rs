//! Series, samples and batches: what a source hands to the engine. Gaps are explicit.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::time::{Span, Timestamp};

/// Label names and values, in order of name.
pub type Labels = BTreeMap<String, String>;

/// Identifies a series: a 128-bit hash of the signal's name and the series' labels.
///
/// Stable between runs, platforms and versions, so that it can stand in snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesId(pub u128);

/// One series: the values of one signal for one service and, where the signal has them, one
/// peer, one dependency and one combination of `split` labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Series {
    /// The hash of everything below.
    pub id: SeriesId,
    /// Name of the signal rule that gave it.
    pub signal: String,
    /// Value of the signal's service label.
    pub service: String,
    /// Value of the peer label: one of several interchangeable members.
    pub peer: Option<String>,
    /// Value of the dependency label.
    pub dependency: Option<String>,
    /// The declared labels as the backend gave them: peer, dependency and split, by label name.
    pub labels: Labels,
}

impl Series {
    /// Makes a series and its id.
    pub fn new(
        signal: &str,
        service: &str,
        peer: Option<String>,
        dependency: Option<String>,
        labels: Labels,
    ) -> Self {
        let mut texts = vec![signal, service];
        for (name, value) in &labels {
            texts.extend([name.as_str(), value.as_str()]);
        }
        let id = SeriesId(stable_hash(&texts));
        Self {
            id,
            signal: signal.to_owned(),
            service: service.to_owned(),
            peer,
            dependency,
            labels,
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{service={:?}", self.signal, self.service)?;
        for (name, value) in &self.labels {
            write!(f, ",{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// A 128-bit hash of texts that stays the same between runs, platforms and versions.
pub fn stable_hash(texts: &[&str]) -> u128 {
    let mut hasher = SipHasher13::new();
    for text in texts {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        hasher.write(&(text.len() as u64).to_le_bytes());
        hasher.write(text.as_bytes());
    }
    hasher.finish128().as_u128()
}

/// One value of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Whose value.
    pub series: Arc<Series>,
    /// Finite: sources leave NaN and infinities out, as gaps.
    pub value: f64,
}

/// What kind of event a change was.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// A new version of the service.
    Deploy,
    /// A configuration or secret.
    Config,
    /// A feature flag.
    Flag,
    /// A schema or data migration.
    Migration,
    /// More or fewer instances.
    Scaling,
    /// Planned work.
    Maintenance,
}

impl ChangeKind {
    /// Every kind, in order.
    pub const ALL: [Self; 6] =
        [Self::Deploy, Self::Config, Self::Flag, Self::Migration, Self::Scaling, Self::Maintenance];

    /// The name used in files, alerts and pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Config => "config",
            Self::Flag => "flag",
            Self::Migration => "migration",
            Self::Scaling => "scaling",
            Self::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A deploy, config, flag, migration, scaling or maintenance event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// When it began.
    pub at: Timestamp,
    /// When it was over, if it lasted.
    pub end: Option<Timestamp>,
    /// What kind of event.
    pub kind: ChangeKind,
    /// Which service it touched.
    pub service: String,
    /// What changed: a version, a flag's name.
    pub what: String,
}

/// Why a signal gave no rows at a tick: the source could not ask, or could not believe the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Name of the signal.
    pub signal: String,
    /// What went wrong, for the report.
    pub reason: String,
}

/// What a breakdown query should tell about an incident: which values of one label hold more than
/// their usual share. Asked by the engine, answered by whoever drives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    /// Name of the signal whose breakdown is asked for.
    pub signal: String,
    /// The service in trouble.
    pub service: String,
    /// Label to break down by: one of the signal's `breakdown.by`.
    pub label: String,
    /// When the trouble began: what lies before is the baseline.
    pub onset: Timestamp,
    /// The newest instant that counts.
    pub until: Timestamp,
}

/// What came of a [`Question`].
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What was asked.
    pub question: Question,
    /// Per value of the label: its level before the onset and since, in the query's unit; or why
    /// nobody knows.
    pub values: Result<Vec<LabelValue>, String>,
}

/// One value of a label, before an incident and in it.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelValue {
    /// The value.
    pub value: String,
    /// Mean over the baseline window, in the query's unit; no number where nobody knows.
    pub before: f64,
    /// Mean since the onset.
    pub since: f64,
}

/// How a value ends that stands for many: see [`LabelValue::others`].
const OTHERS: &str = " others)";

impl LabelValue {
    /// What values too many to be told apart have together: a part of the whole, and no value.
    pub fn others(count: usize, before: f64, since: f64) -> Self {
        Self { value: format!("({count}{OTHERS}"), before, since }
    }

    /// Whether it stands for many.
    pub fn is_others(&self) -> bool {
        self.value.starts_with('(') && self.value.ends_with(OTHERS)
    }
}

/// What a person said about an incident.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was right to tell.
    Useful,
    /// Nothing was wrong.
    False,
    /// Something was unusual, and meant to be.
    Expected,
    /// Another incident told the same already.
    Duplicate,
}

impl Verdict {
    /// Every verdict, in order.
    pub const ALL: [Self; 4] = [Self::Useful, Self::False, Self::Expected, Self::Duplicate];

    /// The name used in files, requests and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Useful => "useful",
            Self::False => "false",
            Self::Expected => "expected",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Feedback on one incident.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Feedback {
    /// Position in the order in which feedback was given: rising, so that none is used twice.
    pub number: i64,
    /// When it was given: ticks up to then did not know it.
    pub at: Timestamp,
    /// Id of the incident.
    pub incident: String,
    /// What it was worth.
    pub verdict: Verdict,
    /// Id of the true cause, where somebody found it.
    pub cause: Option<String>,
}

/// Everything that a source knows about one tick.
///
/// A series that is missing here although its signal was answered is silent at this tick; a
/// signal in `unanswered` says nothing about its series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// How much time the samples stand for: the tick interval, or the step of a history read.
    pub span: Span,
    /// At most one per series; the order does not matter.
    pub samples: Vec<Sample>,
    /// For signals with a floor of traffic: what that query answered, one per signal and service.
    /// The sample's series carries the signal's name and the service, and no labels.
    pub traffic: Vec<Sample>,
    /// Change events that became known since the last batch.
    pub changes: Vec<Change>,
    /// Calls seen between services, as (caller, callee), where a topology query is configured.
    pub calls: Vec<(String, String)>,
    /// Signals that could not be asked.
    pub unanswered: Vec<Unanswered>,
    /// What came of the questions that the engine had after the last tick.
    pub answers: Vec<Answer>,
    /// Feedback that was given since the last batch, in order of number.
    pub feedback: Vec<Feedback>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_every_part_and_on_nothing_else() {
        let labels = |v: &str| Labels::from([("instance".to_owned(), v.to_owned())]);
        let a = Series::new("latency", "web", Some("1".into()), None, labels("1"));
        assert_eq!(a, Series::new("latency", "web", Some("1".into()), None, labels("1")));
        assert_ne!(a.id, Series::new("latency", "web", Some("2".into()), None, labels("2")).id);
        assert_ne!(a.id, Series::new("latencyw", "eb", Some("1".into()), None, labels("1")).id);
        // Pinned: a change would orphan every stored snapshot.
        assert_eq!(
            stable_hash(&["latency", "web"]),
            107_808_733_295_632_095_360_757_390_132_656_676_242
        );
    }
}
