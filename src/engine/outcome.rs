//! What a step decided, and why it kept silent.

use std::fmt;

use crate::engine::alert::Alert;
use crate::format;
use crate::series::Series;
use crate::time::{Span, Timestamp};

/// Everything that one step decided. Effects are data: drivers carry them out.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "alerts that nobody sends are lost"]
pub struct Outcome {
    /// In the order in which they were decided.
    pub alerts: Vec<Alert>,
    /// What was not said, and why.
    pub report: Report,
}

/// Why the engine kept silent where it might have spoken.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "an unread report is not actionable"]
pub struct Report {
    /// Samples left out because their tick had been processed already.
    pub late_samples: u64,
    /// Samples left out because [`super::track::SERIES_MAX`] series were known already.
    pub samples_beyond_limit: u64,
    /// One entry per thing that was not said in this step.
    pub silences: Vec<(String, Silence)>,
    /// Levels that are normal from now on, after a deploy or because somebody expects them.
    pub relevelled: Vec<Relevelled>,
    /// What moved too slowly to be an incident.
    pub crept: Vec<Crept>,
}

/// Why a level became normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A deploy left it behind, and it is steady.
    Deploy,
    /// Somebody said that the incident was expected.
    Expected,
}

/// A series whose level was accepted as its new normal.
#[derive(Clone, Debug, PartialEq)]
pub struct Relevelled {
    /// Which series.
    pub series: Series,
    /// Where its slow mean was, in standard units above its baseline.
    pub from: f64,
    /// Where it is now.
    pub to: f64,
    /// Why.
    pub why: Accepted,
}

impl fmt::Display for Relevelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, from, to, why } = self;
        let Series { signal, service, .. } = series;
        let way = if to > from { "higher" } else { "lower" };
        let size = (to - from).abs();
        let why = match why {
            Accepted::Deploy => "since a deploy",
            Accepted::Expected => "as somebody expects",
        };
        write!(f, "{signal} of {service} is {size:.1} spreads {way} {why}: normal now")
    }
}

/// A series that crept toward worse over weeks.
#[derive(Clone, Debug, PartialEq)]
pub struct Crept {
    /// Which series.
    pub series: Series,
    /// Its level in the first of the weeks, in its own unit.
    pub from: f64,
    /// Its level in the last.
    pub to: f64,
    /// Weeks between the two.
    pub weeks: usize,
    /// Unit for people.
    pub unit: Option<String>,
}

impl fmt::Display for Crept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, from, to, weeks, unit } = self;
        let labels: Vec<&str> = series.labels.values().map(String::as_str).collect();
        let (open, close) = if labels.is_empty() { ("", "") } else { (" (", ")") };
        let Series { signal, service, .. } = series;
        write!(f, "{signal} of {service}{open}{}{close} crept ", labels.join(", "))?;
        if *from != 0.0 {
            write!(f, "by {} ", format::share((to - from).abs() / from.abs()))?;
        }
        let [from, to] = [from, to].map(|level| format::value(*level, unit.as_deref()));
        write!(f, "in {weeks} weeks, from {from} to {to}")
    }
}

/// A reason for silence.
#[derive(Clone, Debug, PartialEq)]
pub enum Silence {
    /// The engine has not yet reached the instant from which it may alert.
    Learning {
        /// That instant.
        until: Timestamp,
    },
    /// A series or service is too young to be judged.
    NotEnoughHistory {
        /// What there is.
        have: Span,
        /// What it takes.
        need: Span,
    },
    /// More than half of the service's series are missing.
    Blind,
    /// Beyond the threshold, but the service used up its alerts: told as a notice.
    HeldByBudget {
        /// Statistic over threshold; beyond 1.5 it would have been told all the same.
        ratio: f64,
    },
    /// Part of an incident that is open already.
    Joined {
        /// Which one.
        incident: String,
    },
    /// Beyond its threshold or silent, but so many incidents are open that no other is opened.
    TooManyIncidents {
        /// How many are open.
        open: usize,
    },
    /// A peer that stands apart cannot be told: it takes three to say which one it is.
    TooFewPeers {
        /// How many there are.
        have: usize,
    },
    /// The traffic of most services is low at once: a holiday, an outage of what lies before them.
    /// Thresholds for what is new are doubled while it lasts.
    Calendar {
        /// Share of the services with known traffic that are low.
        share: f64,
    },
    /// Beyond the alert threshold, but what looked like this was called false or expected again
    /// and again: told as a notice until it goes well beyond what it was then.
    Habitual {
        /// How many times it was called so.
        times: usize,
    },
    /// The source could not ask for this signal.
    Unanswered {
        /// What it said.
        reason: String,
    },
}

impl Silence {
    /// Every [`Self::reason`].
    pub const REASONS: [&'static str; 10] = [
        "learning",
        "not_enough_history",
        "blind",
        "budget",
        "joined",
        "too_many_incidents",
        "too_few_peers",
        "calendar",
        "habit",
        "unanswered",
    ];

    /// The reason in a word, for metrics.
    pub const fn reason(&self) -> &'static str {
        Self::REASONS[match self {
            Self::Learning { .. } => 0,
            Self::NotEnoughHistory { .. } => 1,
            Self::Blind => 2,
            Self::HeldByBudget { .. } => 3,
            Self::Joined { .. } => 4,
            Self::TooManyIncidents { .. } => 5,
            Self::TooFewPeers { .. } => 6,
            Self::Calendar { .. } => 7,
            Self::Habitual { .. } => 8,
            Self::Unanswered { .. } => 9,
        }]
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Learning { until } => write!(f, "learning until {until}"),
            Self::NotEnoughHistory { have, need } => {
                write!(f, "not enough history: {} of {}", have.rough(), need.rough())
            }
            Self::Blind => f.write_str("more than half of the series are missing"),
            Self::HeldByBudget { ratio } => {
                write!(f, "held as a notice: alert budget used up (ratio {ratio:.2})")
            }
            Self::Joined { incident } => write!(f, "part of incident {incident}"),
            Self::TooManyIncidents { open } => write!(f, "not told: {open} incidents are open"),
            Self::TooFewPeers { have } => write!(f, "{have} peers: it takes three to compare"),
            Self::Calendar { share } => {
                let percent = 100.0 * share;
                write!(f, "traffic of {percent:.0} % of services is low at once: less sensitive")
            }
            Self::Habitual { times } => {
                write!(f, "held as a notice: called false or expected {times} times before")
            }
            Self::Unanswered { reason } => write!(f, "not asked: {reason}"),
        }
    }
}

/// One series at one tick, for `--scores`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreRow<'a> {
    /// Which series.
    pub series: &'a Series,
    /// Its latest value, in its own unit.
    pub value: f64,
    /// What its baseline expects now, in its own unit.
    pub expected: Option<f64>,
    /// Standardised distance from the baseline.
    pub residual: Option<f64>,
    /// 0 to 1; 0.5 is the notice threshold, 1 is certain.
    pub score: f64,
}
