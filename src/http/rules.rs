//! `GET /api/v1/rules`: signals and causes, and how they fare.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json as value;

use super::Api;
use super::endpoint::{AFTER, Content, Endpoint, LIMIT, Parameter, of};
use super::exchange::{json, store_problem};
use super::problem::Refusal;
use super::progress::Reached;
use super::query::{Page, Parameters};
use crate::engine::overview::{Health, Overview};
use crate::rules::{Cause, Role, Rules, Signal};
use crate::series::Verdict;
use crate::store::Came;
use crate::time::Timestamp;

/// Incidents that are looked at for how rules fared, the latest changed.
const REMEMBERED_MAX: u32 = 500;

pub(super) const LIST: Endpoint = Endpoint {
    parameters: &[
        Parameter {
            name: "kind",
            about: "Only signals, or only causes.",
            schema: || value!({"enum": ["signal", "cause"]}),
        },
        LIMIT,
        AFTER,
    ],
    refusals: &[400],
    ..Endpoint::get(
        "/api/v1/rules",
        ("listRules", "Signals and then causes, in order of name, with how they fare."),
        || get(list),
        &[(200, Content::Json(of::<List>))],
    )
};

/// Rules: signals, then causes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RuleList")]
struct List {
    /// The tick at which they fared so; none before the first.
    at: Option<Timestamp>,
    rules: Vec<Rule>,
    /// `after` of the next page; none where this is the last.
    next: Option<String>,
}

/// A rule.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Rule {
    /// A query and what its rows mean.
    Signal(SignalRule),
    /// What explains incidents.
    Cause(CauseRule),
}

/// A signal.
#[derive(Serialize, JsonSchema)]
struct SignalRule {
    /// Always `signal`.
    #[schemars(extend("const" = "signal"))]
    kind: &'static str,
    name: String,
    role: Role,
    query: String,
    /// Unit of the values, for people.
    unit: Option<String>,
    /// Services with a series of it.
    services: usize,
    /// Its series, without those of single peers.
    series: usize,
    /// Series with a value at the newest tick.
    answered: usize,
    /// What the backend said, where there was no answer at the newest tick.
    problem: Option<String>,
    /// True where it had series and none of them gave a value at the newest tick.
    silent: bool,
    #[serde(flatten)]
    fared: Fared,
}

/// A cause.
#[derive(Serialize, JsonSchema)]
struct CauseRule {
    /// Always `cause`.
    #[schemars(extend("const" = "cause"))]
    kind: &'static str,
    name: String,
    /// One line for the alert's title.
    title: String,
    /// How probable it is before any evidence.
    prior: f64,
    /// How many things are looked for.
    evidence: usize,
    #[serde(flatten)]
    fared: Fared,
}

/// How a rule fared in the latest five hundred incidents.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
struct Fared {
    /// Incidents in which the signal moved, or that the cause led.
    incidents: usize,
    /// How many of these somebody called useful.
    useful: usize,
    /// How many of these somebody called false or expected: the rule's noise.
    noise: usize,
}

impl Fared {
    fn count(&mut self, verdict: Option<Verdict>) {
        self.incidents += 1;
        self.useful += usize::from(verdict == Some(Verdict::Useful));
        let noise = matches!(verdict, Some(Verdict::False | Verdict::Expected));
        self.noise += usize::from(noise);
    }
}

/// What the engine has of one signal.
#[derive(Default)]
struct Seen<'o> {
    services: BTreeSet<&'o str>,
    series: usize,
    answered: usize,
}

/// A place in the list: whether it is among the causes, and the rule's name.
type Place = (bool, String);

async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Refusal> {
    let mut read = Parameters::new(&uri, &["kind", "limit", "after"]);
    let causes = read.choice("kind", &[("signal", false), ("cause", true)]);
    let (limit, after) = (read.limit(), read.after::<Place>());
    read.finish()?;
    let found = api.store.with(|store| store.came(REMEMBERED_MAX)).await;
    let came = found.map_err(|problem| store_problem(&problem))?;
    let (overview, reached) = (api.live.overview(), api.progress.reached());
    let rules = &*api.facts.rules;
    let signals = rules.signals.iter().map(|signal| (false, signal.name.as_str()));
    let named = rules.causes.iter().map(|cause| (true, cause.id.as_str()));
    let mut places: Vec<(bool, &str)> = signals.chain(named).collect();
    places.sort_unstable();
    let behind = |place: &(bool, &str)| {
        after.as_ref().is_none_or(|(cause, name)| (*cause, name.as_str()) < *place)
    };
    places.retain(|place| behind(place) && causes.is_none_or(|causes| causes == place.0));
    let page = Page::of(places, limit, |(cause, name)| (*cause, (*name).to_owned()));
    let rules = shown(&page.items, &overview, (rules, &reached), &came);
    Ok(json(StatusCode::OK, &List { at: overview.at, rules, next: page.next }))
}

/// The rules of one page. Cost: O(series + incidents looked at).
fn shown(
    places: &[(bool, &str)],
    overview: &Overview,
    (rules, reached): (&Rules, &Reached),
    came: &[Came],
) -> Vec<Rule> {
    let seen = seen(overview);
    let (by_signal, by_cause) = fared(came);
    let signals: BTreeMap<&str, &Signal> =
        rules.signals.iter().map(|signal| (signal.name.as_str(), signal)).collect();
    let causes: BTreeMap<&str, &Cause> =
        rules.causes.iter().map(|cause| (cause.id.as_str(), cause)).collect();
    let rule = |(cause, name): &(bool, &str)| {
        if *cause {
            let fared = by_cause.get(name).copied().unwrap_or_default();
            return causes.get(name).map(|cause| Rule::Cause(of_cause(cause, fared)));
        }
        let fared = by_signal.get(name).copied().unwrap_or_default();
        let problem = reached.unanswered.get(*name).cloned();
        let signal = signals.get(name)?;
        Some(Rule::Signal(of_signal(signal, seen.get(name), problem, fared)))
    };
    places.iter().filter_map(rule).collect()
}

fn seen(overview: &Overview) -> BTreeMap<&str, Seen<'_>> {
    let mut all: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    for series in overview.services.iter().flat_map(|service| &service.series) {
        let seen = all.entry(series.series.signal.as_str()).or_default();
        seen.services.insert(&series.series.service);
        seen.series += 1;
        let there = series.value.is_some() && series.health != Health::Unasked;
        seen.answered += usize::from(there);
    }
    all
}

/// How signals and causes fared, by name.
fn fared(came: &[Came]) -> (BTreeMap<&str, Fared>, BTreeMap<&str, Fared>) {
    let (mut signals, mut causes) = (BTreeMap::new(), BTreeMap::new());
    for one in came {
        for signal in &one.signals {
            signals.entry(signal.as_str()).or_insert_with(Fared::default).count(one.verdict);
        }
        if let Some(leading) = one.causes.first() {
            causes.entry(leading.as_str()).or_insert_with(Fared::default).count(one.verdict);
        }
    }
    (signals, causes)
}

fn of_signal(
    signal: &Signal,
    seen: Option<&Seen<'_>>,
    problem: Option<String>,
    fared: Fared,
) -> SignalRule {
    let (series, answered) = seen.map_or((0, 0), |seen| (seen.series, seen.answered));
    SignalRule {
        kind: "signal",
        name: signal.name.clone(),
        role: signal.role,
        query: signal.query.clone(),
        unit: signal.unit.clone(),
        services: seen.map_or(0, |seen| seen.services.len()),
        series,
        answered,
        silent: series > 0 && answered == 0 && problem.is_none(),
        problem,
        fared,
    }
}

fn of_cause(cause: &Cause, fared: Fared) -> CauseRule {
    CauseRule {
        kind: "cause",
        name: cause.id.clone(),
        title: cause.title.clone(),
        prior: cause.prior,
        evidence: cause.evidence.len(),
        fared,
    }
}
