//! `grayflag silence` and `grayflag routes test` as a user types them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::process::Output;

use e2e::Home;
use grayflag::engine::alert::Alert;
use grayflag::store::{Dispatch, Hold, Tick};
use serde_json::Value;

const MORE: &str = r#"
[[service]]
name = "invoices"
owner = "money"
[[receiver]]
name = "oncall"
email = { to = ["a@example.com", "b@example.com"], smtp = "smtp://127.0.0.1:25" }
quiet = { hours = ["22:00-07:00"] }
[[receiver]]
name = "chat"
webhook = { url = "https://example.com/hooks/hunter2" }
[[route]]
match = { severity = ["warning", "critical"], service = ["checkout"] }
to = ["oncall"]
[[route]]
match = { owner = ["money"] }
to = ["chat"]
stop = true
[[route]]
default = true
to = ["chat"]
[[maintenance]]
name = "backup"
services = ["payments"]
hours = ["Mon 12:00-13:00"]
"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn home() -> Home {
    Home::new("http://127.0.0.1:1", "5m", MORE)
}

fn said(home: &Home, words: &[&str]) -> Output {
    home.command(words[0]).args(&words[1..]).output().unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn refused(output: &Output, part: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(part), "no {part:?} in {said}");
}

#[test]
fn a_silence_is_made_listed_and_ended_beside_the_daemon() {
    let home = home();
    refused(&said(&home, &["silence", "list"]), "there is no state file");
    let alert: Alert = serde_json::from_str(include_str!("data/messages/firing.json")).unwrap();
    let until = "2100-01-01T00:00:00Z".parse().unwrap();
    let hold = Some(Hold::new(until, "silence 1"));
    let tick = Tick {
        last_tick: alert.at,
        snapshot: None,
        alerts: std::slice::from_ref(&alert),
        charts: &[],
        deliveries: &[Dispatch { receiver: "chat".to_owned(), alert: 0, hold }],
    };
    // The daemon has the file.
    let mut daemon = home.store();
    daemon.commit(&tick).unwrap();
    assert_eq!(done(&said(&home, &["silence", "list"])), "nothing is silenced\n");
    let add =
        ["silence", "add", "--for", "2h", "--comment", "load \u{1b}[31mtest", "--by", "oncall"];
    let with = |more: &[&str]| said(&home, &[&add[..], more].concat());
    let made =
        done(&with(&["--service", "web-*", "--label", "tenant=acme", "--severity", "notice"]));
    assert!(
        made.starts_with("silence 1: severity=notice service=web-* label.tenant=acme until "),
        "{made}"
    );
    assert!(made.ends_with("(in 2h)\n"), "{made}");
    done(&with(&["--all"]));
    let table = done(&said(&home, &["silence", "list"]));
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains("load [31mtest (oncall)") && !table.contains('\u{1b}'), "{table}");
    assert!(table.lines().nth(2).unwrap().contains("  everything  "), "{table}");
    let json = done(&said(&home, &["silence", "list", "--json"]));
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["match"]["service"][0], "web-*");

    assert_eq!(
        done(&said(&home, &["silence", "end", "1"])),
        "silence 1: over; 1 message goes out\n"
    );
    let table = done(&said(&home, &["silence", "list", "--all"]));
    assert!(table.lines().any(|l| l.starts_with("1 ") && l.contains("  over  ")), "{table}");

    refused(&said(&home, &["silence", "end", "7"]), "there is no silence 7\nhint: ");
    refused(&with(&[]), "`match` says nothing");
    refused(&with(&["--all", "--service", "web"]), "does not go with");
    refused(&with(&["--cause", "slow-dependancy"]), "did you mean `slow-dependency`?");
    refused(&with(&["--severity", "high"]), "it can be: `notice`, `warning`, `critical`");
    refused(&with(&["--label", "tenant"]), "NAME=VALUE");
    refused(&said(&home, &["silence", "add", "--all", "--comment", "x"]), "--for");
    let long = ["silence", "add", "--all", "--comment", "x", "--for", "91d"];
    refused(&said(&home, &long), "must be within 90d");
}

#[test]
fn routes_test_says_who_gets_what_when_and_why() {
    let home = home();
    let test = |more: &[&str]| done(&said(&home, &[&["routes", "test"], more].concat()));
    let noon = ["--at", "2026-03-03T12:00:00Z"];
    let night = ["--at", "2026-03-03T23:00:00Z"];
    let expected = "warning of checkout, firing at 23:00 UTC

ROUTE  TO      MATCHES
1      oncall  yes
2      chat    no: owner is none, not money
3      chat    no: another route matches

RECEIVER              GETS IT
oncall/a@example.com  2026-03-04 07:00 UTC (in 8h), held by quiet hours of oncall
oncall/b@example.com  2026-03-04 07:00 UTC (in 8h), held by quiet hours of oncall

resolved goes to oncall/a@example.com, oncall/b@example.com, unless it is over before they were told

";
    assert_eq!(test(&[&["--service", "checkout"], &night[..]].concat()), expected);
    let critical =
        test(&[&["--service", "checkout", "--severity", "critical"], &night[..]].concat());
    assert!(critical.contains("oncall/a@example.com  now\n"), "{critical}");
    let notice = test(&[&["--severity", "notice"], &noon[..]].concat());
    assert!(notice.contains("3      chat    no: a notice is told in the digest"), "{notice}");
    assert!(notice.contains("nobody gets it\n"), "{notice}");
    let owned = test(&[&["--owner", "money", "--format", "json"], &noon[..]].concat());
    let owned: Value = serde_json::from_str(&owned).unwrap();
    assert_eq!(owned["routes"][2]["why"][0], "another route matches");
    assert_eq!((&owned["service"], &owned["resolved"][0]), (&"invoices".into(), &"chat".into()));
    let work = test(&["--service", "payments", "--at", "2026-03-02T12:30:00Z"]);
    assert!(work.contains("14:15 UTC (in 1h45m), held by maintenance backup"), "{work}");
    refused(&said(&home, &["routes", "test", "--owner", "monney"]), "did you mean `money`?");
}

#[test]
fn routes_test_reads_incidents_silences_and_files() {
    let home = home();
    let json = include_str!("data/messages/firing.json");
    let file = home.path("alerts.json");
    std::fs::write(&file, format!("{json}\n{json}")).unwrap();
    let file = file.to_str().unwrap();
    let answers = done(&said(&home, &["routes", "test", file, "--format", "json"]));
    assert_eq!(answers.lines().count(), 2);
    let answer: Value = serde_json::from_str(answers.lines().next().unwrap()).unwrap();
    assert_eq!(answer["cause"], "slow-dependency");
    assert_eq!(answer["deliveries"][0]["held_by"], "quiet hours of oncall");
    refused(&said(&home, &["routes", "test", "grayflag.toml.none"]), "cannot read alerts from");
    refused(&said(&home, &["routes", "test", "--incident", "x"]), "there is no state file");

    let alert: Alert = serde_json::from_str(json).unwrap();
    let chat = Dispatch { receiver: "chat".to_owned(), alert: 0, hold: None };
    let tick = Tick {
        last_tick: alert.at,
        snapshot: None,
        alerts: std::slice::from_ref(&alert),
        charts: &[],
        deliveries: &[chat],
    };
    home.store().commit(&tick).unwrap();
    let all = ["silence", "add", "--all", "--for", "1d", "--comment", "x"];
    done(&said(&home, &all));
    let id = alert.incident.as_str();
    let answer = done(&said(&home, &["routes", "test", "--incident", id, "--format", "json"]));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["deliveries"][0]["held_by"], "silence 1");
    let resolved = answer["resolved"].as_array().unwrap();
    assert!(resolved.contains(&"chat".into()), "who was told already: {answer}");
    refused(&said(&home, &["routes", "test", "--incident", "3f9c1d0be27a4c56"]), "did you mean");
}
