//! `POST` and `GET /api/v1/changes`.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::exchange::{json, json_body, limit, store_problem};
use super::problem::{Field, Refusal};
use super::{Api, parse};
use crate::series::ChangeKind;
use crate::store::Wanted;
use crate::time::Timestamp;

/// Which changes are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    from: Option<String>,
    to: Option<String>,
    service: Option<String>,
    limit: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    changes: Vec<One>,
}

/// A change as clients see it.
#[derive(Serialize)]
struct One {
    id: String,
    kind: ChangeKind,
    service: String,
    at: Timestamp,
    end: Option<Timestamp>,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    posted_at: Option<Timestamp>,
}

/// Keeps changes: 201 if one of them is news, 200 if all were known.
pub(super) async fn post(
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
    Ok(json(status, &Shown { changes: changes.collect() }))
}

/// Posted changes, the latest first.
pub(super) async fn list(
    State(api): State<Api>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(params) = params.map_err(|_| {
        let detail = "the parameters are `from`, `to`, `service` and `limit`, each once";
        Refusal::new(StatusCode::BAD_REQUEST, detail)
    })?;
    let wanted = Wanted {
        from: instant("from", params.from.as_deref())?,
        to: instant("to", params.to.as_deref())?,
        service: params.service,
        limit: limit(params.limit.as_deref())?,
    };
    let found = api
        .store
        .with(move |store| store.changes(&wanted))
        .await
        .map_err(|problem| store_problem(&problem))?;
    let changes = found.into_iter().map(|posted| One {
        id: posted.id,
        kind: posted.change.kind,
        service: posted.change.service,
        at: posted.change.at,
        end: posted.change.end,
        what: posted.change.what,
        posted_at: Some(posted.posted_at),
    });
    Ok(json(StatusCode::OK, &Shown { changes: changes.collect() }))
}

fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let refuse = || {
        let detail = "must be a time such as 2026-03-01T02:10:00Z, or Unix seconds";
        Refusal::fields(vec![Field { pointer: name.to_owned(), detail: detail.to_owned() }])
    };
    text.map(|text| text.parse().map_err(|_| refuse())).transpose()
}
