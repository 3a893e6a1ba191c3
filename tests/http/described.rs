//! Every answer that these tests see is as the API describes it, and nothing is left undescribed.

use std::sync::LazyLock;

use super::*;

/// The description, with every object closed: fields that it does not know are mistakes.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = http::document();
    for schema in document["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        close(schema);
    }
    document
});

fn close(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.contains_key("properties") && !object.contains_key("additionalProperties") {
        object.insert("additionalProperties".to_owned(), json!(false));
    }
}

/// The described path that a path is one of.
fn template<'d>(document: &'d Value, path: &str) -> Option<&'d Value> {
    let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let asked = parts(path);
    let fits = |known: &str| {
        let known = parts(known);
        known.len() == asked.len()
            && known.iter().zip(&asked).all(|(k, a)| k.starts_with('{') || k == a)
    };
    let paths = document["paths"].as_object().unwrap();
    // A path that is written out before one that is filled in.
    let exact = paths.get(path);
    exact.or_else(|| paths.iter().find(|(known, _)| fits(known)).map(|(_, found)| found))
}

/// Holds a JSON answer against the description.
pub(super) fn check((method, path): (&Method, &str), status: StatusCode, body: &Value) {
    let name = method.as_str().to_lowercase();
    let operation = template(&DOCUMENT, path).map(|found| &found[name.as_str()]);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let schema = if let Some(operation) = operation.filter(|found| found.is_object()) {
        let answer = &operation["responses"][status.as_str()];
        assert!(answer.is_object(), "{method} {path} does not say that it answers {status}");
        answer["content"][kind]["schema"].clone()
    } else {
        // What is not there answers so, and is no part of the description.
        let refused = [401, 403, 404, 405, 421].contains(&status.as_u16());
        assert!(refused, "{method} {path} answers {status} and is not described");
        json!({"$ref": "#/components/schemas/Problem"})
    };
    assert!(schema.is_object(), "{method} {path} does not describe {kind} of {status}");
    let schema = json!({"allOf": [schema], "components": DOCUMENT["components"]});
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(body)
        .map(|error| format!("{} at {}", error, error.instance_path))
        .collect();
    assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:#?} in {body}");
}

#[tokio::test]
async fn the_description_is_served_and_holds_every_endpoint() {
    let served = Served::start(|_| {}).await;
    let (status, document) = served.get("/api/v1/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(document, http::document());
    assert_eq!(document["openapi"], "3.1.0");
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.push((path.clone(), method.to_uppercase()));
        }
    }
    let mut routed: Vec<(String, String)> = http::ENDPOINTS
        .iter()
        .map(|endpoint| (endpoint.path.to_owned(), endpoint.method.to_owned()))
        .collect();
    described.sort();
    routed.sort();
    assert_eq!(described, routed);
    let mut ids: Vec<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|operations| operations.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "each operation has a name of its own");
}

/// The router is made of the list, so a route that is added elsewhere would be neither described
/// nor guarded as it should be.
#[test]
fn no_route_is_added_beside_the_list() {
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    files(std::path::Path::new("src/http"), &mut found);
    let with: Vec<String> = found
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| std::fs::read_to_string(path).unwrap().contains(".route("))
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(with, ["src/http/routes.rs"]);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = http::document();
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    assert!(!text.contains("[`"), "marks of Rust's documentation in a description");
}

/// What is described as a body is taken, and what is not is refused.
#[tokio::test]
async fn bodies_are_taken_as_they_are_described() {
    let served = Served::start(|_| {}).await.with_incidents().await;
    let bodies = [
        ("/api/v1/changes", deploy("v1", NOW.as_secs())),
        ("/api/v1/changes", json!([deploy("v1", NOW.as_secs()), deploy("v2", NOW.as_secs())])),
        (
            "/api/v1/changes",
            json!({"kind": "flag", "service": "a", "what": "b", "window": "1h30m"}),
        ),
        (
            "/api/v1/silences",
            json!({"match": {"label": {"a": ["b"]}}, "for": "1h", "comment": "c"}),
        ),
        ("/api/v1/silences", json!({"all": true, "ends_at": NOW.as_secs() + 60, "comment": "c"})),
        ("/api/v1/incidents/{id}/feedback", json!({"verdict": "useful", "cause": "overload"})),
        ("/api/v1/incidents/{id}/acknowledge", json!({"by": null})),
    ];
    for (path, body) in bodies {
        let described = &DOCUMENT["paths"][path]["post"]["requestBody"];
        let schema = &described["content"]["application/json"]["schema"];
        let validator = jsonschema::validator_for(schema).unwrap();
        assert!(validator.is_valid(&body), "{path} {body}");
        let path = path.replace("{id}", OPEN);
        let (status, told) = served.ask(served.post_to(&path, &body)).await;
        assert!(status.is_success(), "{path} {body}: {told}");
        let mut wrong = body.clone();
        let object = if wrong.is_array() { &mut wrong[0] } else { &mut wrong };
        object["unknown"] = json!(1);
        assert!(!validator.is_valid(&wrong), "{path} {wrong}");
        assert_eq!(served.ask(served.post_to(&path, &wrong)).await.0, StatusCode::BAD_REQUEST);
    }
}
