//! What grayflag says of itself: metrics, and whether it is alive and well.
//!
//! Whoever does something counts it on a [`Telemetry`]; what stands somewhere else already, such
//! as in the store, is read when somebody asks. Nothing here can fail or block for long.

pub mod catalogue;
mod health;
mod page;
mod process;
mod sheet;
mod signals;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use crate::engine::outcome::{Outcome, Silence};
use crate::source::Counting;
use crate::time::{Span, Timestamp};

use health::Pulse;

pub use health::{STALL_MAX, Work};
pub use page::Scene;
pub use process::Process;
pub use sheet::Format;
pub use signals::{SERIES_SHOWN_MAX, SERVICES_SHOWN_MAX};

/// Time since some instant that never goes back, for durations.
pub type Monotonic = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Upper ends of the buckets for pieces of work, in seconds: from a tick of a small fleet to
/// weeks of a large one.
const WORK_SECONDS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 300.0];
/// Upper ends of the buckets for requests to the API, in seconds.
const HTTP_SECONDS: [f64; 5] = [0.005, 0.05, 0.5, 2.5, 10.0];
/// Routes that are told apart; more would be a mistake in the program.
const ROUTES_MAX: usize = 100;

/// Where a limit was reached that leaves something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Series that are watched.
    Series,
    /// Incidents that are open at once.
    Incidents,
    /// Messages that wait.
    Outbox,
    /// Requests to the API at once.
    Requests,
}

impl Limit {
    const ALL: [Self; 4] = [Self::Series, Self::Incidents, Self::Outbox, Self::Requests];

    const fn name(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Incidents => "open_incidents",
            Self::Outbox => "outbox",
            Self::Requests => "http_requests",
        }
    }
}

/// How often something went well, and how often not.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    ok: u64,
    failed: u64,
    /// When it last went well.
    ok_at: Option<Timestamp>,
    last_failed: bool,
}

impl Tried {
    fn count(&mut self, at: Timestamp, ok: bool) {
        *if ok { &mut self.ok } else { &mut self.failed } += 1;
        self.last_failed = !ok;
        if ok {
            self.ok_at = Some(at);
        }
    }

    fn rows(self) -> [([&'static str; 1], f64); 2] {
        [(["ok"], self.ok as f64), (["failed"], self.failed as f64)]
    }
}

/// What was counted since the start.
#[derive(Debug)]
struct Counts {
    interval: Span,
    settle: Span,
    last_tick: Option<Timestamp>,
    ticks: u64,
    /// Share of the history that is learned.
    learned: f64,
    samples: u64,
    late: u64,
    beyond: u64,
    /// Signals without an answer at the newest tick.
    unanswered: usize,
    untold: BTreeMap<&'static str, u64>,
    /// By severity and state.
    alerts: BTreeMap<(&'static str, &'static str), u64>,
    questions: u64,
    answers: Tried,
    limits: BTreeMap<Limit, u64>,
    work: BTreeMap<Work, Histogram>,
    source: Option<Counting>,
    /// Why the last reading gave nothing.
    away: Option<&'static str>,
    reloads: Tried,
    heartbeats: Tried,
    /// By route and class of status.
    requests: BTreeMap<(String, &'static str), u64>,
    routes: BTreeMap<String, Histogram>,
    pulse: Pulse,
}

impl Default for Counts {
    fn default() -> Self {
        let histogram = |work| (work, Histogram::new(WORK_SECONDS));
        Self {
            interval: Span::ZERO,
            settle: Span::ZERO,
            last_tick: None,
            ticks: 0,
            learned: 0.0,
            samples: 0,
            late: 0,
            beyond: 0,
            unanswered: 0,
            untold: Silence::REASONS.into_iter().map(|reason| (reason, 0)).collect(),
            alerts: BTreeMap::new(),
            questions: 0,
            answers: Tried::default(),
            limits: Limit::ALL.into_iter().map(|limit| (limit, 0)).collect(),
            work: Work::ALL.into_iter().map(histogram).collect(),
            source: None,
            away: None,
            reloads: Tried::default(),
            heartbeats: Tried::default(),
            requests: BTreeMap::new(),
            routes: BTreeMap::new(),
            pulse: Pulse::default(),
        }
    }
}

impl Counts {
    /// Queries that the backend has answered, in whatever way.
    fn requests(&self) -> u64 {
        self.source.as_ref().map_or(0, |source| source.read().requests)
    }
}

/// Counts what happens. Clones count together.
#[derive(Clone)]
pub struct Telemetry {
    monotonic: Monotonic,
    counts: Arc<Mutex<Counts>>,
}

impl Default for Telemetry {
    /// For whoever is watched by nobody: durations are all zero.
    fn default() -> Self {
        Self::new(Arc::new(|| Duration::ZERO))
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// A piece of work that has begun.
#[derive(Debug)]
#[must_use = "work that does not end is not measured"]
pub struct Begun {
    work: Work,
    at: Duration,
}

impl Telemetry {
    /// Nothing counted yet; durations are measured by `monotonic`.
    pub fn new(monotonic: Monotonic) -> Self {
        let counts = Counts::default();
        let telemetry = Self { monotonic, counts: Arc::new(Mutex::new(counts)) };
        telemetry.rests();
        telemetry
    }

    /// Time since some instant, for [`Self::requested`].
    pub fn elapsed(&self) -> Duration {
        (self.monotonic)()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of work begins: a sign of life.
    pub fn begin(&self, work: Work) -> Begun {
        self.sign(Some(work));
        Begun { work, at: self.elapsed() }
    }

    /// It is done: another one.
    pub fn end(&self, begun: &Begun) {
        let spent = self.elapsed().saturating_sub(begun.at);
        if let Some(histogram) = self.lock().work.get(&begun.work) {
            histogram.observe(spent.as_secs_f64());
        }
        self.sign(None);
    }

    /// On which grid ticks lie, and how long they wait for late samples.
    pub fn grid(&self, interval: Span, settle: Span) {
        let mut counts = self.lock();
        (counts.interval, counts.settle) = (interval, settle);
    }

    /// A state that was kept goes on from its newest tick: nothing is left to be learned. Says
    /// nothing where a tick was processed already.
    pub fn goes_on_from(&self, newest: Timestamp) {
        let mut counts = self.lock();
        if counts.last_tick.is_none() {
            (counts.last_tick, counts.learned) = (Some(newest), 1.0);
        }
    }

    /// Ticks processed since the start, also those that only taught.
    pub fn ticks(&self) -> u64 {
        self.lock().ticks
    }

    /// From which backend is read, from now on.
    pub fn reads_from(&self, source: Counting) {
        self.lock().source = Some(source);
    }

    /// A reading gave ticks, or nothing for this class of error.
    pub fn backend(&self, away: Option<&'static str>) {
        self.lock().away = away;
    }

    /// A tick with so many samples was processed; `learned` is the share of the history that is
    /// learned now.
    pub fn ticked(&self, at: Timestamp, learned: f64, samples: usize, outcome: &Outcome) {
        let report = &outcome.report;
        let mut counts = self.lock();
        counts.last_tick = Some(at);
        counts.learned = learned;
        counts.ticks += 1;
        counts.samples += samples as u64;
        counts.late += report.late_samples;
        counts.beyond += report.samples_beyond_limit;
        counts.unanswered = 0;
        for (_, silence) in &report.silences {
            *counts.untold.entry(silence.reason()).or_default() += 1;
            match silence {
                Silence::Unanswered { .. } => counts.unanswered += 1,
                Silence::TooManyIncidents { .. } => counts.reach(Limit::Incidents, 1),
                _ => {}
            }
        }
        counts.reach(Limit::Series, u64::from(report.samples_beyond_limit > 0));
        for alert in &outcome.alerts {
            let key = (alert.severity.name(), alert.state.name());
            *counts.alerts.entry(key).or_default() += 1;
        }
    }

    /// So many questions about label values were asked, of which some could not be answered.
    pub fn asked(&self, questions: usize, failed: usize) {
        let mut counts = self.lock();
        counts.questions += questions as u64;
        counts.answers.failed += failed as u64;
        counts.answers.ok += questions.saturating_sub(failed) as u64;
    }

    /// A limit left out so many things.
    pub fn left_out(&self, limit: Limit, count: usize) {
        self.lock().reach(limit, count as u64);
    }

    /// A new configuration is in use.
    pub fn reloaded(&self, at: Timestamp) {
        self.lock().reloads.count(at, true);
    }

    /// A new configuration could not be loaded; the old one stays in use.
    pub fn reload_failed(&self, at: Timestamp) {
        self.lock().reloads.count(at, false);
    }

    /// A sign of life was sent, and taken or not.
    pub fn beaten(&self, at: Timestamp, taken: bool) {
        self.lock().heartbeats.count(at, taken);
    }

    /// A request to the API was answered that had begun at [`Self::elapsed`]. `route` is the
    /// pattern of its path; none where there is nothing.
    pub fn requested(&self, route: Option<&str>, status: u16, began: Duration) {
        let class = match status {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        let spent = self.elapsed().saturating_sub(began);
        let mut counts = self.lock();
        let known =
            |route: &&str| counts.routes.contains_key(*route) || counts.routes.len() < ROUTES_MAX;
        let route = route.filter(known).unwrap_or("other").to_owned();
        let duration = counts.routes.entry(route.clone());
        duration.or_insert_with(|| Histogram::new(HTTP_SECONDS)).observe(spent.as_secs_f64());
        *counts.requests.entry((route, class)).or_default() += 1;
    }
}

impl Counts {
    fn reach(&mut self, limit: Limit, count: u64) {
        *self.limits.entry(limit).or_default() += count;
    }
}
