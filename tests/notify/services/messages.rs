//! How messages look to each service, as golden files, and that none is refused for its length.

use grayflag::engine::alert::Alert;
use grayflag::notify::error::{Class, Retry};
use grayflag::notify::templates::Templates;
use serde_json::{Value, json};

use super::{Api, KINDS, PAGERS, Scripted, Seen, says, send, send_charted, send_digest};
use crate::support::{data, sample};

/// The requests as a golden file holds them.
fn requests(seen: &[Seen]) -> String {
    let requests: Vec<Value> = seen
        .iter()
        // Pictures are not there in every build, and have tests of their own.
        .filter(|seen| !seen.path.contains("/files.") && !seen.path.contains("/upload/"))
        .map(|seen| {
            let names = ["x-grayflag-event", "x-grayflag-signature", "idempotency-key"];
            let headers: serde_json::Map<String, Value> = names
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), seen.header(name)?.into())))
                .collect();
            let mut request = json!({ "request": format!("{} {}", seen.method, seen.path) });
            if !headers.is_empty() {
                request["headers"] = headers.into();
            }
            request["body"] = seen.json();
            request
        })
        .collect();
    format!("{}\n", serde_json::to_string_pretty(&requests).unwrap())
}

fn golden(kind: &str, state: &str, found: &str) {
    let path = data().join(kind).join(format!("{state}.json"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{kind}/{state} differs; UPDATE_SNAPSHOTS=1 writes it anew. Found:\n{found}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_look_as_before() {
    let chart = grayflag::notify::sample::chart();
    for kind in KINDS {
        let api = Api::start().await;
        let target = api.target(kind);
        let mut handle = None;
        for state in ["firing", "updated", "resolved"] {
            let first = handle.is_none() && state == "firing";
            let told = handle.clone().or_else(|| (!first).then(String::new));
            let receipt =
                send_charted(&target, &sample(state), Some(&chart), told.as_deref()).await.unwrap();
            assert_eq!(receipt.failure, None);
            handle = receipt.handle.or(handle);
            golden(kind, state, &requests(&api.take()));
        }
        if PAGERS.contains(&kind) {
            let error = send_digest(&target).await.unwrap_err();
            assert_eq!((error.class(), error.retry()), (Class::Message, Retry::Never));
            assert!(error.to_string().ends_with("digests are not sent to a pager"), "{error}");
            assert!(api.take().is_empty());
        } else {
            send_digest(&target).await.unwrap();
            golden(kind, "digest", &requests(&api.take()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_incident_names_no_cause() {
    for kind in KINDS.iter().filter(|kind| **kind != "webhook") {
        let api = Api::start().await;
        send(&api.target(kind), &sample("unclear"), None).await.unwrap();
        let text = api.take()[0].text();
        assert!(text.contains("no clear cause"), "{kind}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_message_says_so() {
    use grayflag::notify::receiver::{Content, Envelope};
    use grayflag::time::Span;
    for kind in ["slack", "discord", "telegram", "teams", "opsgenie"] {
        let api = Api::start().await;
        let alert = sample("firing");
        let (json, key) = (alert.to_json(), alert.id());
        let content = Content::Alert(&alert, None);
        let now = alert.at + Span::from_hours(3);
        let first = &key;
        let envelope = Envelope { content, json: &json, key: &key, first, handle: None, now };
        api.target(kind).send(envelope).await.unwrap();
        let text = api.take()[0].text();
        assert!(text.contains("This is late"), "{kind}: {text}");
    }
}

/// An alert in which everything is long.
fn huge(filler: &str) -> Alert {
    let mut alert = sample("firing");
    let long = filler.repeat(4_000);
    for text in [&mut alert.title, &mut alert.service, &mut alert.incident] {
        text.clone_from(&long);
    }
    for cause in &mut alert.causes {
        cause.id.clone_from(&long);
        cause.culprit.service.clone_from(&long);
        cause.evidence_for = vec![long.clone(); 50];
        cause.against = vec![long.clone(); 50];
    }
    for change in &mut alert.changes {
        change.what.clone_from(&long);
    }
    alert.services = (0..200).map(|n| format!("{n}{long}")).collect();
    alert.steps.first_ten_minutes = vec![long.clone(); 50];
    alert.signals = vec![alert.signals[0].clone(); 300];
    alert.signals[0].signal.clone_from(&long);
    for n in 0..50 {
        let path = "x".repeat(if n % 2 == 0 { 3_900 } else { 100 });
        alert.links.insert(format!("link {n}"), format!("https://example.com/{path}"));
    }
    alert
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_refused_for_its_length() {
    // Plain, marks that take several characters each, two units each, three bytes each.
    for filler in ["word ", "&\"<_ ", "🔥🔥 ", "漢字 "] {
        // A webhook of one's own gets all of it.
        for kind in KINDS.into_iter().filter(|kind| *kind != "webhook") {
            let api = Api::start().await;
            let target = api.target(kind);
            let alert = huge(filler);
            let first = send(&target, &alert, None).await;
            let handle = first.unwrap_or_else(|e| panic!("{kind}, {filler}: {e}")).handle;
            let mut moved = alert.clone();
            moved.severity = grayflag::engine::alert::Severity::Critical;
            moved.state = grayflag::engine::alert::State::Updated;
            let told = handle.as_deref().or(Some(""));
            let second = send(&target, &moved, told).await;
            second.unwrap_or_else(|e| panic!("{kind}, {filler}: {e}"));
            for seen in api.take() {
                assert!(seen.status < 300, "{kind}, {filler}: {}", seen.answer);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_is_told() {
    for kind in ["slack", "discord", "telegram"] {
        let api = Api::start().await;
        send(&api.target(kind), &huge("word "), None).await.unwrap();
        let text = api.take()[0].text();
        assert!(text.contains("lines more did not fit here"), "{kind}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_fails_never_stops_an_alert() {
    for (kind, template) in [
        ("slack", "chat.slack"),
        ("slack-webhook", "chat.slack"),
        ("discord", "chat.md"),
        ("telegram", "chat.telegram"),
        ("teams", "chat.teams"),
        ("opsgenie", "chat.txt"),
    ] {
        let own = (template.to_owned(), "{{ a.no_such_thing }}".to_owned());
        let templates = Templates::with(&[own]).unwrap();
        let api = Api::start().await;
        let target = api.target_with(kind, &templates);
        let alert = sample("firing");
        let receipt = send(&target, &alert, None).await.unwrap();
        let failure = receipt.failure.unwrap();
        assert!(failure.contains("undefined value"), "{kind}: {failure}");
        let text = api.take()[0].text();
        for part in ["Ask whether payments", "slow", "This message could not be laid out"] {
            assert!(text.contains(part), "{kind}: {part} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_lays_nothing_out_gives_a_title() {
    for (kind, template) in [
        ("slack", "chat.slack"),
        ("teams", "chat.teams"),
        ("telegram", "chat.telegram"),
        ("opsgenie", "chat.txt"),
    ] {
        let templates = Templates::with(&[(template.to_owned(), " \n".to_owned())]).unwrap();
        let api = Api::start().await;
        let sent = send(&api.target_with(kind, &templates), &sample("firing"), None).await;
        assert_eq!(sent.unwrap().failure, None, "{kind}");
        assert!(api.take()[0].text().contains("answering more slowly: payments"), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_repeats_a_long_message_is_read() {
    // Services escape what is not ASCII: one letter takes six bytes, a face twelve.
    let text = "\\u6f22".repeat(12_000);
    let rest = r#""ok": true, "id": "77", "ts": "77", "channel": "C1""#;
    let body = format!(r#"{{"text": "{text}", {rest}, "result": {{"message_id": 77}}}}"#);
    for kind in ["slack", "discord", "telegram"] {
        let api = Api::start().await;
        api.script([Some(Scripted { status: 200, after: None, body: body.clone() })]);
        let receipt = send(&api.target(kind), &sample("firing"), None).await.unwrap();
        assert!(receipt.handle.unwrap().contains("77"), "{kind}");
        // Of a refusal that long, the beginning is told.
        api.script([Some(says(400, &json!("漢".repeat(50_000))))]);
        let error = send(&api.target(kind), &sample("firing"), None).await.unwrap_err();
        assert!(error.to_string().chars().count() < 400, "{kind}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_an_answer_is_no_refusal() {
    let page = "<html><body>Down for maintenance</body></html>".to_owned();
    let page = || Some(Scripted { status: 200, after: None, body: page.clone() });
    for kind in ["slack", "discord", "telegram"] {
        let api = Api::start().await;
        let target = api.target(kind);
        api.script([page()]);
        let error = send(&target, &sample("firing"), None).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (Class::Server, Retry::Later), "{error}");
        assert!(error.to_string().contains("Down for maintenance"), "{error}");
        // Nor is it a message that has been changed.
        let handle = send(&target, &sample("firing"), None).await.unwrap().handle;
        api.script([page()]);
        let error = send(&target, &sample("updated"), handle.as_deref()).await.unwrap_err();
        assert_eq!(error.retry(), Retry::Later, "{kind}: {error}");
    }
}
