//! What a watched series costs in memory, counted at the allocator.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::alloc::System;
use std::sync::Arc;

use grayflag::engine::grid::BLOCK;
use grayflag::engine::{Engine, Settings};
use grayflag::rules::{Role, Rules, Signal};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::store::Store;
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The signals of a service: levels, shares and rare events.
const ROLES: [(&str, Role); 8] = [
    ("request-rate", Role::Traffic),
    ("latency-p99", Role::Latency),
    ("latency-p50", Role::LatencyTypical),
    ("error-ratio", Role::Errors),
    ("cpu-usage", Role::Cpu),
    ("memory-usage", Role::Memory),
    ("pool-wait", Role::PoolWait),
    ("retries", Role::Retries),
];

/// Bytes in memory and in a snapshot.
#[derive(Clone, Copy, Debug)]
struct Cost {
    memory: usize,
    snapshot: usize,
}

/// Bytes that are allocated now.
fn allocated() -> usize {
    let stats = COUNTED.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// What an engine holds that has learned four weeks of so many services of as many series as [`ROLES`].
fn cost(services: usize) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let from: Timestamp = "2026-02-02T00:00:00Z".parse().unwrap();
    let live = from + Span::WEEK.times(4);
    let signals = ROLES.map(signal).to_vec();
    let rules = Arc::new(Rules { signals, ..Rules::default() });
    let settings = Settings {
        interval: Span::MINUTE,
        history: Span::WEEK.times(4),
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: live,
        pages_url: None,
        source_url: None,
    };
    let bind = |(service, (signal, role)): (usize, (&str, Role))| {
        let name = format!("service-{service}");
        (Arc::new(Series::new(signal, &name, None, None, Labels::new())), role)
    };
    // A source binds its rows to series once; the engine shares them.
    let bound: Vec<(Arc<Series>, Role)> =
        (0..services).flat_map(|service| ROLES.map(|role| (service, role))).map(bind).collect();
    let before = allocated();
    // SQLite allocates from C, which is not counted: what remains is the engine's.
    let archive = Box::new(store.archive().unwrap());
    let mut engine = Engine::with_archive(rules.clone(), settings, archive);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut at = from;
    while at < live + Span::from_mins(124) {
        let span = if at < live { BLOCK } else { Span::MINUTE };
        let mut batch = Batch { span, ..Batch::default() };
        for (series, role) in &bound {
            let day = (at.as_secs_f64() / 86_400.0 * std::f64::consts::TAU).sin();
            let noise: f64 = random.sample(StandardNormal);
            let value = match role {
                Role::Errors | Role::Retries => (noise - 1.0).max(0.0),
                _ => (1.0 + 0.5 * day + 0.1 * noise).exp(),
            };
            batch.samples.push(Sample { series: series.clone(), value });
        }
        let _ = engine.step(at, &batch);
        at = at + span;
    }
    assert!(engine.archive_problem().is_none());
    assert_eq!(engine.census(), (ROLES.len() * services, services, services));
    let memory = allocated() - before;
    let snapshot = engine.snapshot().unwrap().len();
    Cost { memory, snapshot }
}

fn signal((name, role): (&str, Role)) -> Signal {
    Signal::plain(name, role)
}

/// Four bytes a block would be 32 KB; a hundred thousand series would need 3 GB.
const BYTES_MAX: usize = 2048;

#[test]
fn a_series_with_weeks_of_history_takes_less_than_two_kilobytes() {
    let (few, more) = (cost(2), cost(8));
    let series = 6 * ROLES.len();
    let memory = (more.memory - few.memory) / series;
    let snapshot = (more.snapshot - few.snapshot) / series;
    assert!(memory < BYTES_MAX, "{memory} bytes in memory per series");
    assert!(snapshot < BYTES_MAX, "{snapshot} bytes in a snapshot per series");
}
