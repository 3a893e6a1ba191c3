//! What a backend has: which packs fit it and why others do not, the services that they find,
//! markers of deploys, and calls between services.
//!
//! Only names that packs need are asked for, so that a look at a backend with a million series
//! costs a few dozen small queries.

mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::rules::{Pack, Signal, StandIn, histograms, load, packs, stand_in};
use crate::source::{InstantRow, Prometheus, SourceError};
use crate::time::Timestamp;

pub use write::{WriteError, config_text, pack_text, write};

/// Names asked for in one query: well below the 16 KB that VictoriaMetrics takes.
const NAMES_PER_QUERY: usize = 60;
/// Services named for one signal.
const SERVICES_MAX: usize = 1_000;

/// What a backend has.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The backend's address, without secrets.
    pub backend: String,
    /// When it was asked.
    pub at: Timestamp,
    /// Every pack, those that fit first, in order of name.
    pub packs: Vec<PackFound>,
    /// Services, with the packs that see them.
    pub services: BTreeMap<String, BTreeSet<String>>,
    /// What can tell changes.
    pub markers: Vec<Marker>,
    /// A query for who calls whom, if there is one.
    pub topology: Option<String>,
}

/// A pack beside a backend.
#[derive(Clone, Debug, Serialize)]
pub struct PackFound {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Whether some signal of it has rows that name a service.
    pub fits: bool,
    /// Its signals.
    pub signals: Vec<SignalFound>,
}

/// A signal beside a backend.
#[derive(Clone, Debug, Serialize)]
pub struct SignalFound {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Metrics that it needs and the backend does not have.
    pub missing: Vec<String>,
    /// Rows that its query has now; none when it was not asked, because metrics are missing.
    pub rows: Option<usize>,
    /// What the backend says against the query.
    pub problem: Option<String>,
    /// Rows without the label that names the service.
    pub nameless: usize,
    /// Signals of the pack with rows that stand in for a percentile, where a histogram that this one
    /// needs has no buckets.
    pub instead: BTreeMap<String, StandIn>,
}

/// Metrics that change when something is deployed.
#[derive(Clone, Debug, Serialize)]
pub struct Marker {
    /// What was found, for people.
    pub about: String,
    /// The `[[change]]` that reads it.
    pub toml: String,
}

/// Metrics that tell of changes: a selector, what it means, and the `[[change]]` for it.
const MARKERS: [(&str, &str, &str); 3] = [
    (
        r#"target_info{service_version!=""}"#,
        "OpenTelemetry's target_info has the version of every service",
        r#"[[change]]
kind = "deploy"
query = 'count by (job, service_version) (target_info{service_version!=""})'
service = "job"
appears = "service_version"
"#,
    ),
    (
        r#"{__name__=~".+_build_info",version!=""}"#,
        "Metrics called …_build_info have the version of what they belong to",
        r#"[[change]]
kind = "deploy"
query = 'count by (job, version) ({__name__=~".+_build_info",version!=""})'
service = "job"
appears = "version"
"#,
    ),
    (
        "kube_replicaset_owner",
        "kube-state-metrics knows every rollout: rules/changes/kubernetes.toml of the repository reads it",
        "",
    ),
];

/// Who calls whom: a metric, and the query for it.
const TOPOLOGIES: [(&str, &str); 2] = [
    (
        "traces_service_graph_request_total",
        "sum by (client, server) (rate(traces_service_graph_request_total[1h])) > 0",
    ),
    (
        "istio_requests_total",
        r#"sum by (client, server) (label_replace(label_replace(rate(istio_requests_total{reporter="source"}[1h]), "client", "$1", "source_workload", "(.+)"), "server", "$1", "destination_workload", "(.+)")) > 0"#,
    ),
];

/// Looks at a backend as it is at an instant. `told` hears how many packs were tried.
///
/// # Errors
///
/// When the backend cannot be asked at all.
pub async fn discover(
    source: &Prometheus,
    at: Timestamp,
    mut told: impl FnMut(u64),
) -> Result<Found, SourceError> {
    let parsed: Vec<(Pack, Vec<Signal>)> =
        packs().map(|pack| (pack, load(&[pack.file()]).0.signals)).collect();
    let wanted: BTreeSet<&str> = parsed
        .iter()
        .flat_map(|(_, signals)| signals.iter().flat_map(|s| s.requires.iter().map(String::as_str)))
        .chain(TOPOLOGIES.iter().map(|(name, _)| *name))
        .collect();
    let present = present(source, &wanted.into_iter().collect::<Vec<_>>(), at).await?;
    let mut services = BTreeMap::new();
    let mut found = Vec::new();
    for (done, (pack, signals)) in parsed.iter().enumerate() {
        told(done as u64);
        let mut seen = Vec::new();
        for signal in signals {
            seen.push(look(source, (pack, signal), at, &present, &mut services).await?);
        }
        stand_ins(signals, &mut seen);
        // Rows without a service are rows that the engine would leave out.
        let fits = seen.iter().any(|signal| signal.rows.is_some_and(|rows| signal.nameless < rows));
        found.push(PackFound {
            name: pack.name.to_owned(),
            about: pack.about(),
            fits,
            signals: seen,
        });
    }
    found.sort_by_key(|pack| !pack.fits);
    let mut markers = Vec::new();
    for (selector, about, toml) in MARKERS {
        // A marker that the backend refuses to look for is one that it does not have.
        let seen = heard(source.query(&format!("count({selector})"), at).await)?;
        if seen.is_some_and(|rows| !rows.is_empty()) {
            markers.push(Marker { about: about.to_owned(), toml: toml.to_owned() });
        }
    }
    let backend = source.url().to_owned();
    let topology = TOPOLOGIES.iter().find(|(name, _)| present.contains(*name));
    let topology = topology.map(|(_, query)| (*query).to_owned());
    Ok(Found { backend, at, packs: found, services, markers, topology })
}

/// An answer; none where the backend refuses the question.
fn heard(
    answer: Result<Vec<InstantRow>, SourceError>,
) -> Result<Option<Vec<InstantRow>>, SourceError> {
    match answer {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if error.may_be_about_backend() => Err(error),
        Err(_) => Ok(None),
    }
}

/// Which of the names have series now. Where the backend refuses to look for many at once, such as
/// because they have too many series, fewer are asked for; one that is refused alone is absent.
async fn present(
    source: &Prometheus,
    names: &[&str],
    at: Timestamp,
) -> Result<BTreeSet<String>, SourceError> {
    let mut present = BTreeSet::new();
    let mut chunks: Vec<&[&str]> = names.chunks(NAMES_PER_QUERY).collect();
    while let Some(names) = chunks.pop() {
        let query = format!("count by (__name__) ({{__name__=~\"{}\"}})", names.join("|"));
        if let Some(rows) = heard(source.query(&query, at).await)? {
            present.extend(rows.into_iter().filter_map(|mut row| row.labels.remove("__name__")));
        } else if names.len() > 1 {
            chunks.extend(<[_; 2]>::from(names.split_at(names.len() / 2)));
        }
    }
    Ok(present)
}

/// Asks a signal's query, if the backend has what it needs. A query that the backend refuses is
/// told; a backend that is gone is an error.
async fn look(
    source: &Prometheus,
    (pack, signal): (&Pack, &Signal),
    at: Timestamp,
    present: &BTreeSet<String>,
    services: &mut BTreeMap<String, BTreeSet<String>>,
) -> Result<SignalFound, SourceError> {
    let missing = signal.requires.iter().filter(|name| !present.contains(*name)).cloned();
    let mut found = SignalFound {
        name: signal.name.clone(),
        role: signal.role.name().to_owned(),
        missing: missing.collect(),
        rows: None,
        problem: None,
        nameless: 0,
        instead: BTreeMap::new(),
    };
    if !found.missing.is_empty() {
        return Ok(found);
    }
    let rows = match source.query(&signal.query, at - signal.delay).await {
        Ok(rows) => rows,
        Err(error) if error.may_be_about_backend() => return Err(error),
        Err(error) => {
            found.problem = Some(error.to_string());
            return Ok(found);
        }
    };
    for row in &rows {
        match row.labels.get(&signal.service).filter(|name| !name.is_empty()) {
            Some(service) if services.len() < SERVICES_MAX || services.contains_key(service) => {
                services.entry(service.clone()).or_default().insert(pack.name.to_owned());
            }
            Some(_) => {}
            None => found.nameless += 1,
        }
    }
    found.rows = Some(rows.len());
    Ok(found)
}

/// Finds what stands in for the percentiles of histograms that have no buckets. The two lists are
/// of the same signals.
fn stand_ins(signals: &[Signal], seen: &mut [SignalFound]) {
    let live: Vec<&Signal> = signals
        .iter()
        .zip(&*seen)
        .filter(|(_, found)| found.rows.is_some_and(|rows| 0 < rows))
        .map(|(signal, _)| signal)
        .collect();
    for (signal, found) in signals.iter().zip(seen) {
        let bare = |histogram: &&str| {
            found.missing.iter().any(|name| name.strip_suffix("_bucket") == Some(histogram))
        };
        for histogram in histograms(signal).filter(bare) {
            let known = live
                .iter()
                .filter_map(|&other| Some((other.name.clone(), stand_in(other, histogram)?)));
            found.instead.extend(known);
        }
    }
}
