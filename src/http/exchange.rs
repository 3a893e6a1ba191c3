//! What all handlers do alike: JSON in, JSON out, and the store's refusals in the client's terms.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::BODY_BYTES_MAX;
use super::endpoint::JSON;
use super::problem::Refusal;
use crate::store::StoreError;

/// The body of a request as JSON.
///
/// # Errors
///
/// Another type, too many bytes, or no JSON.
pub(super) fn json_body(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Value, Refusal> {
    // A web page may send other types than this one without asking first.
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(JSON) {
        let detail = "send JSON, with the header `Content-Type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let body = body.map_err(|problem| match problem.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("more than {BODY_BYTES_MAX} bytes; send several requests");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        status => Refusal::new(status, "the request ended before its body was complete"),
    })?;
    serde_json::from_slice(&body).map_err(|problem| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("this is not JSON: {problem}"))
    })
}

/// An answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Structs of texts and times always become JSON.
    let text = serde_json::to_string(body).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, JSON)], text).into_response()
}

/// What the client is told when the store does not do it.
pub(super) fn store_problem(problem: &StoreError) -> Refusal {
    let (status, detail) = match problem {
        StoreError::NoSuchIncident { incident, hint } => {
            (StatusCode::NOT_FOUND, format!("there is no incident `{incident}`; {hint}"))
        }
        StoreError::NoSuchSilence { number } => {
            let hint = "`GET /api/v1/silences` lists them";
            (StatusCode::NOT_FOUND, format!("there is no silence {number}; {hint}"))
        }
        StoreError::TooManySilences => {
            (StatusCode::CONFLICT, problem.to_string().replace("\nhint: ", "; "))
        }
        _ => return broken_store(problem),
    };
    Refusal::new(status, detail)
}

fn broken_store(problem: &StoreError) -> Refusal {
    tracing::error!(class = problem.class(), %problem, "the API cannot use the state file");
    let detail = "the state file cannot be used; the log says why";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}
