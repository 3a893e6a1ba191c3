//! Schemas of files: what the program takes is valid, what it refuses for its structure is not, and
//! no key that a reader asks for is missing.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use grayflag::config::{World, default_text};
use grayflag::problem::{SourceFile, Trace};
use grayflag::schema::{FileKind, keys_of, schema};
use serde_json::Value;

/// The machine's files, with no environment.
struct Bare;

impl World for Bare {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

/// The files of a folder, in order of name.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    paths
}

/// TOML as JSON; dates, which no file has, as text.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(n) => Value::from(n),
        toml::Value::Float(x) => Value::from(x),
        toml::Value::Boolean(yes) => Value::from(yes),
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(list) => list.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key, json(value))).collect()
        }
    }
}

/// Every schema, made once.
static SCHEMAS: LazyLock<[(Value, jsonschema::Validator); FileKind::ALL.len()]> =
    LazyLock::new(|| {
        FileKind::ALL.map(|kind| {
            let schema = schema(kind);
            let validator = jsonschema::validator_for(&schema).unwrap();
            (schema, validator)
        })
    });

fn of(kind: FileKind) -> &'static (Value, jsonschema::Validator) {
    let place = FileKind::ALL.iter().position(|other| *other == kind).unwrap();
    &SCHEMAS[place]
}

/// What a schema says against a text; nothing where it is valid.
fn complaints(kind: FileKind, text: &str) -> Vec<String> {
    let instance = json(toml::from_str::<toml::Value>(text).unwrap());
    let errors = of(kind).1.iter_errors(&instance);
    errors.map(|error| format!("{}: {error}", error.instance_path)).collect()
}

fn assert_valid(kind: FileKind, path: &Path) {
    let found = complaints(kind, &fs::read_to_string(path).unwrap());
    assert!(found.is_empty(), "{}:\n{}", path.display(), found.join("\n"));
}

#[test]
fn what_is_shipped_is_valid() {
    assert_valid(FileKind::Config, Path::new("config/grayflag.toml"));
    let folders = [
        ("rules/signals", FileKind::Rules),
        ("rules/causes", FileKind::Rules),
        ("rules/changes", FileKind::Rules),
        ("rules/tests", FileKind::Tests),
        ("rules/tests/signals", FileKind::Rules),
    ];
    for (folder, kind) in folders {
        let files = files(folder);
        assert!(!files.is_empty(), "{folder}");
        for path in &files {
            assert_valid(kind, path);
        }
    }
    let set = |line: &str| line.strip_prefix("# ").map_or(line, |set| set).to_owned();
    let every_option: Vec<String> = default_text().lines().map(set).collect();
    let found = complaints(FileKind::Config, &every_option.join("\n"));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Which kind of file a bad fixture is.
fn kind_of(path: &Path) -> FileKind {
    match path.file_name().unwrap().to_str().unwrap() {
        name if name.starts_with("rules-") => FileKind::Rules,
        name if name.starts_with("tests-") => FileKind::Tests,
        _ => FileKind::Config,
    }
}

#[test]
fn what_is_broken_in_its_structure_is_not_valid() {
    // What a reader says of keys, types and words; the rest is about meaning.
    let structural = [
        "unknown key",
        "expected a ",
        "expected `true`",
        "expected an ",
        "cannot be `",
        "missing key",
        "must not be empty",
    ];
    let mut judged = 0;
    for path in files("tests/data/bad") {
        let text = fs::read_to_string(&path).unwrap();
        let told = fs::read_to_string(path.with_extension("txt")).unwrap();
        // An editor cannot know that this belongs into another file.
        let elsewhere = path.ends_with("rules-change-grafana.toml");
        if elsewhere || toml::from_str::<toml::Value>(&text).is_err() {
            continue;
        }
        let errors = told.lines().filter(|line| line.starts_with("error: unknown key"));
        let unknown = errors.count();
        let found = complaints(kind_of(&path), &text);
        let says = |what: &str| {
            told.lines().any(|line| line.starts_with("error: ") && line.contains(what))
        };
        if unknown > 0 {
            judged += 1;
            assert!(!found.is_empty(), "{} is valid, but:\n{told}", path.display());
        } else if !structural.iter().any(|what| says(what)) {
            // No false alarm about what is well-formed.
            let wrong: Vec<_> = found
                .iter()
                .filter(|complaint| complaint.contains("Additional properties"))
                .collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
        }
    }
    assert!(judged >= 10, "{judged}");
}

#[test]
fn the_place_of_a_mistake_is_told() {
    for (kind, text, part) in [
        (FileKind::Config, "[poll]\ninterval = 30", "/poll/interval"),
        (FileKind::Config, "[poll]\ninterval = \"30 seconds\"", "/poll/interval"),
        (FileKind::Config, "[source]\nmax_concurrency = 65", "/source/max_concurrency"),
        (FileKind::Config, "[[route]]\n", "\"to\" is a required"),
        (FileKind::Config, "[[route]]\nto = [\"\"]", "/route/0/to/0"),
        (FileKind::Config, "[route]\nto = [\"a\"]", "/route"),
        (FileKind::Config, "[source.headers]\na = 1", "/source/headers/a"),
        (
            FileKind::Config,
            "[[receiver]]\nname=\"a\"\n[receiver.email]\nto=[]\nsmtp=\"x\"\ntls=\"no\"",
            "/receiver/0/email/tls",
        ),
        (
            FileKind::Rules,
            "[[signal]]\nname=\"a\"\nrole=\"slowness\"\nquery=\"x\"",
            "/signal/0/role",
        ),
        (FileKind::Rules, "[[signal]]\nname=\"a\"\nrole=\"cpu\"", "\"query\" is a required"),
        (
            FileKind::Rules,
            "[[cause]]\nid=\"a\"\ntitle=\"a\"\nexplain=\"a\"\nprior=\"b\"",
            "/cause/0/prior",
        ),
        (FileKind::Tests, "rules=[]\n[[test]]\nname=\"a\"", "\"start\" is a required"),
        (FileKind::Incidents, "[[incident]]\nservice=\"a\"", "\"onset\" is a required"),
        (
            FileKind::Incidents,
            "[[incident]]\nservice=\"a\"\nonset=\"2026-03-01T02:10:00Z\"\nnotised=\"x\"",
            "/incident/0: Additional properties",
        ),
    ] {
        let found = complaints(kind, text);
        assert!(found.iter().any(|complaint| complaint.contains(part)), "{text}: {found:?}");
    }
}

#[test]
fn no_key_that_is_asked_for_is_missing() {
    let mut texts: Vec<(FileKind, PathBuf)> = Vec::new();
    for folder in ["tests/data/bad", "tests/data/good"] {
        texts.extend(files(folder).into_iter().map(|path| (kind_of(&path), path)));
    }
    texts.extend(files("rules/causes").into_iter().map(|path| (FileKind::Rules, path)));
    texts.extend(files("rules/tests").into_iter().map(|path| (FileKind::Tests, path)));
    for (kind, path) in texts {
        let schema = &of(kind).0;
        let file = SourceFile { text: fs::read_to_string(&path).unwrap(), path: path.clone() };
        let trace = keys_of(kind, &file, &Bare);
        for (table, visited) in &trace.tables {
            let known = keys_at(schema, table);
            for key in visited.keys.keys() {
                let at = Trace::below(table, key);
                assert!(known.contains(*key), "{}: no `{at}` in the schema", path.display());
            }
        }
    }
}

/// That of a key's forms which is of a type: a token is a text, or several are tables.
fn form<'v>(value: &'v Value, kind: &str) -> &'v Value {
    let forms = value["anyOf"].as_array();
    forms.and_then(|forms| forms.iter().find(|one| is_tables(one, kind))).unwrap_or(value)
}

fn is_tables(one: &Value, kind: &str) -> bool {
    let item = if kind == "array" { &one["items"] } else { one };
    one["type"] == kind && item["type"] == "object"
}

/// The keys that a schema has for a table.
fn keys_at(schema: &Value, path: &str) -> BTreeSet<String> {
    let mut node = schema;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, list) = part.strip_suffix("[]").map_or((part, false), |key| (key, true));
        node = if key == "*" {
            let any = &node["additionalProperties"]["anyOf"];
            any.as_array().unwrap().iter().find(|one| one["type"] == "object").unwrap()
        } else {
            form(&node["properties"][key], if list { "array" } else { "object" })
        };
        node = if list { &node["items"] } else { node };
    }
    node["properties"].as_object().map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn every_key_says_what_it_is_for() {
    fn walk(node: &Value, at: &str, undescribed: &mut Vec<String>) {
        for (key, value) in node["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}.{key}");
            if value["description"].as_str().is_none_or(str::is_empty) {
                undescribed.push(at.clone());
            }
            walk(value, &at, undescribed);
            walk(&value["items"], &at, undescribed);
        }
    }
    for kind in FileKind::ALL {
        let mut undescribed = Vec::new();
        walk(&of(kind).0, "", &mut undescribed);
        assert!(undescribed.is_empty(), "{undescribed:?}");
    }
}

/// Keys that readers ask for by name, found in their source: an example that lacks a table would
/// hide them from everything above.
#[test]
fn every_key_in_the_readers_source_is_in_a_schema() {
    fn collect(node: &Value, properties: &mut BTreeSet<String>) {
        match node {
            Value::Object(map) => {
                if let Some(Value::Object(own)) = map.get("properties") {
                    properties.extend(own.keys().cloned());
                }
                for value in map.values() {
                    collect(value, properties);
                }
            }
            Value::Array(list) => {
                for value in list {
                    collect(value, properties);
                }
            }
            _ => {}
        }
    }
    let mut properties = BTreeSet::new();
    for kind in FileKind::ALL {
        collect(&of(kind).0, &mut properties);
    }
    let calls = [
        "text",
        "filled",
        "number",
        "integer",
        "boolean",
        "span",
        "span_within",
        "choice",
        "choices",
        "texts",
        "table",
        "tables",
        "required",
    ];
    let mut sources =
        ["src/rule_test/parse.rs", "src/scorecard/incidents.rs"].map(PathBuf::from).to_vec();
    for folder in ["src/config", "src/config/receivers", "src/config/routes", "src/rules"] {
        sources.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    let mut found = 0;
    for path in sources.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let source = fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        for call in calls {
            for part in source.split(&format!(".{call}(\"")).skip(1) {
                let key = part.split('"').next().unwrap();
                assert!(properties.contains(key), "{}: `{key}` is in no schema", path.display());
                found += 1;
            }
        }
    }
    assert!(found > 80, "{found}");
}
