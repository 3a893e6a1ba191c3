//! PetShop: which component of a shop is to blame, found over its call graph.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use grayflag::engine::grid::BLOCK;
use grayflag::engine::{Engine, Settings};
use grayflag::rules::{MinEffect, MinTraffic, Role, Rules, Service, Signal};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::stats::robust::median;
use grayflag::time::{Span, Timestamp};

use super::data::{Folder, Recorded, read};
use crate::real::json;

/// Seconds between samples.
const STEP: i64 = 300;
/// Requests a sample from which on shares and percentiles mean anything.
const REQUESTS_MIN: f64 = 30.0;
const REQUESTS: &str = "petshop_requests_sum";

/// One issue: where it lay, and whom we suspect.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub(crate) scenario: String,
    pub(crate) metric: String,
    pub(crate) culprit: String,
    pub(crate) suspects: Vec<String>,
}

/// Metrics and what they mean: name, role, smallest effect as a share and in its unit.
const METRICS: [(&str, Role, [f64; 2]); 7] = [
    ("petshop_latency_average", Role::Latency, [0.10, 0.005]),
    ("petshop_latency_p50", Role::LatencyTypical, [0.10, 0.003]),
    ("petshop_latency_p90", Role::Latency, [0.10, 0.005]),
    ("petshop_latency_p95", Role::Latency, [0.10, 0.005]),
    ("petshop_latency_p99", Role::Latency, [0.10, 0.005]),
    ("petshop_availability_average", Role::Errors, [0.5, 0.001]),
    (REQUESTS, Role::Traffic, [0.0, 0.0]),
];

fn signals() -> Vec<Signal> {
    let signal = |&(name, role, [relative, absolute]): &(&str, Role, [f64; 2])| Signal {
        min_effect: MinEffect { relative, absolute },
        min_traffic: (role != Role::Traffic)
            .then(|| MinTraffic { query: REQUESTS.to_owned(), at_least: REQUESTS_MIN }),
        ..Signal::plain(name, role)
    };
    METRICS.iter().map(signal).collect()
}

/// A component's series as samples of the engine, by time.
#[derive(Default)]
struct Feed {
    at: BTreeMap<i64, Batch>,
}

impl Feed {
    fn new(folder: &Folder, scenario: &str, aligned: bool) -> Self {
        let mut feed = Self::default();
        for recorded in folder.series.iter().filter(|r| r.label("scenario") == scenario) {
            let node = recorded.label("node");
            let series = |signal| Arc::new(Series::new(signal, node, None, None, Labels::new()));
            let own = series(&recorded.metric);
            let floors: Vec<Arc<Series>> = METRICS
                .iter()
                .filter(|(_, role, _)| recorded.metric == REQUESTS && *role != Role::Traffic)
                .map(|(name, _, _)| series(name))
                .collect();
            let step = if aligned { level_step(folder, recorded, scenario) } else { None };
            let clean = folder.clean(scenario).map_or(0, |clean| clean.1);
            for &(time, value) in &recorded.points {
                let value = step.filter(|_| time <= clean).map_or(value, |step| value * step);
                let available = recorded.metric == "petshop_availability_average";
                let value = if available { (1.0 - value / 100.0).max(0.0) } else { value };
                let batch = feed.at.entry(time - time.rem_euclid(STEP)).or_default();
                batch.span = BLOCK;
                batch.samples.push(Sample { series: own.clone(), value });
                let floors = floors.iter().map(|series| Sample { series: series.clone(), value });
                batch.traffic.extend(floors);
            }
        }
        feed
    }

    fn step(&self, engine: &mut Engine, from: i64, to: i64) {
        for (&time, batch) in self.at.range(from..=to) {
            let _ = engine.step(Timestamp::from_secs(time), batch);
        }
    }
}

/// By how much a latency of the clean hours must be multiplied to lie where the issues begin: the
/// clean hours were recorded months later, and a detector would have seen the level change.
/// Only what lies wholly before an issue's violation tells where that is.
fn level_step(folder: &Folder, recorded: &Recorded, scenario: &str) -> Option<f64> {
    if !recorded.metric.starts_with("petshop_latency") {
        return None;
    }
    let (from, to) = folder.clean(scenario)?;
    let middle = |values: Vec<f64>| median(&mut values.clone()).filter(|middle| *middle > 0.0);
    let clean = middle(recorded.within(from, to).map(|(_, value)| value).collect())?;
    let incidents = folder.incidents().iter().filter(|i| i["scenario"] == scenario);
    let early = incidents.filter_map(|i| {
        let (start, violated) = (i["start"].as_i64()?, i["slo_violation_at"].as_i64()?);
        Some(recorded.within(start, violated - STEP).map(|(_, value)| value))
    });
    Some(middle(early.flatten().collect())? / clean)
}

/// Every issue of every scenario; none when the data is not there.
pub(crate) fn issues(data: &Path, aligned: bool) -> Option<Vec<Issue>> {
    let folder = read(&data.join("petshop"))?;
    let graph = json(&data.join("petshop/graph.json"))?;
    let mut issues = Vec::new();
    for (scenario, edges) in graph.as_object()? {
        let mut services: BTreeMap<String, Service> = BTreeMap::new();
        for edge in edges.as_array()? {
            let (caller, callee) = (edge[0].as_str()?, edge[1].as_str()?);
            let service = services.entry(caller.to_owned()).or_default();
            service.depends_on.push(callee.to_owned());
        }
        let rules = Rules { signals: signals(), services, ..Rules::default() };
        let (from, to) = folder.clean(scenario)?;
        let settings = Settings {
            interval: BLOCK,
            history: Span::WEEK,
            timezone: jiff::tz::TimeZone::UTC,
            alerts_from: Timestamp::from_secs(to - to.rem_euclid(STEP)) + BLOCK,
            pages_url: None,
            source_url: None,
        };
        let feed = Feed::new(&folder, scenario, aligned);
        let mut learned = Engine::new(Arc::new(rules), settings);
        feed.step(&mut learned, from - STEP, to);
        for incident in folder.incidents().iter().filter(|i| i["scenario"] == scenario.as_str()) {
            let mut engine = learned.branch();
            let start = incident["start"].as_i64()?;
            let violated = incident["slo_violation_at"].as_i64()?;
            let asked = start + STEP * (1 + (violated - start + STEP / 2) / STEP);
            feed.step(&mut engine, start - STEP + 1, asked);
            let symptom = incident["symptom"]["node"].as_str()?;
            let suspects = engine.suspects(symptom);
            let text = |value: &serde_json::Value| Some(value.as_str()?.to_owned());
            issues.push(Issue {
                scenario: scenario.clone(),
                metric: text(&incident["symptom"]["metric"])?,
                culprit: text(&incident["root_cause"]["node"])?,
                suspects: suspects.into_iter().map(|suspect| suspect.service).collect(),
            });
        }
    }
    Some(issues)
}
