//! RootCauseBench: reconstructed incidents with deploys, the one that did it and decoys.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use grayflag::engine::alert::{Alert, NamedCause, State};
use grayflag::engine::{Engine, Settings};
use grayflag::rules::{self, MinEffect, Role, Rules, Scale, Signal, Worse};
use grayflag::series::{Batch, Change, ChangeKind, Labels, Sample, Series};
use grayflag::time::{Span, Timestamp};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::data::{Folder, Recorded, read};
use crate::real::json;

const MINUTE: i64 = 60;
/// Clean minutes are put before an incident for two weeks.
const HISTORY: i64 = 14 * 1_440;
/// So many minutes of them are copied at a time, all series alike: their noise stays together.
const COPIED: i64 = 5;

/// A metric and what it means.
#[derive(Clone, Copy)]
struct Meaning {
    metric: &'static str,
    role: Role,
    /// Whom it measures calls to, where its name says so.
    dependency: Option<&'static str>,
    /// Multiplied by this: shares are between 0 and 1, times in seconds.
    factor: f64,
    /// Events since the start: differences are what happened.
    is_total: bool,
    /// Where the role's own scale or direction does not fit.
    shape: Option<(Scale, Worse)>,
}

const fn is(metric: &'static str, role: Role) -> Meaning {
    Meaning { metric, role, dependency: None, factor: 1.0, is_total: false, shape: None }
}

const fn call(metric: &'static str, role: Role, to: &'static str) -> Meaning {
    Meaning { dependency: Some(to), ..is(metric, role) }
}

const fn times(factor: f64, meaning: Meaning) -> Meaning {
    Meaning { factor, ..meaning }
}

const fn total(metric: &'static str, role: Role) -> Meaning {
    Meaning { is_total: true, ..is(metric, role) }
}

const fn shaped(metric: &'static str, role: Role, scale: Scale, worse: Worse) -> Meaning {
    Meaning { shape: Some((scale, worse)), ..is(metric, role) }
}

/// Every metric of the set but the limit of a container's memory, which says nothing by moving.
const MEANINGS: [Meaning; 45] = [
    times(0.001, is("http_server_duration_p99_ms", Role::Latency)),
    is("requests_per_sec", Role::Traffic),
    is("request_rate_rps", Role::Traffic),
    is("http_requests_per_second", Role::Traffic),
    is("http_401_unauthorized_ratio", Role::Errors),
    is("error_rate_5xx_ratio", Role::Errors),
    is("http_server_5xx_rate", Role::Errors),
    is("http_5xx_ratio", Role::Errors),
    is("memory_persist_error_ratio", Role::Errors),
    is("recommendation_render_error_ratio", Role::Errors),
    times(0.01, is("charge_error_rate_pct", Role::Errors)),
    times(0.01, is("search_error_rate_pct", Role::Errors)),
    times(0.01, is("http_server_5xx_rate_pct", Role::Errors)),
    shaped("http_5xx_per_sec", Role::Errors, Scale::Count, Worse::Up),
    shaped("token_validation_errors_per_sec", Role::Errors, Scale::Count, Worse::Up),
    shaped("write_error_count", Role::Errors, Scale::Count, Worse::Up),
    is("upstream_call_error_ratio", Role::DependencyErrors),
    call("s3_request_errors_5xx_ratio", Role::DependencyErrors, "s3"),
    call(
        "pipeline_transformer_endpoint_error_ratio",
        Role::DependencyErrors,
        "pipeline-transformer",
    ),
    times(0.01, call("upstream_provider_error_rate_pct", Role::DependencyErrors, "provider")),
    times(0.001, call("s3_request_duration_p99_ms", Role::DependencyLatency, "s3")),
    call("dynamodb_write_throttle_ratio", Role::Throttled, "dynamodb"),
    total("fdb_txn_timeout_total", Role::DependencyErrors),
    total("tso_cas_retry_exhausted_total", Role::Retries),
    is("container_oom_killed_total", Role::Restarts),
    total("pod_restart_total", Role::Restarts),
    is("cpu_utilization", Role::Cpu),
    is("container_cpu_usage_cores", Role::Cpu),
    is("node_cpu_utilization_ratio", Role::Cpu),
    is("container_memory_working_set_gib", Role::Memory),
    is("node_memory_utilization_ratio", Role::Memory),
    is("container_memory_rss_mb", Role::Memory),
    is("go_heap_inuse_mb", Role::Memory),
    is("disk_used_pct", Role::Disk),
    is("buffer_used_pct", Role::QueueDepth),
    is("request_queue_depth", Role::QueueDepth),
    is("log_write_throughput_lps", Role::LogVolume),
    is("search_result_count_avg", Role::Goodput),
    shaped("container_cpu_cfs_throttled_seconds", Role::Custom, Scale::Linear, Worse::Up),
    shaped("db_query_count_per_request", Role::Custom, Scale::Linear, Worse::Up),
    shaped("dynamodb_consumed_write_capacity", Role::Custom, Scale::Linear, Worse::Up),
    shaped("node_memory_pressure_events", Role::Custom, Scale::Count, Worse::Up),
    shaped("flink_job_uptime_seconds", Role::Custom, Scale::Linear, Worse::Down),
    shaped("pod_ready_replicas", Role::Custom, Scale::Linear, Worse::Down),
    shaped("tls_cert_seconds_until_expiry", Role::Custom, Scale::Linear, Worse::Down),
];

/// What is wrong, and which causes of the catalogue say so.
const CLASSES: [(&str, &[&str]); 14] = [
    ("auth-jwt-validation-regression", &["bad-deploy"]),
    ("checkout-latency-n-plus-one", &["bad-deploy"]),
    ("cloud-region-impairment", &["slow-dependency", "network-path"]),
    ("dynamodb-write-capacity-breach", &["bad-deploy", "third-party-throttling"]),
    ("frontend-race-condition-5xx", &["bad-deploy", "overload"]),
    ("logging-debug-disk-fill", &["bad-deploy", "config-change", "log-flood"]),
    ("noisy-neighbor-node-saturation", &["resource-contention"]),
    ("olapdb-tso-cas-retry-budget", &["bad-deploy"]),
    ("recommendation-memory-leak", &["bad-deploy", "resource-leak"]),
    ("search-mapping-query-break", &["bad-deploy", "data-shape"]),
    ("tls-cert-expiry", &["time-boundary", "slow-dependency"]),
    ("traffic-surge-flash-sale", &["overload"]),
    ("transformer-dependency-startup-crash", &["bad-deploy"]),
    ("upstream-payment-provider-outage", &["slow-dependency", "third-party-throttling"]),
];

/// Which change the leading cause named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blamed {
    Culprit,
    Decoy,
    Nothing,
}

/// What somebody was given as the cause.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// Id of the leading cause.
    pub(crate) cause: String,
    /// Whether it is of the right class.
    pub(crate) is_right: bool,
    pub(crate) blamed: Blamed,
}

/// What became of one incident.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) id: String,
    /// The service to blame, of how many.
    pub(crate) service: String,
    pub(crate) of: usize,
    /// True when a recorded deploy did it.
    pub(crate) by_deploy: bool,
    /// Services in the order in which alerts named them.
    pub(crate) services: Vec<String>,
    /// From our first message to the threshold's; none when we sent none.
    pub(crate) lead: Option<Span>,
    /// By the newest alert of the first incident.
    pub(crate) told: Option<Named>,
    /// When asked at the end about the service whose threshold fired.
    pub(crate) asked: Option<Named>,
    /// What a person blames who takes the last deploy before the threshold fired.
    pub(crate) nearest: Blamed,
}

fn signals() -> Vec<Signal> {
    let signal = |meaning: &Meaning| {
        let plain = Signal::plain(meaning.metric, meaning.role);
        let (scale, worse) = meaning.shape.unwrap_or((plain.scale, plain.worse));
        let min_effect = match meaning.role {
            Role::Latency | Role::DependencyLatency => [0.10, 0.005],
            Role::Errors | Role::DependencyErrors => [0.5, 0.001],
            _ => [0.10, 0.0],
        };
        let min_effect = MinEffect { relative: min_effect[0], absolute: min_effect[1] };
        let dependency = meaning.dependency.map(|_| "dependency".to_owned());
        Signal { scale, worse, min_effect, dependency, ..plain }
    };
    MEANINGS.iter().map(signal).collect()
}

/// Batches of a scenario by minute: two weeks made of its clean minutes, then what was recorded.
fn batches(folder: &Folder, events: &Value, scenario: &str, seed: u64) -> BTreeMap<i64, Batch> {
    let mut batches: BTreeMap<i64, Batch> = BTreeMap::new();
    let (from, to) = folder.clean(scenario).unwrap();
    let (from, to) = (from / MINUTE, to / MINUTE);
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    // Which clean minute stands for each minute of history.
    let mut copies: Vec<(i64, i64)> = Vec::new();
    for first in (from - HISTORY..from).step_by(usize::try_from(COPIED).unwrap()) {
        let choices = u64::try_from((to - from - COPIED).max(1)).unwrap();
        let source = from + i64::try_from(dice.next_u64() % choices).unwrap();
        copies.extend((0..COPIED).map(|minute| (first + minute, source + minute)));
    }
    for recorded in folder.series.iter().filter(|r| r.label("scenario") == scenario) {
        let Some(meaning) = MEANINGS.iter().find(|m| m.metric == recorded.metric) else { continue };
        let values = values(recorded, meaning);
        let series = Arc::new(series(recorded, meaning));
        let past = copies.iter().filter_map(|(minute, source)| Some((minute, values.get(source)?)));
        for (&minute, &value) in past.chain(&values) {
            let batch = batches.entry(minute).or_default();
            batch.samples.push(Sample { series: series.clone(), value });
        }
    }
    let events = events.as_array().into_iter().flatten();
    for event in events.filter(|event| event["scenario"] == scenario) {
        let change = change(event).unwrap();
        let minute = change.at.as_secs() / MINUTE;
        // Told with the first batch that is not before it.
        if let Some((_, batch)) = batches.range_mut(minute..).next() {
            batch.changes.push(change);
        }
    }
    batches
}

fn series(recorded: &Recorded, meaning: &Meaning) -> Series {
    let dependency = meaning.dependency.map(str::to_owned);
    let labels = dependency.iter().map(|name| ("dependency".to_owned(), name.clone())).collect();
    let labels: Labels = labels;
    Series::new(&recorded.metric, recorded.label("service"), None, dependency, labels)
}

/// Values by minute, in the unit of the role.
fn values(recorded: &Recorded, meaning: &Meaning) -> BTreeMap<i64, f64> {
    let mut before = 0.0;
    let points = recorded.points.iter().map(|&(at, value)| {
        let happened = if meaning.is_total { (value - before).max(0.0) } else { value };
        before = value;
        // The noise of some shares reaches below zero; time until an expiry may.
        let floor = if meaning.role == Role::Custom { f64::NEG_INFINITY } else { 0.0 };
        (at / MINUTE, (happened * meaning.factor).max(floor))
    });
    points.collect()
}

fn change(event: &Value) -> Option<Change> {
    let kind = event["kind"].as_str()?;
    let kind = ChangeKind::ALL.into_iter().find(|known| known.name() == kind)?;
    let what = event["version"].as_str().or(event["flag"].as_str())?;
    Some(Change {
        at: Timestamp::from_secs(event["ts"].as_i64()?),
        end: None,
        kind,
        service: event["service"].as_str()?.to_owned(),
        what: what.to_owned(),
    })
}

/// Lives through one incident and judges what was said.
fn live(folder: &Folder, events: &Value, incident: &Value, seed: u64) -> Judged {
    let scenario = incident["scenario"].as_str().unwrap();
    let (set, problems) = rules::load(&rules::builtin_causes());
    assert!(!problems.has_errors(), "{}", problems.render(false));
    let rules = Rules { signals: signals(), causes: set.causes, ..Rules::default() };
    let batches = batches(folder, events, scenario, seed);
    let recorded = folder.clean(scenario).unwrap().0 / MINUTE;
    let settings = Settings {
        interval: Span::MINUTE,
        history: Span::WEEK.times(2),
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: Timestamp::from_secs(recorded * MINUTE),
        pages_url: None,
        source_url: None,
    };
    let mut engine = Engine::new(Arc::new(rules), settings);
    let mut alerts: Vec<Alert> = Vec::new();
    let clean = folder.clean(scenario).unwrap().1;
    for (minute, mut batch) in batches {
        batch.span = Span::MINUTE;
        let told = engine.step(Timestamp::from_secs(minute * MINUTE), &batch).alerts;
        alerts.extend(told.into_iter().filter(|alert| alert.at.as_secs() > clean));
    }
    judge(&engine, &alerts, incident, events)
}

fn judge(engine: &Engine, alerts: &[Alert], incident: &Value, events: &Value) -> Judged {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&incident["id"]);
    let told: Vec<&Alert> = alerts.iter().filter(|alert| alert.state != State::Resolved).collect();
    let first = told.first().map(|first| &first.incident);
    let newest = told.iter().rev().find(|alert| Some(&alert.incident) == first);
    let explained = engine.explain(&text(&incident["alert"]["service"]));
    let fired = Timestamp::from_secs(incident["alert_fired_at"].as_i64().unwrap());
    let events = events.as_array().into_iter().flatten();
    let deploys: Vec<&Value> =
        events.filter(|e| e["scenario"] == incident["scenario"] && e["kind"] == "deploy").collect();
    let at = |deploy: &Value| deploy["ts"].as_i64().unwrap_or(i64::MAX);
    let before = deploys.iter().filter(|deploy| at(deploy) <= fired.as_secs());
    let nearest = before.max_by_key(|deploy| at(deploy));
    let (_, classes) = CLASSES.iter().find(|(scenario, _)| *scenario == id).unwrap();
    let named = |cause: &NamedCause| Named {
        cause: cause.id.clone(),
        is_right: classes.contains(&cause.id.as_str()),
        blamed: blamed(cause, &deploys),
    };
    Judged {
        service: text(&incident["root_cause"]["service"]),
        of: engine.census().1,
        by_deploy: deploys.iter().any(|deploy| deploy["role"] == "culprit"),
        services: in_order(&told),
        lead: told.first().map(|alert| fired - alert.at),
        told: newest.and_then(|alert| alert.causes.first()).map(named),
        asked: explained.and_then(|diagnosis| diagnosis.causes.first().map(named)),
        nearest: nearest.map_or(Blamed::Nothing, |deploy| role_of(deploy)),
        id,
    }
}

/// Whom alerts name: whom they blame, then whom they are about.
fn in_order(told: &[&Alert]) -> Vec<String> {
    let mut services: Vec<String> = Vec::new();
    for alert in told {
        let culprit = alert.causes.first().map(|cause| &cause.culprit.service);
        for service in culprit.into_iter().chain([&alert.service]) {
            if !service.is_empty() && !services.contains(service) {
                services.push(service.clone());
            }
        }
    }
    services
}

fn role_of(deploy: &Value) -> Blamed {
    if deploy["role"] == "culprit" { Blamed::Culprit } else { Blamed::Decoy }
}

/// The deploys that a cause names as evidence for itself: a decoy among them spoils it.
fn blamed(cause: &NamedCause, deploys: &[&Value]) -> Blamed {
    let named = deploys.iter().filter(|deploy| {
        let version = deploy["version"].as_str().unwrap_or("-");
        cause.evidence_for.iter().any(|text| text.contains(version))
    });
    let roles: Vec<Blamed> = named.map(|deploy| role_of(deploy)).collect();
    if roles.contains(&Blamed::Decoy) {
        Blamed::Decoy
    } else {
        roles.first().copied().unwrap_or(Blamed::Nothing)
    }
}

/// Every incident; none when the data is not there.
pub(crate) fn incidents(data: &Path) -> Option<Vec<Judged>> {
    let folder = read(&data.join("rootcausebench"))?;
    let events = json(&data.join("rootcausebench/events.json"))?;
    let numbered = (1..).zip(folder.incidents());
    Some(numbered.map(|(seed, incident)| live(&folder, &events, incident, seed)).collect())
}
