//! The engine as a whole, fed by hand: what it tells, what it does not, and that it always tells
//! the same.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/shared_archive.rs"]
mod shared_archive;

use std::collections::BTreeMap;
use std::sync::Arc;

use grayflag::engine::alert::{Alert, State};
use grayflag::engine::outcome::Outcome;
use grayflag::engine::{Engine, Settings, snapshot};
use grayflag::rules::{Role, Rules, Signal};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use shared_archive::Shared;

const WEEKS: i64 = 3;

fn rules() -> Arc<Rules> {
    let signals = vec![
        Signal::plain("traffic", Role::Traffic),
        Signal::plain("p99", Role::Latency),
        Signal::plain("cpu", Role::Cpu),
        Signal::plain("wait", Role::PoolWait),
    ];
    Arc::new(Rules { signals, ..Rules::default() })
}

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    Settings {
        interval: Span::from_mins(5),
        history: Span::WEEK.times(WEEKS),
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    }
}

/// Two services with daily seasons and autocorrelated noise; `drift` adds standard deviations
/// per hour to the second one's p99 and wait from `start` on.
struct Fleet {
    rng: ChaCha8Rng,
    noise: BTreeMap<(usize, usize), f64>,
    series: Vec<Vec<Arc<Series>>>,
    drift: f64,
}

impl Fleet {
    fn new(seed: u64, drift: f64) -> Self {
        let one = |signal: &Signal, service: &str| {
            Arc::new(Series::new(&signal.name, service, None, None, Labels::new()))
        };
        let series = ["web", "shop"]
            .map(|service| rules().signals.iter().map(|s| one(s, service)).collect())
            .to_vec();
        Self { rng: ChaCha8Rng::seed_from_u64(seed), noise: BTreeMap::new(), series, drift }
    }

    fn batch(&mut self, at: Timestamp) -> Batch {
        let mut batch = Batch { span: Span::from_mins(5), ..Batch::default() };
        let day = at.as_secs_f64() / 86_400.0 * std::f64::consts::TAU;
        for service in 0..2 {
            for signal in 0..4 {
                let shock: f64 = self.rng.sample(StandardNormal);
                let noise = self.noise.entry((service, signal)).or_default();
                *noise = 0.6 * *noise + 0.8 * shock;
                let hours = (at - start()).as_hours_f64().max(0.0);
                let moved = service == 1 && (signal == 1 || signal == 3);
                let z = *noise + if moved { self.drift * hours } else { 0.0 };
                let value = match signal {
                    0 => (4.0 + 0.5 * day.sin() + 0.08 * z).exp(),
                    2 => 0.4 + 0.1 * day.sin() + 0.02 * z,
                    _ => (-1.5 + 0.3 * day.sin() + 0.08 * z).exp(),
                };
                let series = self.series[service][signal].clone();
                batch.samples.push(Sample { series, value });
            }
        }
        batch
    }
}

fn ticks(from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> {
    let step = Span::from_mins(5);
    std::iter::successors(Some(from), move |&at| Some(at + step)).take_while(move |&at| at < to)
}

fn run(engine: &mut Engine, fleet: &mut Fleet, from: Timestamp, to: Timestamp) -> Vec<Alert> {
    ticks(from, to).flat_map(|at| engine.step(at, &fleet.batch(at)).alerts).collect()
}

#[test]
fn a_slow_drift_is_told_once_with_its_onset_and_service() {
    let mut engine = Engine::new(rules(), settings());
    let mut fleet = Fleet::new(1, 0.3);
    let alerts = run(
        &mut engine,
        &mut fleet,
        start() - Span::WEEK.times(WEEKS),
        start() + Span::from_hours(36),
    );
    let firing: Vec<&Alert> = alerts.iter().filter(|a| a.state == State::Firing).collect();
    assert_eq!(
        firing.len(),
        1,
        "{:#?}",
        alerts.iter().map(|a| (a.at, a.state)).collect::<Vec<_>>()
    );
    let first = firing[0];
    assert_eq!(first.service, "shop");
    assert!(first.at - start() < Span::from_hours(10), "{}", first.at);
    assert!((first.started_at - start()).as_hours_f64().abs() < 6.0, "{}", first.started_at);
    assert!(first.signals.iter().all(|s| s.signal == "p99" || s.signal == "wait"));
    assert!(first.signals.iter().all(|s| s.now > s.expected));
}

#[test]
fn ordinary_weeks_stay_within_the_budget() {
    let weeks = 4;
    let mut firing = 0;
    for seed in 100..103 {
        let mut engine = Engine::new(rules(), settings());
        let mut fleet = Fleet::new(seed, 0.0);
        let to = start() + Span::WEEK.times(weeks);
        let alerts = run(&mut engine, &mut fleet, start() - Span::WEEK.times(WEEKS), to);
        firing += alerts.iter().filter(|a| a.state == State::Firing).count();
    }
    // Three fleets of two services, four weeks, one notice a service and week: 24 accepted, and
    // two standard deviations of chance more.
    assert!(firing <= 33, "{firing}");
}

#[test]
fn a_restored_engine_goes_on_as_if_it_had_never_stopped() {
    let middle = start() + Span::from_hours(5);
    let end = start() + Span::from_hours(30);
    let before = start() - Span::WEEK.times(WEEKS);
    let shared = Shared::default();
    let mut whole = Engine::with_archive(rules(), settings(), Box::new(shared.clone()));
    let mut fleet = Fleet::new(7, 0.4);
    run(&mut whole, &mut fleet, before, middle);
    let bytes = whole.snapshot().unwrap();
    let batches: Vec<(Timestamp, Batch)> =
        ticks(middle, end).map(|at| (at, fleet.batch(at))).collect();
    let outcomes: Vec<Outcome> = batches.iter().map(|(at, batch)| whole.step(*at, batch)).collect();
    // The process ended here; the next one finds what this one kept after its snapshot.
    let mut restored =
        Engine::restore(rules(), settings(), snapshot::VERSION, &bytes, Box::new(shared)).unwrap();
    for ((at, batch), outcome) in batches.iter().zip(&outcomes) {
        assert_eq!(*outcome, restored.step(*at, batch), "at {at}");
    }
    let told: Vec<&Alert> = outcomes.iter().flat_map(|outcome| &outcome.alerts).collect();
    assert!(!told.is_empty(), "the drift must be told in this stretch");
    assert_eq!(whole.snapshot().unwrap(), restored.snapshot().unwrap());
}

#[test]
fn the_order_of_samples_changes_nothing() {
    let (mut a, mut b) = (Engine::new(rules(), settings()), Engine::new(rules(), settings()));
    let mut fleet = Fleet::new(3, 0.5);
    let end = start() + Span::from_hours(20);
    for at in ticks(start() - Span::WEEK.times(WEEKS), end) {
        let batch = fleet.batch(at);
        let mut turned = batch.clone();
        turned.samples.reverse();
        assert_eq!(a.step(at, &batch), b.step(at, &turned));
    }
}

#[test]
fn a_tick_that_was_processed_is_not_processed_again() {
    let mut engine = Engine::new(rules(), settings());
    let mut fleet = Fleet::new(3, 0.0);
    let batch = fleet.batch(start());
    let _ = engine.step(start(), &batch);
    let again = engine.step(start(), &batch);
    assert_eq!(again.report.late_samples, 8);
    assert!(again.alerts.is_empty());
}

#[test]
fn a_service_that_falls_silent_is_told_and_never_resolved_by_silence() {
    let mut engine = Engine::new(rules(), settings());
    let mut fleet = Fleet::new(11, 0.0);
    run(&mut engine, &mut fleet, start() - Span::WEEK.times(WEEKS), start());
    let mut alerts = Vec::new();
    for at in ticks(start(), start() + Span::from_hours(8)) {
        let mut batch = fleet.batch(at);
        batch.samples.retain(|sample| sample.series.service != "shop");
        alerts.extend(engine.step(at, &batch).alerts);
    }
    let silent: Vec<&Alert> = alerts.iter().filter(|a| a.service == "shop").collect();
    assert_eq!(silent[0].state, State::Firing);
    assert!(silent[0].at - start() <= Span::from_mins(20), "{}", silent[0].at);
    assert!(silent[0].signals.iter().all(|s| s.direction == "silent"));
    assert!(silent.iter().all(|a| a.state != State::Resolved));
}

#[test]
fn every_series_has_a_score_from_the_first_live_tick() {
    let mut engine = Engine::new(rules(), settings());
    let mut fleet = Fleet::new(5, 0.0);
    run(&mut engine, &mut fleet, start() - Span::WEEK.times(WEEKS), start());
    let mut batch = fleet.batch(start());
    batch.span = Span::from_secs(30);
    let _ = engine.step(start(), &batch);
    let rows = engine.scores();
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|row| row.expected.is_some() && (0.0..=1.0).contains(&row.score)));
}
