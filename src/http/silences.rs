//! `GET` and `POST /api/v1/silences`, `DELETE /api/v1/silences/{number}`.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json as value};

use super::endpoint::{AFTER, Body, Content, Endpoint, JSON, LIMIT, Parameter, of};
use super::exchange::{json, json_body, store_problem};
use super::parse::{Reader, Wrong, object};
use super::problem::{Field, Refusal};
use super::query::{Page, Parameters};
use super::{Api, bodies};
use crate::engine::alert::Severity;
use crate::matcher::{Matcher, Pattern, VALUE_CHARS_MAX, VALUES_MAX};
use crate::store::{Draft, Silence};
use crate::time::Timestamp;

/// What a silence can say.
const FIELDS: [&str; 7] = ["match", "all", "starts_at", "ends_at", "for", "comment", "by"];
/// What it can match.
const KEYS: [&str; 6] = ["severity", "service", "owner", "cause", "signal", "label"];
/// Characters that are read of a comment or name; how long they may be is the draft's to say.
const TEXT_CHARS_MAX: usize = 2_000;

pub(super) const LIST: Endpoint = Endpoint {
    parameters: &[
        Parameter {
            name: "open",
            about: "`true` for those that are not over, the first to end first; `false` for all, \
                    the newest first.",
            schema: || value!({"type": "boolean", "default": true}),
        },
        LIMIT,
        AFTER,
    ],
    refusals: &[400],
    ..Endpoint::get(
        "/api/v1/silences",
        ("listSilences", "Silences: those that are not over, or all."),
        || get(list),
        &[(200, Content::Json(of::<Listed>))],
    )
};

pub(super) const ADD: Endpoint = Endpoint {
    body: Some(Body { kind: JSON, required: true, schema: bodies::silence }),
    refusals: &[400, 409, 413, 415],
    ..Endpoint::post(
        "/api/v1/silences",
        ("addSilence", "Keeps alerts that match from receivers for a while."),
        || post(add),
        &[(201, Content::Json(of::<Silence>))],
    )
};

pub(super) const END: Endpoint = Endpoint {
    method: "DELETE",
    refusals: &[404],
    ..Endpoint::post(
        "/api/v1/silences/{number}",
        ("endSilence", "Ends a silence now; what it held goes out."),
        || delete(end),
        &[(200, Content::Json(of::<Ended>))],
    )
};

/// Silences.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SilenceList")]
struct Listed {
    silences: Vec<Silence>,
    /// `after` of the next page; none where this is the last.
    next: Option<String>,
}

/// A silence that was ended, and how many messages it held.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndedSilence")]
struct Ended {
    #[serde(flatten)]
    silence: Silence,
    /// Messages that go out now.
    released: usize,
}

/// A place in the list: when a silence ends, and its number.
type Place = (Timestamp, i64);

/// Silences: those that are not over, or the newest of all.
async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Refusal> {
    let mut read = Parameters::new(&uri, &["open", "limit", "after"]);
    let words = "`true` for those that are not over, or `false` for all";
    let open = read.parsed("open", words).unwrap_or(true);
    let (limit, after) = (read.limit(), read.after::<Place>());
    read.finish()?;
    let now = (api.now)();
    let found = api.store.with(move |store| {
        if !open {
            let before = after.map_or(i64::MAX, |(_, number)| number);
            return store.silences_before(limit + 1, before);
        }
        let mut open = store.open_silences(now)?;
        open.retain(|one| after.is_none_or(|after| after < (one.ends_at, one.number)));
        Ok(open)
    });
    let silences = found.await.map_err(|problem| store_problem(&problem))?;
    let page = Page::of(silences, limit, |one| (one.ends_at, one.number));
    Ok(json(StatusCode::OK, &Listed { silences: page.items, next: page.next }))
}

/// Keeps a silence.
async fn add(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let value = json_body(&headers, body)?;
    let now = (api.now)();
    let draft = draft(&value, now).map_err(Refusal::fields)?;
    let kept = api.store.with(move |store| store.add_silence(draft, now)).await;
    let silence = kept.map_err(|problem| store_problem(&problem))?;
    let matches = silence.matcher.to_string();
    tracing::info!(silence = silence.number, matches, until = %silence.ends_at, "silence");
    Ok(json(StatusCode::CREATED, &silence))
}

/// Ends a silence now and lets go what it held.
async fn end(
    State(api): State<Api>,
    number: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let number = number.ok().and_then(|Path(text)| text.parse::<i64>().ok());
    let number = number
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "a silence is called by its number"))?;
    let now = (api.now)();
    let ended = api.store.with(move |store| store.end_silence(number, now)).await;
    let (silence, released) = ended.map_err(|problem| store_problem(&problem))?;
    api.store.news();
    tracing::info!(silence = number, released, "silence ended");
    Ok(json(StatusCode::OK, &Ended { silence, released }))
}

/// Reads a silence that begins now unless it says otherwise.
pub(super) fn draft(body: &Value, now: Timestamp) -> Result<Draft, Vec<Field>> {
    let (object, mut wrong) = (object(body)?, Wrong::default());
    let matcher = match object.get("match") {
        None | Some(Value::Null) => Matcher::default(),
        Some(Value::Object(keys)) => matcher(keys, &mut wrong),
        Some(_) => {
            wrong.add("/match", "expected an object");
            Matcher::default()
        }
    };
    let mut read = Reader { object, place: "", wrong: &mut wrong };
    read.no_others(&FIELDS);
    let all = match object.get("all") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(all)) => *all,
        Some(_) => {
            read.wrong("all", "must be true or false");
            false
        }
    };
    let starts_at = if read.has("starts_at") { read.instant("starts_at") } else { Some(now) };
    let ends_at = match (read.has("ends_at"), read.has("for")) {
        (true, false) => read.instant("ends_at"),
        (false, true) => read.span("for").zip(starts_at).map(|(span, at)| at + span),
        _ => {
            read.wrong("ends_at", "give one of `ends_at` and `for`: every silence has an end");
            None
        }
    };
    let comment = read.text("comment", TEXT_CHARS_MAX);
    let by = read.has("by").then(|| read.text("by", TEXT_CHARS_MAX)).flatten();
    let (Some(starts_at), Some(ends_at), Some(comment)) = (starts_at, ends_at, comment) else {
        return Err(wrong.0);
    };
    let draft = Draft { matcher, all, starts_at, ends_at, comment, by };
    if wrong.0.is_empty() {
        for (part, detail) in draft.flaws(now) {
            let of_all = part == "match" && (draft.all || draft.matcher.is_empty());
            let remedy = if of_all { "; for everything send `\"all\": true` alone" } else { "" };
            wrong.add(&format!("/{part}"), &format!("{detail}{remedy}"));
        }
    }
    if wrong.0.is_empty() { Ok(draft) } else { Err(wrong.0) }
}

fn matcher(object: &Map<String, Value>, wrong: &mut Wrong) -> Matcher {
    Reader { object, place: "/match", wrong }.no_others(&KEYS);
    let mut list = |key: &str| -> Vec<Pattern> {
        let texts = texts(object.get(key), &format!("/match/{key}"), wrong);
        texts.into_iter().map(Pattern::from).collect()
    };
    let (service, owner) = (list("service"), list("owner"));
    let (cause, signal) = (list("cause"), list("signal"));
    let mut severity = Vec::new();
    for text in texts(object.get("severity"), "/match/severity", wrong) {
        match Severity::from_name(text) {
            Some(known) => severity.push(known),
            None => wrong.add("/match/severity", "must hold notice, warning or critical"),
        }
    }
    let mut label = BTreeMap::new();
    match object.get("label") {
        None | Some(Value::Null) => {}
        Some(Value::Object(labels)) if labels.len() <= VALUES_MAX => {
            for (name, values) in labels {
                let place = format!("/match/label/{}", name.replace('~', "~0").replace('/', "~1"));
                let values = texts(Some(values), &place, wrong);
                if !values.is_empty() {
                    let values = values.into_iter().map(Pattern::from).collect();
                    label.insert(name.clone(), values);
                }
            }
        }
        Some(_) => wrong.add("/match/label", "expected an object of labels and their values"),
    }
    Matcher { severity, service, owner, cause, signal, label }
}

/// A list of texts; nothing where nothing is said.
fn texts<'v>(value: Option<&'v Value>, place: &str, wrong: &mut Wrong) -> Vec<&'v str> {
    let items = match value {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items.as_slice(),
        Some(_) => &[],
    };
    let is_short = |text: &&str| !text.is_empty() && text.chars().count() <= VALUE_CHARS_MAX;
    let texts: Vec<&str> = items.iter().filter_map(Value::as_str).filter(is_short).collect();
    if texts.is_empty() || texts.len() < items.len() || VALUES_MAX < texts.len() {
        let what = format!(
            "expected a list of 1 to {VALUES_MAX} texts of at most {VALUE_CHARS_MAX} characters"
        );
        wrong.add(place, &what);
    }
    texts
}
