//! Who looks after an incident, over the API.

use super::*;

#[tokio::test]
async fn who_looks_after_an_incident_is_kept_once_and_shown() {
    let served = Served::start(|_| {}).await.with_incidents().await;
    let path = |incident: &str| format!("/api/v1/incidents/{incident}/acknowledge");
    let (_, whole) = served.get(&format!("/api/v1/incidents/{OPEN}")).await;
    assert_eq!(whole["acknowledged"], Value::Null);
    let first = served.post_to(&path(OPEN), &json!({"by": " oncall "}));
    let wanted = json!({"incident": OPEN, "at": NOW.to_string(), "by": "oncall"});
    assert_eq!(served.ask(first).await, (StatusCode::CREATED, wanted.clone()));
    let again = served.post_to(&path(OPEN), &json!({"by": "backup"}));
    assert_eq!(served.ask(again).await, (StatusCode::OK, wanted));
    let (status, nobody) = served.ask(served.request(Method::POST, &path(OVER))).await;
    assert_eq!((status, &nobody["by"]), (StatusCode::CREATED, &Value::Null));
    let shown = json!({"at": NOW.to_string(), "by": "oncall"});
    let (_, whole) = served.get(&format!("/api/v1/incidents/{OPEN}")).await;
    assert_eq!(whole["acknowledged"], shown);
    let (_, listed) = served.get("/api/v1/incidents?open=true").await;
    assert_eq!(listed["incidents"][0]["acknowledged"], shown);

    let missing = served.request(Method::POST, &path("web-20260301T0000Z-0002"));
    let (status, told) = served.ask(missing).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(told["detail"].as_str().unwrap().contains(OVER), "{told}");
    for (body, pointer) in [
        (json!([]), ""),
        (json!({"who": "oncall"}), "/who"),
        (json!({"by": 7}), "/by"),
        (json!({"by": "x".repeat(2_001)}), "/by"),
    ] {
        let (status, told) = served.ask(served.post_to(&path(OPEN), &body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
        assert_eq!(told["errors"][0]["pointer"], pointer, "{told}");
    }
    let form = served.request(Method::POST, &path(OPEN)).body("{}");
    assert_eq!(served.ask(form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let closed = Served::start(|config| config.tokens = vec![token(Scope::Write)]).await;
    let closed = closed.with_incidents().await;
    let say = || closed.request(Method::POST, &path(OPEN));
    assert_eq!(closed.ask(say()).await.0, StatusCode::UNAUTHORIZED);
    let foreign = say().header("origin", "https://evil.example.com");
    assert_eq!(closed.ask(foreign).await.0, StatusCode::FORBIDDEN);
    let right = say().header("authorization", format!("Bearer {TOKEN}"));
    assert_eq!(closed.ask(right).await.0, StatusCode::CREATED);
}
