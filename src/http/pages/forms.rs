//! What people do on pages: forms, read as the API reads the same words, that lead back to a page.
//!
//! The guard has looked at who sends them. A form is taken only from a browser that says from
//! which page it comes; other programs use the API.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Map, Value, json};

use super::incident::incident_id;
use super::view::incident_url;
use super::view::steps::text_of;
use super::{read, trouble};
use crate::http::Api;
use crate::http::exchange::store_problem;
use crate::http::incidents::{name, opinion};
use crate::http::problem::{Field, Refusal};
use crate::http::silences::draft;
use crate::store::{Acknowledged, Done, StoreError, Which};

/// A form as it comes: names and values, the last of a name.
type Fields = Result<Form<BTreeMap<String, String>>, FormRejection>;
type Id = Result<Path<String>, PathRejection>;

/// `POST /incidents/{id}/acknowledge`.
pub(super) async fn acknowledge(
    State(api): State<Api>,
    id: Id,
    headers: HeaderMap,
    form: Fields,
) -> Response {
    let done = async {
        let (id, form) = (incident_id(id)?, fields(&headers, form)?);
        let by = name(&Value::Object(form)).map_err(Refusal::fields)?;
        let word = Acknowledged { at: (api.now)(), by };
        let (incident, pagers) = (id.clone(), api.pagers.clone());
        let (_, new) =
            read(&api, move |store| store.acknowledge(&incident, &word, &pagers)).await?;
        if new {
            api.store.news();
        }
        Ok(incident_url(&id))
    }
    .await;
    lead(&api, &headers, done).await
}

/// `POST /incidents/{id}/feedback`.
pub(super) async fn feedback(
    State(api): State<Api>,
    id: Id,
    headers: HeaderMap,
    form: Fields,
) -> Response {
    let done = async {
        let (id, form) = (incident_id(id)?, fields(&headers, form)?);
        let said = (id.clone(), (api.now)());
        let opinion = opinion(&Value::Object(form), said, &api.causes).map_err(Refusal::fields)?;
        read(&api, move |store| store.give_feedback(&opinion)).await?;
        Ok(incident_url(&id))
    }
    .await;
    lead(&api, &headers, done).await
}

/// `POST /incidents/{id}/steps`: ticks a step off, or takes that back.
pub(super) async fn step(
    State(api): State<Api>,
    id: Id,
    headers: HeaderMap,
    form: Fields,
) -> Response {
    let done = async {
        let (id, mut form) = (incident_id(id)?, fields(&headers, form)?);
        let mut take = |key: &str| match form.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (Some(step), done) = (take("step"), take("done").as_deref() == Some("true")) else {
            return Err(field("step", "is required"));
        };
        let by = name(&Value::Object(form)).map_err(Refusal::fields)?;
        let (incident, at) = (id.clone(), (api.now)());
        let known = read(&api, move |store| {
            if !done {
                return store.untick_step(&incident, &step).map(|()| true);
            }
            let Some(text) = text_of(&store.incident(&incident)?.alert, &step) else {
                return Ok(false);
            };
            store.tick_step(&incident, &Done { step, text, at, by }).map(|()| true)
        })
        .await?;
        if !known {
            return Err(field("step", "is not among the steps any more; load the page again"));
        }
        Ok(format!("{}#steps", incident_url(&id)))
    }
    .await;
    lead(&api, &headers, done).await
}

/// `POST /incidents/{id}/silence`: keeps alerts of its service, or with its cause, back.
pub(super) async fn silence_incident(
    State(api): State<Api>,
    id: Id,
    headers: HeaderMap,
    form: Fields,
) -> Response {
    let done = async {
        let (id, form) = (incident_id(id)?, fields(&headers, form)?);
        keep_silence(&api, &form).await?;
        Ok(incident_url(&id))
    }
    .await;
    lead(&api, &headers, done).await
}

/// `POST /silences`.
pub(super) async fn silence(State(api): State<Api>, headers: HeaderMap, form: Fields) -> Response {
    let done = async {
        keep_silence(&api, &fields(&headers, form)?).await?;
        Ok("/silences".to_owned())
    }
    .await;
    lead(&api, &headers, done).await
}

/// `POST /silences/{number}/end`.
pub(super) async fn end_silence(
    State(api): State<Api>,
    number: Result<Path<i64>, PathRejection>,
    headers: HeaderMap,
    form: Fields,
) -> Response {
    let done = async {
        fields(&headers, form)?;
        let Ok(Path(number)) = number else {
            let detail = "a silence is called by its number";
            return Err(Refusal::new(StatusCode::NOT_FOUND, detail));
        };
        let now = (api.now)();
        let (_, released) = read(&api, move |store| store.end_silence(number, now)).await?;
        api.store.news();
        tracing::info!(silence = number, released, "silence ended");
        Ok("/silences".to_owned())
    }
    .await;
    lead(&api, &headers, done).await
}

/// `POST /status/retry`: one message that was given up, or all of them, are on their way again.
pub(super) async fn retry(State(api): State<Api>, headers: HeaderMap, form: Fields) -> Response {
    let done = async {
        let mut form = fields(&headers, form)?;
        let which = match form.remove("id") {
            Some(Value::String(id)) => Which::One(id),
            _ => Which::Dead(None),
        };
        let now = (api.now)();
        let again = api.store.with(move |store| store.retry(&which, now)).await;
        let count = again.map_err(|problem| match problem {
            StoreError::NoSuchMessage { .. } => {
                Refusal::new(StatusCode::NOT_FOUND, problem.to_string().replace("\nhint: ", "; "))
            }
            other => store_problem(&other),
        })?;
        api.store.news();
        tracing::info!(messages = count, "given up, and tried again");
        Ok("/status".to_owned())
    }
    .await;
    lead(&api, &headers, done).await
}

async fn keep_silence(api: &Api, form: &Map<String, Value>) -> Result<(), Refusal> {
    let now = (api.now)();
    let draft = draft(&silence_body(form), now).map_err(Refusal::fields)?;
    let silence = read(api, move |store| store.add_silence(draft, now)).await?;
    let matches = silence.matcher.to_string();
    tracing::info!(silence = silence.number, matches, until = %silence.ends_at, "silence");
    Ok(())
}

/// What a form says, in the words of the API; several services are separated by commas.
fn silence_body(form: &Map<String, Value>) -> Value {
    let mut body = Map::new();
    let mut matcher = Map::new();
    for (key, value) in form {
        let text = value.as_str().unwrap_or_default();
        match key.as_str() {
            "service" | "cause" | "signal" | "owner" | "severity" => {
                let values: Vec<&str> =
                    text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
                matcher.insert(key.clone(), json!(values));
            }
            _ => {
                body.insert(key.clone(), value.clone());
            }
        }
    }
    body.insert("match".to_owned(), Value::Object(matcher));
    Value::Object(body)
}

/// The fields of a form that are filled.
fn fields(headers: &HeaderMap, form: Fields) -> Result<Map<String, Value>, Refusal> {
    let from_page = ["origin", "sec-fetch-site"].iter().any(|name| headers.contains_key(*name));
    if !from_page {
        let detail = "forms are taken from this server's pages; programs use the API";
        return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
    }
    let Form(form) = form.map_err(|_| {
        Refusal::new(StatusCode::BAD_REQUEST, "this is not a form of this server's pages")
    })?;
    let filled = form.into_iter().filter(|(_, value)| !value.trim().is_empty());
    Ok(filled.map(|(key, value)| (key, Value::String(value))).collect())
}

fn field(pointer: &str, detail: &str) -> Refusal {
    Refusal::fields(vec![Field { pointer: format!("/{pointer}"), detail: detail.to_owned() }])
}

/// Back to a page, or to why nothing was done: a page for people, data for the pages' script.
async fn lead(api: &Api, headers: &HeaderMap, done: Result<String, Refusal>) -> Response {
    match done {
        Ok(to) => Redirect::to(&to).into_response(),
        Err(refusal) => {
            let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
            if accept.is_some_and(|accept| accept.contains("json")) {
                refusal.into_response()
            } else {
                trouble(api, &refusal).await
            }
        }
    }
}
