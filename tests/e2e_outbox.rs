//! `grayflag outbox` beside a daemon that runs: what was given up is seen, sent anew, dropped.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::process::Command;
use std::time::Duration;

use e2e::{Home, Hooks};
use grayflag::engine::alert::{Alert, State};
use grayflag::store::{Dispatch, Hold, Store, Tick};
use grayflag::time::{Span, Timestamp};

/// A port of the loopback interface that nothing listens on.
const NOBODY: &str = "http://127.0.0.1:1";

fn alert(incident: &str) -> Alert {
    let text = include_str!("data/messages/firing.json");
    let alert: Alert = serde_json::from_str(text).unwrap();
    // Over, or the daemon would close them: nothing that it can go on from holds them open.
    Alert { incident: incident.to_owned(), state: State::Resolved, ..alert }
}

fn put(store: &mut Store, incident: &str, receiver: &str, hold: Option<Hold>) -> String {
    let alert = alert(incident);
    let tick = Tick {
        last_tick: alert.at,
        snapshot: None,
        alerts: std::slice::from_ref(&alert),
        charts: &[],
        deliveries: &[Dispatch { receiver: receiver.to_owned(), alert: 0, hold }],
    };
    store.commit(&tick).unwrap();
    format!("{}/{receiver}", alert.id())
}

/// Status and what was said: on standard output, or where it failed on standard error.
fn outbox(home: &Home, args: &[&str]) -> (i32, String) {
    let output = home.command("outbox").args(args).output().unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn what_was_given_up_is_listed_retried_and_dropped_beside_a_daemon() {
    let hooks = Hooks::start().await;
    let home = Home::new(NOBODY, "1m", &hooks.config());
    let mut store = home.store();
    let now = grayflag::clock::now();
    assert_eq!(outbox(&home, &[]), (0, "everything has arrived\n".to_owned()));
    let dead = put(&mut store, "one", "hook", None);
    store.mark_dead(&dead, now, "status 404 \u{1b}[2J").unwrap();
    let gone = put(&mut store, "two", "gone", None);
    store.mark_dead(&gone, now, "given up: the receiver is no longer configured").unwrap();
    let hold = Hold::new(now + Span::from_hours(9), "silence 3");
    let held = put(&mut store, "three", "hook", Some(hold));
    drop(store);

    let (_, table) = outbox(&home, &[]);
    assert!(table.starts_with("STATE  AGE"), "{table}");
    for part in ["status 404", "silence 3", &dead, &gone, &held] {
        assert!(table.contains(part), "no {part} in {table}");
    }
    assert!(!table.contains('\u{1b}'));
    let (_, json) = outbox(&home, &["--state", "held", "--format", "json"]);
    let row: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&row["state"], &row["incident"]), (&"held".into(), &"three".into()));
    let until: Timestamp = row["next_attempt_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(until, now + Span::from_hours(9));

    for (args, part) in [
        (&["retry", "--all"][..], "the receiver `gone` is not configured"),
        (&["retry", &gone], "drop the message"),
        (&["retry", "one/firing"], "hint: "),
        (&["retry", "--all", "--receiver", "hok"], "no receiver is called `hok`"),
        (&["--state", "dead", "drop", "--all"], "--all --receiver NAME"),
        (&["retry"], "required"),
    ] {
        let (status, said) = outbox(&home, args);
        assert_eq!(status, 2, "{said}");
        assert!(said.contains(part), "no {part:?} in {said}");
    }

    let mut daemon = home.run(&[]);
    daemon.until(Duration::from_secs(30), |log| log.contains("starting")).await;
    let (status, said) = outbox(&home, &["retry", &dead]);
    assert_eq!((status, said.lines().count()), (0, 1), "{said}");
    assert!(said.starts_with("1 message on the way again"), "{said}");
    assert_eq!(outbox(&home, &["drop", "--all"]), (0, "1 message dropped\n".to_owned()));
    let (status, _) = outbox(&home, &["retry", &held]);
    assert_eq!(status, 0, "it goes out early");
    daemon.until(Duration::from_secs(60), |_| hooks.taken().len() == 2).await;
    let (_, done) = outbox(&home, &["--state", "done"]);
    assert!(done.contains(&dead) && done.contains(&held), "{done}");
    daemon.kill();
}

#[test]
fn the_help_says_what_can_be_done() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_grayflag")).args(["outbox", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for part in ["retry", "drop", "superseded", "--receiver", "--format", "Examples:"] {
        assert!(help.contains(part), "no {part} in {help}");
    }
}
