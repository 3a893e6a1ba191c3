//! Telegram: a message that is edited, answers to it, and what its errors mean.

use grayflag::engine::alert::{Severity, State};
use grayflag::notify::error::{Class, Retry};
use grayflag::notify::receiver::ReceiverKind;
use grayflag::notify::templates::Templates;
use grayflag::time::Span;
use serde_json::{Value, json};

use super::{Api, BOT_TOKEN, Scripted, says, send, send_digest};
use crate::support::{receiver, sample};

/// <https://core.telegram.org/bots/api#making-requests>: errors have a code and a description.
fn refusal(status: u16, description: &str) -> Scripted {
    says(status, &json!({ "ok": false, "error_code": status, "description": description }))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_is_edited_and_what_matters_is_answered_to_it() {
    let api = Api::start().await;
    let target = api.target("telegram");
    let mut alert = sample("firing");
    let handle = send(&target, &alert, None).await.unwrap().handle;
    alert.state = State::Updated;
    alert.severity = Severity::Critical;
    let handle = send(&target, &alert, handle.as_deref()).await.unwrap().handle;
    // The same again, as after a crash: Telegram says that nothing is new, and that is fine.
    let again = send(&target, &alert, handle.as_deref()).await.unwrap().handle;
    assert_eq!(again, handle);
    let seen = api.take();
    let prefix = format!("/bot{BOT_TOKEN}/");
    let methods: Vec<_> = seen.iter().map(|s| s.path.replace(&prefix, "")).collect();
    assert_eq!(methods, ["sendMessage", "editMessageText", "sendMessage", "editMessageText"]);
    assert!(seen[3].answer.contains("message is not modified"));
    let answered = &seen[2].json()["reply_parameters"];
    assert_eq!(answered["message_id"], seen[1].json()["message_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_gone_is_posted_anew() {
    for gone in ["Bad Request: message to edit not found", "Bad Request: message can't be edited"] {
        let api = Api::start().await;
        let target = api.target("telegram");
        let first = send(&target, &sample("firing"), None).await.unwrap().handle.unwrap();
        api.script([Some(refusal(400, gone))]);
        let second = send(&target, &sample("updated"), Some(&first)).await.unwrap().handle;
        assert_ne!(second.unwrap(), first, "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_means_what_it_should() {
    let api = Api::start().await;
    let target = api.target("telegram");
    let mut limited =
        serde_json::from_str::<Value>(&refusal(429, "Too Many Requests: retry after 35").body)
            .unwrap();
    limited["parameters"] = json!({ "retry_after": 35 });
    let mut moved = serde_json::from_str::<Value>(
        &refusal(400, "Bad Request: group chat was upgraded to a supergroup chat").body,
    )
    .unwrap();
    moved["parameters"] = json!({ "migrate_to_chat_id": -100_987 });
    let after = Retry::After(Span::from_secs(35));
    for (answer, class, retry, told) in [
        (says(429, &limited), Class::Busy, after, "retry after 35"),
        (says(400, &moved), Class::Refused, Retry::Never, "write `chat_id = \"-100987\"`"),
        (
            refusal(400, "Bad Request: chat not found"),
            Class::Refused,
            Retry::Never,
            "hint: add the bot to the chat",
        ),
        (
            refusal(403, "Forbidden: bot was blocked by the user"),
            Class::Auth,
            Retry::Never,
            "bot was blocked",
        ),
        (refusal(401, "Unauthorized"), Class::Auth, Retry::Never, "Unauthorized"),
        (refusal(500, "Internal Server Error"), Class::Server, Retry::Later, "Internal"),
        (says(200, &json!("hello")), Class::Refused, Retry::Never, "hint: is `api_url`"),
    ] {
        let body = answer.body.clone();
        api.script([Some(answer)]);
        let error = send(&target, &sample("firing"), None).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (class, retry), "{body}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_telegram_cannot_read_go_out_as_text() {
    let own = ("chat.telegram".to_owned(), "<b>{{ a.title }}".to_owned());
    let templates = Templates::with(&[own]).unwrap();
    let api = Api::start().await;
    let target = api.target_with("telegram", &templates);
    let receipt = send(&target, &sample("firing"), None).await.unwrap();
    assert!(receipt.failure.unwrap().contains("can't find end tag"));
    let receipt = send(&target, &sample("updated"), receipt.handle.as_deref()).await.unwrap();
    assert!(receipt.failure.is_some());
    let seen = api.take();
    assert_eq!(seen[1].json()["parse_mode"], Value::Null);
    assert_eq!(seen[0].json()["text"], seen[1].json()["text"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_named_and_calm_news_makes_no_sound() {
    let api = Api::start().await;
    let ReceiverKind::Telegram(mut config) = api.receiver("telegram").kind else { panic!() };
    config.message_thread_id = Some(4);
    let kind = ReceiverKind::Telegram(config);
    let receiver = receiver("chat", kind);
    let target = receiver.open(&Templates::default()).unwrap().remove(0);
    send(&target, &sample("firing"), None).await.unwrap();
    send(&target, &sample("unclear"), None).await.unwrap();
    send_digest(&target).await.unwrap();
    let seen: Vec<Value> = api.take().iter().map(super::Seen::json).collect();
    assert!(seen.iter().all(|body| body["message_thread_id"] == 4));
    let quiet: Vec<_> = seen.iter().map(|body| body["disable_notification"].clone()).collect();
    assert_eq!(quiet, [json!(false), json!(true), json!(true)], "a warning, a notice, a digest");
}
