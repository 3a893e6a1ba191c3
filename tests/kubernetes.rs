//! rules/changes/kubernetes.toml against real servers that hold what kube-state-metrics exposes.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "other tests start other servers")]
mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use common::{History, Prometheus, VictoriaMetrics};
use grayflag::changes::SeenChanges;
use grayflag::clock;
use grayflag::problem::SourceFile;
use grayflag::rules::{self, Rules};
use grayflag::series::Change;
use grayflag::source::{Config, Prometheus as Source, ReadPlan};
use grayflag::time::{Span, Timestamp};

const FILE: &str = "rules/changes/kubernetes.toml";

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;

fn load(text: String) -> Rules {
    let (set, problems) = rules::load(&[SourceFile { path: PathBuf::from(FILE), text }]);
    assert!(problems.is_empty(), "{}", problems.render(false));
    Rules { changes: set.changes, ..Rules::default() }
}

/// The file as it is shipped, and the alternatives that stand in it as comments.
fn shipped() -> (Rules, Rules) {
    let text = fs::read_to_string(FILE).unwrap();
    let (_, comments) = text.split_once("# In place of the first").unwrap();
    let lines = comments.lines().filter_map(|line| line.strip_prefix("# "));
    let alternatives: Vec<&str> = lines.filter(|line| !line.starts_with("In place")).collect();
    let alternatives = alternatives.join("\n");
    (load(text), load(alternatives))
}

/// A cluster at one moment, as kube-state-metrics exposes it (its docs/metrics/workload/*.md):
/// the replicas of checkout's two ReplicaSets, and everything else by whether it was changed.
fn exposed([old, new]: [u32; 2], changed: bool, created: i64) -> String {
    let replicaset = |name: &str, replicas: u32, created: i64| {
        format!(
            "kube_replicaset_spec_replicas{{namespace=\"shop\",replicaset=\"{name}\"}} {replicas}\n\
             kube_replicaset_created{{namespace=\"shop\",replicaset=\"{name}\"}} {created}\n\
             kube_replicaset_owner{{namespace=\"shop\",replicaset=\"{name}\",owner_kind=\"Deployment\",owner_name=\"checkout\",owner_is_controller=\"true\"}} 1\n"
        )
    };
    let mut text = replicaset("checkout-5d4f", old, START - 90_000);
    // Kept by the Deployment's revision history, and never of interest.
    text += &replicaset("checkout-0old", 0, START - 900_000);
    if 0 < new {
        text += &replicaset("checkout-7c9b", new, created);
    }
    let images: &[&str] = if 0 < new { &["v41", "v42"] } else { &["v41"] };
    for image in images {
        writeln!(
            text,
            "kube_pod_container_info{{namespace=\"shop\",pod=\"checkout-{image}\",uid=\"{image}\",container=\"checkout\",image=\"registry.example/checkout:{image}\"}} 1"
        )
        .unwrap();
    }
    let (update, number) = if changed { ("orders-db-b", 8) } else { ("orders-db-a", 7) };
    text + &format!(
        "kube_statefulset_status_current_revision{{namespace=\"shop\",statefulset=\"orders-db\",revision=\"orders-db-a\"}} 1\n\
         kube_statefulset_status_update_revision{{namespace=\"shop\",statefulset=\"orders-db\",revision=\"{update}\"}} 1\n\
         kube_daemonset_metadata_generation{{namespace=\"infra\",daemonset=\"proxy\"}} {number}\n\
         kube_configmap_metadata_resource_version{{namespace=\"shop\",configmap=\"payments-config\"}} 91{number}\n\
         kube_configmap_metadata_resource_version{{namespace=\"shop\",configmap=\"payments-leader\"}} {}\n\
         kube_secret_metadata_resource_version{{namespace=\"shop\",secret=\"payments\",type=\"Opaque\"}} 55{number}\n\
         kube_deployment_spec_replicas{{namespace=\"shop\",deployment=\"web\"}} {number}\n",
        created % 100_000
    )
}

/// What was told: kind, service and text, with the times in seconds after `from`.
fn told(changes: &[Change], from: i64) -> Vec<(String, i64, Option<i64>)> {
    let after = |at: Timestamp| at.as_secs() - from;
    changes
        .iter()
        .map(|c| (format!("{} {} {}", c.kind, c.service, c.what), after(c.at), c.end.map(after)))
        .collect()
}

async fn read(rules: &Rules, url: &str, ticks: (i64, i64), step: i64) -> Vec<Change> {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let source = Source::new(Config::new(url)).unwrap();
    let (mut plan, mut seen) = (ReadPlan::new(rules), SeenChanges::default());
    let at = Timestamp::from_secs;
    let reading = source.read(&mut plan, at(ticks.0), at(ticks.1), Span::from_secs(step)).await;
    let mut reading = reading.unwrap();
    assert_eq!(reading.warnings(), [""; 0]);
    let mut changes = Vec::new();
    while let Some((_, batch)) = reading.next_batch(&mut seen) {
        changes.extend(batch.changes);
    }
    changes
}

/// Minute by minute: a rollout from 10 to 14, everything else at 20, a roll back from 40 to 43.
fn history() -> History {
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for minute in 0..60 {
        let replicas = match minute {
            10..12 => [3, 1],
            12..14 => [1, 3],
            14..40 => [0, 3],
            40..43 => [2, 2],
            _ => [3, 0],
        };
        let [old, new] = replicas;
        // A ReplicaSet without replicas stays: only its number says that it is gone.
        let mut text = exposed([old, new.max(u32::from(10 <= minute))], 20 <= minute, START + 590);
        if 10 <= minute && new == 0 {
            let one = "replicaset=\"checkout-7c9b\"} 1\n";
            text = text.replacen(one, &one.replace(" 1", " 0"), 1);
        }
        for line in text.lines() {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let values = series.entry(name.to_owned()).or_default();
            values.resize(minute, f64::NAN);
            values.push(value.parse().unwrap());
        }
    }
    series.into_iter().fold(History::default(), |history, (name, values)| {
        let (metric, labels) = name.split_once('{').unwrap();
        history.series(metric, labels.trim_end_matches('}'), (START, 60), values)
    })
}

#[tokio::test]
async fn a_rollout_and_its_roll_back_are_told_with_their_ends() {
    let (rules, alternatives) = shipped();
    let history = history();
    let prometheus = Prometheus::start_with_openmetrics(&history.openmetrics()).await;
    let victoria = VictoriaMetrics::start().await;
    victoria.import(&history.prometheus_text()).await;
    let minutes = |n: i64| 60 * n;
    for server in [&prometheus, &victoria] {
        let changes = read(&rules, &server.url, (START, START + minutes(59)), 60).await;
        let event =
            |text: &str, at, end: Option<i64>| (text.to_owned(), minutes(at), end.map(minutes));
        assert_eq!(
            told(&changes, START),
            [
                event("deploy checkout checkout-7c9b", 10, None),
                event("deploy checkout checkout-7c9b", 10, Some(13)),
                event("deploy orders-db orders-db-b", 20, None),
                event("deploy proxy kube_daemonset_metadata_generation 7 → 8", 20, Some(30)),
                event("config payments payments-config 917 → 918", 20, None),
                event("config payments payments 557 → 558", 20, None),
                event("scaling web kube_deployment_spec_replicas 7 → 8", 20, None),
                event("deploy checkout checkout-5d4f", 40, None),
                event("deploy checkout checkout-5d4f", 40, Some(42)),
            ],
            "{}",
            server.url
        );
        let changes = read(&alternatives, &server.url, (START, START + minutes(30)), 60).await;
        assert_eq!(
            told(&changes, START),
            [
                ("deploy checkout checkout-7c9b".to_owned(), 590, Some(590 + minutes(15))),
                event("deploy checkout registry.example/checkout:v42", 10, None),
            ],
            "{}",
            server.url
        );
    }
}

/// Serves the newest text, as kube-state-metrics does.
async fn exporter(text: Arc<Mutex<String>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = async |State(text): State<Arc<Mutex<String>>>| text.lock().unwrap().clone();
    let app = Router::new().route("/metrics", get(serve)).with_state(text);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Waits until a query has rows; the second from which on it has.
async fn scraped(url: &str, query: &str) -> i64 {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let source = Source::new(Config::new(url)).unwrap();
    let look = async {
        loop {
            let now = clock::now();
            if !source.query(query, now).await.unwrap().is_empty() {
                return now.as_secs() + 1;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.unwrap()
}

#[tokio::test]
async fn what_a_real_prometheus_scrapes_is_told_within_a_scrape() {
    let (rules, _) = shipped();
    let text = Arc::new(Mutex::new(exposed([3, 0], false, 0)));
    let address = exporter(Arc::clone(&text)).await;
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n- job_name: kube-state-metrics\n  static_configs: [{{ targets: ['{address}'] }}]\n"
    );
    let server = Prometheus::start_with_config(&config).await;
    let before = scraped(&server.url, "kube_deployment_spec_replicas == 7").await;
    // What the first tick shows is known, not told: it must lie before the rollout.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let switched = clock::now().as_secs();
    *text.lock().unwrap() = exposed([3, 1], true, switched);
    let seen = scraped(&server.url, "kube_deployment_spec_replicas == 8").await;
    let changes = read(&rules, &server.url, (before, seen), 1).await;
    let mut told = told(&changes, switched);
    assert!(told.iter().all(|(_, at, _)| (0..=seen - switched).contains(at)), "{told:?}");
    told.sort();
    let texts: Vec<&str> = told.iter().map(|(text, _, _)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "config payments payments 557 → 558",
            "config payments payments-config 917 → 918",
            "deploy checkout checkout-7c9b",
            "deploy orders-db orders-db-b",
            "deploy proxy kube_daemonset_metadata_generation 7 → 8",
            "scaling web kube_deployment_spec_replicas 7 → 8",
        ]
    );
}
