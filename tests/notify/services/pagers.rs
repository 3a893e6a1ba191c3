//! PagerDuty and Opsgenie: one alert for an incident, whatever is repeated.

use grayflag::engine::alert::{Severity, State};
use grayflag::notify::error::{Class, Retry};
use grayflag::notify::receiver::ReceiverConfig;
use grayflag::store::{Acknowledged, Store};
use grayflag::time::Span;
use serde_json::json;
use tempfile::TempDir;

use super::{Api, KINDS, PAGERS, says, send};
use crate::support::{Running, sample};

#[tokio::test(flavor = "multi_thread")]
async fn the_incident_is_the_key_of_every_event() {
    let api = Api::start().await;
    let target = api.target("pagerduty");
    let mut alert = sample("firing");
    send(&target, &alert, None).await.unwrap();
    alert.state = State::Updated;
    send(&target, &alert, Some("")).await.unwrap();
    target.acknowledge(&alert.incident, Some("oncall"), alert.at).await.unwrap();
    alert.state = State::Resolved;
    send(&target, &alert, Some("")).await.unwrap();
    let seen: Vec<_> = api.take().iter().map(super::Seen::json).collect();
    let actions: Vec<_> = seen.iter().map(|body| body["event_action"].clone()).collect();
    assert_eq!(actions, ["trigger", "trigger", "acknowledge", "resolve"]);
    assert!(seen.iter().all(|body| body["dedup_key"] == "3f9c1d0be27a4c55"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_is_tried_again_until_it_is_taken_once() {
    let api = Api::start().await;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut alert = sample("firing");
    let receivers = [api.receiver("pagerduty")];
    let running = Running::start(&path, &receivers, alert.at);
    running.commit(vec![alert.clone()]).await;
    running.until_empty().await;
    api.script([Some(says(503, &json!({})))]);
    let (incident, by) = (alert.incident.clone(), Some("oncall".to_owned()));
    let word = Acknowledged { at: alert.at, by };
    let pagers = ReceiverConfig::pagers(&receivers);
    let acknowledge = move |store: &mut Store| {
        store.acknowledge(&incident, &word, &pagers)?;
        store.acknowledge(&incident, &word, &pagers)
    };
    assert!(!running.store.with(acknowledge).await.unwrap().1);
    running.store.news();
    let key = format!("{}/acknowledge/chat", alert.incident);
    let failed = move |store: &Store| store.message(&key).unwrap().unwrap().1 == 1;
    running.until("a first attempt", failed).await;
    running.stop().await;

    // Nothing is lost with the process.
    let running = Running::start(&path, &receivers, alert.at + Span::MINUTE);
    running.until_empty().await;
    alert.state = State::Resolved;
    alert.at = alert.at + Span::MINUTE;
    running.commit(vec![alert]).await;
    running.until_empty().await;
    running.stop().await;
    let told: Vec<_> =
        api.take().iter().map(|seen| (seen.json()["event_action"].clone(), seen.status)).collect();
    let wanted = [("trigger", 202), ("acknowledge", 503), ("acknowledge", 202), ("resolve", 202)];
    assert_eq!(told, wanted.map(|(action, status)| (json!(action), status)));
}

#[tokio::test(flavor = "multi_thread")]
async fn severities_are_told_in_the_words_of_each() {
    let api = Api::start().await;
    let mut alert = sample("firing");
    for (severity, pagerduty, opsgenie) in [
        (Severity::Critical, "critical", "P1"),
        (Severity::Warning, "warning", "P3"),
        (Severity::Notice, "info", "P5"),
    ] {
        alert.severity = severity;
        send(&api.target("pagerduty"), &alert, None).await.unwrap();
        assert_eq!(api.take()[0].json()["payload"]["severity"], pagerduty);
        send(&api.target("opsgenie"), &alert, None).await.unwrap();
        assert_eq!(api.take()[0].json()["priority"], opsgenie);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opsgenie_is_told_of_changes_and_of_the_end() {
    let api = Api::start().await;
    let target = api.target("opsgenie");
    let mut alert = sample("firing");
    send(&target, &alert, None).await.unwrap();
    alert.state = State::Updated;
    alert.severity = Severity::Critical;
    send(&target, &alert, Some("")).await.unwrap();
    target.acknowledge(&alert.incident, Some("oncall"), alert.at).await.unwrap();
    alert.state = State::Resolved;
    send(&target, &alert, Some("")).await.unwrap();
    let alias = format!("/v2/alerts/{}", alert.incident);
    let seen = api.take();
    let requests: Vec<_> =
        seen.iter().map(|s| format!("{} {}", s.method, s.path.replace(&alias, "…"))).collect();
    let by = "?identifierType=alias";
    assert_eq!(
        requests,
        [
            "POST /v2/alerts".to_owned(),
            "POST /v2/alerts".to_owned(),
            format!("PUT …/priority{by}"),
            format!("POST …/notes{by}"),
            format!("POST …/acknowledge{by}"),
            format!("POST …/close{by}"),
        ]
    );
    assert_eq!(seen[2].json()["priority"], "P1");
    assert_eq!(seen[4].json()["user"], "oncall");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_any_name_has_a_key() {
    let api = Api::start().await;
    for name in ["a/b?c#d", "ü %", &"x".repeat(5_000)] {
        let mut alert = sample("firing");
        name.clone_into(&mut alert.incident);
        for kind in PAGERS {
            let target = api.target(kind);
            send(&target, &alert, None).await.unwrap();
            target.acknowledge(&alert.incident, Some("oncall"), alert.at).await.unwrap();
        }
        let seen = api.take();
        assert!(seen.iter().all(|seen| seen.status == 202), "{name}");
        assert_eq!(seen[0].json()["dedup_key"], seen[1].json()["dedup_key"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_with_their_reasons() {
    let api = Api::start().await;
    let invalid = json!({
        "status": "invalid event", "message": "Event object is invalid",
        "errors": ["Length of 'routing_key' is incorrect (should be 32 characters)"],
    });
    for (kind, answer, class, retry, told) in [
        ("pagerduty", says(400, &invalid), Class::Refused, Retry::Never, "should be 32 characters"),
        ("pagerduty", says(429, &json!({})), Class::Busy, Retry::Later, "status 429"),
        ("pagerduty", says(503, &json!({})), Class::Busy, Retry::Later, "status 503"),
        (
            "opsgenie",
            says(422, &json!({ "message": "Request body is not processable." })),
            Class::Refused,
            Retry::Never,
            "not processable",
        ),
        (
            "opsgenie",
            says(401, &json!({ "message": "API Key is not valid" })),
            Class::Auth,
            Retry::Never,
            "API Key is not valid",
        ),
        ("opsgenie", says(429, &json!({})), Class::Busy, Retry::Later, "status 429"),
    ] {
        api.script([Some(answer)]);
        let error = send(&api.target(kind), &sample("firing"), None).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (class, retry), "{kind}: {error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_calls_needs_no_acknowledgement() {
    let api = Api::start().await;
    let alert = sample("firing");
    for kind in KINDS.iter().filter(|kind| !PAGERS.contains(kind)) {
        assert!(ReceiverConfig::pagers(&[api.receiver(kind)]).is_empty(), "{kind}");
        api.target(kind).acknowledge(&alert.incident, Some("oncall"), alert.at).await.unwrap();
        assert!(api.take().is_empty(), "{kind}");
    }
}
