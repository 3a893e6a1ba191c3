//! The post-incident review: what the system knew before users did, when, and by which signal.
//!
//! A driver replays the time around the incident into [`Watched`]; [`Subject::choose`] says which
//! services and incidents it is about; [`review`] puts what was replayed, what the state file
//! remembers and what is not measured into one document, which [`markdown`] and [`html`] lay out.
//! Nothing here asks a backend or opens a file.

mod gaps;
mod html;
mod markdown;
mod review;
mod subject;
mod timeline;
mod verdict;

use jiff::tz::TimeZone;

use crate::course::{Courses, Silences};
use crate::coverage::Coverage;
use crate::engine::Engine;
use crate::engine::alert::Alert;
use crate::engine::chart::Chart;
use crate::engine::outcome::Outcome;
use crate::rules::Rules;
use crate::series::Change;
use crate::store::{Acknowledged, ListedMessage, Said};
use crate::time::Timestamp;

pub use html::html;
pub use markdown::markdown;
pub use review::{Event, Fact, Group, Review, SignalRow, review};
pub use subject::Subject;

/// What a replay of the time around an incident showed.
#[derive(Debug)]
pub struct Watched {
    /// The first instant that could alert, and the last that was replayed.
    pub window: [Timestamp; 2],
    /// Everything that was told, in order.
    pub alerts: Vec<Alert>,
    /// How every service stood.
    pub courses: Courses,
    /// Why things were not told.
    pub silences: Silences,
    /// Changes that were known at the end.
    pub changes: Vec<Change>,
}

/// What the state file remembers: what was really told, and what people said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Every alert of the time around the incident, in order.
    pub alerts: Vec<Alert>,
    /// Messages about these incidents.
    pub messages: Vec<ListedMessage>,
    /// Incident, and who looks after it since when.
    pub acknowledged: Vec<(String, Acknowledged)>,
    /// Incident, and what was said about it.
    pub said: Vec<(String, Said)>,
}

/// When users noticed, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// When.
    pub at: Timestamp,
    /// Who says so.
    pub by: Witness,
}

/// Who says when users noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// Whoever asks for the review.
    Asked,
    /// The file of incidents.
    File,
    /// Latency, errors or queue age were beyond the objective for a quarter of an hour.
    Objective,
}

/// What a review is made of, beside what was replayed.
#[derive(Debug)]
pub struct Case<'a> {
    /// The instant that was asked about.
    pub at: Timestamp,
    /// The rules in force.
    pub rules: &'a Rules,
    /// The reader's clock.
    pub zone: &'a TimeZone,
    /// What the review is about.
    pub subject: Subject,
    /// When users noticed, as somebody said; the objective is looked at without.
    pub noticed: Option<Noticed>,
    /// What the state file remembers; none without one.
    pub record: Option<Record>,
    /// What was measured of each service at the time; none where that was not asked.
    pub coverage: Option<Coverage>,
    /// What can be drawn of [`Subject::shown`].
    pub chart: Chart,
}

impl Watched {
    /// Nothing was seen yet of a time that begins here.
    pub fn new(from: Timestamp) -> Self {
        Self {
            window: [from, from],
            alerts: Vec::new(),
            courses: Courses::new(false),
            silences: Silences::default(),
            changes: Vec::new(),
        }
    }

    /// Takes in a tick that could alert.
    pub fn take(&mut self, at: Timestamp, engine: &Engine, outcome: Outcome) {
        self.window[1] = at;
        self.courses.take(engine, &outcome.alerts);
        self.silences.take(at, outcome.report.silences);
        self.alerts.extend(outcome.alerts);
    }

    /// The last tick was taken.
    pub fn end(&mut self, engine: &Engine) {
        self.courses.end(engine);
        self.changes = engine.changes().to_vec();
    }
}
