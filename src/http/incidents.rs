//! `GET /api/v1/incidents`, `GET /api/v1/incidents/{id}`, and `acknowledge` and `feedback` below
//! it: what was told, and what people say about it.

use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json as value};

use super::endpoint::{AFTER, Body, Content, Endpoint, JSON, LIMIT, Parameter, of};
use super::exchange::{json, json_body, store_problem};
use super::parse::{Reader, Wrong, object};
use super::problem::{Field, Refusal};
use super::query::{Parameters, cursor};
use super::{Api, bodies};
use crate::series::Verdict;
use crate::store::{Acknowledged, CauseError, OPINION_CHARS_MAX, Opinion, Said, Summary, Whole};
use crate::time::Timestamp;

pub(super) const LIST: Endpoint = Endpoint {
    parameters: &[
        Parameter {
            name: "open",
            about: "`true` for those that go on, `false` for those that are over.",
            schema: || value!({"type": "boolean"}),
        },
        LIMIT,
        AFTER,
    ],
    refusals: &[400],
    ..Endpoint::get(
        "/api/v1/incidents",
        ("listIncidents", "Incidents, the latest changed first."),
        || get(list),
        &[(200, Content::Json(of::<List>))],
    )
};

pub(super) const ONE: Endpoint = Endpoint {
    refusals: &[404],
    ..Endpoint::get(
        "/api/v1/incidents/{id}",
        ("getIncident", "One incident: its newest alert, and what people said."),
        || get(one),
        &[(200, Content::Json(of::<Whole>))],
    )
};

pub(super) const ACKNOWLEDGE: Endpoint = Endpoint {
    body: Some(Body { kind: JSON, required: false, schema: bodies::acknowledgement }),
    refusals: &[400, 404, 413, 415],
    ..Endpoint::post(
        "/api/v1/incidents/{id}/acknowledge",
        ("acknowledgeIncident", "Says that somebody looks after it: 200 if somebody did before."),
        || post(acknowledge),
        &[(200, Content::Json(of::<LookedAfter>)), (201, Content::Json(of::<LookedAfter>))],
    )
};

pub(super) const FEEDBACK: Endpoint = Endpoint {
    body: Some(Body { kind: JSON, required: true, schema: bodies::feedback }),
    refusals: &[400, 404, 413, 415],
    ..Endpoint::post(
        "/api/v1/incidents/{id}/feedback",
        ("giveFeedback", "Keeps what somebody says about an incident."),
        || post(give),
        &[(201, Content::Json(of::<Kept>))],
    )
};

/// Incidents, the latest changed first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IncidentList")]
struct List {
    incidents: Vec<Summary>,
    /// Those that cannot be read in the state file, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<usize>,
    /// `after` of the next page; none where this is the last.
    next: Option<String>,
}

/// What feedback can say.
const FIELDS: [&str; 4] = ["verdict", "cause", "note", "by"];

/// Feedback as it was kept.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeptFeedback")]
struct Kept {
    incident: String,
    #[serde(flatten)]
    said: Said,
}

/// An acknowledgement as it was kept.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeptAcknowledgement")]
struct LookedAfter {
    incident: String,
    #[serde(flatten)]
    word: Acknowledged,
}

/// Incidents, the latest changed first.
async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Refusal> {
    let mut read = Parameters::new(&uri, &["open", "limit", "after"]);
    let words = "`true` for those that go on, or `false` for those that are over";
    let (open, limit, after) = (read.parsed("open", words), read.limit(), read.after());
    read.finish()?;
    let found = api.store.with(move |store| store.summaries_after(limit, open, after)).await;
    let listed = found.map_err(|problem| store_problem(&problem))?;
    if listed.unreadable > 0 && !api.told_unreadable.swap(true, Ordering::Relaxed) {
        let incidents = listed.unreadable;
        tracing::error!(incidents, "cannot be read in the state file; lists leave them out");
    }
    let next = listed.last.as_ref().map(cursor);
    let unreadable = Some(listed.unreadable).filter(|count| *count > 0);
    Ok(json(StatusCode::OK, &List { incidents: listed.incidents, unreadable, next }))
}

/// The newest alert of an incident, and everything that was said about it.
async fn one(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = incident(id)?;
    let found = api.store.with(move |store| store.incident(&id)).await;
    Ok(json(StatusCode::OK, &found.map_err(|problem| store_problem(&problem))?))
}

/// Keeps what a person says about an incident; the engine hears it with its next tick.
async fn give(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let id = incident(id)?;
    let value = json_body(&headers, body)?;
    let opinion = opinion(&value, (id, (api.now)()), &api.causes).map_err(Refusal::fields)?;
    let kept = api.store.with(move |store| store.give_feedback(&opinion).map(|_| opinion)).await;
    let kept = kept.map_err(|problem| store_problem(&problem))?;
    let answer = Kept { incident: kept.incident.clone(), said: Said::from(kept) };
    Ok(json(StatusCode::CREATED, &answer))
}

/// Keeps that somebody looks after an incident, and tells those who call people until then. A
/// repetition answers what was said first.
async fn acknowledge(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let incident = incident(id)?;
    let by = match body {
        // A button need not say more.
        Ok(bytes) if bytes.is_empty() => None,
        body => name(&json_body(&headers, body)?).map_err(Refusal::fields)?,
    };
    let word = Acknowledged { at: (api.now)(), by };
    let (id, pagers) = (incident.clone(), api.pagers);
    let kept = api.store.with(move |store| store.acknowledge(&id, &word, &pagers)).await;
    let (word, new) = kept.map_err(|problem| store_problem(&problem))?;
    if new {
        api.store.news();
    }
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &LookedAfter { incident, word }))
}

/// Who looks after an incident, if a body says so.
pub(super) fn name(body: &Value) -> Result<Option<String>, Vec<Field>> {
    let (object, mut wrong) = (object(body)?, Wrong::default());
    let mut read = Reader { object, place: "", wrong: &mut wrong };
    read.no_others(&["by"]);
    let by = if read.has("by") { read.text("by", OPINION_CHARS_MAX) } else { None };
    if wrong.0.is_empty() { Ok(by) } else { Err(wrong.0) }
}

fn incident(id: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    let wrong = |_| Refusal::new(StatusCode::NOT_FOUND, "the id of an incident is text in UTF-8");
    id.map(|Path(id)| id).map_err(wrong)
}

/// Reads what a person says about an incident at an instant.
pub(super) fn opinion(
    body: &Value,
    (incident, at): (String, Timestamp),
    causes: &[String],
) -> Result<Opinion, Vec<Field>> {
    let (object, mut wrong) = (object(body)?, Wrong::default());
    let mut read = Reader { object, place: "", wrong: &mut wrong };
    read.no_others(&FIELDS);
    let word = object.get("verdict").and_then(Value::as_str);
    let verdict = Verdict::ALL.into_iter().find(|verdict| Some(verdict.name()) == word);
    if verdict.is_none() {
        let names = Verdict::ALL.map(Verdict::name).join(", ");
        read.wrong("verdict", &format!("must be one of {names}"));
    }
    let mut text = |key| read.has(key).then(|| read.text(key, OPINION_CHARS_MAX)).flatten();
    let (cause, note, by) = (text("cause"), text("note"), text("by"));
    if let (Some(verdict), Some(cause)) = (verdict, &cause) {
        let known = causes.iter().map(String::as_str);
        if let Err(CauseError { problem, hint }) = Opinion::check_cause(verdict, cause, known) {
            read.wrong("cause", &format!("{problem}; {hint}"));
        }
    }
    match verdict {
        Some(verdict) if wrong.0.is_empty() => {
            Ok(Opinion { incident, verdict, cause, note, at, by })
        }
        _ => Err(wrong.0),
    }
}
