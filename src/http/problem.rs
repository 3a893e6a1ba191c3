//! What a client is told when its request is refused: problem details (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Fields that one answer tells of.
const FIELDS_MAX: usize = 20;

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: String,
    fields: Vec<Field>,
}

/// What is wrong with one field of the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Field {
    /// Where it stands: a JSON pointer (RFC 6901).
    pub(super) pointer: String,
    /// What is wrong, and the remedy.
    pub(super) detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Field],
}

impl Refusal {
    /// A refusal with what is wrong and the remedy in one sentence.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), fields: Vec::new() }
    }

    /// A body that cannot be used, field by field; there is at least one.
    pub(super) fn fields(mut fields: Vec<Field>) -> Self {
        let count = fields.len();
        fields.truncate(FIELDS_MAX);
        let first = fields.first().map(|f| format!("{}: {}", f.pointer, f.detail));
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        let detail = format!("{}{more}; nothing was kept", first.unwrap_or_default());
        Self { status: StatusCode::BAD_REQUEST, detail, fields }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Body {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.fields,
        };
        // A struct of texts and numbers always becomes JSON.
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], text)
                .into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
