//! `POST` and `GET /api/v1/changes`.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::{
    AFTER, Body, Content, Endpoint, JSON, LIMIT, Parameter, SERVICE, instant, of,
};
use super::exchange::{json, json_body, store_problem};
use super::problem::Refusal;
use super::query::{Page, Parameters};
use super::{Api, bodies, parse};
use crate::series::ChangeKind;
use crate::store::Wanted;
use crate::time::Timestamp;

pub(super) const LIST: Endpoint = Endpoint {
    parameters: &[
        Parameter { name: "from", about: "Only those that began then or later.", schema: instant },
        Parameter { name: "to", about: "Only those that began then or earlier.", schema: instant },
        SERVICE,
        LIMIT,
        AFTER,
    ],
    refusals: &[400],
    ..Endpoint::get(
        "/api/v1/changes",
        ("listChanges", "Changes that were posted, the latest first."),
        || get(list),
        &[(200, Content::Json(of::<List>))],
    )
};

pub(super) const POST: Endpoint = Endpoint {
    body: Some(Body { kind: JSON, required: true, schema: bodies::changes }),
    refusals: &[400, 413, 415],
    ..Endpoint::post(
        "/api/v1/changes",
        ("postChanges", "Keeps deploys and other changes: 201 if one is news, 200 if none is."),
        || post(keep),
        &[(200, Content::Json(of::<Kept>)), (201, Content::Json(of::<Kept>))],
    )
};

/// Changes, the latest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChangeList")]
struct List {
    changes: Vec<One>,
    /// `after` of the next page; none where this is the last.
    next: Option<String>,
}

/// Changes as they are kept, in the order in which they were posted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeptChanges")]
struct Kept {
    changes: Vec<One>,
}

/// A change as clients see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Change")]
struct One {
    /// The same for the same kind, service, time and text.
    id: String,
    kind: ChangeKind,
    service: String,
    /// When it began.
    at: Timestamp,
    /// When it was over, as far as that is known.
    end: Option<Timestamp>,
    what: String,
    /// When it was posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    posted_at: Option<Timestamp>,
}

/// Keeps changes: 201 if one of them is news, 200 if all were known.
async fn keep(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let value = json_body(&headers, body)?;
    let now = api.now.clone();
    let kept = api.store.with(move |store| {
        // Inside, where the ticks read too: what is posted later has a later time.
        let now = now();
        let changes = match parse::changes(&value, now) {
            Ok(changes) => changes,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let stored = store.post_changes(now, &changes)?;
        Ok(Ok((changes, stored)))
    });
    let (changes, stored) =
        kept.await.map_err(|problem| store_problem(&problem))?.map_err(Refusal::fields)?;
    let new = stored.iter().any(|stored| stored.new);
    let changes = changes.into_iter().zip(stored).map(|(change, stored)| One {
        id: stored.id,
        kind: change.kind,
        service: change.service,
        at: change.at,
        end: change.end,
        what: change.what,
        posted_at: None,
    });
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &Kept { changes: changes.collect() }))
}

/// Posted changes, the latest first.
async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Refusal> {
    let mut read = Parameters::new(&uri, &["from", "to", "service", "limit", "after"]);
    let words = "a time such as 2026-03-01T02:10:00Z, or Unix seconds";
    let (from, to) = (read.parsed("from", words), read.parsed("to", words));
    let (service, limit, after) = (read.text("service"), read.limit(), read.after());
    read.finish()?;
    // One more, to know whether there is another page.
    let wanted = Wanted { from, to, service, after, limit: limit + 1 };
    let found = api
        .store
        .with(move |store| store.changes(&wanted))
        .await
        .map_err(|problem| store_problem(&problem))?;
    let page = Page::of(found, limit, |posted| (posted.change.at, posted.number));
    let changes = page.items.into_iter().map(|posted| One {
        id: posted.id,
        kind: posted.change.kind,
        service: posted.change.service,
        at: posted.change.at,
        end: posted.change.end,
        what: posted.change.what,
        posted_at: Some(posted.posted_at),
    });
    Ok(json(StatusCode::OK, &List { changes: changes.collect(), next: page.next }))
}
