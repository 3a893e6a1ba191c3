//! `GET /api/v1/openapi.json`: the API described by the list of its endpoints and by the types of
//! its answers, as OpenAPI 3.1.

use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::routing::get;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::endpoint::{Access, Content, Endpoint, JSON, Parameter, of};
use super::problem::{self, PROBLEM_JSON};
use super::routes::ENDPOINTS;

pub(super) const SERVED: Endpoint = Endpoint::get(
    "/api/v1/openapi.json",
    ("getDescription", "This description."),
    || get(|| async { ([(header::CONTENT_TYPE, JSON)], TEXT.as_str()) }),
    &[(200, Content::Document)],
);

/// Refusals that any endpoint can give: too slow a request, a foreign name, too much at once.
const ANY: [u16; 3] = [408, 421, 503];
/// Refusals for lack of a token, and after too many wrong ones.
const GUARDED: [u16; 3] = [401, 403, 429];

/// The document; it never changes while the program runs.
static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// The OpenAPI document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator = settings
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS {
        let operation = operation(endpoint, &mut generator);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.to_lowercase()] = operation;
    }
    let _ = of::<problem::Body<'_>>(&mut generator);
    let schemas = generator.take_definitions(true);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "grayflag",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What is watched, what was told, and what people say about it. On a \
                            loopback address without tokens nobody has to log in; docs/api.md \
                            says who needs a token elsewhere.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": super::login::COOKIE}
            }
        }
    });
    plain(&mut document);
    document
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    for (status, content) in endpoint.answers {
        responses.insert(status.to_string(), answer(*status, *content, generator));
    }
    let guarded = endpoint.access != Access::Open;
    let guards = GUARDED.iter().filter(|_| guarded);
    for status in endpoint.refusals.iter().chain(&ANY).chain(guards) {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        let refusal = json!({
            "description": reason(*status), "content": {PROBLEM_JSON: {"schema": schema}}
        });
        responses.entry(status.to_string()).or_insert(refusal);
    }
    let in_path = endpoint.path.split('{').skip(1).filter_map(|part| part.split('}').next());
    let in_path = in_path.map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
    );
    let parameters: Vec<Value> = in_path.chain(endpoint.parameters.iter().map(parameter)).collect();
    let mut operation = json!({
        "operationId": endpoint.id,
        "summary": endpoint.does,
        "responses": responses,
    });
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(body) = &endpoint.body {
        let content = json!({body.kind: {"schema": (body.schema)()}});
        operation["requestBody"] = json!({"required": body.required, "content": content});
    }
    if guarded {
        let scope = if endpoint.access == Access::Read { "read" } else { "write" };
        operation["x-scope"] = json!(scope);
        operation["security"] = json!([{}, {"token": []}, {"session": []}]);
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    let Parameter { name, about, schema } = parameter;
    json!({"name": name, "in": "query", "description": about, "schema": schema()})
}

fn answer(status: u16, content: Content, generator: &mut SchemaGenerator) -> Value {
    let content = match content {
        Content::Json(of) => json!({JSON: {"schema": of(generator)}}),
        Content::Document => json!({JSON: {"schema": {"type": "object"}}}),
        Content::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
        Content::Metrics => json!({
            "application/openmetrics-text": {"schema": {"type": "string"}},
            "text/plain": {"schema": {"type": "string"}},
        }),
        Content::Html => json!({"text/html": {"schema": {"type": "string"}}}),
        Content::Nothing => return json!({"description": reason(status)}),
    };
    json!({"description": reason(status), "content": content})
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Other")
}

/// Takes the marks of Rust's documentation out of descriptions.
fn plain(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(object) => {
            for (key, inner) in object {
                match inner {
                    Value::String(text) if key == "description" => {
                        *text = text.replace("[`", "`").replace("`]", "`").replace('\n', " ");
                    }
                    inner => plain(inner),
                }
            }
        }
        _ => {}
    }
}
