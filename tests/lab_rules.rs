//! The signal packs of the lab and of OpenTelemetry against what they claim to read.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use grayflag::lab::breakdown::Ledger;
use grayflag::lab::{Lab, LabSeries, Settings};
use grayflag::rules::Role;
use grayflag::time::{Span, Timestamp};
use toml::{Table, Value};

fn signals(pack: &str) -> Vec<Table> {
    let path = format!("{}/rules/signals/{pack}.toml", env!("CARGO_MANIFEST_DIR"));
    let file: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    file["signal"].as_array().unwrap().iter().map(|s| s.as_table().unwrap().clone()).collect()
}

fn series() -> Vec<LabSeries> {
    let start: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let settings = Settings { seed: 1, start, scrape: Span::MINUTE, faults: vec![] };
    let mut lab = Lab::new(settings).unwrap();
    // The versions appear with the first scrapes; an instance may miss one.
    for _ in 0..30 {
        lab.scrape();
    }
    lab.series().to_vec()
}

/// The labels that a signal declares, beside its service.
fn declared(signal: &Table) -> BTreeSet<&str> {
    let one = |key: &str| signal.get(key).and_then(Value::as_str);
    let split = signal.get("split").and_then(Value::as_array).into_iter().flatten();
    [one("service"), one("peer"), one("dependency")]
        .into_iter()
        .flatten()
        .chain(split.map(|label| label.as_str().unwrap()))
        .collect()
}

#[test]
fn every_metric_of_the_lab_has_one_signal_that_declares_its_labels() {
    let (series, signals) = (series(), signals("lab"));
    let metrics: BTreeSet<&str> = series.iter().map(|s| s.metric).collect();
    let mut queries: Vec<&str> = signals.iter().map(|s| s["query"].as_str().unwrap()).collect();
    queries.sort_unstable();
    // What only tells when something was done is read as a change and is no signal.
    let told = ["lab_maintenance", "lab_migration"];
    let watched: Vec<&str> = metrics.iter().copied().filter(|m| !told.contains(m)).collect();
    assert_eq!(queries, watched);
    let changes = grayflag::lab::rules().map_err(|p| p.render(false)).unwrap().changes;
    for name in told {
        assert!(metrics.contains(name) && changes.iter().any(|rule| rule.query == name), "{name}");
    }
    for signal in &signals {
        let of_signal = |s: &&LabSeries| s.metric == signal["query"].as_str().unwrap();
        for series in series.iter().filter(of_signal) {
            let labels: BTreeSet<&str> = series.labels.keys().map(String::as_str).collect();
            assert_eq!(labels, declared(signal), "{series}");
        }
    }
    assert!((130..=170).contains(&series.len()), "{}", series.len());
    // Each breakdown has series by every label that it names, and none of them is a signal.
    let ledger = Ledger::default();
    let mut broken_down = 0;
    for signal in &signals {
        let Some(breakdown) = signal.get("breakdown").map(|b| b.as_table().unwrap()) else {
            continue;
        };
        for label in breakdown["by"].as_array().unwrap() {
            let label = label.as_str().unwrap();
            let query = breakdown["query"].as_str().unwrap().replace("{{label}}", label);
            let of_query = ledger.series().iter().filter(|s| s.metric == query);
            let whole = of_query.clone().all(|s| s.labels.contains_key(label));
            broken_down += of_query.count();
            assert!(whole && !metrics.contains(query.as_str()), "{query}");
        }
    }
    assert_eq!(broken_down, ledger.series().len());
}

#[test]
fn names_are_unique_and_roles_known() {
    for pack in ["lab", "http"] {
        let signals = signals(pack);
        let names: BTreeSet<&str> = signals.iter().map(|s| s["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), signals.len(), "{pack}");
        for signal in &signals {
            let role = signal["role"].as_str().unwrap();
            assert!(Role::from_name(role).is_some(), "{pack}: {role}");
        }
    }
}

#[test]
fn promtool_accepts_every_query_and_the_declared_labels_survive_it() {
    let mut text = String::from("groups:\n- name: signals\n  rules:\n");
    for pack in ["lab", "http"] {
        for signal in signals(pack) {
            let query = signal["query"].as_str().unwrap();
            let floor = signal.get("min_traffic").map(|floor| floor["query"].as_str().unwrap());
            let name = signal["name"].as_str().unwrap().replace('-', "_");
            for (n, query) in [Some(query), floor].into_iter().flatten().enumerate() {
                assert!(!query.contains('\''));
                writeln!(text, "  - record: {name}_{n}\n    expr: '{query}'").unwrap();
            }
            if pack == "http" {
                for label in declared(&signal) {
                    assert!(query.contains(label), "{name} drops `{label}`");
                }
                for metric in signal["requires"].as_array().unwrap() {
                    assert!(query.contains(metric.as_str().unwrap()), "{name}: {metric}");
                }
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, &text).unwrap();
    let checked = Command::new("promtool").args(["check", "rules"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}\n{text}");
}
