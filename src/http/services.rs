//! `GET /api/v1/services` and `/api/v1/services/{name}`: how everything that is watched stands.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::endpoint::{AFTER, Content, Endpoint, LIMIT, of};
use super::exchange::json;
use super::problem::Refusal;
use super::query::{Page, Parameters};
use crate::coverage::{self, Answered, Covered};
use crate::engine::overview::{Overview, ServiceStanding};
use crate::problem::did_you_mean;
use crate::rules::Rules;
use crate::time::Timestamp;

pub(super) const LIST: Endpoint = Endpoint {
    parameters: &[LIMIT, AFTER],
    refusals: &[400],
    ..Endpoint::get(
        "/api/v1/services",
        ("listServices", "Services with how they stand, in order of name."),
        || get(list),
        &[(200, Content::Json(of::<List>))],
    )
};

pub(super) const ONE: Endpoint = Endpoint {
    refusals: &[404],
    ..Endpoint::get(
        "/api/v1/services/{name}",
        ("getService", "One service, with who calls it and what would be seen of it."),
        || get(one),
        &[(200, Content::Json(of::<Whole>))],
    )
};

/// Services in order of name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ServiceList")]
struct List {
    /// The tick at which they stood so; none before the first.
    at: Option<Timestamp>,
    services: Vec<Shown>,
    /// `after` of the next page; none where this is the last.
    next: Option<String>,
}

/// How a service stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Service")]
struct Shown {
    service: String,
    /// Who owns it, as far as it is configured.
    owner: Option<String>,
    /// What users would notice, as far as it is configured.
    objective: Option<Objective>,
    /// How far it is over its thresholds; none while it is learned or cannot be judged.
    standing: Option<Standing>,
    /// Weeks of normal days that its thresholds stand on.
    weeks: f64,
    /// Since when it says nothing, if it should.
    silent_since: Option<Timestamp>,
    /// Alerts that it may still give before its budget is used up.
    alerts_left: f64,
    /// Ids of the open incidents that it is in.
    incidents: Vec<String>,
    /// Services that it calls.
    calls: Vec<String>,
    /// How well its roles are seen.
    roles: Roles,
    /// Series watched.
    series: usize,
    /// Those that move now.
    moving: usize,
}

/// What users would notice.
#[derive(Serialize, JsonSchema)]
struct Objective {
    /// In seconds.
    latency: Option<f64>,
    /// Failed share of requests, 0 to 1.
    errors: Option<f64>,
}

/// How far a service's statistic is over its thresholds; 1 is at the threshold.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ServiceStanding")]
struct Standing {
    notice: f64,
    alert: f64,
}

/// Roles that causes speak of, by how well they are seen.
#[derive(Serialize, JsonSchema)]
struct Roles {
    /// A signal gives it.
    bound: Vec<String>,
    /// A signal gave it in the last week, and gives nothing now.
    silent: Vec<String>,
    /// No signal gives it.
    missing: Vec<String>,
}

/// A service with its surroundings.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ServiceDetail")]
struct Whole {
    #[serde(flatten)]
    service: Shown,
    /// The tick at which it stood so.
    at: Option<Timestamp>,
    /// Services that call it.
    callers: Vec<String>,
    /// Every role that a cause speaks of, with the signals that give it.
    covered: Vec<Covered>,
    /// The review's questions and whether metrics can answer them.
    questions: Vec<Answered>,
    /// Causes that could not be told from others here.
    blind: Vec<String>,
}

async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Refusal> {
    let mut read = Parameters::new(&uri, &["limit", "after"]);
    let (limit, after) = (read.limit(), read.after::<String>());
    read.finish()?;
    let (overview, rules) = (api.live.overview(), &api.facts.rules);
    let page = page(&overview, limit, after.as_deref());
    let view = coverage::View::new(rules, coverage::Rows::of(&overview, &page.items));
    let shown = page.items.iter().map(|standing| {
        let seen = view.service(&standing.service);
        service(standing, rules, &seen.roles)
    });
    let list = List { at: overview.at, services: shown.collect(), next: page.next };
    Ok(json(StatusCode::OK, &list))
}

/// The services of one page. Cost: what is returned.
pub(super) fn page<'o>(
    overview: &'o Overview,
    limit: u32,
    after: Option<&str>,
) -> Page<&'o ServiceStanding> {
    let all = &overview.services;
    let from = after.map_or(0, |after| all.partition_point(|one| one.service.as_str() <= after));
    Page::of(all.iter().skip(from), limit, |one| one.service.clone())
}

async fn one(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let (overview, rules) = (api.live.overview(), &api.facts.rules);
    let name = name.map_or_else(|_| String::new(), |Path(name)| name);
    let standing = find(&overview, &name)?;
    let view = coverage::View::new(rules, coverage::Rows::of(&overview, &[standing]));
    let seen = view.service(&name);
    let callers = overview.services.iter().filter(|one| one.calls.contains(&name));
    let whole = Whole {
        service: service(standing, rules, &seen.roles),
        at: overview.at,
        callers: callers.map(|one| one.service.clone()).collect(),
        covered: seen.roles,
        questions: seen.questions,
        blind: seen.blind,
    };
    Ok(json(StatusCode::OK, &whole))
}

/// A service by its name, or the refusal that says which one may be meant.
pub(super) fn find<'o>(overview: &'o Overview, name: &str) -> Result<&'o ServiceStanding, Refusal> {
    let all = &overview.services;
    let place = all.binary_search_by(|one| one.service.as_str().cmp(name)).ok();
    place.and_then(|place| all.get(place)).ok_or_else(|| {
        let names = all.iter().map(|one| one.service.as_str());
        let hint = did_you_mean(name, names, "services");
        let hint = hint.unwrap_or_else(|| "none is watched yet".to_owned());
        Refusal::new(StatusCode::NOT_FOUND, format!("no such service is watched; {hint}"))
    })
}

fn service(standing: &ServiceStanding, rules: &Rules, covered: &[Covered]) -> Shown {
    let described = rules.services.get(&standing.service);
    let objective = described.map(|service| Objective {
        latency: service.objective_latency,
        errors: service.objective_errors,
    });
    let roles = |state| {
        let of_state = covered.iter().filter(move |covered| covered.state == state);
        of_state.map(|covered| covered.role.clone()).collect()
    };
    Shown {
        service: standing.service.clone(),
        owner: described.and_then(|service| service.owner.clone()),
        objective: objective.filter(|one| one.latency.is_some() || one.errors.is_some()),
        standing: standing.standing.map(|one| Standing { notice: one.notice, alert: one.alert }),
        weeks: standing.weeks,
        silent_since: standing.silent_since,
        alerts_left: standing.alerts_left,
        incidents: standing.incidents.clone(),
        calls: standing.calls.clone(),
        roles: Roles {
            bound: roles(coverage::State::Bound),
            silent: roles(coverage::State::Silent),
            missing: roles(coverage::State::Missing),
        },
        series: standing.series.len(),
        moving: standing.series.iter().filter(|series| series.moved.is_some()).count(),
    }
}
