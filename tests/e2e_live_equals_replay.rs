//! What a live run tells is what a replay of the same past tells, byte for byte.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::time::Duration;

use common::{Installed, Prometheus, Server, VictoriaMetrics};
use e2e::{Home, Hooks, World, fault};
use grayflag::lab::Fault;
use grayflag::time::{Span, Timestamp};

/// Two incidents of different kinds and their ends.
fn world() -> (World, Timestamp, Timestamp) {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let to = from + Span::from_hours(24);
    let slow = fault(Fault::SlowDependency, from + Span::from_hours(1), 6);
    let deploy = fault(Fault::BadDeploy, from + Span::from_hours(16), 4);
    (World::simulate(from, to, vec![slow, deploy]), from, to)
}

/// Rehearses the past with every alert going to a server, and replays it.
async fn compare(backend: &Server, interval: &str, (from, to): (Timestamp, Timestamp)) {
    let hooks = Hooks::start().await;
    let home = Home::new(&backend.url, interval, &hooks.config());
    let args = ["--rehearse", &from.to_string(), "--to", &to.to_string()];
    let mut daemon = home.run(&args);
    let ended = daemon.ended(Duration::from_secs(120)).await;
    assert_eq!(ended.code(), Some(0), "{}", daemon.log());
    let replayed = home.replay(from, to).await;
    let states: Vec<serde_json::Value> =
        replayed.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(states.iter().any(|alert| alert["state"] == "firing"), "nothing to compare");
    assert_eq!(hooks.bodies(), replayed);
    assert_eq!(home.alerts(), replayed);
    assert_eq!(home.store().resume().unwrap().unwrap().last_tick, to);
}

#[tokio::test]
async fn live_equals_replay() {
    let (world, from, to) = world();
    let prometheus = Prometheus::start_with_openmetrics(&world.openmetrics).await;
    compare(&prometheus, "5m", (from, to)).await;
    // Off the grid of blocks, with polls that are shorter than one: two hours of the deploy.
    let deploy = from + Span::from_hours(16);
    let off_grid = (deploy - Span::from_mins(8), deploy + Span::from_mins(112));
    compare(&prometheus, "1m", off_grid).await;
    scores_repeat(&prometheus, from, to).await;
    one_line_is_enough(&prometheus, from, to);
    drop(prometheus);
    let victoria_metrics =
        VictoriaMetrics::start_with(&Installed::all()[0], &world.prometheus_text()).await;
    compare(&victoria_metrics, "5m", (from, to)).await;
}

/// Two replays write the same scores, one line per tick and series.
async fn scores_repeat(backend: &Server, from: Timestamp, to: Timestamp) {
    let home = Home::new(&backend.url, "5m", "");
    let (from, to) = (from.to_string(), to.to_string());
    let mut written = Vec::new();
    for name in ["first.csv", "second.csv"] {
        let mut command = home.command("replay");
        command.args(["--from", &from, "--to", &to, "--scores"]).arg(home.path(name));
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        written.push(std::fs::read_to_string(home.path(name)).unwrap());
    }
    let mut lines = written[0].lines();
    let header = "at,service,signal,labels,value,expected,residual,score";
    assert_eq!(lines.next(), Some(header));
    let last: Vec<&str> = lines.clone().next_back().unwrap().split(',').collect();
    assert_eq!(last[0], to);
    let score: f64 = last.last().unwrap().parse().unwrap();
    assert!((0.0..=1.0).contains(&score), "{score}");
    assert!(lines.count() > 10_000);
    assert!(written[0] == written[1], "two replays of the same past differ");
}

/// A reader that leaves after the first alert ends the replay without a complaint.
fn one_line_is_enough(backend: &Server, from: Timestamp, to: Timestamp) {
    let home = Home::new(&backend.url, "5m", "");
    let (program, config) = (env!("CARGO_BIN_EXE_grayflag"), home.config());
    let line = format!(
        "'{program}' replay --config '{}' --format jsonl --from {from} --to {to} | head -1; \
         echo ${{PIPESTATUS[0]}} >&2",
        config.display()
    );
    let ran = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), "0\n");
    assert_eq!(String::from_utf8(ran.stdout).unwrap().lines().count(), 1);
}
