//! Changes that are not in the metrics: annotations of a Grafana that answers as documented, or
//! badly; posted ones; and both on their way through the driver into the engine.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/bad_backend.rs"]
#[expect(dead_code, reason = "other tests look at the requests")]
mod bad_backend;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bad_backend::{Answer, BadBackend};
use grayflag::changes::grafana::{Annotations, Grafana, ServiceOf};
use grayflag::changes::outside::{Outside, Posted};
use grayflag::cli::check_backend;
use grayflag::cli::progress::Progress;
use grayflag::clock;
use grayflag::engine::archive::MemoryArchive;
use grayflag::engine::{Settings, snapshot};
use grayflag::replay::Driver;
use grayflag::rules::{Role, Rules, Signal};
use grayflag::series::{Change, ChangeKind};
use grayflag::source::{Config, Prometheus};
use grayflag::time::{Span, Timestamp};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;
const STEP: Span = Span::from_secs(30);

fn at(minute: i64) -> Timestamp {
    Timestamp::from_secs(START + 60 * minute)
}

/// How the server answers.
#[derive(Clone)]
enum Mood {
    Well(Vec<Value>),
    Status(u16),
    Text(&'static str),
    Silent,
}

#[derive(Clone)]
struct Fake {
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<Vec<String>>>,
    url: String,
}

impl Fake {
    async fn start(mood: Mood) -> Self {
        // A second test of this process may have set it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/grafana", listener.local_addr().unwrap());
        let fake = Self { mood: Arc::new(Mutex::new(mood)), asked: Arc::default(), url };
        let app = Router::new()
            .route("/grafana/api/annotations", get(annotations))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        fake
    }

    fn mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn config(&self) -> Annotations {
        Annotations {
            kind: ChangeKind::Deploy,
            lasts: None,
            url: self.url.parse().unwrap(),
            token: Some("glsa_secret".into()),
            tags: vec!["deploy".to_owned(), "prod".to_owned()],
            service: ServiceOf::Tag("service:".to_owned()),
        }
    }
}

/// `GET /api/annotations` as Grafana documents it: a range, tags joined by "and", a limit.
async fn annotations(
    State(fake): State<Fake>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap();
    fake.asked.lock().unwrap().push(query.clone());
    let url = reqwest::Url::parse(&format!("http://x/?{query}")).unwrap();
    let all = |name: &str| -> Vec<String> {
        url.query_pairs().filter(|(key, _)| key == name).map(|(_, v)| v.into_owned()).collect()
    };
    let number = |name: &str| all(name)[0].parse::<i64>().unwrap();
    assert_eq!(headers["authorization"], "Bearer glsa_secret");
    assert_eq!(all("type"), ["annotation"]);
    let mood = fake.mood.lock().unwrap().clone();
    match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Status(status) => {
            let body = json!({"message": "no"}).to_string();
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Mood::Text(text) => text.into_response(),
        Mood::Well(marks) => {
            let tagged = |mark: &Value, tag: &str| {
                mark["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag)))
            };
            let mut found: Vec<Value> = marks
                .into_iter()
                .filter(|mark| {
                    let (from, to) = (mark["time"].as_i64().unwrap(), mark["timeEnd"].as_i64());
                    from <= number("to") && number("from") <= to.unwrap_or(from).max(from)
                })
                .filter(|mark| all("tags").iter().all(|tag| tagged(mark, tag)))
                .collect();
            found.sort_by_key(|mark| -mark["time"].as_i64().unwrap());
            found.truncate(usize::try_from(number("limit")).unwrap());
            json!(found).to_string().into_response()
        }
    }
}

/// An annotation with everything that Grafana sends along.
fn mark(minute: i64, end: Option<i64>, text: &str, tags: &[&str]) -> Value {
    let time = at(minute).as_millis();
    json!({
        "id": 1124, "alertId": 0, "dashboardId": 0, "dashboardUID": null, "panelId": 0,
        "userId": 1, "newState": "", "prevState": "", "created": time, "updated": time,
        "time": time, "timeEnd": end.map_or(time, |end| at(end).as_millis()),
        "text": text, "tags": tags, "login": "ci", "email": "", "avatarUrl": "", "data": {}
    })
}

fn change(minute: i64, end: Option<i64>, service: &str, what: &str) -> Change {
    let (service, what) = (service.to_owned(), what.to_owned());
    Change { at: at(minute), end: end.map(at), kind: ChangeKind::Deploy, service, what }
}

#[tokio::test]
async fn annotations_become_changes() {
    let fake = Fake::start(Mood::Well(vec![
        mark(3, None, "v42\n <b>by ci</b>", &["deploy", "prod", "service:checkout"]),
        mark(9, Some(14), "v7", &["service: web", "prod", "deploy", "service:shop"]),
        mark(4, None, "staging", &["deploy", "service:checkout"]),
        mark(5, None, "whose?", &["deploy", "prod"]),
        mark(-3, None, "written late", &["deploy", "prod", "service:web"]),
        mark(50, None, "not yet", &["deploy", "prod", "service:web"]),
    ]))
    .await;
    let mut grafana = Grafana::new(fake.config()).unwrap();
    let found = grafana.read(at(0), at(20)).await.unwrap();
    let wanted = [
        change(-3, None, "web", "written late"),
        change(3, None, "checkout", "v42 <b>by ci</b>"),
        change(9, Some(14), "shop", "v7"),
        change(9, Some(14), "web", "v7"),
    ];
    assert_eq!((found, grafana.unnamed()), (wanted.to_vec(), 1));

    let fixed = Annotations {
        tags: Vec::new(),
        service: ServiceOf::Named("all".to_owned()),
        lasts: Some(Span::from_mins(2)),
        ..fake.config()
    };
    let found = Grafana::new(fixed).unwrap().read(at(3), at(4)).await.unwrap();
    let whats: Vec<_> = found.iter().map(|c| (c.what.as_str(), c.end)).collect();
    assert_eq!(
        whats,
        [
            ("written late", Some(at(-1))),
            ("v42 <b>by ci</b>", Some(at(5))),
            ("staging", Some(at(6))),
        ]
    );
}

#[tokio::test]
async fn more_annotations_than_one_answer_holds_are_all_read() {
    let tags = ["deploy", "prod", "service:web"];
    let marks = (0..2_500).map(|n| mark(n % 500, None, &n.to_string(), &tags)).collect();
    let fake = Fake::start(Mood::Well(marks)).await;
    let mut grafana = Grafana::new(fake.config()).unwrap();
    assert_eq!(grafana.read(at(0), at(500)).await.unwrap().len(), 2_500);
    let same = (0..1_000).map(|n| mark(7, None, &n.to_string(), &tags)).collect();
    fake.mood(Mood::Well(same));
    let told = grafana.read(at(0), at(500)).await.unwrap_err().to_string();
    assert!(told.contains("more than 1000 annotations at one time"), "{told}");
}

#[tokio::test]
async fn a_grafana_that_fails_is_told_left_alone_for_a_while_and_asked_again_for_all() {
    let good = Mood::Well(vec![mark(9, None, "v2", &["deploy", "prod", "service:web"])]);
    let fake = Fake::start(good.clone()).await;
    for (mood, part) in [
        (Mood::Status(401), "refuses our token (HTTP 401)"),
        (Mood::Status(403), "refuses our token (HTTP 403)"),
        (Mood::Status(500), "answers with HTTP 500"),
        (Mood::Status(302), "answers with HTTP 302"),
        (Mood::Text("<html>log in</html>"), "not a list of annotations"),
        (Mood::Text("{\"message\": \"hello\"}"), "not a list of annotations"),
        (Mood::Text("[{\"time\": \"soon\"}]"), "not a list of annotations"),
    ] {
        fake.mood(mood);
        let mut grafana = Grafana::new(fake.config()).unwrap();
        let told = grafana.read(at(8), at(10)).await.unwrap_err().to_string();
        assert!(told.contains(part) && told.contains(&fake.url), "{told}");
        assert!(!told.contains("glsa_secret") && !format!("{grafana:?}").contains("glsa_secret"));
        // Left alone for five minutes of ticks, then asked for what was missed.
        fake.mood(good.clone());
        fake.asked.lock().unwrap().clear();
        assert_eq!(grafana.read(at(11), at(14)).await.unwrap(), []);
        assert!(fake.asked.lock().unwrap().is_empty());
        let found = grafana.read(at(15), at(16)).await.unwrap();
        assert_eq!(found, [change(9, None, "web", "v2")]);
    }
    let nobody = Annotations { url: "http://127.0.0.1:1".parse().unwrap(), ..fake.config() };
    let told = Grafana::new(nobody).unwrap().read(at(0), at(1)).await.unwrap_err().to_string();
    assert!(told.contains("no connection"), "{told}");
}

#[tokio::test]
async fn every_outage_of_a_grafana_is_told_once_and_so_is_its_end() {
    let fake = Fake::start(Mood::Well(vec![])).await;
    let mut outside = Outside::default();
    let of_web = ServiceOf::Named("web".to_owned());
    outside.annotations(&[Annotations { service: of_web, ..fake.config() }]).unwrap();
    let mut told = Vec::new();
    for minute in 0..60 {
        // Two outages of a quarter of an hour.
        let away = (10..25).contains(&minute) || (40..55).contains(&minute);
        fake.mood(if away { Mood::Status(502) } else { Mood::Well(vec![]) });
        assert!(outside.read(at(minute), at(minute)).await.is_empty());
        told.extend(outside.take_news().into_iter().map(|news| (minute, news)));
    }
    let minutes: Vec<i64> = told.iter().map(|(minute, _)| *minute).collect();
    assert_eq!(minutes, [10, 25, 40, 55], "{told:?}");
    let begun = "deploy changes of web are not known: cannot read annotations from http://";
    assert!(told[0].1.starts_with(begun) && told[2].1.contains("HTTP 502"), "{told:?}");
    let over = "deploy changes of web are known again, those since 2026-03-01T00:09:00Z too";
    assert_eq!(told[1].1, over);
}

#[tokio::test]
async fn a_check_asks_grafana_too() {
    let fake = Fake::start(Mood::Well(vec![
        mark(-9, None, "v42", &["deploy", "prod", "service:checkout"]),
        mark(-5, None, "whose?", &["deploy", "prod"]),
    ]))
    .await;
    let backend = BadBackend::start(Answer::Good).await;
    let source = Prometheus::new(Config::new(backend.url())).unwrap();
    let config =
        grayflag::config::Config { annotations: vec![fake.config()], ..Default::default() };
    let said = async || {
        let mut progress = Progress::lines(std::io::sink());
        let report = check_backend::check(&config, &source, at(0), &mut progress).await.unwrap();
        let [told] = report.queries.as_slice() else { panic!("{report:?}") };
        (told.name.clone(), told.series, told.problems.first().cloned(), report.is_useful())
    };
    let name = format!("change `deploy` from {}", fake.url);
    assert_eq!(said().await, (name.clone(), 1, None, true));
    fake.mood(Mood::Well(vec![mark(-5, None, "whose?", &["deploy", "prod"])]));
    let (_, _, problem, useful) = said().await;
    let problem = problem.unwrap();
    assert_eq!((problem.kind, useful), ("no-service", false));
    assert_eq!(problem.text, "no annotation has a tag that names a service");
    fake.mood(Mood::Status(401));
    let (_, _, problem, useful) = said().await;
    let problem = problem.unwrap();
    assert!(!useful && problem.text.contains("refuses our token (HTTP 401)"), "{problem:?}");
}

fn settings() -> Settings {
    Settings {
        interval: STEP,
        history: Span::HOUR,
        timezone: TimeZone::UTC,
        alerts_from: at(0),
        pages_url: None,
        source_url: None,
    }
}

fn rules() -> Arc<Rules> {
    let signals = vec![Signal::plain("latency", Role::Latency)];
    Arc::new(Rules { signals, ..Rules::default() })
}

async fn advance(driver: &mut Driver, source: &Prometheus, minute: i64) {
    driver.advance(source, at(minute), |_| true).await.unwrap();
}

#[tokio::test]
async fn a_slow_grafana_holds_no_tick_up_for_long() {
    let fake = Fake::start(Mood::Silent).await;
    let backend = BadBackend::start(Answer::Good).await;
    let source = Prometheus::new(Config::new(backend.url())).unwrap();
    let mut driver = Driver::new(rules(), settings(), Box::<MemoryArchive>::default());
    driver.outside().annotations(&[fake.config()]).unwrap();
    let begun = clock::now();
    advance(&mut driver, &source, 1).await;
    let warned = driver.news().join("\n");
    assert!(warned.contains("no answer within 5 s"), "{warned}");
    for minute in 2..5 {
        advance(&mut driver, &source, minute).await;
    }
    assert_eq!(driver.engine().now(), Some(at(4)));
    let took = clock::now() - begun;
    assert!(took < Span::from_secs(25), "{took}");
    // Back again: what was marked meanwhile is not lost.
    let tags = ["deploy", "prod", "service:web"];
    fake.mood(Mood::Well(vec![mark(2, None, "v2", &tags), mark(8, Some(20), "v3", &tags)]));
    advance(&mut driver, &source, 7).await;
    assert_eq!(driver.engine().changes(), [change(2, None, "web", "v2")]);
    advance(&mut driver, &source, 9).await;
    let known = [change(2, None, "web", "v2"), change(8, Some(20), "web", "v3")];
    assert_eq!(driver.engine().changes(), known);
}

#[tokio::test]
async fn posted_changes_reach_the_engine_once_over_a_restart() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let backend = BadBackend::start(Answer::Good).await;
    let source = Prometheus::new(Config::new(backend.url())).unwrap();
    let posted = |number, minute, change| Posted {
        number,
        id: String::new(),
        posted_at: at(minute),
        change,
    };
    let late = posted(1, 5, change(-60 * 24 * 34, None, "web", "late"));
    let begun = posted(2, 8, change(8, None, "web", "v2"));
    let over = posted(3, 12, change(8, Some(12), "web", "v2"));
    let stored = [late.clone(), begun.clone(), over.clone()];
    let mut driver = Driver::new(rules(), settings(), Box::<MemoryArchive>::default());
    driver.outside().post([late.clone(), begun.clone()]);
    advance(&mut driver, &source, 8).await;
    let known = std::slice::from_ref(&late.change);
    assert_eq!(driver.engine().changes(), known, "a tick knows what was before");
    let snapshot = driver.snapshot().unwrap();
    advance(&mut driver, &source, 10).await;
    driver.outside().post([over.clone()]);
    advance(&mut driver, &source, 20).await;
    assert_eq!(driver.engine().changes(), [late.change.clone(), over.change.clone()]);
    assert_eq!(driver.outside().taken(), 3);

    // The same after a crash: everything is handed over again, and nothing is taken twice.
    let archive = Box::<MemoryArchive>::default();
    let again = Driver::restore(rules(), settings(), snapshot::VERSION, &snapshot, archive);
    let mut again = again.unwrap();
    assert_eq!(again.outside().taken(), 1);
    let after = again.outside().known();
    again.outside().post(stored.into_iter().filter(|posted| after < posted.number));
    advance(&mut again, &source, 20).await;
    assert_eq!(again.engine().changes(), driver.engine().changes());
    assert_eq!(again.engine().snapshot().unwrap(), driver.engine().snapshot().unwrap());
}
