//! The simulated fleet, fed to the engine without a backend in between: weeks in seconds.

#[path = "feed.rs"]
mod feed;

use std::sync::Arc;

use grayflag::engine::alert::Alert;
use grayflag::engine::{Engine, Settings};
use grayflag::lab::breakdown::Ledger;
use grayflag::lab::{self, FaultPlan, Lab, Scrape, Truth};
use grayflag::rules::Rules;
use grayflag::time::{Span, Timestamp};

use feed::Feed;

/// Closed blocks are fed while the engine learns, as a source reads history.
const BLOCK: Span = Span::from_mins(5);

/// The rules that the demo uses: the lab's signals, all causes, the fleet's topology.
pub(crate) fn rules() -> Arc<Rules> {
    Arc::new(lab::rules().map_err(|problems| problems.render(false)).unwrap())
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) truth: Vec<Truth>,
}

/// A fleet whose weeks have been learned, to live on from in one way or another.
pub(crate) struct Warm {
    lab: Lab,
    engine: Engine,
    feed: Feed,
    ledger: Ledger,
}

impl Warm {
    /// Learns `weeks` before `from`.
    pub(crate) fn new(seed: u64, weeks: i64, from: Timestamp) -> Self {
        let history = Span::WEEK.times(weeks);
        let settings = Settings {
            interval: Span::MINUTE,
            history,
            timezone: jiff::tz::TimeZone::UTC,
            alerts_from: from,
            pages_url: None,
            source_url: None,
        };
        let lab =
            lab::Settings { seed, start: from - history, scrape: Span::MINUTE, faults: Vec::new() };
        let mut warm = Self {
            lab: Lab::new(lab).unwrap(),
            engine: Engine::new(rules(), settings),
            feed: Feed::default(),
            ledger: Ledger::default(),
        };
        while warm.lab.now() + Span::MINUTE < from {
            let scrape = warm.lab.scrape();
            warm.ledger.push(&scrape);
            if scrape.at.floor_to(BLOCK) == scrape.at {
                let alerts = warm.step(&scrape, BLOCK);
                assert!(alerts.is_empty(), "nothing is told of what only teaches");
            }
        }
        warm
    }

    /// Lives until `to` with these faults; the original stays as it is.
    pub(crate) fn live(&self, to: Timestamp, faults: &[FaultPlan]) -> Ran {
        self.live_watched(to, faults, |_, _| {})
    }

    /// The same, and `watch` sees every alert with the engine that has just decided it.
    pub(crate) fn live_watched(
        &self,
        to: Timestamp,
        faults: &[FaultPlan],
        mut watch: impl FnMut(&Engine, &Alert),
    ) -> Ran {
        let Self { lab, engine, feed, ledger } = self;
        let mut one = Self {
            lab: lab.clone(),
            engine: engine.branch(),
            feed: feed.clone(),
            ledger: ledger.clone(),
        };
        for &plan in faults {
            one.lab.plan(plan).unwrap();
        }
        let mut alerts = Vec::new();
        while one.lab.now() < to {
            let scrape = one.lab.scrape();
            one.ledger.push(&scrape);
            let new = one.step(&scrape, Span::MINUTE);
            for alert in &new {
                watch(&one.engine, alert);
            }
            alerts.extend(new);
        }
        Ran { alerts, truth: one.lab.truth() }
    }

    fn step(&mut self, scrape: &Scrape, span: Span) -> Vec<Alert> {
        let rules = self.engine.rules().clone();
        let mut batch = self.feed.batch(&rules, self.lab.series(), scrape);
        batch.span = span;
        let asked = self.engine.questions();
        batch.answers = asked.iter().map(|q| self.ledger.answer(&rules, q)).collect();
        self.engine.step(scrape.at, &batch).alerts
    }
}
