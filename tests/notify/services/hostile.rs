//! Names from outside are text and nothing else, to every service.

use grayflag::engine::alert::Alert;
use serde_json::Value;

use super::{Api, KINDS, send};
use crate::support::sample;

/// Everything that some program takes for a mark, a mention or a line of its own.
const EVIL: &str = "x\r\nBcc: a@b.c <!channel> <!here|x> <@U012> <https://evil.example|pay> \
    @everyone @here <@&1> *bold* _it_ `code` ~gone~ **b** [a](https://evil.example) \
    <script>alert(1)</script> <b>b</b> </b> &lt; &amp; \u{1b}[2J \u{202e}txet \u{2066}z \u{7}\
    {{ 7 * 7 }} # head ||spoiler||";

fn hostile(state: &str) -> Alert {
    let mut alert = sample(state);
    let cause = &mut alert.causes[0];
    for place in [
        &mut alert.title,
        &mut alert.service,
        &mut alert.incident,
        &mut alert.services[0],
        &mut cause.id,
        &mut cause.evidence_for[0],
        &mut cause.culprit.service,
        &mut alert.signals[0].signal,
    ] {
        EVIL.clone_into(place);
    }
    for place in alert
        .changes
        .iter_mut()
        .map(|change| &mut change.what)
        .chain(alert.breakdown.iter_mut().map(|part| &mut part.value))
        .chain(alert.steps.first_ten_minutes.first_mut())
    {
        EVIL.clone_into(place);
    }
    alert.links.insert(EVIL.to_owned(), "https://example.com/a|b>c)d\"e<f]".to_owned());
    alert.links.insert("run".to_owned(), "javascript:alert(1)".to_owned());
    alert
}

/// Every text in a body.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

/// The texts that each kind got for a message and its change.
async fn sent(kind: &str) -> Vec<String> {
    let api = Api::start().await;
    let target = api.target(kind);
    let handle = send(&target, &hostile("firing"), None).await.unwrap().handle;
    let mut moved = hostile("updated");
    moved.causes.swap(0, 1);
    send(&target, &moved, handle.as_deref().or(Some(""))).await.unwrap();
    let mut found = Vec::new();
    for seen in api.take() {
        assert!(seen.status < 300, "{kind}: {}", seen.answer);
        texts(&seen.json(), &mut found);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_reach_nobody() {
    for kind in KINDS.iter().filter(|kind| **kind != "webhook") {
        for text in sent(kind).await {
            let bad = ['\r', '\u{1b}', '\u{7}', '\u{202e}', '\u{2066}'];
            assert!(!text.contains(bad), "{kind}: {text:?}");
            assert!(!text.contains("javascript:"), "{kind}: {text:?}");
            assert!(!text.contains("49 #"), "{kind}: a template in data is data: {text:?}");
            let lines = text.lines().filter(|line| line.starts_with("Bcc:")).count();
            assert_eq!(lines, 0, "{kind}: {text:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_mentions_nobody_and_links_nowhere() {
    // https://docs.slack.dev/messaging/formatting-message-text#escaping: only what stands between
    // < and > is a mention or a link, and those of data are entities.
    for kind in ["slack", "slack-webhook"] {
        for text in sent(kind).await {
            // The header is of the kind plain_text, in which nothing means anything.
            if text.starts_with(['🟠', '🔴']) {
                continue;
            }
            for rest in text.split('<').skip(1) {
                let ours = rest.starts_with("http://127.0.0.1:")
                    || rest.starts_with("https://example.com/a%7Cb%3Ec%29d%22e%3Cf%5D|");
                assert!(ours, "{text:?}");
            }
            for mark in [" *bold* ", " _it_ ", " `code` ", " ~gone~ "] {
                assert!(!text.contains(mark), "{mark}: {text:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_for_slacks_lock_screen_is_inert_too() {
    let api = Api::start().await;
    send(&api.target("slack"), &hostile("firing"), None).await.unwrap();
    let body = api.take()[0].json();
    let text = body["text"].as_str().unwrap();
    assert!(!text.contains('<') && text.contains("&lt;!channel&gt;"), "{text}");
    assert_eq!(body["blocks"][0]["text"]["type"], "plain_text");
    assert_eq!(body["blocks"][1]["text"]["verbatim"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn discord_mentions_nobody_and_reads_no_marks() {
    let api = Api::start().await;
    let target = api.target("discord");
    let handle = send(&target, &hostile("firing"), None).await.unwrap().handle;
    let mut moved = hostile("updated");
    moved.causes.swap(0, 1);
    send(&target, &moved, handle.as_deref()).await.unwrap();
    let seen = api.take();
    assert_eq!(seen.len(), 3);
    for seen in seen {
        // An edit without it would mention everyone after all.
        assert_eq!(seen.json()["allowed_mentions"], serde_json::json!({ "parse": [] }));
        let text = seen.text();
        for mark in
            [" *bold* ", " _it_ ", " `code` ", "[a](", " **b** ", " @everyone", " ||spo", "<@"]
        {
            assert!(!text.contains(mark), "{mark}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn telegram_gets_its_own_tags_alone() {
    // The server refuses tags that do not match; what is left is that none comes from data.
    for text in sent("telegram").await {
        assert!(!text.contains("<script") && !text.contains("<b>b</b>"), "{text}");
        assert!(!text.contains("href=\"https://evil.example"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opsgenie_gets_no_tags() {
    let texts = sent("opsgenie").await;
    let described = texts.iter().filter(|text| text.contains("Began"));
    let mut count = 0;
    for text in described {
        assert!(!text.contains(['<', '>']), "{text}");
        count += 1;
    }
    assert!(count >= 2);
}
