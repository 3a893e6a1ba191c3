//! Posted changes: JSON of any kind in, changes or everything that is wrong with them out.

use serde_json::{Map, Value};

use super::problem::Field;
use crate::engine::changes::{CHANGES_AHEAD, CHANGES_KEPT};
use crate::problem::did_you_mean;
use crate::rules::LASTS_MAX;
use crate::series::{Change, ChangeKind};
use crate::time::{Span, Timestamp};

/// Changes in one request.
pub const POSTED_MAX: usize = 1_000;
/// Characters of a service's name.
pub const SERVICE_CHARS_MAX: usize = 200;
/// Characters of what changed.
pub const WHAT_CHARS_MAX: usize = 500;

/// What a change can say.
const FIELDS: [&str; 6] = ["kind", "service", "at", "end", "what", "window"];

/// Reads one change or a list of them; `now` is when those without a time began.
///
/// # Errors
///
/// Everything that is wrong, at least one thing.
pub(super) fn changes(body: &Value, now: Timestamp) -> Result<Vec<Change>, Vec<Field>> {
    let mut wrong = Wrong::default();
    let mut changes = Vec::new();
    match body {
        Value::Object(object) => changes.extend(change(object, "", now, &mut wrong)),
        Value::Array(list) if list.is_empty() => wrong.add("", "the list is empty"),
        Value::Array(list) if POSTED_MAX < list.len() => {
            wrong
                .add("", &format!("more than {POSTED_MAX} changes; send them in several requests"));
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                let place = format!("/{index}");
                match item {
                    Value::Object(object) => {
                        changes.extend(change(object, &place, now, &mut wrong));
                    }
                    _ => wrong.add(&place, "expected an object"),
                }
            }
        }
        _ => wrong.add("", "expected an object, or a list of objects"),
    }
    if wrong.0.is_empty() { Ok(changes) } else { Err(wrong.0) }
}

/// What is wrong with a body, in the order in which it was found.
#[derive(Default)]
pub(super) struct Wrong(pub(super) Vec<Field>);

impl Wrong {
    pub(super) fn add(&mut self, pointer: &str, detail: &str) {
        self.0.push(Field { pointer: pointer.to_owned(), detail: detail.to_owned() });
    }
}

/// A body that must be an object.
pub(super) fn object(body: &Value) -> Result<&Map<String, Value>, Vec<Field>> {
    body.as_object().ok_or_else(|| {
        let mut wrong = Wrong::default();
        wrong.add("", "expected an object");
        wrong.0
    })
}

fn change(
    object: &Map<String, Value>,
    place: &str,
    now: Timestamp,
    wrong: &mut Wrong,
) -> Option<Change> {
    let mut read = Reader { object, place, wrong };
    read.no_others(&FIELDS);
    let before = read.wrong.0.len();
    let kind = read.kind();
    let service = read.text("service", SERVICE_CHARS_MAX);
    let what = read.text("what", WHAT_CHARS_MAX);
    let at = if read.has("at") { read.instant("at") } else { Some(now) };
    if let Some(at) = at {
        read.timely(at, now);
    }
    let end = match (read.has("end"), read.has("window")) {
        (true, true) => {
            read.wrong("window", "give `end` or `window`, not both");
            None
        }
        (true, false) => read.instant("end"),
        (false, true) => read.span("window").zip(at).map(|(window, at)| at + window),
        (false, false) => None,
    };
    if let (Some(at), Some(end)) = (at, end)
        && !(at <= end && end - at <= LASTS_MAX)
    {
        read.wrong("end", &format!("must be after `at`, by at most {LASTS_MAX}"));
    }
    let good = wrong.0.len() == before;
    let change = Change { at: at?, end, kind: kind?, service: service?, what: what? };
    good.then_some(change)
}

/// Reads the fields of one object.
pub(super) struct Reader<'a> {
    /// The object.
    pub(super) object: &'a Map<String, Value>,
    /// Its own JSON pointer.
    pub(super) place: &'a str,
    /// Where complaints go.
    pub(super) wrong: &'a mut Wrong,
}

impl Reader<'_> {
    /// Complains about every field but these.
    pub(super) fn no_others(&mut self, fields: &[&str]) {
        for key in self.object.keys().filter(|key| !fields.contains(&key.as_str())) {
            let hint = did_you_mean(key, fields.iter().copied(), "fields").unwrap_or_default();
            let key = key.replace('~', "~0").replace('/', "~1");
            self.wrong(&key, &format!("there is no such field; {hint}"));
        }
    }

    /// Whether a field is there; null is as good as absent.
    pub(super) fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(|value| !value.is_null())
    }

    pub(super) fn wrong(&mut self, key: &str, detail: &str) {
        self.wrong.add(&format!("{}/{key}", self.place), detail);
    }

    fn kind(&mut self) -> Option<ChangeKind> {
        let text = self.object.get("kind").and_then(Value::as_str);
        let kind = ChangeKind::ALL.into_iter().find(|kind| Some(kind.name()) == text);
        if kind.is_none() {
            let names = ChangeKind::ALL.map(ChangeKind::name).join(", ");
            self.wrong("kind", &format!("must be one of {names}"));
        }
        kind
    }

    /// A text in one line that is not empty.
    pub(super) fn text(&mut self, key: &str, chars_max: usize) -> Option<String> {
        let Some(text) = self.object.get(key).and_then(Value::as_str) else {
            self.wrong(key, "is required, as text");
            return None;
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let line = words.join(" ");
        if line.is_empty() || line.chars().any(char::is_control) {
            self.wrong(key, "must be a line of text");
        } else if chars_max < line.chars().count() {
            self.wrong(key, &format!("must have at most {chars_max} characters"));
        } else {
            return Some(line);
        }
        None
    }

    /// An instant, as text or in Unix seconds.
    pub(super) fn instant(&mut self, key: &str) -> Option<Timestamp> {
        let at = match self.object.get(key) {
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Number(number)) => number.as_f64().and_then(Timestamp::from_secs_f64),
            _ => None,
        };
        if at.is_none() {
            let form = "must be a time such as \"2026-03-01T02:10:00Z\", or Unix seconds";
            self.wrong(key, form);
        }
        at
    }

    /// What the engine would leave out is refused: better now than in silence.
    fn timely(&mut self, at: Timestamp, now: Timestamp) {
        if CHANGES_KEPT < now - at {
            let days = CHANGES_KEPT.as_secs() / Span::DAY.as_secs();
            self.wrong("at", &format!("is more than {days} days ago, which explains nothing now"));
        } else if CHANGES_AHEAD < at - now {
            let hint = "post it when it is near; Unix times are in seconds";
            self.wrong("at", &format!("is more than {CHANGES_AHEAD} ahead; {hint}"));
        }
    }

    /// A length of time.
    pub(super) fn span(&mut self, key: &str) -> Option<Span> {
        let text = self.object.get(key).and_then(Value::as_str);
        let span = text.and_then(|text| text.parse().ok());
        if span.is_none() {
            self.wrong(key, "must be a duration such as \"30m\"");
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_secs(1_772_331_000);

    #[test]
    fn times_and_windows_are_taken_in_every_form() {
        let base = json!({"kind": "deploy", "service": " web ", "what": "v2\n(ci)"});
        let with = |more: Value| {
            let mut object = base.clone();
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let change = changes(&object, NOW).unwrap().remove(0);
            assert_eq!((change.service.as_str(), change.what.as_str()), ("web", "v2 (ci)"));
            (change.at, change.end)
        };
        let minutes = |n| NOW + Span::from_mins(n);
        assert_eq!(with(json!({})), (NOW, None));
        assert_eq!(with(json!({"at": null, "window": "30m"})), (NOW, Some(minutes(30))));
        let seconds = minutes(-20).as_secs();
        assert_eq!(with(json!({"at": seconds, "end": NOW.as_secs()})), (minutes(-20), Some(NOW)));
        let text = minutes(-20).to_string();
        assert_eq!(with(json!({"at": text})), (minutes(-20), None));
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let told = |body: Value| -> Vec<String> {
            let fields = changes(&body, NOW).unwrap_err();
            fields.into_iter().map(|f| format!("{} {}", f.pointer, f.detail)).collect()
        };
        assert_eq!(told(json!("deploy")), [" expected an object, or a list of objects"]);
        assert_eq!(told(json!([])), [" the list is empty"]);
        let many: Vec<Value> = (0..=POSTED_MAX).map(|n| json!({ "kind": n })).collect();
        assert_eq!(told(json!(many)).len(), 1);
        let good = json!({"kind": "flag", "service": "web", "what": "x"});
        assert_eq!(
            told(json!([good, 7, {"kind": "deploi", "servise": "web", "what": " "}])),
            [
                "/1 expected an object",
                "/2/servise there is no such field; did you mean `service`?",
                "/2/kind must be one of deploy, config, flag, migration, scaling, maintenance",
                "/2/service is required, as text",
                "/2/what must be a line of text",
            ]
        );
        for (key, value, part) in [
            ("at", json!("yesterday"), "must be a time such as"),
            ("at", json!(NOW.as_millis()), "Unix times are in seconds"),
            ("at", json!(NOW.as_secs() - 36 * 86_400), "more than 35 days ago"),
            ("at", json!(1e300), "must be a time such as"),
            ("end", json!(NOW.as_secs() - 1), "must be after `at`"),
            ("window", json!("30"), "must be a duration"),
            ("window", json!("8d"), "by at most 1w"),
            ("what", json!("x".repeat(WHAT_CHARS_MAX + 1)), "at most 500 characters"),
            ("service", json!("a\u{7}b"), "must be a line of text"),
        ] {
            let mut object = good.clone();
            object[key] = value;
            let told = told(object);
            assert!(told.len() == 1 && told[0].contains(part), "{key}: {told:?}");
        }
        let mut both = good;
        both["end"] = json!(NOW.as_secs());
        both["window"] = json!("1m");
        assert_eq!(told(both), ["/window give `end` or `window`, not both"]);
    }
}
