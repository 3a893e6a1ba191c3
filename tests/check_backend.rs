//! `grayflag check --backend` beside real servers: what each query gives and what is wrong with it.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use common::{History, Installed, Prometheus, VictoriaMetrics};
use grayflag::cli::check::Format;
use grayflag::cli::check_backend::{self, Report};
use grayflag::cli::progress::Progress;
use grayflag::config::{self, Config, Machine};
use grayflag::source;
use grayflag::time::Timestamp;

/// Sunday, at noon.
const NOW: i64 = 1_772_366_400;

const RULES: &str = r#"
[[signal]]
name  = "good"
role  = "latency"
query = 'max by (service, instance) (good_seconds)'
peer  = "instance"
min_traffic = { query = 'sum(good_seconds)', at_least = 1 }
breakdown = { by = ["instance"], query = 'max by (service, {{label}}) (good_seconds)' }

[[signal]]
name  = "misspelt"
role  = "latency"
query = 'max by (service) (good_secods)'

[[signal]]
name  = "unmatched"
role  = "latency"
query = 'good_seconds{service="nobody"}'

[[signal]]
name  = "unscraped"
role  = "cache_hit"
query = 'max by (service) (quite_another_thing)'

[[signal]]
name  = "nameless"
role  = "cpu"
query = 'nameless_cpu'

[[signal]]
name  = "duplicates"
role  = "pool_wait"
query = 'good_seconds'

[[signal]]
name  = "refused"
role  = "pool_wait"
query = 'no_such_function(good_seconds)'

[[signal]]
name  = "counter"
role  = "conflicts"
query = 'max by (service) (work_done)'

[[signal]]
name  = "gauge"
role  = "attempts"
query = 'sum by (service) (rate(wobble[5m]))'

[[signal]]
name  = "flat"
role  = "pool_use"
query = 'max by (service) (pool_size)'

[[signal]]
name  = "young"
role  = "queue_age"
query = 'max by (service) (young_seconds)'

[[signal]]
name  = "coarse"
role  = "latency"
query = 'histogram_quantile(0.9, sum by (service, le) (rate(lat_seconds_bucket[5m])))'

[[change]]
kind    = "deploy"
query   = 'count by (service, version) (build_info)'
appears = "version"
"#;

/// Seventy minutes up to now, a sample every 15 s.
fn history() -> History {
    let start = (NOW - 4_200, 15);
    let wave = |phase: f64| (0..=280).map(move |n| 1.0 + (f64::from(n) / 7.0 + phase).sin() / 3.0);
    let count = |per: f64| (0..=280).map(move |n| f64::from(n) * per);
    let mut history = History::default();
    for (instance, phase) in [("a", 0.0), ("b", 1.0)] {
        let labels = format!("service=\"web\",instance=\"{instance}\"");
        history = history.series("good_seconds", &labels, start, wave(phase));
    }
    for (bound, per) in [("0.1", 1.0), ("1", 10.0), ("10", 11.0), ("+Inf", 11.0)] {
        let labels = format!("service=\"web\",le=\"{bound}\"");
        history = history.series("lat_seconds_bucket", &labels, start, count(per));
    }
    let web = "service=\"web\"";
    history
        .series("nameless_cpu", "job=\"node\"", start, wave(0.0))
        .series("work_done", web, start, count(3.0))
        .series("wobble", web, start, (0..=280).map(|n| f64::from(n % 3)))
        .series("pool_size", web, start, (0..=280).map(|_| 8.0))
        .series("young_seconds", web, (NOW - 600, 15), (0..=40).map(|n| f64::from(n % 7)))
        .series("build_info", "service=\"web\",version=\"v1\"", start, (0..=280).map(|_| 1.0))
}

fn config(url: &str, rules: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let text = format!(
        "[source]\nurl = \"{url}\"\n[rules]\npaths = [\"rules.toml\"]\n[topology]\nquery = 'good_seconds'\n"
    );
    let path = folder.path().join("grayflag.toml");
    fs::write(&path, text).unwrap();
    config::load(&path, &Machine).unwrap().config.unwrap()
}

async fn report(url: &str) -> Report {
    let config = config(url, RULES);
    let source = source::Prometheus::new(config.source.clone()).unwrap();
    let mut progress = Progress::lines(std::io::sink());
    check_backend::check(&config, &source, Timestamp::from_secs(NOW), &mut progress).await.unwrap()
}

/// The kinds of problems by query.
fn kinds(report: &Report) -> BTreeMap<&str, Vec<&str>> {
    let kinds =
        |query: &'_ check_backend::Answered| query.problems.iter().map(|p| p.kind).collect();
    report.queries.iter().map(|query| (query.name.as_str(), kinds(query))).collect()
}

#[tokio::test]
async fn everything_odd_is_found_in_real_servers() {
    let wanted = BTreeMap::from([
        ("signal `good`", vec![]),
        ("signal `good`, min_traffic", vec!["no-service"]),
        ("signal `good`, breakdown by `instance`", vec![]),
        ("signal `misspelt`", vec!["nothing"]),
        ("signal `unmatched`", vec!["nothing"]),
        ("signal `unscraped`", vec!["nothing"]),
        ("signal `nameless`", vec!["no-service"]),
        ("signal `duplicates`", vec!["duplicates"]),
        ("signal `refused`", vec!["refused"]),
        ("signal `counter`", vec!["counter"]),
        ("signal `gauge`", vec!["gauge"]),
        ("signal `flat`", vec!["flat"]),
        ("signal `young`", vec!["missing"]),
        ("signal `coarse`", vec!["one-bucket"]),
        ("change `deploy`", vec![]),
        ("topology", vec!["no-service"]),
    ]);
    for installed in Installed::all() {
        let prometheus = Prometheus::start(&installed, &history().openmetrics(), &[]).await;
        let victoria = VictoriaMetrics::start_with(&installed, &history().prometheus_text()).await;
        for url in [&prometheus.url, &victoria.url] {
            let report = report(url).await;
            assert_eq!(kinds(&report), wanted, "{}{url}: {report:#?}", installed.name);
            assert!(!report.is_useful());
            let of = |name: &str| report.queries.iter().find(|q| q.name.ends_with(name)).unwrap();
            let good = of("`good`");
            assert_eq!((good.series, good.services, good.peers), (2, 1, 2));
            assert!(good.points >= 100, "{}", good.points);
            let hint = |name: &str| of(name).problems[0].hint.clone().unwrap();
            assert_eq!(hint("`misspelt`"), "did you mean `good_seconds`?");
            assert!(hint("`unmatched`").contains("do the matchers fit"));
            assert!(of("`coarse`").problems[0].text.contains("0.1 to 1"), "{report:#?}");
            let mut text = Vec::new();
            report.write(Format::Text, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("\nerror: signal `refused`: "), "{text}");
            assert!(!text.contains('\u{fffd}'), "{text}");
        }
    }
}

#[tokio::test]
async fn the_command_tells_in_json_and_by_its_status() {
    let now =
        i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let wave = (0..=300).map(|n| 1.0 + (f64::from(n) / 7.0).sin() / 3.0);
    let history = History::default().series("x", "service=\"web\"", (now - 4_400, 15), wave);
    let victoria =
        VictoriaMetrics::start_with(&Installed::all()[0], &history.prometheus_text()).await;
    let folder = tempfile::tempdir().unwrap();
    let run = |query: &str| {
        let rules = format!("[[signal]]\nname = \"x\"\nrole = \"latency\"\nquery = '{query}'\n");
        fs::write(folder.path().join("rules.toml"), rules).unwrap();
        let text =
            format!("[source]\nurl = \"{}\"\n[rules]\npaths = [\"rules.toml\"]\n", victoria.url);
        fs::write(folder.path().join("grayflag.toml"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_grayflag"))
            .args(["check", "--backend", "--format", "json", "--config"])
            .arg(folder.path().join("grayflag.toml"))
            .output()
            .unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), told)
    };
    let (status, told) = run("max by (service) (x)");
    assert_eq!((status, &told["queries"][0]["series"]), (Some(0), &1.into()), "{told}");
    assert_eq!(told["queries"][0]["problems"], serde_json::json!([]));
    let (status, told) = run("max by (service) (y)");
    assert_eq!((status, &told["queries"][0]["problems"][0]["kind"]), (Some(1), &"nothing".into()));
    let (status, told) = run("max(x)");
    assert_eq!(status, Some(1), "{told}");
    assert_eq!(told["queries"][0]["problems"][0]["useless"], true);
}
