//! What grayflag says of itself.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use grayflag::store::{Dispatch, Hold};
use grayflag::telemetry::catalogue;

use super::*;

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

impl Served {
    /// Content type and text of the metrics.
    async fn metrics(&self, accept: Option<&str>) -> (String, String) {
        let mut request = self.request(Method::GET, "/metrics");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.text().await.unwrap())
    }
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|one| one == line)
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let served = Served::start(|_| {}).await.with_incidents().await;
    let (kind, text) = served.metrics(Some(OPENMETRICS)).await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    let known: BTreeSet<&str> = catalogue::ALL.iter().map(|metric| metric.family).collect();
    assert_eq!(known.len(), catalogue::ALL.len(), "each family once");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (family, kind) = line.split_once(' ').unwrap();
        let metric = catalogue::ALL.iter().find(|metric| metric.family == family).unwrap();
        assert_eq!(metric.kind.name(), kind, "{family}");
    }
    let (kind, plain) = served.metrics(None).await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let mut lint = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    lint.stdin.take().unwrap().write_all(plain.as_bytes()).unwrap();
    let said = lint.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    assert_eq!(said, "", "{plain}");
}

#[tokio::test]
async fn the_state_file_and_requests_are_counted() {
    let served = Served::start(|_| {}).await.with_incidents().await;
    let commit = |store: &mut Store| {
        let mut alert = sample::alerts().swap_remove(0);
        alert.at = NOW - Span::MINUTE;
        let hold = Some(Hold::new(NOW + Span::HOUR, "silence 1"));
        let to = |receiver: &str, hold| Dispatch { receiver: receiver.to_owned(), alert: 0, hold };
        let deliveries = [to("a", None), to("b", hold), to("c", None)];
        let tick = Tick {
            last_tick: NOW,
            snapshot: Some((1, b"12345")),
            alerts: &[alert],
            charts: &[],
            deliveries: &deliveries,
        };
        store.commit(&tick)?;
        let row = store.due(NOW, "c", 1)?.swap_remove(0);
        store.mark_dead(&row.id, NOW, "gone")
    };
    served.store.with(commit).await.unwrap();
    served.get("/api/v1/status").await;
    let missing = served.request(Method::GET, "/no/such/path").send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let (_, text) = served.metrics(Some(OPENMETRICS)).await;
    for line in [
        "grayflag_store_readable 1.0",
        "grayflag_store_snapshot_size_bytes 5.0",
        "grayflag_outbox_messages{receiver=\"a\",state=\"pending\"} 1.0",
        "grayflag_outbox_messages{receiver=\"b\",state=\"held\"} 1.0",
        "grayflag_outbox_messages{receiver=\"c\",state=\"dead\"} 1.0",
        "grayflag_outbox_oldest_age_seconds{receiver=\"a\",state=\"pending\"} 60.0",
        "grayflag_http_requests_total{route=\"/api/v1/status\",code=\"2xx\"} 1.0",
        "grayflag_http_requests_total{route=\"other\",code=\"4xx\"} 1.0",
        "grayflag_http_request_duration_seconds_count{route=\"/api/v1/status\"} 1",
        "grayflag_limit_reached_total{limit=\"outbox\"} 0.0",
        "grayflag_ready 0.0",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    let snapshot = format!("grayflag_store_snapshot_timestamp_seconds {:?}", NOW.as_secs_f64());
    assert!(has(&text, &snapshot), "{snapshot}\n{text}");
    served.is_ready();
    let (_, text) = served.metrics(Some(OPENMETRICS)).await;
    assert!(has(&text, "grayflag_ready 1.0"), "{text}");
}

#[tokio::test]
async fn what_is_not_well_is_told_with_the_reason() {
    let served = Served::start(|_| {}).await;
    let why = async |path: &str| {
        let (status, told) = served.get(path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
        told["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(why("/-/ready").await, "no tick was processed yet");
    served.api.telemetry().ticked(NOW - Span::WEEK, 0.25, 1, &Outcome::default());
    assert_eq!(why("/-/ready").await, "the history is being learned, 25% of it so far");
    served.api.telemetry().ticked(NOW - Span::HOUR, 1.0, 1, &Outcome::default());
    served.api.telemetry().backend(Some("timeout"));
    let old = "the newest tick is 1h old, more than 30s; the backend cannot be read (timeout)";
    assert_eq!(why("/-/ready").await, old);
}
