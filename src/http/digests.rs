//! `GET /api/v1/digests`: the news that were told, day by day and week by week.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::endpoint::{AFTER, Content, Endpoint, LIMIT, of};
use super::exchange::{json, store_problem};
use super::problem::Refusal;
use super::query::{Page, Parameters};
use crate::notify::digest::Digest;

pub(super) const LIST: Endpoint = Endpoint {
    parameters: &[LIMIT, AFTER],
    refusals: &[400],
    ..Endpoint::get(
        "/api/v1/digests",
        ("listDigests", "The news that were told day by day and week by week, the newest first."),
        || get(list),
        &[(200, Content::Json(of::<Told>))],
    )
};

/// Digests, the newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DigestList")]
struct Told {
    digests: Vec<Digest>,
    /// `after` of the next page; none where this is the last.
    next: Option<String>,
}

/// Digests, the newest first.
async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Refusal> {
    let mut read = Parameters::new(&uri, &["limit", "after"]);
    let (limit, after) = (read.limit(), read.after());
    read.finish()?;
    let found = api.store.with(move |store| store.digests_after(limit + 1, after)).await;
    let found = found.map_err(|problem| store_problem(&problem))?;
    let page = Page::of(found, limit, |(place, _)| place.clone());
    // One that another version wrote, and this one cannot read, is left out.
    let read = page.items.iter().filter_map(|(_, json)| serde_json::from_str(json).ok());
    Ok(json(StatusCode::OK, &Told { digests: read.collect(), next: page.next }))
}
