//! The simulated fleet, fed to the engine without a backend in between: weeks in seconds.

#[path = "feed.rs"]
mod feed;

use std::sync::Arc;

use grayflag::engine::alert::Alert;
use grayflag::engine::{Engine, Settings};
use grayflag::lab::{self, FaultPlan, Lab, Truth};
use grayflag::rules::Rules;
use grayflag::time::{Span, Timestamp};

use feed::Feed;

/// The rules that the demo uses: the lab's signals, all causes, the fleet's topology.
pub(crate) fn rules() -> Arc<Rules> {
    Arc::new(lab::rules().map_err(|problems| problems.render(false)).unwrap())
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) truth: Vec<Truth>,
}

/// Learns `weeks` before `from`, then lives until `to`.
pub(crate) fn run(
    seed: u64,
    weeks: i64,
    (from, to): (Timestamp, Timestamp),
    faults: Vec<FaultPlan>,
) -> Ran {
    let rules = rules();
    let history = Span::WEEK.times(weeks);
    let interval = Span::MINUTE;
    let settings = Settings {
        interval,
        history,
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: from,
        pages_url: None,
        source_url: None,
    };
    let mut lab =
        Lab::new(lab::Settings { seed, start: from - history, scrape: interval, faults }).unwrap();
    let mut engine = Engine::new(rules.clone(), settings);
    let mut feed = Feed::default();
    let mut alerts = Vec::new();
    loop {
        let scrape = lab.scrape();
        if scrape.at > to {
            break;
        }
        let learning = scrape.at < from;
        if learning && scrape.at.floor_to(Span::from_mins(5)) != scrape.at {
            continue;
        }
        let mut batch = feed.batch(&rules, lab.series(), &scrape);
        batch.span = if learning { Span::from_mins(5) } else { interval };
        alerts.extend(engine.step(scrape.at, &batch).alerts);
    }
    Ran { alerts, truth: lab.truth() }
}
