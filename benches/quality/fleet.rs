//! The simulated fleet with everything that watches it, minute by minute.

#[path = "../../tests/common/feed.rs"]
mod feed;

use std::collections::BTreeMap;
use std::sync::Arc;

use grayflag::engine::alert::Alert;
use grayflag::engine::detect::budget::Standing;
use grayflag::engine::{Engine, Settings};
use grayflag::lab::{self, FaultPlan, History, Lab};
use grayflag::series::Batch;
use grayflag::time::{Span, Timestamp};

use crate::rivals::bands::{Adaptive, Bands, Robust};
use feed::Feed;

/// How long the engine learns before it watches.
pub(crate) const LEARN: Span = Span::from_hours(3 * 7 * 24);
/// What the burn-rate rule looks back over, and a day.
const RECORDED: Span = Span::from_hours(4 * 24);
/// What the bands look back over, and a day.
const BANDED: Span = Span::from_hours(9 * 24);
/// Closed blocks are fed while it learns, as a source reads history.
const BLOCK: Span = Span::from_mins(5);
/// What the bands' own documentation puts them on: requests, latency, errors and resources.
const BANDED_METRICS: [&str; 8] = [
    "lab_traffic",
    "lab_latency_p99",
    "lab_errors",
    "lab_dependency_latency",
    "lab_dependency_errors",
    "lab_queue_age",
    "lab_cpu",
    "lab_memory",
];

/// A band's alert that began to fire.
#[derive(Clone, Debug)]
pub(crate) struct Banded {
    pub(crate) at: Timestamp,
    pub(crate) service: String,
    /// 0 is adaptive, 1 robust.
    pub(crate) strategy: usize,
}

/// Minutes for which a band's alert must hold.
const FOR: u32 = 5;

/// Both bands of one series as published: on both sides, evaluated every minute.
#[derive(Clone, Debug)]
struct Banding {
    adaptive: Adaptive,
    robust: Robust,
    /// Minutes in a row beyond them.
    beyond: [u32; 2],
}

impl Banding {
    fn new() -> Self {
        Self { adaptive: Adaptive::new(60), robust: Robust::new(60), beyond: [0; 2] }
    }

    /// Takes in a minute; says for each strategy whether its alert begins to fire.
    fn push(&mut self, value: f64) -> [bool; 2] {
        let reaches = [self.adaptive.push(value), self.robust.push(value)];
        for (beyond, [above, below]) in self.beyond.iter_mut().zip(reaches) {
            *beyond = if above.max(below) > 1.0 { *beyond + 1 } else { 0 };
        }
        self.beyond.map(|beyond| beyond == FOR + 1)
    }
}

/// An engine that knows nothing yet: at the default budgets, or with so many notices a week and a
/// quarter as many alerts.
pub(crate) fn engine(live_from: Timestamp, notices: Option<f64>) -> Engine {
    let mut rules = lab::rules().map_err(|problems| problems.render(false)).unwrap();
    if let Some(notices) = notices {
        rules.budget.notices_per_week = notices;
        rules.budget.alerts_per_week = notices / 4.0;
    }
    let settings = Settings {
        interval: Span::MINUTE,
        history: LEARN,
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: live_from,
        pages_url: None,
        source_url: None,
    };
    Engine::new(Arc::new(rules), settings)
}

/// A fleet, and all that watches it.
pub(crate) struct Fleet {
    pub(crate) lab: Lab,
    pub(crate) engine: Engine,
    /// The last days, for the rules that look back.
    pub(crate) record: History,
    feed: Feed,
    live_from: Timestamp,
    bands_from: Timestamp,
    bands: Vec<Option<Banding>>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) banded: Vec<Banded>,
}

impl Fleet {
    /// A fleet that has learned nothing yet and goes live at `live_from`; its bands are drawn
    /// from nine days before `bands_from` on.
    pub(crate) fn new(seed: u64, live_from: Timestamp, bands_from: Timestamp) -> Self {
        let start = live_from - LEARN;
        let lab = lab::Settings { seed, start, scrape: Span::MINUTE, faults: Vec::new() };
        Self {
            lab: Lab::new(lab).unwrap(),
            engine: engine(live_from, None),
            record: History::new(live_from - RECORDED, Span::MINUTE),
            feed: Feed::default(),
            live_from,
            bands_from: bands_from - BANDED,
            bands: Vec::new(),
            alerts: Vec::new(),
            banded: Vec::new(),
        }
    }

    /// The same fleet once more, to live on in another way.
    pub(crate) fn branch(&self) -> Self {
        Self {
            lab: self.lab.clone(),
            engine: self.engine.branch(),
            record: self.record.clone(),
            feed: self.feed.clone(),
            bands: self.bands.clone(),
            alerts: self.alerts.clone(),
            banded: self.banded.clone(),
            ..*self
        }
    }

    /// Adds a fault that is yet to come.
    pub(crate) fn plan(&mut self, plan: FaultPlan) {
        self.lab.plan(plan).unwrap();
    }

    /// Lives one minute; returns the instant.
    pub(crate) fn tick(&mut self) -> Timestamp {
        let (now, batch) = self.advance();
        if let Some(mut batch) = batch {
            let (rules, ledger) = (self.engine.rules(), self.record.parts());
            let questions = self.engine.questions();
            batch.answers = questions.iter().map(|asked| ledger.answer(rules, asked)).collect();
            self.alerts.extend(self.engine.step(now, &batch).alerts);
        }
        now
    }

    /// Lives one minute without the engine; returns the instant and what the engine is due.
    pub(crate) fn advance(&mut self) -> (Timestamp, Option<Batch>) {
        let scrape = self.lab.scrape();
        let now = scrape.at;
        self.record.push(self.lab.series(), &scrape);
        if self.bands_from <= now {
            self.band(&scrape);
        }
        let learning = now < self.live_from;
        if learning && now.floor_to(BLOCK) != now {
            return (now, None);
        }
        let mut batch = self.feed.batch(self.engine.rules(), self.lab.series(), &scrape);
        batch.span = if learning { BLOCK } else { Span::MINUTE };
        (now, Some(batch))
    }

    fn band(&mut self, scrape: &lab::Scrape) {
        let mut values = vec![f64::NAN; self.lab.series().len()];
        for &(index, value) in &scrape.samples {
            values[index] = value;
        }
        for (index, series) in self.lab.series().iter().enumerate() {
            if self.bands.len() == index {
                let wanted = BANDED_METRICS.contains(&series.metric);
                self.bands.push(wanted.then(Banding::new));
            }
            let Some(bands) = &mut self.bands[index] else { continue };
            for (strategy, fires) in bands.push(values[index]).into_iter().enumerate() {
                if fires && self.live_from <= scrape.at {
                    let service = series.labels["service"].clone();
                    self.banded.push(Banded { at: scrape.at, service, strategy });
                }
            }
        }
    }

    /// The names of the services that have been seen, in order.
    pub(crate) fn services(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.lab.series().iter().map(|series| series.labels["service"].clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every service that can be judged, and how far it is beyond its thresholds.
    pub(crate) fn standings(&self) -> BTreeMap<String, Standing> {
        let standing = |name: String| {
            let standing = self.engine.standing(&name)?;
            Some((name, standing))
        };
        self.services().into_iter().filter_map(standing).collect()
    }
}
