//! Rules, dashboard and reference about grayflag itself: what tools say of them, and that they
//! speak of metrics that exist.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use grayflag::telemetry::catalogue::{self, Kind};

const RULES: [&str; 2] = ["grayflag.rules.yml", "watchdog.rules.yml"];
const REFERENCE: &str = "docs/metrics.md";
/// Stands in the reference before what is made from the program.
const MARK: &str =
    "<!-- what follows is made by `UPDATE_SNAPSHOTS=1 cargo test --test promtool` -->\n\n";

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The one of the PATH, and a newer one where there is one.
fn promtools() -> Vec<PathBuf> {
    let newer = std::env::var_os("GRAYFLAG_NEWER").map(PathBuf::from);
    let newer = newer.map(|dir| dir.join("promtool/usr/bin/promtool"));
    std::iter::once(PathBuf::from("promtool")).chain(newer).collect()
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    for promtool in promtools() {
        for arguments in [
            ["check", "rules", RULES[0]],
            ["check", "rules", RULES[1]],
            ["check", "config", "scrape.yml"],
            ["test", "rules", "grayflag.rules_test.yml"],
        ] {
            let mut command = Command::new(&promtool);
            let done = command.args(arguments).current_dir("deploy/prometheus").output().unwrap();
            let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
            assert!(done.status.success(), "{promtool:?} {arguments:?}: {said}");
        }
    }
}

#[test]
fn every_alert_is_seen_firing_and_has_a_summary() {
    let tests = read("deploy/prometheus/grayflag.rules_test.yml");
    let mut alerts = 0;
    for file in RULES {
        let rules = read(&format!("deploy/prometheus/{file}"));
        for rule in rules.split("- alert: ").skip(1) {
            let name = rule.lines().next().unwrap();
            alerts += 1;
            let fires = format!("- labels: 'ALERTS{{alertname=\"{name}\", alertstate=\"firing\"");
            assert!(tests.contains(&fires), "{name} is never seen firing");
            for part in ["severity: ", "summary: "] {
                assert!(rule.contains(part), "{name} has no {part}");
            }
        }
    }
    assert!(alerts >= 15, "only {alerts} alerts");
}

/// Every name in a text that looks like one of our metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("grayflag_")).collect()
}

#[test]
fn whatever_names_a_metric_names_one_that_exists() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for metric in catalogue::ALL {
        known.insert(metric.name());
        if metric.kind == Kind::Histogram {
            known
                .extend(["bucket", "sum", "count"].map(|part| format!("{}_{part}", metric.family)));
        }
    }
    let mut files = vec![REFERENCE.to_owned(), "docs/operations.md".to_owned()];
    files.push("deploy/grafana/grayflag.json".to_owned());
    files.extend(RULES.map(|file| format!("deploy/prometheus/{file}")));
    for file in files {
        let text = read(&file);
        for name in named(&text) {
            assert!(known.contains(name), "{file} names {name}");
        }
    }
}

#[test]
fn the_reference_is_what_the_program_serves() {
    let stored = read(REFERENCE);
    let (prose, _) = stored.split_once(MARK).unwrap();
    let text = format!("{prose}{MARK}{}", catalogue::reference());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(REFERENCE, &text).unwrap();
    }
    assert_eq!(read(REFERENCE), text, "run this test again with UPDATE_SNAPSHOTS=1");
}

#[test]
fn names_follow_the_conventions() {
    for metric in catalogue::ALL {
        let family = metric.family;
        assert!(!family.ends_with("_total"), "{family}: counters get it by themselves");
        assert!(!metric.help.ends_with('.') && !metric.help.contains('\n'), "{family}");
        for unit in ["_ms", "_millis", "_minutes", "_kb", "_percent"] {
            assert!(!family.contains(unit), "{family} is not in base units");
        }
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
        let words = metric.labels.iter().copied().chain([family]);
        assert!(words.into_iter().all(|word| word.chars().all(is_plain)), "{family}");
    }
}
