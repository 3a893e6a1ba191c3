//! How bodies are described that clients send. What reads them stands in `parse`, `incidents` and
//! `silences`; a test sends what is described and what is not.

use serde_json::{Value, json};

use super::parse::{POSTED_MAX, SERVICE_CHARS_MAX, WHAT_CHARS_MAX};
use crate::engine::alert::Severity;
use crate::matcher::{VALUE_CHARS_MAX, VALUES_MAX};
use crate::series::{ChangeKind, Verdict};
use crate::store::{OPINION_CHARS_MAX, SILENCE_MAX};

/// A time as text or in Unix seconds.
fn instant(about: &str) -> Value {
    json!({"type": ["string", "number", "null"], "description": about, "format": "date-time"})
}

fn span(about: &str) -> Value {
    json!({
        "type": ["string", "null"], "description": about,
        "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$", "examples": ["30m", "1h30m"]
    })
}

fn line(about: &str, chars_max: usize) -> Value {
    json!({"type": "string", "description": about, "minLength": 1, "maxLength": chars_max})
}

fn maybe(about: &str, chars_max: usize) -> Value {
    let mut line = line(about, chars_max);
    line["type"] = json!(["string", "null"]);
    line
}

/// One change or a list of them.
pub(super) fn changes() -> Value {
    let change = json!({
        "type": "object",
        "required": ["kind", "service", "what"],
        "additionalProperties": false,
        "properties": {
            "kind": {"enum": ChangeKind::ALL.map(ChangeKind::name)},
            "service": line("The service that it touches.", SERVICE_CHARS_MAX),
            "what": line("What changes: a version, a flag's name.", WHAT_CHARS_MAX),
            "at": instant("When it began; now unless told otherwise."),
            "end": instant("When it was over."),
            "window": span("How long it takes, in place of `end`.")
        }
    });
    let list = json!({"type": "array", "minItems": 1, "maxItems": POSTED_MAX, "items": change});
    json!({"oneOf": [change, list]})
}

/// Who looks after an incident.
pub(super) fn acknowledgement() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {"by": maybe("Who looks after it.", OPINION_CHARS_MAX)}
    })
}

/// What somebody says about an incident.
pub(super) fn feedback() -> Value {
    json!({
        "type": "object",
        "required": ["verdict"],
        "additionalProperties": false,
        "properties": {
            "verdict": {"enum": Verdict::ALL.map(Verdict::name)},
            "cause": maybe("Id of the true cause; not with `false`.", OPINION_CHARS_MAX),
            "note": maybe("For other people.", OPINION_CHARS_MAX),
            "by": maybe("Who says so.", OPINION_CHARS_MAX)
        }
    })
}

/// A silence that somebody wants.
pub(super) fn silence() -> Value {
    let values = |item: Value| json!({"type": ["array", "null"], "minItems": 1, "maxItems": VALUES_MAX, "items": item});
    let texts = || values(json!({"type": "string", "minLength": 1, "maxLength": VALUE_CHARS_MAX}));
    let within = format!("Until when, at most {SILENCE_MAX} ahead; or `for`.");
    json!({
        "type": "object",
        "required": ["comment"],
        "additionalProperties": false,
        "properties": {
            "match": {
                "type": ["object", "null"],
                "description": "Which alerts: of each key one value must match. Or `all`.",
                "additionalProperties": false,
                "properties": {
                    "severity": values(json!({"enum": Severity::ALL.map(Severity::name)})),
                    "service": texts(),
                    "owner": texts(),
                    "cause": texts(),
                    "signal": texts(),
                    "label": {"type": ["object", "null"], "additionalProperties": texts()}
                }
            },
            "all": {"type": ["boolean", "null"], "description": "`true` silences everything."},
            "starts_at": instant("From when on; now unless told otherwise."),
            "ends_at": instant(&within),
            "for": span("For how long, in place of `ends_at`."),
            "comment": line("Why.", 500),
            "by": maybe("Who says so.", 500)
        }
    })
}
