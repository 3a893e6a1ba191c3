//! The simulated fleet without a fault: what is told against the budget, and what rivals tell.

use std::collections::BTreeMap;

use grayflag::engine::alert::Alert;
use grayflag::lab::{Noticed, rivals};
use grayflag::time::{Span, Timestamp};

use crate::budget::{BUDGETS, Counted, Row, SETTLED, false_incidents};
use crate::fleet::{Banded, Fleet, engine};
use crate::report::Table;
use crate::rivals::crossings;
use crate::work::spread;

/// What the set is called.
pub(crate) const NAME: &str = "lab fleets";
/// Live weeks, with those that are not counted.
pub(crate) const WEEKS: usize = 6;
const COUNTED: usize = WEEKS - SETTLED;
/// An alarm this close to a moment at which users noticed something is no false one.
const EXCUSED: Span = Span::from_hours(3);
/// Alerts of one service within this time count once.
const ONCE: Span = Span::HOUR;
/// Every service's statistic is new at the last tick of a block.
const BLOCK_SECONDS: i64 = 300;

/// What came of all seeds.
pub(crate) struct Calm {
    pub(crate) row: Row,
    /// What others told about the same fleets.
    pub(crate) others: Table,
    /// How often users noticed something by itself.
    pub(crate) noticed: usize,
}

/// What came of one seed.
struct One {
    services: [Vec<Counted>; 3],
    /// Times that a threshold, a burn rate, and either band fired.
    rivals: [usize; 4],
    noticed: usize,
}

/// An engine at one budget, with what it told and where its services stood.
struct Watch {
    engine: grayflag::engine::Engine,
    alerts: Vec<Alert>,
    /// Per service, from the first counted block on.
    ratios: BTreeMap<String, Vec<f64>>,
}

pub(crate) fn run(first: u64, fleets: u64) -> Calm {
    let seeds: Vec<u64> = (first..first + fleets).collect();
    let all = spread("budget, lab fleets", &seeds, |&seed| live(seed));
    let services = std::array::from_fn(|place| {
        all.iter().flat_map(|one| one.services[place].iter().cloned()).collect()
    });
    Calm {
        row: Row::of_counted(NAME, services),
        others: others(&all),
        noticed: all.iter().map(|one| one.noticed).sum(),
    }
}

fn others(all: &[One]) -> Table {
    let fleets = all.len() as f64;
    let services: usize = all.iter().map(|one| one.services[0].len()).sum();
    let entrance = fleets * COUNTED as f64;
    // The first two watch the fleet's entrance, the bands the last week of every service.
    let over = [
        ("static threshold", "the entrance", entrance),
        ("burn rate", "the entrance", entrance),
        ("Grafana adaptive", "every service", services as f64),
        ("Grafana robust", "every service", services as f64),
    ];
    let row = |(n, (name, watched, weeks)): (usize, (&str, &str, f64))| {
        let fired: usize = all.iter().map(|one| one.rivals[n]).sum();
        let rate = format!("{:.2}", fired as f64 / weeks);
        vec![name.to_owned(), watched.to_owned(), rate]
    };
    Table {
        id: "budget-others".to_owned(),
        title: "What others tell on the same lab fleets".to_owned(),
        header: ["rule", "watches", "false alarms a week, each"].map(str::to_owned).into(),
        rows: over.into_iter().enumerate().map(row).collect(),
        note: "Rules as published; alerts of one service within an hour count once. Thresholds \
               and burn rates are on the lab's own objectives."
            .to_owned(),
    }
}

fn live(seed: u64) -> One {
    let start: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
    let weeks = |n: usize| Span::WEEK.times(i64::try_from(n).unwrap());
    let (counted, end) = (start + weeks(SETTLED), start + weeks(WEEKS));
    let mut fleet = Fleet::new(seed, start, end - Span::WEEK);
    let mut watches = BUDGETS.map(|budget| Watch {
        engine: engine(start, Some(budget)),
        alerts: Vec::new(),
        ratios: BTreeMap::new(),
    });
    while fleet.lab.now() + Span::MINUTE < end {
        let (now, batch) = fleet.advance();
        let Some(batch) = batch else { continue };
        for watch in &mut watches {
            watch.alerts.extend(watch.engine.step(now, &batch).alerts);
        }
        if counted <= now && now.as_secs().rem_euclid(BLOCK_SECONDS) == BLOCK_SECONDS - 60 {
            for service in fleet.services() {
                for watch in &mut watches {
                    let ratio = watch.engine.standing(&service).map_or(f64::NAN, |s| s.notice);
                    watch.ratios.entry(service.clone()).or_default().push(ratio);
                }
            }
        }
    }
    let noticed: Vec<Timestamp> = fleet
        .lab
        .noticed()
        .iter()
        .map(|Noticed { at, .. }| *at)
        .filter(|at| counted <= *at)
        .collect();
    let false_at = |at: Timestamp| {
        counted <= at && noticed.iter().all(|n| at < *n - EXCUSED || *n + EXCUSED < at)
    };
    let fired = |firings: Vec<rivals::Firing>| firings.iter().filter(|f| false_at(f.from)).count();
    let bands = [0, 1].map(|strategy| banded(&fleet.banded, strategy, &false_at, end - Span::WEEK));
    One {
        services: watches.map(|watch| count(&watch, counted, &false_at)),
        rivals: [
            fired(rivals::threshold(&fleet.record)),
            fired(rivals::burn_rate(&fleet.record)),
            bands[0],
            bands[1],
        ],
        noticed: noticed.len(),
    }
}

fn count(watch: &Watch, from: Timestamp, false_at: &impl Fn(Timestamp) -> bool) -> Vec<Counted> {
    let told = false_incidents(&watch.alerts, |alert| false_at(alert.at));
    let time =
        |block: usize| from + Span::from_secs(BLOCK_SECONDS).times(i64::try_from(block).unwrap());
    let service = |(name, path): (&String, &Vec<f64>)| {
        let raw = crossings(path, 1.0).into_iter().filter(|&block| false_at(time(block))).count();
        let [incidents, interrupting] = told.get(name.as_str()).copied().unwrap_or([0, 0]);
        Counted { weeks: COUNTED as f64, told: [incidents, interrupting, raw] }
    };
    watch.ratios.iter().map(service).collect()
}

/// How often a strategy's alerts began to fire from `from` on, once an hour and service.
fn banded(
    all: &[Banded],
    strategy: usize,
    false_at: &impl Fn(Timestamp) -> bool,
    from: Timestamp,
) -> usize {
    let mut last: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut count = 0;
    for banded in all.iter().filter(|b| b.strategy == strategy && from <= b.at && false_at(b.at)) {
        let fresh = last.get(banded.service.as_str()).is_none_or(|last| *last + ONCE < banded.at);
        count += usize::from(fresh);
        last.insert(&banded.service, banded.at);
    }
    count
}
