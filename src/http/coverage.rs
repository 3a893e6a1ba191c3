//! `GET /api/v1/coverage`: what is seen of each service, and what is not.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::endpoint::{AFTER, Content, Endpoint, LIMIT, SERVICE, of};
use super::exchange::json;
use super::problem::Refusal;
use super::query::{Page, Parameters};
use super::services;
use crate::coverage::{self, Rows, View};
use crate::time::Timestamp;

pub(super) const LIST: Endpoint = Endpoint {
    parameters: &[SERVICE, LIMIT, AFTER],
    refusals: &[400, 404],
    ..Endpoint::get(
        "/api/v1/coverage",
        ("listCoverage", "Services × roles: bound, silent, missing; what that leaves unseen."),
        || get(list),
        &[(200, Content::Json(of::<List>))],
    )
};

/// What is seen of services, in order of name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CoverageList")]
struct List {
    /// The tick at which it was so; none before the first.
    at: Option<Timestamp>,
    services: Vec<coverage::Service>,
    /// For each role that a service of this page lacks: packs that would give it.
    packs: BTreeMap<String, Vec<String>>,
    /// What the backend said to signals that had no answer at the newest tick.
    problems: BTreeMap<String, String>,
    /// `after` of the next page; none where this is the last.
    next: Option<String>,
}

async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Refusal> {
    let mut read = Parameters::new(&uri, &["service", "limit", "after"]);
    let wanted = read.text("service");
    let (limit, after) = (read.limit(), read.after::<String>());
    read.finish()?;
    let (overview, reached) = (api.live.overview(), api.progress.reached());
    let page = match wanted {
        Some(name) => Page { items: vec![services::find(&overview, &name)?], next: None },
        None => services::page(&overview, limit, after.as_deref()),
    };
    let view = View::new(&api.facts.rules, Rows::of(&overview, &page.items));
    let services: Vec<coverage::Service> =
        page.items.iter().map(|standing| view.service(&standing.service)).collect();
    let packs = coverage::packs_for(&services);
    let (at, problems, next) = (overview.at, reached.unanswered, page.next);
    Ok(json(StatusCode::OK, &List { at, services, packs, problems, next }))
}
