//! A trace as JSON Schema.

use serde_json::{Map, Value, json};

use super::explain::Explained;
use crate::problem::{Kind, Trace};

/// What a length of time looks like; which units stand together is for the program to say.
const DURATION: &str = "^([0-9]+(ms|s|m|h|d|w|y))+$|^0$";

/// Draft 7, which every editor knows.
const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

pub(super) fn schema(title: &str, trace: &Trace, explained: &Explained) -> Value {
    let mut root = table(trace, "", explained);
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!(DRAFT));
        root.insert("title".to_owned(), json!(title));
    }
    root
}

fn table(trace: &Trace, path: &str, explained: &Explained) -> Value {
    let Some(visited) = trace.tables.get(path) else { return json!({"type": "object"}) };
    let mut properties = Map::new();
    for (key, asked) in &visited.keys {
        let mut value = any_of(&asked.kinds, trace, (path, key), explained);
        if let Some(text) = explained.of(&Trace::below(path, key))
            && let Some(value) = value.as_object_mut()
        {
            value.insert("description".to_owned(), json!(text));
        }
        properties.insert((*key).to_owned(), value);
    }
    let required: Vec<&str> =
        visited.keys.keys().copied().filter(|key| visited.requires(key)).collect();
    let further = match visited.open.as_slice() {
        [] => json!(false),
        kinds => any_of(kinds, trace, (path, "*"), explained),
    };
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": further,
    })
}

fn any_of(kinds: &[Kind], trace: &Trace, at: (&str, &str), explained: &Explained) -> Value {
    match kinds {
        [one] => value(one, trace, at, explained),
        several => {
            let all = several.iter().map(|kind| value(kind, trace, at, explained));
            json!({"anyOf": all.collect::<Vec<_>>()})
        }
    }
}

fn value(kind: &Kind, trace: &Trace, (path, key): (&str, &str), explained: &Explained) -> Value {
    match kind {
        Kind::Any => json!({}),
        Kind::Text => json!({"type": "string"}),
        Kind::Filled => filled(),
        Kind::Duration => json!({"type": "string", "pattern": DURATION}),
        Kind::Number => json!({"type": "number"}),
        Kind::Integer(bounds) => {
            json!({"type": "integer", "minimum": bounds.start(), "maximum": bounds.end()})
        }
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Word(words) => json!({"enum": words}),
        Kind::Texts => json!({"type": "array", "items": filled()}),
        Kind::Words(words) => json!({"type": "array", "items": {"enum": words}}),
        Kind::Table => table(trace, &Trace::below(path, key), explained),
        Kind::Tables => {
            let one = table(trace, &Trace::below_list(path, key), explained);
            json!({"type": "array", "items": one})
        }
    }
}

fn filled() -> Value {
    json!({"type": "string", "pattern": "\\S"})
}
