//! `grayflag incidents` and `grayflag feedback` as a user types them, and a daemon that hears.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::process::Output;
use std::time::Duration;

use common::Prometheus;
use e2e::{Home, World, fault};
use grayflag::engine::alert::{Alert, State};
use grayflag::lab::Fault;
use grayflag::series::Verdict;
use grayflag::store::Tick;
use grayflag::time::{Span, Timestamp};
use serde_json::Value;

/// A port of the loopback interface that nothing listens on.
const NOBODY: &str = "http://127.0.0.1:1";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn said(home: &Home, command: &str, args: &[&str]) -> Output {
    home.command(command).args(args).output().unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn refused(output: &Output, part: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: ") && said.contains(part), "no {part:?} in {said}");
    assert!(said.contains("\nhint: "), "{said}");
}

/// A home whose daemon has told of two incidents, one of them over.
fn home_with_incidents() -> Home {
    let home = Home::new(NOBODY, "5m", "");
    let firing: Alert = serde_json::from_str(include_str!("data/messages/firing.json")).unwrap();
    let mut other = firing.clone();
    "web-20260301T0000Z-0001".clone_into(&mut other.incident);
    "evil\u{1b}[31m".clone_into(&mut other.service);
    other.state = State::Resolved;
    other.at = firing.at - Span::HOUR;
    let tick = Tick {
        last_tick: firing.at,
        snapshot: None,
        alerts: &[other, firing.clone()],
        charts: &[],
        deliveries: &[],
    };
    home.store().commit(&tick).unwrap();
    home
}

#[test]
fn incidents_are_listed_with_what_was_said_about_them() {
    let home = home_with_incidents();
    let table = done(&said(&home, "incidents", &[]));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("INCIDENT ") && lines[0].ends_with("FEEDBACK"), "{table}");
    assert!(lines[2].starts_with("web-20260301T0000Z-0001"), "latest changed first: {table}");
    assert!(!table.contains('\u{1b}'), "{table}");
    let id = lines[1].split_whitespace().next().unwrap();
    let args = [id, "useful", "--cause", "slow-dependency", "--note", "a note", "--by", "oncall"];
    let answer = done(&said(&home, "feedback", &args));
    assert!(answer.contains(id) && answer.contains("useful (slow-dependency)"), "{answer}");
    let table = done(&said(&home, "incidents", &[]));
    let line = table.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(line.ends_with("useful (slow-dependency)"), "{table}");

    let json = done(&said(&home, "incidents", &["--json", "--limit", "1"]));
    assert_eq!(json.lines().count(), 1, "{json}");
    let row: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((row["incident"].as_str(), &row["ended_at"]), (Some(id), &Value::Null));
    let word = &row["feedback"][0];
    assert_eq!(word["verdict"], "useful");
    assert_eq!((&word["cause"], &word["by"]), (&"slow-dependency".into(), &"oncall".into()));
    let stored = home.store().feedback_of(id).unwrap();
    assert_eq!((stored.len(), stored[0].verdict), (1, Verdict::Useful));
}

#[test]
fn who_looks_after_an_incident_is_listed() {
    let home = home_with_incidents();
    let id = "web-20260301T0000Z-0001";
    let first = done(&said(&home, "acknowledge", &[id, "--by", "oncall"]));
    assert!(first.contains(": acknowledged, ") && first.ends_with(" by oncall\n"), "{first}");
    let again = done(&said(&home, "acknowledge", &[id, "--by", "backup"]));
    assert!(again.contains("acknowledged before") && again.ends_with(" by oncall\n"), "{again}");
    let table = done(&said(&home, "incidents", &[]));
    let line = |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(line("INCIDENT").contains(" ACKNOWLEDGED "), "{table}");
    assert!(line(id).contains(" by oncall "), "{table}");
    assert_eq!(table.matches(" by ").count(), 1, "{table}");
    let unknown = said(&home, "acknowledge", &["web-20260301T0000Z-0002"]);
    refused(&unknown, "did you mean `web-20260301T0000Z-0001`?");
}

#[test]
fn what_cannot_be_said_is_refused_with_a_remedy() {
    let home = home_with_incidents();
    let id = "web-20260301T0000Z-0001";
    for (args, part) in [
        (vec!["web-20260301T0000Z-0002", "useful"], "did you mean `web-20260301T0000Z-0001`?"),
        (vec![id, "useful", "--cause", "slow-dependancy"], "did you mean `slow-dependency`?"),
        (vec![id, "useful", "--cause", "x"], "causes: `"),
        (vec![id, "false", "--cause", "overload"], "has no cause"),
        (vec![id, "useful", "--note", &"x".repeat(2_001)], "too long"),
    ] {
        refused(&said(&home, "feedback", &args), part);
    }
    let wrong = said(&home, "feedback", &[id, "great"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("duplicate"), "{}", text(&wrong.stderr));
    assert_eq!(home.store().feedback_after(0).unwrap(), []);
    let new = Home::new(NOBODY, "5m", "");
    refused(&said(&new, "incidents", &[]), "there is no state file");
    assert!(!new.path("state.db").exists());
}

#[tokio::test]
async fn a_daemon_hears_every_word_once() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let at = |hours| (from + Span::from_hours(hours)).to_string();
    let slow = fault(Fault::SlowDependency, from + Span::HOUR, 6);
    let world = World::simulate(from, from + Span::from_hours(9), vec![slow]);
    let backend = Prometheus::start_with_openmetrics(&world.openmetrics).await;
    let home = Home::new(&backend.url, "5m", "");
    let live = async |to: i64| {
        let mut daemon = home.run(&["--rehearse", &at(0), "--to", &at(to)]);
        let status = daemon.ended(Duration::from_secs(120)).await;
        assert_eq!(status.code(), Some(0), "{}", daemon.log());
        daemon.log().lines().filter(|line| line.contains("words=")).count()
    };
    assert_eq!(live(5).await, 0);
    let table = done(&said(&home, "incidents", &[]));
    let id = table.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    done(&said(&home, "feedback", &[&id, "useful", "--cause", "slow-dependency"]));
    assert_eq!(live(7).await, 1, "the next start hears it");
    assert_eq!(live(9).await, 1, "and the one after has it in its state");
}
