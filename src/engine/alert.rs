//! The alert: what a person or a machine receives about an incident. Its JSON form,
//! `grayflag.alert/v1`, is a contract.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{Role, Steps, UNEXPLAINED};
use crate::time::{Span, Timestamp};

/// The value of every alert's `schema` field.
pub const SCHEMA: &str = "grayflag.alert/v1";

/// A cause below this posterior is not called clear.
pub const CLEAR_MIN: f64 = 0.5;

/// Of a crossing that may be so many times as far ahead as it may be near people are told the
/// earliest moment only: whoever reads "between today and March" believes the middle of it.
const RANGE_RATIO_MAX: i64 = 4;
/// How soon a crossing is that asks for a look at once: whether it is a minute or an hour then says
/// nothing about how well it is known.
const SOON: Span = Span::HOUR;

/// How the last entry of [`NamedCause::unknown`] begins, which lists what no signal measures; the
/// service at which it would be measured follows, since others may well measure it.
pub const NOT_MEASURED: &str = "not measured";
/// The same where everything is measured, and kinds of changes are not reported.
pub const NOT_REPORTED: &str = "not reported: ";

/// How the last entry of the leading cause's [`NamedCause::against`] begins, which lists what moved
/// and is no part of what the cause does.
pub const NOT_EXPLAINED: &str = "does not explain what moves now: ";
/// Ends what changed since the last alert, where a title begins with that.
const NEWS_END: &str = " — ";

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "IncidentState")]
pub enum State {
    /// It opened.
    Firing,
    /// Its severity, leading cause or services changed.
    Updated,
    /// It is over.
    Resolved,
}

/// How much it matters to users.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Weak signals agree beyond the notice budget; users are not affected.
    Notice,
    /// Beyond the alert budget, or on course to reach users.
    Warning,
    /// Users are affected now.
    Critical,
}

/// What is told about an incident at one tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Where the incident stands.
    pub state: State,
    /// Stable id of the incident, derived from its data.
    pub incident: String,
    /// The tick at which this was decided.
    pub at: Timestamp,
    /// The earliest onset of the incident's findings.
    pub started_at: Timestamp,
    /// Where the onset can lie.
    pub started_at_range: [Timestamp; 2],
    /// How much it matters.
    pub severity: Severity,
    /// The service that the incident is about: the culprit's victim that was seen first.
    pub service: String,
    /// Every service in it, the first one included, in order of name.
    pub services: Vec<String>,
    /// One line that can be acted on from a lock screen: what changed, in an update; who feels
    /// what and how much; why, and how sure that is.
    pub title: String,
    /// Most probable first.
    pub causes: Vec<NamedCause>,
    /// Whether users are affected, and by what that is known: `not affected yet: …`,
    /// `affected: …`, `cannot be said: …`; once it is over `were affected; …` and the like. Empty in
    /// alerts of older versions.
    #[serde(default)]
    pub users: String,
    /// When the numbers of causes were taken, where that is before `at`: what is seen near the onset
    /// names a cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_at: Option<Timestamp>,
    /// The findings, strongest first.
    pub signals: Vec<MovedSignal>,
    /// Changes near the onset, in order of time.
    pub changes: Vec<NearChange>,
    /// When it crosses its limit or objective, where that can be estimated.
    pub forecast: Option<Forecast>,
    /// Label values that explain it.
    pub breakdown: Vec<BreakdownValue>,
    /// The leading cause's steps, filled with this incident's facts.
    pub steps: Steps,
    /// What was looked at and found normal.
    pub checked: Vec<String>,
    /// Where to look further.
    pub links: BTreeMap<String, String>,
}

/// A cause with its probability and reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamedCause {
    /// Id of the catalogue.
    pub id: String,
    /// Posterior, 0 to 1; the probabilities of one alert add up to at most 1.
    pub probability: f64,
    /// What is to blame.
    pub culprit: Culprit,
    /// Evidence for it, strongest first.
    #[serde(rename = "for")]
    pub evidence_for: Vec<String>,
    /// Evidence against it, strongest first.
    pub against: Vec<String>,
    /// Evidence that could not be looked up; the last entry may list the cause's blind spots.
    pub unknown: Vec<String>,
}

impl NamedCause {
    /// Whether it is a known cause, and as probable as all others together.
    pub fn is_clear(&self) -> bool {
        self.id != UNEXPLAINED && self.probability >= CLEAR_MIN
    }
}

/// What is to blame: a service and, where known, labels that narrow it down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Culprit {
    /// A service or dependency.
    pub service: String,
    /// For example `dependency`, `instance`, `version`.
    pub labels: BTreeMap<String, String>,
}

impl Culprit {
    /// The label that names a dependency.
    pub const DEPENDENCY: &str = "dependency";

    /// The dependency that calls go to, where one is to blame.
    pub fn dependency(&self) -> Option<&str> {
        self.labels.get(Self::DEPENDENCY).map(String::as_str)
    }

    /// Whether another culprit is only this one again, as those see it who wait for it.
    pub fn is_restated_by(&self, other: &Self) -> bool {
        self.dependency().is_none() && other.dependency() == Some(&self.service)
    }

    /// Whether it is more than a service and what it calls: one of its tenants, peers or versions.
    pub fn is_narrowed(&self) -> bool {
        self.labels.keys().any(|label| label != Self::DEPENDENCY)
    }
}

/// A series that left its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MovedSignal {
    /// Whose series.
    pub service: String,
    /// Name of the signal.
    pub signal: String,
    /// Its role.
    pub role: String,
    /// The labels that tell it from its siblings.
    pub labels: BTreeMap<String, String>,
    /// `up`, `down` or `silent`.
    pub direction: String,
    /// When it began to move.
    pub onset: Timestamp,
    /// Its latest value, in `unit`; none when it is silent.
    pub now: Option<f64>,
    /// What the baseline expects now, in `unit`.
    pub expected: Option<f64>,
    /// Unit for people.
    pub unit: Option<String>,
    /// Where one of several interchangeable peers is apart: its name. `expected` is then what the
    /// others stand at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Where `now` counts some of the calls that are made: how many of all, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_calls: Option<f64>,
    /// Chance of a score this high on a normal day, 0 to 1.
    pub p_value: f64,
}

impl MovedSignal {
    /// What moved, in words: by its role, or by its own name where the role says nothing.
    pub fn subject(&self) -> &str {
        match Role::from_name(&self.role) {
            Some(role) if role != Role::Custom => role.words(),
            _ => &self.signal,
        }
    }

    /// Which percentile it is, where its name in the rules tells: `p99` of `http-latency-p99`. Not
    /// below the median: the twelfth of many partitions may be called `p12`.
    pub fn percentile(&self) -> Option<&str> {
        let is_one = |part: &&str| {
            let number = part.strip_prefix('p').and_then(|digits| digits.parse::<u32>().ok());
            number.is_some_and(|number| number >= 50)
        };
        self.signal.split(['-', '_']).find(is_one)
    }

    /// Whose `expected` is: `usually`, or `the others` of a peer that is apart.
    pub const fn against(&self) -> &'static str {
        if self.peer.is_some() { "the others" } else { "usually" }
    }
}

/// A change event near the onset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NearChange {
    /// Kind of event.
    pub kind: String,
    /// Service that it touched.
    pub service: String,
    /// When it began.
    pub at: Timestamp,
    /// What changed.
    pub what: String,
}

/// When a series crosses something that matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Which signal.
    pub signal: String,
    /// Of which service; empty in alerts of older versions.
    #[serde(default)]
    pub service: String,
    /// `limit` or `objective`.
    pub crosses: String,
    /// Best estimate.
    pub at: Timestamp,
    /// Earliest and latest at 80 %; no latest when the data cannot bound it.
    pub range: (Timestamp, Option<Timestamp>),
}

impl Forecast {
    /// Whether it is about this signal of this service.
    pub fn is_about(&self, service: &str, signal: &str) -> bool {
        self.signal == signal && (self.service == service || self.service.is_empty())
    }

    /// The latest crossing, where it tells a person how long is left: it is there, and not many
    /// times as far ahead as the earliest. Else only how soon it may be is known.
    pub fn known_latest(&self, now: Timestamp) -> Option<Timestamp> {
        let (earliest, latest) = self.range;
        let soonest = (earliest - now).max(SOON);
        latest.filter(|&latest| latest - now <= soonest.times(RANGE_RATIO_MAX))
    }
}

/// A label value that holds more than its usual share, or lost some of it, whichever is the trouble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakdownValue {
    /// Which signal.
    pub signal: String,
    /// Of which service; empty in alerts of older versions.
    #[serde(default)]
    pub service: String,
    /// What is divided, in words: `traffic`, `time spent`; empty in alerts of older versions.
    #[serde(default)]
    pub of: String,
    /// Which label.
    pub label: String,
    /// Which value.
    pub value: String,
    /// Its share now, 0 to 1.
    pub share: f64,
    /// Its share before, 0 to 1.
    pub usual_share: f64,
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Self; 3] = [Self::Notice, Self::Warning, Self::Critical];

    /// Every severity behind its name, for choices in files.
    pub fn named() -> [(&'static str, Self); 3] {
        Self::ALL.map(|severity| (severity.name(), severity))
    }

    /// The name used in alerts and routes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl State {
    /// The name used in alerts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Alert {
    /// A notice that begins at `at` and says nothing but whom it is about: for those who ask what
    /// would come of an alert, or found none.
    pub fn plain(incident: &str, service: String, at: Timestamp) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            state: State::Firing,
            incident: incident.to_owned(),
            at,
            started_at: at,
            started_at_range: [at, at],
            severity: Severity::Notice,
            services: vec![service.clone()],
            service,
            title: String::new(),
            causes: Vec::new(),
            signals: Vec::new(),
            changes: Vec::new(),
            forecast: None,
            breakdown: Vec::new(),
            users: String::new(),
            named_at: None,
            steps: Steps::default(),
            checked: Vec::new(),
            links: BTreeMap::new(),
        }
    }

    /// Identifies this message among all: the same incident, state and tick give the same id,
    /// so that an outbox can tell a repetition from news.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.incident, self.state, self.at.as_secs())
    }

    /// Puts what changed since the last alert before the title.
    pub(crate) fn begin_with(&mut self, news: Option<&str>) {
        if let Some(news) = news {
            self.title = format!("{news}{NEWS_END}{}", self.title);
        }
    }

    /// What changed since the last alert, where the title begins with that, and the rest of it.
    pub fn news(&self) -> (Option<&str>, &str) {
        let parts = self.title.split_once(NEWS_END).filter(|_| self.state == State::Updated);
        parts.map_or((None, self.title.as_str()), |(news, rest)| (Some(news), rest))
    }

    /// The same for somebody who was not told of the incident before, because it was too mild: that
    /// there is one, and not that it changed.
    #[must_use]
    pub fn as_first(&self) -> Self {
        let (_, title) = self.news();
        let state = if self.state == State::Updated { State::Firing } else { self.state };
        Self { state, title: title.to_owned(), ..self.clone() }
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an alert holds only texts, numbers and lists")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_is_no_answer_is_not_told() {
        let now = Timestamp::from_secs(1_772_332_200);
        let minutes = |minutes| now + Span::from_mins(minutes);
        for (earliest, latest, is_told, why) in [
            (110, Some(360), true, "there is time for a coffee, and not for a night"),
            (1, Some(200), true, "it asks for a look now, whenever it is exactly"),
            (1, Some(100 * 24 * 60), false, "between today and summer is no answer"),
            (300, Some(21 * 60), false, "an hour more than four times"),
            (300, Some(20 * 60), true, "four times"),
            (300, None, false, "it may never come"),
        ] {
            let forecast = Forecast {
                signal: "pool-use".to_owned(),
                service: "shop".to_owned(),
                crosses: "limit".to_owned(),
                at: minutes(earliest + 1),
                range: (minutes(earliest), latest.map(minutes)),
            };
            assert_eq!(forecast.known_latest(now).is_some(), is_told, "{why}");
        }
    }
}
