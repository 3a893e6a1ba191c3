//! The daemon and a backend that fails in every way that backends do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;
#[expect(dead_code, reason = "shared")]
#[path = "common/fault_proxy.rs"]
mod fault_proxy;

use std::fmt::Write as _;
use std::time::Duration;

use common::{Installed, Prometheus, VictoriaMetrics};
use e2e::{Daemon, Home, Hooks, World, fault};
use fault_proxy::{FaultProxy, Mode};
use grayflag::lab::Fault;
use grayflag::time::{Span, Timestamp};

/// How long a single thing may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// How often the log names a class of errors.
fn told(log: &str, class: &str) -> usize {
    let field = format!("class=\"{class}\"");
    log.lines()
        .filter(|line| line.contains("backend cannot be read") && line.contains(&field))
        .count()
}

fn back(log: &str) -> usize {
    log.lines().filter(|line| line.contains("backend is back")).count()
}

/// Lets the daemon come some ticks further.
async fn go_on(daemon: &mut Daemon, home: &Home) {
    let before = home.last_tick();
    daemon
        .until(SOON, |_| match (before, home.last_tick()) {
            (Some(before), Some(now)) => before + Span::from_mins(15) <= now,
            (before, now) => before != now,
        })
        .await;
}

/// Waits until the daemon has told of a failure, and a little longer, so that it has tried again.
async fn fails(daemon: &mut Daemon, class: &str) {
    let before = told(&daemon.log(), class);
    daemon.until(SOON, |log| before < told(log, class)).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(told(&daemon.log(), class), before + 1, "told once: {}", daemon.log());
}

#[tokio::test]
async fn a_backend_that_fails_delays_ticks_and_loses_none() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let to = from + Span::from_hours(20);
    let slow = fault(Fault::SlowDependency, from + Span::from_hours(1), 6);
    let world = World::simulate(from, to, vec![slow]);
    let prometheus = Prometheus::start_with_openmetrics(&world.openmetrics).await;
    let mut proxy = FaultProxy::start(&prometheus.url).await;
    let hooks = Hooks::start().await;
    let home = Home::new(&proxy.url(), "5m", &hooks.config());
    let args = ["--rehearse", &from.to_string(), "--to", &to.to_string()];

    // Away from the start.
    proxy.down().await;
    let mut daemon = home.run(&args);
    fails(&mut daemon, "connect").await;
    proxy.up().await;
    let mut outages = 1;
    go_on(&mut daemon, &home).await;
    for (mode, class) in [
        (Mode::Status(500), "unavailable"),
        (Mode::Status(429), "rate_limited"),
        (Mode::Page, "garbage"),
        (Mode::Half, "garbage"),
        (Mode::Endless, "too_large"),
    ] {
        proxy.set(mode);
        fails(&mut daemon, class).await;
        proxy.set(Mode::Good);
        outages += 1;
        daemon.until(SOON, |log| outages <= back(log)).await;
        go_on(&mut daemon, &home).await;
    }
    let memory = daemon.memory_max();
    assert!(memory < 400 << 20, "{} MiB", memory >> 20);

    // One that hangs does not hold up the end.
    proxy.set(Mode::Hang);
    fails(&mut daemon, "timeout").await;
    daemon.terminate();
    assert_eq!(daemon.ended(Duration::from_secs(10)).await.code(), Some(0), "{}", daemon.log());
    proxy.set(Mode::Good);
    let mut daemon = home.run(&args);
    assert_eq!(daemon.ended(Duration::from_secs(120)).await.code(), Some(0), "{}", daemon.log());

    let expected = home.replay(from, to).await;
    assert!(expected.len() > 2, "{expected:#?}");
    assert_eq!(hooks.bodies(), expected);
    assert_eq!(home.alerts(), expected);
    assert_eq!(home.store().resume().unwrap().unwrap().last_tick, to);
}

#[tokio::test]
async fn a_hundred_thousand_series_of_one_signal_are_polled() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let to = from + Span::from_mins(10);
    let mut text = String::new();
    for series in 0..100_000 {
        let service = series % 50;
        for minute in [0, 5, 10] {
            let at = (from + Span::from_mins(minute)).as_millis();
            let labels = format!("service=\"s{service}\",pod=\"pod-{series}\"");
            writeln!(text, "big_latency{{{labels}}} 0.{series:05}1 {at}").unwrap();
        }
    }
    let backend = VictoriaMetrics::start_with(&Installed::all()[0], &text).await;
    let home = Home::new(&backend.url, "5m", "");
    let rules = "[[signal]]\nname = \"big\"\nrole = \"latency\"\nquery = \"big_latency\"\n\
                 service = \"service\"\nsplit = [\"pod\"]\n\n\
                 [[signal]]\nname = \"refused\"\nrole = \"errors\"\n\
                 query = \"big_latency / on(service) big_latency\"\nservice = \"service\"\n";
    std::fs::write(home.path("big.toml"), rules).unwrap();
    let config = std::fs::read_to_string(home.config()).unwrap();
    let lines: Vec<&str> = config
        .lines()
        .map(|line| match line.split(' ').next() {
            Some("paths") => "paths = [\"big.toml\"]",
            // A loaded machine takes seconds for each of these answers.
            Some("timeout") => "timeout = \"30s\"",
            _ => line,
        })
        .collect();
    std::fs::write(home.config(), lines.join("\n")).unwrap();

    let mut daemon = home.run(&["--rehearse", &from.to_string()]);
    daemon.until(SOON * 2, |_| home.last_tick().is_some_and(|tick| to <= tick)).await;
    let memory = daemon.memory_max();
    assert!(memory < 800 << 20, "{} MiB", memory >> 20);
    let log = daemon.log();
    let unanswered = log.lines().filter(|line| line.contains("signal has no answer"));
    let told: Vec<&str> = unanswered.filter(|line| line.contains("signal=\"refused\"")).collect();
    assert_eq!(told.len(), 1, "told once, with a reason: {log}");
    daemon.terminate();
    assert_eq!(daemon.ended(Duration::from_secs(10)).await.code(), Some(0), "{}", daemon.log());
}
