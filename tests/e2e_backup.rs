//! The backup that docs/operations.md tells to make, of a running daemon, and going on from it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::process::Command;
use std::time::Duration;

use common::Prometheus;
use e2e::{Home, World, fault, repository};
use grayflag::lab::Fault;
use grayflag::time::{Span, Timestamp};

const SOON: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_daemon_goes_on_where_it_was_made() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let to = from + Span::from_hours(14);
    let slow = fault(Fault::SlowDependency, from + Span::from_hours(1), 6);
    let world = World::simulate(from, to, vec![slow]);
    let backend = Prometheus::start_with_openmetrics(&world.openmetrics).await;
    let home = Home::new(&backend.url, "5m", "");
    let expected = home.replay(from, to).await;
    assert!(expected.len() > 2, "{expected:#?}");

    // The documented command, with this test's paths.
    let text = repository("docs/operations.md");
    let command = text.lines().find(|line| line.contains("VACUUM INTO")).unwrap();
    let command = command.trim_start_matches("$ ").trim_start_matches("sudo -u grayflag ");
    let state = home.path("state.db").display().to_string();
    let backup = home.path("backup.db").display().to_string();
    let command = command
        .replace("/var/lib/grayflag/grayflag.db", &state)
        .replace("/var/lib/grayflag/backup.db", &backup);
    assert!(command.contains(&state) && command.contains(&backup), "{command}");

    let rehearse = from.to_string();
    let mut daemon = home.run(&["--rehearse", &rehearse]);
    daemon.until(SOON, |_| home.last_tick().is_some()).await;
    let made = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(made.status.success(), "{command}: {}", String::from_utf8_lossy(&made.stderr));
    daemon.kill();

    // The disk is lost: only the backup and the configuration are left.
    for file in ["state.db", "state.db-wal", "state.db-shm", "state.db-lock"] {
        let _ = std::fs::remove_file(home.path(file));
    }
    std::fs::rename(&backup, &state).unwrap();
    let went_on = home.last_tick().unwrap();
    let mut daemon = home.run(&["--rehearse", &rehearse, "--to", &to.to_string()]);
    assert_eq!(daemon.ended(SOON).await.code(), Some(0), "{}", daemon.log());
    assert_eq!(home.alerts(), expected, "from {went_on}");
    assert_eq!(home.store().resume().unwrap().unwrap().last_tick, to);
    let learned = daemon.log().matches("learning from history").count();
    let first = daemon.log().matches("learned; services").count();
    assert_eq!(first, 1, "what was learned is in the backup: {learned} {}", daemon.log());
}
