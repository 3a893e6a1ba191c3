//! A simulated fleet whose monitoring can be read: the demo, tests and benchmarks use it.
//!
//! `web` serves users and calls `checkout`, which calls `payments` and, through a connection pool,
//! `orders-db`; orders put mails into a queue that `worker` drains; `web` reads its catalogue
//! through `cache`; `payments` calls a bank that is nobody's service. Orders come from forty tenants
//! of very different sizes. Faults change causes, the model of queues makes the symptoms, and users
//! notice when their own experience is bad, whatever the metrics show.
//!
//! There is a fault for every cause of the catalogue ([`FAULTS`]), for each of them something that
//! resembles it ([`LOOKALIKES`]), and some that no cause explains ([`OUTSIDE`]). All are planned
//! alike.

use crate::time::{Span, Timestamp};

pub mod breakdown;
pub mod dirt;
pub mod endpoint;
mod fault;
pub mod history;
pub mod queueing;
pub mod rivals;
pub mod synthetic;

mod blueprint;
mod catalogue;
mod fleet;
mod life;
mod lookalike;
mod metrics;
mod noise;
mod operations;
mod orders;
mod pressure;
mod rules;
mod stores;
mod tenants;
mod tier;
mod traffic;
mod users;

pub use fault::{FAULTS, Fault, FaultInfo, FaultPlan, NOTHING, Severity, Truth};
pub use history::History;
pub use lookalike::{LOOKALIKES, Like, LookAlike, OUTSIDE, Outside};
pub use metrics::{LabSeries, SERIES_MAX};
pub use rules::rules;
pub use users::{ERRORS_OBJECTIVE, LATENCY_OBJECTIVE, MAIL_OBJECTIVE, Noticed, Objective};

use fleet::{Fleet, STEP};
use metrics::Metrics;
use pressure::Pressure;
use traffic::Traffic;
use users::Users;

/// Plans that one lab takes.
pub const PLANS_MAX: usize = 1_000;
/// Longest scrape interval: beyond it a lookback of five minutes finds nothing.
pub const SCRAPE_MAX: Span = Span::from_mins(5);
/// Time that passes unseen before the first scrape, so that queues and caches have settled.
const WARM_UP: Span = Span::from_mins(30);

/// What a lab is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The same seed gives the same lab, to the bit.
    pub seed: u64,
    /// Instant of the first scrape; rounded down to ten seconds.
    pub start: Timestamp,
    /// Time between two scrapes: a multiple of ten seconds.
    pub scrape: Span,
    /// What will go wrong.
    pub faults: Vec<FaultPlan>,
}

/// Why a lab cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabError {
    /// The model moves in steps of ten seconds.
    #[error("cannot scrape the lab every {0}\nhint: use a multiple of 10s up to {SCRAPE_MAX}")]
    Scrape(Span),
    /// A plan that never happens.
    #[error("cannot plan `{0}`: it ends before it begins")]
    Plan(Fault),
    /// A plan whose onset has passed.
    #[error("cannot plan `{0}`: its onset has passed")]
    Begun(Fault),
    /// More plans than [`PLANS_MAX`].
    #[error("cannot plan {0} faults, at most {PLANS_MAX}")]
    TooMany(usize),
}

/// What the fleet's monitoring shows at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Scrape {
    /// The instant.
    pub at: Timestamp,
    /// Index into [`Lab::series`] and value, in order of index; what is missing was not there.
    pub samples: Vec<(usize, f64)>,
    /// Every five minutes the values of [`breakdown::Ledger::series`], in their order; empty
    /// otherwise.
    pub parts: Vec<f64>,
}

/// The simulated fleet.
#[derive(Clone, Debug)]
pub struct Lab {
    settings: Settings,
    /// Instant up to which the model has run.
    now: Timestamp,
    traffic: Traffic,
    fleet: Fleet,
    metrics: Metrics,
    exporter: breakdown::Exporter,
    users: Users,
}

/// Who calls whom, as (caller, callee), the mail queue included.
pub fn topology() -> Vec<(&'static str, &'static str)> {
    let name = |service: blueprint::Service| blueprint::SPECS[service as usize].name;
    let calls = blueprint::EDGES.iter().map(|&(caller, callee)| (name(caller), name(callee)));
    calls.chain([(name(blueprint::Service::Checkout), name(blueprint::Service::Worker))]).collect()
}

impl Lab {
    /// A fleet that has settled and is about to be scraped for the first time.
    ///
    /// # Errors
    ///
    /// When the scrape interval or a plan cannot be followed.
    pub fn new(mut settings: Settings) -> Result<Self, LabError> {
        let step = step();
        let scrape = settings.scrape;
        if scrape < step || SCRAPE_MAX < scrape || scrape.as_millis() % step.as_millis() != 0 {
            return Err(LabError::Scrape(scrape));
        }
        check(&settings.faults)?;
        settings.start = settings.start.floor_to(step);
        let mut lab = Self {
            now: settings.start - scrape - WARM_UP,
            traffic: Traffic::new(settings.seed),
            fleet: Fleet::new(settings.seed),
            metrics: Metrics::new(settings.seed, scrape),
            exporter: breakdown::Exporter::new(settings.seed),
            users: Users::new(&settings.faults),
            settings,
        };
        lab.run_to(lab.settings.start - scrape);
        lab.fleet.forget_tallies();
        Ok(lab)
    }

    /// Adds one more thing that will go wrong.
    ///
    /// A clone that is given a plan lives through the same weather as the original: every concern
    /// draws from its own random stream, so the two differ by the fault and what follows from it.
    ///
    /// # Errors
    ///
    /// When the plan cannot be followed, or has begun already.
    pub fn plan(&mut self, plan: FaultPlan) -> Result<(), LabError> {
        if plan.onset <= self.now {
            return Err(LabError::Begun(plan.fault));
        }
        let mut faults = self.settings.faults.clone();
        faults.push(plan);
        check(&faults)?;
        self.settings.faults = faults;
        self.users.expect(plan);
        Ok(())
    }

    /// Lets one scrape interval pass and scrapes.
    pub fn scrape(&mut self) -> Scrape {
        let at = self.now + self.settings.scrape;
        self.run_to(at);
        let pressure = Pressure::at(&self.settings.faults, at);
        let silent = pressure.payments_silent.then_some(blueprint::Service::Payments);
        let parts = self.exporter.record(at, &self.fleet, &pressure);
        Scrape { at, samples: self.metrics.scrape(&mut self.fleet, silent), parts }
    }

    fn run_to(&mut self, end: Timestamp) {
        while self.now < end {
            self.now = self.now + step();
            let pressure = Pressure::at(&self.settings.faults, self.now);
            // The weather moves by the minute, the model by the step.
            if self.now.as_secs() % 60 == 0 {
                self.traffic.wander(self.now, 60.0);
            }
            self.fleet.step(self.now, self.traffic.at(self.now), &pressure);
            self.users.look(self.now, &self.fleet);
        }
    }

    /// Every series seen so far; new versions append, nothing is ever removed or moved.
    pub fn series(&self) -> &[LabSeries] {
        self.metrics.series()
    }

    /// Instant of the latest scrape.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// What this lab was made from.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What happened so far and will happen, one entry per plan, in order of the plans.
    pub fn truth(&self) -> Vec<Truth> {
        self.users.truth(&self.settings.faults)
    }

    /// Every time so far that users noticed something, planned or not.
    pub fn noticed(&self) -> &[Noticed] {
        self.users.noticed()
    }

    /// Mails that were ever put in the queue, finished, dropped, and that wait.
    pub const fn mails(&self) -> (f64, f64, f64, f64) {
        let (enqueued, done, dropped) = self.fleet.mails.totals();
        (enqueued, done, dropped, self.fleet.mails.waiting())
    }
}

fn check(faults: &[FaultPlan]) -> Result<(), LabError> {
    if faults.len() > PLANS_MAX {
        return Err(LabError::TooMany(faults.len()));
    }
    let impossible = faults.iter().find(|plan| plan.end < plan.onset);
    impossible.map_or(Ok(()), |plan| Err(LabError::Plan(plan.fault)))
}

/// One step of the model.
fn step() -> Span {
    #[expect(clippy::cast_possible_truncation, reason = "a constant of ten seconds")]
    const MILLIS: i64 = (STEP * 1_000.0) as i64;
    Span::from_millis(MILLIS)
}

#[cfg(test)]
mod faults_tests;
#[cfg(test)]
mod tests;
