//! The lab's endpoint against real Prometheus servers that hold the same history.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;

use std::future::IntoFuture;
use std::net::Ipv4Addr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use common::{Installed, Prometheus};
use grayflag::lab::{
    Fault, FaultPlan, History, Lab, Settings, Severity,
    endpoint::{self, Shared},
};
use grayflag::time::{Span, Timestamp};
use serde_json::Value;
use tokio::net::TcpListener;

/// A history of eight hours with a deploy, a fault, gaps and new series in it.
fn history() -> History {
    let start: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let onset = start + Span::from_hours(2);
    let end = onset + Span::from_hours(3);
    let plan = |fault| FaultPlan { fault, onset, severity: Severity::Middling, end };
    let faults = vec![plan(Fault::BadDeploy), plan(Fault::TelemetryGap)];
    let settings = Settings { seed: 42, start, scrape: Span::MINUTE, faults };
    History::record(&mut Lab::new(settings).unwrap(), start + Span::from_hours(8))
}

/// Serves `history` until the test ends.
async fn serve(history: Shared) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(endpoint::serve(listener, history, std::future::pending()).into_future());
    format!("http://{address}")
}

/// Asks again and again, for ten seconds at most.
async fn poll(what: &str, ask: impl AsyncFn() -> bool) {
    let mut left = 500;
    while left > 0 && !ask().await {
        left -= 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(left > 0, "not within ten seconds: {what}");
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Status and body of one question.
async fn ask(backend: &str, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
    let request = client().post(format!("{backend}/api/v1/{path}")).form(parameters);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

/// The rows of an answer in order of their labels; Prometheus leaves a vector unsorted.
fn rows(answer: &Value) -> Vec<String> {
    let mut rows: Vec<String> =
        answer["data"]["result"].as_array().unwrap().iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

const SELECTORS: [&str; 10] = [
    r#"lab_requests_by_tenant{service="checkout",tenant="t06"}"#,
    r#"lab_errors_by_route{service="web"}"#,
    "lab_config_version",
    "lab_traffic",
    r#"lab_latency_p99{service="checkout"}"#,
    r#"lab_dependency_latency{service="checkout",dependency!="orders-db"}"#,
    r#"lab_build_info{service="checkout", instance='checkout-1',}"#,
    r#"lab_errors{service="payments"}"#,
    r#"lab_queue_age{dependency="",queue="emails"}"#,
    r#"lab_traffic{service="nobody"}"#,
];

#[tokio::test]
async fn answers_agree_with_a_real_prometheus_over_the_same_history() {
    let history = history();
    let mut text = Vec::new();
    history.write_openmetrics(&mut text).unwrap();
    let ours = serve(Arc::new(RwLock::new(history))).await;
    let text = String::from_utf8(text).unwrap();
    for installed in Installed::all() {
        let real = Prometheus::start(&installed, &text, &[]).await;
        let mut points = 0;
        for query in SELECTORS {
            // Between two scrapes, so that how a sample of exactly five minutes counts, which
            // differs between versions 2 and 3, does not matter.
            for time in ["1772530215", "1772542215.5", "1772553630", "1772600000"] {
                let asked = [("query", query), ("time", time)];
                let (ours, real) =
                    (ask(&ours, "query", &asked).await, ask(&real.url, "query", &asked).await);
                assert_eq!((ours.0, rows(&ours.1)), (real.0, rows(&real.1)), "{query} at {time}");
                assert_eq!(ours.1["data"]["resultType"], real.1["data"]["resultType"]);
            }
            for (start, end, step) in [
                ("2026-03-03T05:00:07Z", "2026-03-03T15:00:07Z", "5m"),
                ("1772530215", "1772533000", "17"),
            ] {
                let asked = [("query", query), ("start", start), ("end", end), ("step", step)];
                let ours = ask(&ours, "query_range", &asked).await;
                let real = ask(&real.url, "query_range", &asked).await;
                assert_eq!(ours.0, real.0);
                assert_eq!(ours.1["data"], real.1["data"], "{query} every {step}");
                points += ours.1["data"].to_string().len();
            }
        }
        assert!(points > 50_000, "the comparison was about something: {points} bytes");
        for (path, asked) in refusals() {
            let ours = ask(&ours, path, &asked).await;
            let real = ask(&real.url, path, &asked).await;
            assert_eq!(ours.0, 400, "{asked:?}");
            assert_eq!((ours.0, &ours.1["errorType"]), (real.0, &real.1["errorType"]), "{asked:?}");
            assert_eq!(ours.1["status"], real.1["status"]);
        }
    }
}

type Question = (&'static str, Vec<(&'static str, &'static str)>);

/// What both refuse in the same way.
fn refusals() -> Vec<Question> {
    let range = |query, start, end, step| {
        ("query_range", vec![("query", query), ("start", start), ("end", end), ("step", step)])
    };
    vec![
        ("query", vec![("query", "lab_traffic{")]),
        ("query", vec![]),
        ("query", vec![("query", "lab_traffic"), ("time", "soon")]),
        range("lab_traffic", "100", "50", "10"),
        range("lab_traffic", "0", "50", "0"),
        range("lab_traffic", "0", "50", "-1"),
        range("lab_traffic", "0", "11001", "1"),
        range("lab_traffic", "0", "50", "often"),
        range("lab_traffic", "", "50", "1"),
    ]
}

#[tokio::test]
async fn expressions_are_refused_with_a_hint_and_get_works_like_post() {
    let address = serve(Arc::new(RwLock::new(history()))).await;
    let (status, answer) = ask(&address, "query", &[("query", "rate(lab_traffic[5m])")]).await;
    assert_eq!((status, answer["errorType"].as_str()), (400, Some("bad_data")));
    assert!(answer["error"].as_str().unwrap().contains("hint: "));
    let url = format!("{address}/api/v1/query?query=lab_traffic");
    let got: Value =
        serde_json::from_slice(&client().get(url).send().await.unwrap().bytes().await.unwrap())
            .unwrap();
    assert_eq!(got, ask(&address, "query", &[("query", "lab_traffic")]).await.1);
    let most = [("query", "lab_traffic"), ("start", "0"), ("end", "11000"), ("step", "1")];
    assert_eq!(ask(&address, "query_range", &most).await.0, 200, "11,000 steps are allowed");
    let (_, info) = ask(&address, "query", &[]).await;
    assert_eq!(info["status"], "error");
}

#[tokio::test]
async fn samples_after_now_do_not_exist_until_they_are_pushed() {
    let start: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let settings = Settings { seed: 1, start, scrape: Span::MINUTE, faults: vec![] };
    let mut lab = Lab::new(settings).unwrap();
    let shared = Arc::new(RwLock::new(History::record(&mut lab, start + Span::HOUR)));
    let address = serve(Arc::clone(&shared)).await;
    let range = [
        ("query", r#"lab_traffic{service="worker"}"#),
        ("start", "2026-03-03T07:06:00Z"),
        ("end", "2026-03-03T08:00:00Z"),
        ("step", "60"),
    ];
    assert_eq!(rows(&ask(&address, "query_range", &range).await.1), [""; 0]);
    shared.write().unwrap().extend(&mut lab, start + Span::from_hours(2));
    let (_, answer) = ask(&address, "query_range", &range).await;
    assert_eq!(answer["data"]["result"][0]["values"].as_array().unwrap().len(), 55);
}

#[tokio::test]
async fn a_real_prometheus_scrapes_the_metrics_page() {
    let history = history();
    let expected = history
        .series()
        .iter()
        .enumerate()
        .filter(|&(index, _)| history.value(index, history.rows() - 1).is_some())
        .count()
        + history.parts().series().len();
    let lab = serve(Arc::new(RwLock::new(history))).await;
    let target = lab.trim_start_matches("http://");
    let config = format!(
        "scrape_configs:\n- job_name: lab\n  honor_labels: true\n  scrape_interval: 1s\n  \
         scrape_timeout: 1s\n  static_configs:\n  - targets: ['{target}']\n"
    );
    let real = Prometheus::start_with_config(&config).await;
    poll("every series was scraped", async || {
        let asked = [("query", r#"count({__name__=~"lab_.+"})"#)];
        let (_, answer) = ask(&real.url, "query", &asked).await;
        answer["data"]["result"][0]["value"][1] == Value::String(expected.to_string())
    })
    .await;
}
