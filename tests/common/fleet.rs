//! The simulated fleet, fed to the engine without a backend in between: weeks in seconds.

use std::sync::Arc;

use grayflag::changes::{Row, SeenChanges};
use grayflag::engine::alert::Alert;
use grayflag::engine::{Engine, Settings};
use grayflag::lab::{self, FaultPlan, Lab, LabSeries, Truth};
use grayflag::rules::{ChangeBy, Rules, Signal};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::time::{Span, Timestamp};

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

/// Binds the lab's series to signals, as a source does with a backend's rows.
#[derive(Default)]
struct Feed {
    bound: Vec<Vec<Arc<Series>>>,
    seen: SeenChanges,
}

impl Feed {
    fn batch(&mut self, rules: &Rules, all: &[LabSeries], scrape: &lab::Scrape) -> Batch {
        for series in all.iter().skip(self.bound.len()) {
            let of = rules.signals.iter().filter(|s| s.query == series.metric);
            self.bound.push(of.map(|signal| Arc::new(bind(signal, series))).collect());
        }
        let mut batch = Batch::default();
        for &(index, value) in &scrape.samples {
            let samples = self.bound[index].iter();
            batch.samples.extend(samples.map(|s| Sample { series: s.clone(), value }));
            for signal in &rules.signals {
                if signal.min_traffic.as_ref().is_some_and(|t| t.query == all[index].metric) {
                    let service = &all[index].labels["service"];
                    let series = Series::new(&signal.name, service, None, None, Labels::new());
                    batch.traffic.push(Sample { series: Arc::new(series), value });
                }
            }
        }
        for rule in &rules.changes {
            let ChangeBy::Appears(label) = &rule.by else { continue };
            let rows: Vec<Row<'_>> = scrape
                .samples
                .iter()
                .filter(|(index, _)| all[*index].metric == rule.query)
                .map(|&(index, value)| {
                    let labels = &all[index].labels;
                    Row { service: &labels[&rule.service], what: &labels[label], value }
                })
                .collect();
            batch.changes.extend(self.seen.notice(rule, scrape.at, &rows));
        }
        batch
    }
}

fn bind(signal: &Signal, series: &LabSeries) -> Series {
    let keep = |name: &String| {
        signal.peer.as_ref() == Some(name)
            || signal.dependency.as_ref() == Some(name)
            || signal.split.contains(name)
    };
    let labels: Labels = series
        .labels
        .iter()
        .filter(|(n, _)| keep(n))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let value = |name: &Option<String>| name.as_ref().and_then(|n| series.labels.get(n).cloned());
    let service = &series.labels[&signal.service];
    Series::new(&signal.name, service, value(&signal.peer), value(&signal.dependency), labels)
}
