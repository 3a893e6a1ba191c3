//! Incidents in a real Alertmanager, of every version there is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use grayflag::clock;
use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::notify::alertmanager::AlertmanagerConfig;
use grayflag::notify::error::Class;
use grayflag::notify::receiver::{Content, Envelope, ReceiverConfig, ReceiverKind, Target};
use grayflag::notify::templates::Templates;
use grayflag::time::{Span, Timestamp};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Server, free_port};
use crate::support::{Running, receiver, sample};

/// Its routes: services are told apart.
const CONFIG: &str = "\
route:
  receiver: nobody
  group_by: [service]
  group_wait: 1ms
receivers:
  - name: nobody
";

/// The installed program, and a newer one where there is one.
fn programs() -> Vec<PathBuf> {
    let newer = std::env::var_os("GRAYFLAG_NEWER").map(|folder| {
        Path::new(&folder).join("prometheus-alertmanager/usr/bin/prometheus-alertmanager")
    });
    std::iter::once("prometheus-alertmanager".into()).chain(newer).collect()
}

/// Starts one that knows nothing.
async fn start(program: &Path, port: u16) -> Server {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("alertmanager.yml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=");
    Server::start(command, dir, port, "/-/ready").await
}

fn alertmanager(urls: &[String]) -> AlertmanagerConfig {
    AlertmanagerConfig {
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        headers: Vec::new(),
        login: None,
        ca_file: None,
        labels: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
        keep_alive: Span::SECOND,
        owners: BTreeMap::from([("checkout".to_owned(), "checkout-team".to_owned())]),
    }
}

fn of(config: AlertmanagerConfig) -> ReceiverConfig {
    receiver("am", ReceiverKind::Alertmanager(Box::new(config)))
}

/// The sample, as if it had begun a quarter of an hour ago.
fn fresh() -> Alert {
    let mut alert = sample("firing");
    alert.at = clock::now().floor_to(Span::SECOND);
    alert.started_at = alert.at - Span::from_mins(15);
    alert
}

async fn get(url: &str, path: &str) -> Vec<Value> {
    let text = reqwest::get(format!("{url}/api/v2/{path}")).await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Waits until what it shows is as wanted.
async fn shows(url: &str, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let look = async {
        loop {
            let alerts = get(url, "alerts").await;
            if holds(&alerts) {
                return alerts;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(std::time::Duration::from_secs(30), look).await;
    if let Ok(alerts) = found {
        return alerts;
    }
    panic!("not in time: {what}: {:#?}", get(url, "alerts").await)
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_one_alert_from_its_onset_to_its_end() {
    for program in programs() {
        let port = free_port();
        let server = start(&program, port).await;
        let url = server.url.clone();
        let dir = TempDir::new().unwrap();
        let (state, receivers) =
            (dir.path().join("state.db"), [of(alertmanager(std::slice::from_ref(&url)))]);
        let running = Running::start_live(&state, &receivers);
        let mut alert = fresh();
        running.commit(vec![alert.clone()]).await;
        let shown = shows(&url, "the alert", |alerts| alerts.len() == 1).await.remove(0);
        appears_whole(&shown, &alert);
        let groups = get(&url, "alerts/groups").await;
        assert_eq!(groups[0]["labels"], serde_json::json!({ "service": "checkout" }));

        // Five seconds after its last repetition it would be over.
        let ends = time(&shown["endsAt"]);
        let later = |alerts: &[Value]| time(&alerts[0]["endsAt"]) > ends + Span::from_secs(2);
        shows(&url, "it is kept alive", |alerts| alerts.len() == 1 && later(alerts)).await;

        // Severity and cause change: the labels too, and it is still one alert.
        alert.state = State::Updated;
        alert.at = alert.at + Span::SECOND;
        alert.severity = Severity::Critical;
        alert.causes.reverse();
        running.commit(vec![alert.clone()]).await;
        let critical =
            |alerts: &[Value]| alerts.iter().any(|alert| alert["labels"]["severity"] == "critical");
        let one = |alerts: &[Value]| alerts.len() == 1 && critical(alerts);
        let shown = shows(&url, "the new labels alone", one).await.remove(0);
        assert_eq!(shown["labels"]["cause"], "bad-deploy");
        assert_eq!(shown["labels"]["version"], "v41");
        assert!(running.board.of(&receivers[0].targets()[0]).error.is_none());

        // We stop and start, it stops and starts and has forgotten everything.
        running.stop().await;
        let running = Running::start_live(&state, &receivers);
        drop(server);
        let server = start(&program, port).await;
        let again = shows(&url, "the alert after both began anew", one).await.remove(0);
        assert_eq!(time(&again["startsAt"]), alert.started_at);
        assert_eq!(again["labels"], shown["labels"]);
        assert!(running.board.of(&receivers[0].targets()[0]).kept_alive > 0);

        alert.state = State::Resolved;
        alert.at = clock::now();
        // Whatever it is called in the end: what is shown must go.
        alert.causes.clear();
        running.commit(vec![alert]).await;
        shows(&url, "nothing", <[Value]>::is_empty).await;
        running.until_empty().await;
        running.stop().await;
        drop(server);
    }
}

fn appears_whole(shown: &Value, alert: &Alert) {
    assert_eq!(time(&shown["startsAt"]), alert.started_at);
    let labels: BTreeMap<String, String> = serde_json::from_value(shown["labels"].clone()).unwrap();
    let expected = [
        ("alertname", "GrayflagIncident"),
        ("cause", "slow-dependency"),
        ("culprit", "payments"),
        ("dependency", "payments"),
        ("incident", "3f9c1d0be27a4c55"),
        ("owner", "checkout-team"),
        ("service", "checkout"),
        ("severity", "warning"),
        ("team", "shop"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(labels, BTreeMap::from(expected));
    let annotation = |name: &str| shown["annotations"][name].as_str().unwrap_or_default();
    let summary = annotation("summary");
    assert!(summary.starts_with("checkout: latency 420 ms (usually 310 ms); "), "{summary}");
    assert!(annotation("description").contains("since"), "{shown:#}");
    assert!(annotation("cause").contains("71"), "{shown:#}");
    assert!(annotation("steps").starts_with("First ten minutes:\n- "), "{shown:#}");
    assert_eq!(shown["generatorURL"].as_str(), alert.links.get("incident").map(String::as_str));
}

/// Tells a target of an alert.
async fn tell(target: &Target, alert: &Alert) -> Result<(), grayflag::notify::error::NotifyError> {
    let json = alert.to_json();
    let content = Content::Alert(alert, None);
    let now = clock::now();
    let envelope = Envelope { content, json: &json, key: "k", first: "k", handle: None, now };
    target.send(envelope).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_and_values_hold_is_taken_by_every_version() {
    for program in programs() {
        let server = start(&program, free_port()).await;
        let target = of(alertmanager(std::slice::from_ref(&server.url)));
        let target = target.open(&Templates::default()).unwrap().remove(0);
        let mut alert = fresh();
        "a\u{200b}b\r\nX: <b>&\"{{ . }}".clone_into(&mut alert.service);
        alert.links.insert("incident".to_owned(), "not an address".to_owned());
        alert.causes[0].culprit.labels = [
            ("k8s.pod.name", "p-1"),
            ("5xx", "many"),
            ("größe", "l"),
            ("severity", "none"),
            ("empty", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        tell(&target, &alert).await.unwrap();
        let shown = shows(&server.url, "the alert", |alerts| alerts.len() == 1).await.remove(0);
        let label = |name: &str| shown["labels"][name].as_str().unwrap_or_default();
        assert_eq!(label("k8s_pod_name"), "p-1");
        assert_eq!((label("_5xx"), label("gr__e")), ("many", "l"));
        assert_eq!((label("severity"), label("culprit_severity")), ("warning", "none"));
        assert!(shown["labels"].get("empty").is_none());
        assert!(label("service").contains("<b>&\"{{ . }}"), "{shown:#}");
        assert!(!label("service").contains(['\r', '\n']), "{shown:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_a_cluster_is_told_on_its_own() {
    let server = start(&programs()[0], free_port()).await;
    let gone = format!("http://127.0.0.1:{}", free_port());
    let dir = TempDir::new().unwrap();
    let receivers = [of(alertmanager(&[gone.clone(), server.url.clone()]))];
    let place = |url: &str| format!("am/{}", url.trim_start_matches("http://"));
    assert_eq!(receivers[0].targets(), [place(&gone), place(&server.url)]);
    let running = Running::start_live(&dir.path().join("state.db"), &receivers);
    running.commit(vec![fresh()]).await;
    shows(&server.url, "the alert", |alerts| alerts.len() == 1).await;
    let (board, gone) = (running.board.clone(), place(&gone));
    running.until("a failure", move |_| board.of(&gone).failed.contains_key("network")).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_and_holds_no_secret() {
    let server = start(&programs()[0], free_port()).await;
    // An address below which it has no API.
    let mut config = alertmanager(&[format!("{}/elsewhere", server.url)]);
    config.login = Some(("me".to_owned(), SecretString::from("hunter2")));
    config.headers = vec![("X-Key".to_owned(), SecretString::from("S3CRET"))];
    let config = of(config);
    let target = config.open(&Templates::default()).unwrap().remove(0);
    let error = tell(&target, &fresh()).await.unwrap_err();
    assert_eq!(error.class(), Class::Refused, "{error}");
    let text = format!("{error} {error:?} {config:?} {target:?}");
    for secret in ["hunter2", "S3CRET"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
