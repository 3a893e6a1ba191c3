//! Silences over the API.

use super::*;

#[tokio::test]
async fn silences_are_made_listed_and_ended() {
    let served = Served::start(|_| {}).await;
    let path = "/api/v1/silences";
    let wanted = json!({
        "match": {
            "severity": ["notice", "warning"], "service": ["web-*"], "owner": ["shop"],
            "cause": ["overload"], "signal": ["p99"], "label": {"tenant": ["acme"]}
        },
        "for": "2h", "comment": "load\ntest", "by": "oncall"
    });
    let (status, first) = served.ask(served.post_to(path, &wanted)).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    assert_eq!((&first["number"], &first["comment"]), (&json!(1), &json!("load test")));
    assert_eq!(first["match"], wanted["match"]);
    let ends = (NOW + Span::from_hours(2)).to_string();
    assert_eq!((&first["starts_at"], &first["ends_at"]), (&json!(NOW.to_string()), &json!(ends)));
    let from = (NOW + Span::HOUR).as_secs();
    let all = json!({"all": true, "starts_at": from, "ends_at": from + 60, "comment": "move"});
    let (status, second) = served.ask(served.post_to(path, &all)).await;
    assert_eq!((status, &second["match"]), (StatusCode::CREATED, &json!({})), "{second}");
    let (_, open) = served.get(path).await;
    assert_eq!(open["silences"], json!([second, first]), "what ends first comes first");

    let delete = |number: &str| served.request(Method::DELETE, &format!("{path}/{number}"));
    let (status, ended) = served.ask(delete("1")).await;
    assert_eq!((status, &ended["released"]), (StatusCode::OK, &json!(0)));
    assert_eq!(ended["ends_at"], NOW.to_string());
    let (_, open) = served.get(path).await;
    assert_eq!(open["silences"], json!([second]));
    let (_, every) = served.get(&format!("{path}?open=false&limit=1")).await;
    assert_eq!(every["silences"], json!([second]), "the newest of all");
    for number in ["3", "x", "99999999999999999999"] {
        assert_eq!(served.ask(delete(number)).await.0, StatusCode::NOT_FOUND, "{number}");
    }
    assert_eq!(served.get(&format!("{path}?open=maybe")).await.0, StatusCode::BAD_REQUEST);
    served.stop.cancel();
    served.task.await.unwrap();
}

#[tokio::test]
async fn a_silence_without_matchers_end_or_reason_is_refused() {
    let served = Served::start(|_| {}).await;
    let good = json!({"match": {"service": ["web"]}, "for": "2h", "comment": "why"});
    for (key, value, pointer, part) in [
        ("match", json!({}), "/match", "`\"all\": true`"),
        ("match", json!({"servise": ["web"]}), "/match/servise", "did you mean `service`?"),
        ("match", json!({"service": "web"}), "/match/service", "list of 1 to 100 texts"),
        ("match", json!({"service": [""]}), "/match/service", "list of 1 to 100 texts"),
        ("match", json!({"severity": ["high"]}), "/match/severity", "warning or critical"),
        ("match", json!({"label": ["x"]}), "/match/label", "an object of labels"),
        ("match", json!({"label": {"a/b": [1]}}), "/match/label/a~1b", "list of 1 to 100 texts"),
        ("match", json!([]), "/match", "expected an object"),
        ("all", json!(true), "/match", "does not go with"),
        ("all", json!("yes"), "/all", "true or false"),
        ("for", json!(null), "/ends_at", "every silence has an end"),
        ("ends_at", json!(NOW.as_secs()), "/ends_at", "give one of"),
        ("for", json!("2 hours"), "/for", "must be a duration"),
        ("for", json!("91d"), "/ends_at", "within 90d"),
        ("comment", json!(" "), "/comment", "must be a line of text"),
        ("colour", json!("red"), "/colour", "no such field"),
    ] {
        let mut body = good.clone();
        body[key] = value;
        let (status, told) = served.ask(served.post_to("/api/v1/silences", &body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
        let error = &told["errors"][0];
        let detail = error["detail"].as_str().unwrap();
        assert!(error["pointer"] == pointer && detail.contains(part), "{key}: {told}");
    }
    assert_eq!(
        served.get("/api/v1/silences?open=false").await.1,
        json!({"silences": [], "next": null})
    );
    served.stop.cancel();
    served.task.await.unwrap();

    let protect = |config: &mut Config| config.tokens = vec![token(Scope::Write)];
    let guarded = Served::start(protect).await;
    let post = guarded.post_to("/api/v1/silences", &good);
    assert_eq!(guarded.ask(post).await.0, StatusCode::UNAUTHORIZED);
    let delete = guarded.request(Method::DELETE, "/api/v1/silences/1");
    assert_eq!(guarded.ask(delete).await.0, StatusCode::UNAUTHORIZED);
}
