//! What is watched, over the API: services, signals, rules, coverage.

use grayflag::engine::detect::budget::Standing;
use grayflag::engine::detect::drift::Direction;
use grayflag::engine::outcome::{Report, Silence};
use grayflag::engine::overview::{Health, Overview, SeriesStanding, ServiceStanding};
use grayflag::rules::{self, Role, Rules, Service, Signal};
use grayflag::series::{Labels, Series};
use grayflag::store::Opinion;

use super::*;

fn series(service: &str, signal: &str, role: Role, seen: Timestamp) -> SeriesStanding {
    let labels = Labels::from([("route".to_owned(), "/pay".to_owned())]);
    SeriesStanding {
        series: Arc::new(Series::new(signal, service, None, None, labels)),
        role,
        value: (seen == NOW).then_some(0.42),
        usual: Some([0.2, 0.3, 0.4]),
        score: 0.1,
        moved: None,
        health: if seen == NOW { Health::Judged } else { Health::Missing },
        seen: Some(seen),
        peers: 3,
    }
}

fn service(name: &str, calls: &[&str], series: Vec<SeriesStanding>) -> ServiceStanding {
    ServiceStanding {
        service: name.to_owned(),
        standing: Some(Standing { notice: 0.5, alert: 0.25 }),
        weeks: 3.5,
        silent_since: None,
        alerts_left: 1.0,
        incidents: Vec::new(),
        calls: calls.iter().map(|&name| name.to_owned()).collect(),
        series,
    }
}

/// A fleet of two services, one of which moves, and the rules that it is watched by.
async fn watched() -> Served {
    let served = Served::start(|_| {}).await;
    let mut moving = series("checkout", "p99", Role::Latency, NOW);
    moving.score = 0.97;
    moving.moved = Some((Direction::Up, Some(NOW - Span::HOUR)));
    let mut learned = series("payments", "p99", Role::Latency, NOW);
    (learned.health, learned.usual) = (Health::TooSmall, None);
    let gone = series("checkout", "depth", Role::QueueAge, NOW - Span::DAY);
    let mut checkout = service("checkout", &["payments"], vec![moving, gone]);
    checkout.series.sort_by(|a, b| a.series.cmp(&b.series));
    checkout.incidents = vec![OPEN.to_owned()];
    let mut payments = service("payments", &[], vec![learned]);
    (payments.standing, payments.silent_since) = (None, Some(NOW - Span::HOUR));
    let services = vec![checkout, payments];
    let overview = Overview { at: Some(NOW), accepted: [2.0, 0.5], factors: [1.0, 1.0], services };
    served.stage.show(overview);

    let mut p99 = Signal::plain("p99", Role::Latency);
    p99.unit = Some("seconds".to_owned());
    let signals = vec![p99, Signal::plain("depth", Role::QueueAge), Signal::plain("x", Role::Cpu)];
    let causes = rules::load(&rules::builtin_causes()).0.causes;
    let mut rules = Rules { signals, causes, ..Rules::default() };
    let described = Service {
        owner: Some("shop".to_owned()),
        objective_latency: Some(0.8),
        ..Service::default()
    };
    rules.services.insert("checkout".to_owned(), described);
    let facts = Facts { rules: Arc::new(rules), ..Facts::default() };
    served.serve_with(|api| api.with_facts(facts)).await
}

#[tokio::test]
async fn services_stand_with_what_is_known_of_them() {
    let served = watched().await;
    let (status, list) = served.get("/api/v1/services").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&list["at"], &list["next"]), (&json!(NOW.to_string()), &Value::Null));
    let checkout = &list["services"][0];
    for (key, value) in [
        ("service", json!("checkout")),
        ("owner", json!("shop")),
        ("objective", json!({"latency": 0.8, "errors": null})),
        ("standing", json!({"notice": 0.5, "alert": 0.25})),
        ("silent_since", Value::Null),
        ("alerts_left", json!(1.0)),
        ("incidents", json!([OPEN])),
        ("calls", json!(["payments"])),
        ("series", json!(2)),
        ("moving", json!(1)),
    ] {
        assert_eq!(checkout[key], value, "{key}");
    }
    assert_eq!(checkout["roles"]["bound"], json!(["latency"]));
    assert_eq!(checkout["roles"]["silent"], json!(["queue_age"]));
    assert!(checkout["roles"]["missing"].as_array().unwrap().contains(&json!("retries")));
    let payments = &list["services"][1];
    assert_eq!((&payments["standing"], &payments["owner"]), (&Value::Null, &Value::Null));

    let (status, one) = served.get("/api/v1/services/payments").await;
    assert_eq!((status, &one["callers"]), (StatusCode::OK, &json!(["checkout"])));
    assert_eq!(one["questions"].as_array().unwrap().len(), 10);
    assert!(one["blind"].as_array().unwrap().contains(&json!("queue-backlog")));
    for (key, value) in payments.as_object().unwrap() {
        assert_eq!(&one[key], value, "{key} as in the list");
    }
    let (status, told) = served.get("/api/v1/services/chekout").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(told["detail"].as_str().unwrap().ends_with("did you mean `checkout`?"), "{told}");
    assert_eq!(served.get("/api/v1/services/%ff").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn signals_are_found_by_what_they_do() {
    let served = watched().await;
    let (status, list) = served.get("/api/v1/signals?min_score=0.5").await;
    assert_eq!(status, StatusCode::OK);
    let wanted = json!([{
        "service": "checkout", "signal": "p99", "role": "latency", "labels": {"route": "/pay"},
        "unit": "seconds", "value": 0.42, "expected": 0.3, "low": 0.2, "high": 0.4,
        "score": 0.97, "moved": "up", "onset": (NOW - Span::HOUR).to_string(),
        "health": "judged", "seen": NOW.to_string(), "peers": 3
    }]);
    assert_eq!(list["signals"], wanted);
    for (query, count) in [
        ("", 3),
        ("?service=checkout", 2),
        ("?service=check", 0),
        ("?signal=p99", 2),
        ("?role=queue_age", 1),
        ("?health=too_small", 1),
        ("?health=missing&service=payments", 0),
    ] {
        let (status, list) = served.get(&format!("/api/v1/signals{query}")).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        assert_eq!(list["signals"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn rules_tell_how_they_fare() {
    let served = watched().await.with_incidents().await;
    let reason = "execution: too many samples".to_owned();
    let silences = vec![("x".to_owned(), Silence::Unanswered { reason })];
    let report = Report { silences, ..Report::default() };
    served.api.progress().ticked((NOW, NOW), None, &report);
    let say = |verdict| Opinion {
        incident: OVER.to_owned(),
        verdict,
        cause: None,
        note: None,
        at: NOW,
        by: None,
    };
    let word = say(Verdict::False);
    served.store.with(move |store| store.give_feedback(&word)).await.unwrap();
    let (status, list) = served.get("/api/v1/rules?kind=signal").await;
    assert_eq!(status, StatusCode::OK);
    let brief: Vec<Value> = list["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            json!([rule["name"], rule["series"], rule["answered"], rule["silent"], rule["problem"]])
        })
        .collect();
    let wanted = json!([
        ["depth", 1, 0, true, null],
        ["p99", 2, 2, false, null],
        ["x", 0, 0, false, "execution: too many samples"],
    ]);
    assert_eq!(json!(brief), wanted);
    let (_, list) = served.get("/api/v1/rules?kind=cause&limit=1000").await;
    let cause = list["rules"].as_array().unwrap();
    let led = cause.iter().find(|cause| cause["name"] == "slow-dependency").unwrap();
    assert_eq!(
        (&led["incidents"], &led["noise"], &led["useful"]),
        (&json!(2), &json!(1), &json!(0))
    );
    // Signals come before causes, page by page.
    let (_, first) = served.get("/api/v1/rules?limit=3").await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = served.get(&format!("/api/v1/rules?limit=1&after={next}")).await;
    assert_eq!(second["rules"][0]["kind"], "cause");
}

#[tokio::test]
async fn coverage_is_what_the_engine_sees() {
    let served = watched().await;
    let (status, list) = served.get("/api/v1/coverage").await;
    assert_eq!(status, StatusCode::OK);
    let names: Vec<&Value> =
        list["services"].as_array().unwrap().iter().map(|service| &service["service"]).collect();
    assert_eq!(names, ["checkout", "payments"]);
    assert!(list["packs"]["retries"].as_array().unwrap().contains(&json!("envoy")));
    let (_, first) = served.get("/api/v1/coverage?limit=1").await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = served.get(&format!("/api/v1/coverage?limit=1&after={next}")).await;
    assert_eq!(json!([first["services"][0], second["services"][0]]), list["services"]);
    let (_, one) = served.get("/api/v1/coverage?service=payments").await;
    assert_eq!(one["services"], second["services"]);
    let (status, _) = served.get("/api/v1/coverage?service=nobody").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn before_the_first_tick_there_is_nothing_and_no_trouble() {
    let served = Served::start(|_| {}).await;
    for (path, name) in [
        ("services", "services"),
        ("signals", "signals"),
        ("rules", "rules"),
        ("coverage", "services"),
    ] {
        let (status, list) = served.get(&format!("/api/v1/{path}")).await;
        assert_eq!((status, &list[name]), (StatusCode::OK, &json!([])), "{path}");
        assert_eq!((&list["at"], &list["next"]), (&Value::Null, &Value::Null));
    }
}

#[tokio::test]
async fn the_page_of_an_incident_tells_what_is_now_beside_what_was_told() {
    let served = Served::start(|_| {}).await;
    let mut latency = series("checkout", "http-latency-p99", Role::Latency, NOW);
    latency.series =
        Arc::new(Series::new("http-latency-p99", "checkout", None, None, Labels::new()));
    (latency.value, latency.usual) = (Some(10.0), Some([0.2, 0.31, 0.4]));
    let services = vec![service("checkout", &[], vec![latency])];
    served.stage.show(Overview { at: Some(NOW), services, ..Overview::default() });
    // The engine is busy all the while: it answers no question.
    let served = served.with_incidents().await;
    let page = async |incident: &str| {
        let request = served.request(Method::GET, &format!("/incidents/{incident}"));
        let answer = served.client.execute(request.build().unwrap()).await.unwrap();
        answer.text().await.unwrap()
    };
    let open = page(OPEN).await;
    assert!(open.contains("<dd>checkout http-latency-p99 10 s (usual 0.31 s)</dd>"), "{open}");
    for cell in ["data-label=\"Now\">10 s<", "data-label=\"When told\">▲ 420 ms<"] {
        assert!(open.contains(cell), "{cell} {open}");
    }
    let over = page(OVER).await;
    assert!(!over.contains(">Now<") && !over.contains("data-label=\"Now\""), "{over}");
}
