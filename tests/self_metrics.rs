//! grayflag watched by a real Prometheus: what it serves can be scraped, every query of the
//! dashboard and of the rules finds data, and health says what is true.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use common::{Prometheus, Server};
use e2e::{Daemon, Home, Hooks, repository};
use grayflag::clock;
use grayflag::lab::{self, History, Lab, endpoint};
use grayflag::telemetry::catalogue::{self, Kind};
use grayflag::time::Span;
use promql_parser::parser::{self, Expr};
use serde_json::Value;

/// Learning three days, or a backend that comes back.
const SOON: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Metrics that have no series while all is well: what failed, and what waits.
const EMPTY_WHEN_WELL: [&str; 4] = [
    "grayflag_source_failures_total",
    "grayflag_delivery_failures_total",
    "grayflag_outbox_messages",
    "grayflag_outbox_oldest_age_seconds",
];

/// Asks until the answer is some, or panics with the last that was none.
async fn until<T, F: Future<Output = Result<T, String>>>(mut ask: impl FnMut() -> F) -> T {
    let mut last = String::new();
    let wait = async {
        loop {
            match ask().await {
                Ok(found) => return found,
                Err(why) => last = why,
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let found = tokio::time::timeout(SOON, wait).await.ok();
    found.unwrap_or_else(|| panic!("not within {SOON:?}: {last}"))
}

async fn get(url: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A running daemon, once its API is served, and the address of that; so many ran before it.
async fn run(home: &Home, earlier: usize) -> (Daemon, String) {
    let mut daemon = home.run(&[]);
    let address = daemon.address(earlier, SOON).await;
    (daemon, address)
}

/// Waits until `/-/ready` says so, or no longer; the body of its last answer.
async fn readiness(address: &str, wanted: u16) -> String {
    let url = format!("http://{address}/-/ready");
    until(async || {
        let (status, body) = get(&url).await;
        if status == wanted { Ok(body) } else { Err(format!("{status} {body}")) }
    })
    .await
}

/// Three days of the lab until now, and as much of the future as a test may take.
async fn backend() -> String {
    let now = clock::now().floor_to(Span::MINUTE);
    let (start, scrape) = (now - Span::DAY.times(3) - Span::HOUR, Span::MINUTE);
    let settings = lab::Settings { seed: 5, start, scrape, faults: Vec::new() };
    let mut lab = Lab::new(settings).unwrap();
    let mut history = History::new(start, scrape);
    history.extend(&mut lab, now + Span::from_mins(20));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shared = Arc::new(RwLock::new(history));
    tokio::spawn(endpoint::serve(listener, shared, std::future::pending()));
    url
}

/// A home whose daemon learns three days and waits for no late sample.
fn home(backend: &str, more: &str) -> Home {
    let home = Home::new(backend, "5s", more);
    let text = std::fs::read_to_string(home.config()).unwrap();
    let text = text.replace("history = \"3w\"", "history = \"3d\"\nsettle = \"0s\"");
    std::fs::write(home.config(), text).unwrap();
    home
}

/// A Prometheus that scrapes the daemon and judges our rules.
async fn watcher(address: &str) -> Server {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");
    let scrape = repository("deploy/prometheus/scrape.yml");
    let config = scrape
        .replace("127.0.0.1:9469", address)
        .replace("scrape_interval: 30s", "scrape_interval: 1s")
        .replace("- grayflag.rules.yml", &format!("- {rules}/grayflag.rules.yml"))
        .replace("# - watchdog.rules.yml", &format!("- {rules}/watchdog.rules.yml"));
    let config = format!("global:\n  evaluation_interval: 1s\n{config}");
    Prometheus::start_with_config(&config).await
}

impl Server {
    async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url =
            reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), parameters);
        let (status, body) = get(url.unwrap().as_str()).await;
        assert_eq!(status, 200, "{path} {parameters:?}: {body}");
        serde_json::from_str::<Value>(&body).unwrap()["data"].clone()
    }

    /// The labels of what a query finds now.
    async fn rows(&self, query: &str) -> Vec<Value> {
        let data = self.api("query", &[("query", query)]).await;
        data["result"].as_array().unwrap().iter().map(|row| row["metric"].clone()).collect()
    }

    async fn finds(&self, query: &str) {
        until(
            async || {
                if self.rows(query).await.is_empty() { Err(query.to_owned()) } else { Ok(()) }
            },
        )
        .await;
    }
}

/// Every query of the dashboard, as it is while nothing is chosen.
fn dashboard() -> Vec<String> {
    let text = repository("deploy/grafana/grayflag.json");
    let board: Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut queries: Vec<String> =
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    for variable in board["templating"]["list"].as_array().unwrap() {
        if let Some(definition) = variable["definition"].as_str() {
            let inner = definition.strip_prefix("label_values(").unwrap();
            queries.push(inner.rsplit_once(',').unwrap().0.to_owned());
        }
    }
    for query in &mut queries {
        for variable in ["$instance", "$job", "$service", "$signal"] {
            *query = query.replace(variable, ".*");
        }
        assert!(!query.contains('$'), "{query}");
    }
    queries
}

/// Every selector of an expression, without its range.
fn selectors(expr: &Expr, found: &mut BTreeSet<String>) {
    match expr {
        Expr::VectorSelector(one) => drop(found.insert(one.to_string())),
        Expr::MatrixSelector(one) => drop(found.insert(one.vs.to_string())),
        Expr::Aggregate(one) => selectors(&one.expr, found),
        Expr::Unary(one) => selectors(&one.expr, found),
        Expr::Paren(one) => selectors(&one.expr, found),
        Expr::Subquery(one) => selectors(&one.expr, found),
        Expr::Binary(one) => {
            selectors(&one.lhs, found);
            selectors(&one.rhs, found);
        }
        Expr::Call(one) => one.args.args.iter().for_each(|arg| selectors(arg, found)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// The selectors of all rules.
fn rules() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in ["grayflag", "watchdog"] {
        let rules = repository(&format!("deploy/prometheus/{file}.rules.yml"));
        for line in rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
            selectors(&parser::parse(line).unwrap(), &mut found);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_finds_everything_that_dashboard_and_rules_ask_for() {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let hooks = Hooks::start().await;
    let home = home(&backend().await, &hooks.config());
    // Services are judged when a block of five minutes closes: the last ones, all at once.
    let tick = clock::now().floor_to(Span::from_secs(5));
    let [from, to] = [20, 5].map(|minutes| (tick - Span::from_mins(minutes)).to_string());
    let mut first = home.run(&["--rehearse", &from, "--to", &to]);
    assert!(first.ended(SOON).await.success(), "{}", first.log());
    let (daemon, address) = run(&home, 1).await;
    readiness(&address, 200).await;
    let watcher = watcher(&address).await;

    watcher.finds("up{job=\"grayflag\"} == 1").await;
    let targets = watcher.api("targets", &[]).await;
    assert_eq!(targets["activeTargets"][0]["lastError"], "", "{targets}");
    // In the older format the name would end in `_total`.
    let openmetrics = watcher.api("targets/metadata", &[("metric", "grayflag_ticks")]).await;
    assert_eq!(openmetrics[0]["type"], "counter", "{openmetrics}");

    for query in dashboard() {
        watcher.finds(&query).await;
    }
    for selector in rules() {
        if EMPTY_WHEN_WELL.iter().any(|empty| selector.starts_with(empty)) {
            continue;
        }
        watcher.finds(&selector).await;
    }
    for metric in catalogue::ALL {
        let name = metric.name();
        let part = if metric.kind == Kind::Histogram { "_count" } else { "" };
        let rows = watcher.rows(&format!("{name}{part}")).await;
        assert_eq!(rows.is_empty(), EMPTY_WHEN_WELL.contains(&name.as_str()), "{name}: {rows:?}");
        for row in rows {
            let mut labels: BTreeSet<&str> = metric.labels.iter().copied().collect();
            labels.extend(["__name__", "instance", "job"]);
            // An empty label is none.
            let has = row.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(labels.is_superset(&has), "{name}: {row}");
        }
    }
    let firing = watcher.rows("ALERTS").await;
    let names: Vec<&Value> = firing.iter().map(|alert| &alert["alertname"]).collect();
    assert_eq!(names, ["GrayflagWatchdog"], "all is well");
    daemon.terminate();
}

/// A service behind `[heartbeat]` that refuses the first sign of life.
async fn pulse() -> (String, Arc<AtomicUsize>) {
    let taken = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&taken);
    let app = Router::new().fallback(move || {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        std::future::ready(if first { StatusCode::BAD_GATEWAY } else { StatusCode::OK })
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ping/0123456789abcdef", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_makes_it_unready_and_not_unhealthy() {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Nothing to learn from: a tick without samples is a tick.
    let backend = Prometheus::start_with_config("").await;
    let (url, taken) = pulse().await;
    let more = format!("[heartbeat]\nurl = \"{url}\"\nevery = \"10s\"\n");
    let home = home(&backend.url, &more);
    let (mut daemon, address) = run(&home, 0).await;
    readiness(&address, 200).await;
    daemon.until(SOON, |log| log.contains("the heartbeat is taken again")).await;
    assert!(taken.load(Ordering::SeqCst) >= 2);
    let log = daemon.log();
    assert_eq!(log.matches("the heartbeat was not taken").count(), 1, "{log}");
    assert!(!log.contains("0123456789"), "the address is a secret: {log}");

    backend.signal("STOP");
    until(async || {
        let why = readiness(&address, 503).await;
        let told: Value = serde_json::from_str(&why).unwrap();
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.starts_with("the newest tick is "), "{why}");
        // The tick is old before the last attempt has timed out.
        let is_told = detail.ends_with("the backend cannot be read (timeout)");
        if is_told { Ok(()) } else { Err(why) }
    })
    .await;
    assert_eq!(get(&format!("http://{address}/-/healthy")).await.0, 200, "waiting is right");
    let (_, metrics) = get(&format!("http://{address}/metrics")).await;
    for line in ["grayflag_ready 0.0", "grayflag_source_up 0.0"] {
        assert!(metrics.lines().any(|one| one == line), "{line}\n{metrics}");
    }
    backend.signal("CONT");
    readiness(&address, 200).await;
    daemon.terminate();
    assert_eq!(daemon.ended(SOON).await.code(), Some(0));
}
