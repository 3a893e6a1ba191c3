//! Discord: a message that is edited, and what its errors mean.

use grayflag::engine::alert::State;
use grayflag::notify::error::{Class, Retry};
use grayflag::notify::receiver::ReceiverKind;
use grayflag::notify::templates::Templates;
use grayflag::time::Span;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{Api, PATH_TOKEN, says, send};
use crate::support::{receiver, sample};

#[tokio::test(flavor = "multi_thread")]
async fn the_message_is_edited_and_the_end_is_said() {
    let api = Api::start().await;
    let target = api.target("discord");
    let mut alert = sample("firing");
    let handle = send(&target, &alert, None).await.unwrap().handle;
    alert.state = State::Updated;
    alert.services.push("orders".to_owned());
    let handle = send(&target, &alert, handle.as_deref()).await.unwrap().handle;
    alert.state = State::Resolved;
    send(&target, &alert, handle.as_deref()).await.unwrap();
    let base = format!("/api/webhooks/1/{PATH_TOKEN}");
    let requests: Vec<String> =
        api.take().iter().map(|s| format!("{} {}", s.method, s.path.replace(&base, ""))).collect();
    let edit = "PATCH /messages/1100000000000000001";
    assert_eq!(requests, ["POST ?wait=true", edit, edit, "POST ?wait=true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_of_the_address_is_kept() {
    let api = Api::start().await;
    let ReceiverKind::Discord(mut config) = api.receiver("discord").kind else { panic!() };
    let url = format!("{}?thread_id=77", config.post.url.expose_secret());
    config.post.url = SecretString::from(url);
    let kind = ReceiverKind::Discord(config);
    let receiver = receiver("chat", kind);
    let target = receiver.open(&Templates::default()).unwrap().remove(0);
    let handle = send(&target, &sample("firing"), None).await.unwrap().handle;
    send(&target, &sample("updated"), handle.as_deref()).await.unwrap();
    let seen = api.take();
    assert!(seen[0].path.ends_with("?thread_id=77&wait=true"), "{}", seen[0].path);
    assert!(seen[1].path.contains("/messages/11"), "{}", seen[1].path);
    assert!(seen[1].path.ends_with("?thread_id=77"), "{}", seen[1].path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_gone_is_posted_anew() {
    let api = Api::start().await;
    let target = api.target("discord");
    let first = send(&target, &sample("firing"), None).await.unwrap().handle.unwrap();
    api.script([Some(says(404, &json!({ "message": "Unknown Message", "code": 10_008 })))]);
    let second = send(&target, &sample("updated"), Some(&first)).await.unwrap().handle;
    assert_ne!(second.unwrap(), first);
    // Without its webhook there is nowhere to post to.
    api.script([Some(says(404, &json!({ "message": "Unknown Webhook", "code": 10_015 })))]);
    let error = send(&target, &sample("updated"), Some(&first)).await.unwrap_err();
    assert_eq!((error.class(), error.retry()), (Class::Refused, Retry::Never));
    assert!(error.to_string().contains("Unknown Webhook"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_kept_to_the_millisecond() {
    // https://docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit
    let api = Api::start().await;
    let limited =
        json!({ "message": "You are being rate limited.", "retry_after": 1.25, "global": false });
    api.script([Some(says(429, &limited))]);
    let error = send(&api.target("discord"), &sample("firing"), None).await.unwrap_err();
    assert_eq!(error.class(), Class::Busy);
    assert_eq!(error.retry(), Retry::After(Span::from_millis(1_250)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_names_no_message_is_told() {
    let api = Api::start().await;
    api.script([Some(says(200, &json!("hello")))]);
    let error = send(&api.target("discord"), &sample("firing"), None).await.unwrap_err();
    assert_eq!((error.class(), error.retry()), (Class::Refused, Retry::Never));
    assert!(error.to_string().contains("hint: is `webhook_url` Discord's?"), "{error}");
}
