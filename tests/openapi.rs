//! The API tried out by somebody who knows only its description: `schemathesis` makes requests of
//! it, good and bad ones, against a daemon that has learned weeks and told of an incident.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::process::Command;
use std::time::Duration;

use common::Prometheus;
use e2e::{Home, World, fault};
use grayflag::clock;
use grayflag::engine::alert::Alert;
use grayflag::lab::Fault;
use grayflag::time::{Span, Timestamp};

/// Requests for each endpoint that are made up beside those for the edges of every parameter.
const EXAMPLES: &str = "15";

/// The address that a daemon logs, once it is ready.
async fn address(daemon: &mut e2e::Daemon) -> String {
    // The first was that of the rehearsal.
    let address = daemon.address(1, Duration::from_secs(60)).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async {
        let ready = format!("http://{address}/-/ready");
        while !client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let caught_up = tokio::time::timeout(Duration::from_secs(120), ready).await.is_ok();
    assert!(caught_up, "{}", daemon.log());
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_sent_is_answered_in_a_way_that_is_not_described() {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let (onset, to) = (from + Span::HOUR, from + Span::from_hours(5));
    let world = World::simulate(from, to, vec![fault(Fault::SlowDependency, onset, 6)]);
    let by = clock::now().floor_to(Span::from_mins(5)) - to;
    let backend = Prometheus::start_with_openmetrics(&world.moved(by)).await;
    let home = Home::new(&backend.url, "5m", "");
    let [from, to] = [from + by, to + by].map(|at| at.to_string());
    let mut told = home.run(&["--rehearse", &from, "--to", &to]);
    assert_eq!(told.ended(Duration::from_secs(300)).await.code(), Some(0), "{}", told.log());
    let alert: Alert = serde_json::from_str(home.alerts().last().unwrap()).unwrap();
    // What is asked for is there: an incident, a service and a silence.
    let there = format!(
        "[parameters]\n\"path.id\" = {:?}\n\"path.name\" = {:?}\n\"path.number\" = 1\n",
        alert.incident, alert.service
    );
    std::fs::write(home.path("schemathesis.toml"), there).unwrap();
    // Going on from there, and staying.
    let mut daemon = home.run(&[]);
    let url = format!("http://{}", address(&mut daemon).await);

    let schemathesis = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/schemathesis");
    let mut command = Command::new(schemathesis);
    command.current_dir(home.path("")).args(["run", "--url", &url, "--no-color"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES]);
    // One worker: Python up to 3.11 fails at times where two threads parse source at once, as
    // hypothesis does (python/cpython#106905).
    command.args(["--seed", "7", "--generation-database", "none", "--workers", "1"]);
    command.args(["--checks", "not_a_server_error,status_code_conformance"]);
    command.args(["--checks", "content_type_conformance,response_schema_conformance"]);
    command.args(["--suppress-health-check", "all", "--continue-on-failure"]);
    let command = command.arg(format!("{url}/api/v1/openapi.json"));
    let done = command.output().unwrap_or_else(|problem| panic!("run tests/install.sh: {problem}"));
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("Tested: "), "{said}");
    let log = daemon.log();
    assert!(!log.contains(" ERROR "), "{log}");
}
