//! What a client is told when its request is refused: problem details (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// The content type of problem details.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// Fields that one answer tells of.
const FIELDS_MAX: usize = 20;

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: String,
    fields: Vec<Field>,
}

/// What is wrong with one field of the body, or with one parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ProblemField")]
pub(super) struct Field {
    /// Where it stands: a JSON pointer (RFC 6901), or the parameter's name.
    pub(super) pointer: String,
    /// What is wrong, and the remedy.
    pub(super) detail: String,
}

/// Problem details (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Body<'a> {
    /// Always `about:blank`: the status says which problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What the status means.
    title: &'a str,
    /// The status.
    status: u16,
    /// What is wrong, and the remedy.
    detail: &'a str,
    /// What is wrong with single fields of the body, or with parameters.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Field],
}

impl Refusal {
    /// A refusal with what is wrong and the remedy in one sentence.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), fields: Vec::new() }
    }

    /// Whether a token would help.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// The status that goes with it.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong and the remedy.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// A body that cannot be used, field by field; there is at least one.
    pub(super) fn fields(fields: Vec<Field>) -> Self {
        let mut refusal = Self::parameters(fields);
        refusal.detail.push_str("; nothing was kept");
        refusal
    }

    /// Parameters that cannot be used, one by one; there is at least one.
    pub(super) fn parameters(mut fields: Vec<Field>) -> Self {
        let count = fields.len();
        fields.truncate(FIELDS_MAX);
        let first = fields.first().map(|f| format!("{}: {}", f.pointer, f.detail));
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        let detail = format!("{}{more}", first.unwrap_or_default());
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
            (self.status, [(header::CONTENT_TYPE, PROBLEM_JSON)], text).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        let wait = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => Some("5"),
            StatusCode::TOO_MANY_REQUESTS => Some("60"),
            _ => None,
        };
        if let Some(wait) = wait {
            let seconds = header::HeaderValue::from_static(wait);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
