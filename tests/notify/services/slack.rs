//! Slack: a message that changes, what is said below it, and what its errors mean.

use grayflag::engine::alert::{Severity, State};
use grayflag::notify::error::{Class, Retry};
use grayflag::time::Span;
use serde_json::json;

use super::{Api, Scripted, says, send};
use crate::support::sample;

/// The methods called since this was asked last.
fn calls(api: &Api) -> Vec<String> {
    api.take().iter().map(|seen| seen.path.trim_start_matches("/api/").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_changes_as_the_incident_moves() {
    let api = Api::start().await;
    let target = api.target("slack");
    let mut alert = sample("firing");
    let first = send(&target, &alert, None).await.unwrap().handle;
    assert_eq!(calls(&api), ["chat.postMessage"]);

    // What nobody has to notice changes the message and no more.
    alert.state = State::Updated;
    alert.services.push("orders".to_owned());
    let second = send(&target, &alert, first.as_deref()).await.unwrap().handle;
    assert_eq!(second, first);
    assert_eq!(calls(&api), ["chat.update"]);

    alert.severity = Severity::Critical;
    let third = send(&target, &alert, second.as_deref()).await.unwrap().handle;
    let seen = api.take();
    assert_eq!(seen[0].path, "/api/chat.update");
    assert_eq!(seen[1].path, "/api/chat.postMessage");
    let remark = seen[1].json();
    assert_eq!(remark["thread_ts"], seen[0].json()["ts"]);
    assert_eq!(remark["channel"], "C0123456789", "the id, since a channel can get another name");
    assert!(remark["text"].as_str().unwrap().starts_with("Now critical: checkout, "), "{remark}");

    alert.causes.swap(0, 1);
    let fourth = send(&target, &alert, third.as_deref()).await.unwrap().handle;
    let remark = api.take()[1].json();
    assert_eq!(remark["text"], "The leading cause is now bad deploy: payments (18%)");

    alert.state = State::Resolved;
    let fifth = send(&target, &alert, fourth.as_deref()).await.unwrap().handle;
    let remark = api.take()[1].json();
    assert_eq!(remark["text"], "Resolved: checkout, after 18m");

    // Nobody is told a second time.
    send(&target, &alert, fifth.as_deref()).await.unwrap();
    assert_eq!(calls(&api), ["chat.update"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_repeated_doubles_nothing() {
    let api = Api::start().await;
    let target = api.target("slack");
    let mut alert = sample("firing");
    let handle = send(&target, &alert, None).await.unwrap().handle;
    api.take();
    alert.severity = Severity::Critical;
    alert.state = State::Updated;
    // The remark fails: the whole is sent again, and only then is it said.
    api.script([None, Some(says(500, &json!({ "ok": false, "error": "internal_error" })))]);
    let failed = send(&target, &alert, handle.as_deref()).await.unwrap_err();
    assert_eq!((failed.class(), failed.retry()), (Class::Server, Retry::Later));
    send(&target, &alert, handle.as_deref()).await.unwrap();
    let seen = api.take();
    let said = seen.iter().filter(|s| s.path.ends_with("postMessage") && s.status == 200);
    assert_eq!(said.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_gone_is_posted_anew() {
    for error in ["message_not_found", "cant_update_message", "edit_window_closed"] {
        let api = Api::start().await;
        let target = api.target("slack");
        let first = send(&target, &sample("firing"), None).await.unwrap().handle.unwrap();
        api.take();
        api.script([Some(says(200, &json!({ "ok": false, "error": error })))]);
        let second = send(&target, &sample("updated"), Some(&first)).await.unwrap().handle;
        assert_eq!(calls(&api), ["chat.update", "chat.postMessage"], "{error}");
        assert_ne!(second.unwrap(), first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_of_something_else_is_no_message() {
    let api = Api::start().await;
    let target = api.target("slack");
    for handle in [
        "",
        "12.5",
        "{}",
        r#"{"id":"1","place":"","severity":"warning","cause":null,"over":false}"#,
    ] {
        send(&target, &sample("updated"), Some(handle)).await.unwrap();
        assert_eq!(calls(&api), ["chat.postMessage"], "{handle}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_error_means_what_the_table_says() {
    // https://docs.slack.dev/reference/methods/chat.postMessage#errors, and for limits
    // https://docs.slack.dev/apis/web-api/rate-limits.
    let api = Api::start().await;
    let target = api.target("slack");
    let refused = |error: &str| says(200, &json!({ "ok": false, "error": error }));
    let limited = json!({ "ok": false, "error": "ratelimited" });
    let limited = Scripted { after: Some("30"), ..says(429, &limited) };
    let cases = [
        (limited, Class::Busy, Retry::After(Span::from_secs(30)), "ratelimited"),
        (refused("rate_limited"), Class::Busy, Retry::Later, "rate_limited"),
        (refused("internal_error"), Class::Server, Retry::Later, "internal_error"),
        (refused("fatal_error"), Class::Server, Retry::Later, "fatal_error"),
        (refused("service_unavailable"), Class::Server, Retry::Later, "service_unavailable"),
        (refused("invalid_auth"), Class::Auth, Retry::Never, "invalid_auth; hint: "),
        (refused("token_revoked"), Class::Auth, Retry::Never, "token_revoked; hint: "),
        (refused("missing_scope"), Class::Auth, Retry::Never, "`chat:write`"),
        (refused("channel_not_found"), Class::Refused, Retry::Never, "the channel's id"),
        (refused("not_in_channel"), Class::Refused, Retry::Never, "invite the app"),
        (refused("is_archived"), Class::Refused, Retry::Never, "is_archived"),
        (refused("a_new_error"), Class::Refused, Retry::Never, "a_new_error"),
        (says(503, &json!({})), Class::Busy, Retry::Later, "status 503"),
        (says(200, &json!("nonsense")), Class::Refused, Retry::Never, "status 200"),
        (says(200, &json!({ "ok": true })), Class::Refused, Retry::Never, "hint: is `api_url`"),
        (says(404, &json!({})), Class::Refused, Retry::Never, "status 404"),
    ];
    for (answer, class, retry, told) in cases {
        let body = answer.body.clone();
        api.script([Some(answer)]);
        let error = send(&target, &sample("firing"), None).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (class, retry), "{body}");
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.to_string().starts_with("cannot post to `127.0.0.1`: "), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_webhook_are_told() {
    // https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
    let api = Api::start().await;
    let target = api.target("slack-webhook");
    for (status, word, class, retry) in [
        (400, "invalid_payload", Class::Refused, Retry::Never),
        (403, "action_prohibited", Class::Auth, Retry::Never),
        (404, "no_service", Class::Refused, Retry::Never),
        (410, "channel_is_archived", Class::Refused, Retry::Never),
        (429, "rate_limited", Class::Busy, Retry::Later),
        (500, "rollup_error", Class::Server, Retry::Later),
    ] {
        api.script([Some(Scripted { status, after: None, body: word.to_owned() })]);
        let error = send(&target, &sample("firing"), None).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (class, retry), "{word}");
        assert!(error.to_string().ends_with(word), "{error}");
    }
}
