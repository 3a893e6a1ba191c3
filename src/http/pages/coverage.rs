//! `GET /coverage`: what would be seen of each service, and what would not.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::view::coverage::{CoverageView, covered};
use super::{Asked, asked, show};
use crate::http::Api;

/// Which services are looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    service: String,
}

#[derive(Serialize)]
struct View {
    coverage: CoverageView,
    wanted: String,
}

pub(super) async fn page(State(api): State<Api>, params: Asked<Params>) -> Response {
    let wanted = asked(params).service;
    let coverage = covered(&api.facts.rules, &api.live.overview(), &wanted);
    show(&api, "/coverage", "coverage.html", &View { coverage, wanted }).await
}
