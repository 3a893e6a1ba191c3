//! `GET /api/v1/digests`: the news that were told, day by day and week by week.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Api;
use super::exchange::{json, limit, store_problem};
use super::problem::Refusal;
use crate::notify::digest::Digest;

/// How many are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    limit: Option<String>,
}

#[derive(Serialize)]
struct Told {
    digests: Vec<Digest>,
}

/// Digests, the newest first.
pub(super) async fn list(
    State(api): State<Api>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(params) = params.map_err(|_| {
        Refusal::new(StatusCode::BAD_REQUEST, "the only parameter is `limit`, given once")
    })?;
    let limit = limit(params.limit.as_deref())?;
    let found = api.store.with(move |store| store.digests(limit)).await;
    let found = found.map_err(|problem| store_problem(&problem))?;
    // One that another version wrote, and this one cannot read, is left out.
    let digests = found.iter().filter_map(|json| serde_json::from_str(json).ok()).collect();
    Ok(json(StatusCode::OK, &Told { digests }))
}
