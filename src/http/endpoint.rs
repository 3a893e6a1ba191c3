//! What an endpoint is: its handler, who may use it, and how it is described. The router, the
//! guard and the OpenAPI document are made of the same list, so that none can forget another.

use axum::routing::MethodRouter;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::Api;
use super::query::{LIMIT_DEFAULT, LIMIT_MAX};

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody who reaches the address: probes, scrapes, and the way to log in.
    Open,
    /// Whoever may see the fleet.
    Read,
    /// Whoever may change what is told.
    Write,
}

/// One method of one path.
#[derive(Debug)]
pub struct Endpoint {
    /// `GET`, `POST`, `DELETE`.
    pub method: &'static str,
    /// With `{name}` for what a client fills in.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    pub(super) handler: fn() -> MethodRouter<Api>,
    /// What generated clients call it.
    pub(super) id: &'static str,
    /// What it does, in one sentence.
    pub(super) does: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<Body>,
    /// By status.
    pub(super) answers: &'static [(u16, Content)],
    /// Statuses of refusals beside those that any endpoint can give.
    pub(super) refusals: &'static [u16],
}

/// A parameter of the path or of the query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: fn() -> Value,
}

/// What is sent along.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) kind: &'static str,
    pub(super) required: bool,
    pub(super) schema: fn() -> Value,
}

/// What an answer holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// JSON of a type.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// JSON that describes itself.
    Document,
    /// A line of text.
    Text,
    /// Metrics, in either text format.
    Metrics,
    /// A page.
    Html,
    /// Nothing but headers.
    Nothing,
}

/// How a type is described.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The content type of JSON.
pub(super) const JSON: &str = "application/json";

/// How many entries of a list.
pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "Entries of the answer at most.",
    schema: || json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}),
};
/// Where a page begins.
pub(super) const AFTER: Parameter = Parameter {
    name: "after",
    about: "Where the page begins: `next` of an earlier answer, with the same other parameters.",
    schema: || json!({"type": "string"}),
};
/// One service.
pub(super) const SERVICE: Parameter =
    Parameter { name: "service", about: "Only those of this service.", schema: text };

/// A text.
pub(super) fn text() -> Value {
    json!({"type": "string"})
}

/// An instant as parameters take it.
pub(super) fn instant() -> Value {
    json!({"type": "string", "examples": ["2026-03-01T02:10:00Z", "1772331000"]})
}

impl Endpoint {
    /// Something to read.
    pub(super) const fn get(
        path: &'static str,
        (id, does): (&'static str, &'static str),
        handler: fn() -> MethodRouter<Api>,
        answers: &'static [(u16, Content)],
    ) -> Self {
        Self {
            method: "GET",
            path,
            access: Access::Read,
            handler,
            id,
            does,
            parameters: &[],
            body: None,
            answers,
            refusals: &[],
        }
    }

    /// Something to write.
    pub(super) const fn post(
        path: &'static str,
        named: (&'static str, &'static str),
        handler: fn() -> MethodRouter<Api>,
        answers: &'static [(u16, Content)],
    ) -> Self {
        let endpoint = Self::get(path, named, handler, answers);
        Self { method: "POST", access: Access::Write, ..endpoint }
    }
}
