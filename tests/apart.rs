//! One peer apart from the rest: told by name, while the typical peer is as always; and silence
//! where peers only come, go and restart.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/shared_archive.rs"]
mod shared_archive;

use std::sync::Arc;

use grayflag::engine::alert::{Alert, State};
use grayflag::engine::outcome::Silence;
use grayflag::engine::{Engine, Settings, snapshot};
use grayflag::rules::{Budget, MinEffect, Role, Rules, Signal};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use shared_archive::Shared;

const BLOCK: Span = Span::from_mins(5);
const HISTORY: Span = Span::from_hours(24 * 21);
/// Names of the instances that a fleet can have.
const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

fn signal(name: &str, role: Role, peer: Option<&str>) -> Signal {
    Signal {
        peer: peer.map(str::to_owned),
        min_effect: MinEffect { relative: 0.10, absolute: 0.0 },
        ..Signal::plain(name, role)
    }
}

/// What must be told is far beyond chance, and what must stay silent is not to be chance: one
/// notice in ten weeks.
const RARELY: Budget = Budget { alerts_per_week: 0.03, notices_per_week: 0.1 };

fn rules() -> Arc<Rules> {
    rules_at(RARELY)
}

fn rules_at(budget: Budget) -> Arc<Rules> {
    let instance = Some("instance");
    let signals = vec![
        signal("p99", Role::Latency, instance),
        signal("cpu", Role::Cpu, instance),
        signal("hits", Role::CacheHit, instance),
        signal("traffic", Role::Traffic, None),
    ];
    Arc::new(Rules { signals, budget, ..Rules::default() })
}

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> Timestamp {
    start() + Span::from_hours(hours)
}

fn settings() -> Settings {
    Settings {
        interval: BLOCK,
        history: HISTORY,
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    }
}

fn engine() -> Engine {
    Engine::new(rules(), settings())
}

/// Who answers, by instance and tick, and which version it says to run, by instance and block.
struct Scrapes<'a> {
    answers: &'a dyn Fn(usize, i64) -> bool,
    version: &'a dyn Fn(usize, i64) -> Option<&'static str>,
}

/// A service with a day's season, noise that all instances share and noise of their own.
struct Fleet {
    rng: ChaCha8Rng,
    noise: [[f64; 3]; NAMES.len() + 1],
}

impl Fleet {
    fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), noise: Default::default() }
    }

    /// `factor(instance, signal, block since start)` multiplies an instance's value; none: it is
    /// not there.
    fn batch(&mut self, block: i64, factor: impl Fn(usize, &str, i64) -> Option<f64>) -> Batch {
        for own in self.noise.iter_mut().flatten() {
            *own = 0.6 * *own + 0.8 * self.rng.sample::<f64, _>(StandardNormal);
        }
        let season = (block as f64 / 288.0 * std::f64::consts::TAU).sin();
        let mut batch = Batch { span: BLOCK, ..Batch::default() };
        let shared = self.noise[NAMES.len()];
        for (instance, name) in NAMES.iter().enumerate() {
            let own = self.noise[instance];
            for (i, signal) in ["p99", "cpu", "hits"].into_iter().enumerate() {
                let z = 0.05 * shared[i] + 0.06 * own[i];
                let usual = match signal {
                    "p99" => (-1.5 + 0.3 * season + z).exp(),
                    "cpu" => 0.4 * (0.2 * season + z).exp(),
                    _ => 1.0 - 0.1 * z.exp(),
                };
                if let Some(factor) = factor(instance, signal, block) {
                    let labels = Labels::from([("instance".to_owned(), (*name).to_owned())]);
                    let peer = Some((*name).to_owned());
                    let series = Arc::new(Series::new(signal, "shop", peer, None, labels));
                    batch.samples.push(Sample { series, value: usual * factor });
                }
            }
        }
        let series = Arc::new(Series::new("traffic", "shop", None, None, Labels::new()));
        batch.samples.push(Sample { series, value: 100.0 * (0.5 * season).exp() });
        batch
    }

    /// As [`Self::live`], five ticks per block.
    fn live_by_minutes(
        &mut self,
        engine: &mut Engine,
        (from, to): (i64, i64),
        factor: impl Fn(usize, &str, i64) -> Option<f64>,
        Scrapes { answers, version }: Scrapes<'_>,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for block in from..to {
            let whole = self.batch(block, &factor);
            for tick in 5 * block..5 * block + 5 {
                let mut batch = Batch { span: Span::MINUTE, ..whole.clone() };
                for (instance, name) in NAMES.iter().enumerate().take(4) {
                    let labels =
                        [("instance", *name), ("version", version(instance, block).unwrap_or(""))];
                    let labels: Labels =
                        labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into();
                    let peer = Some((*name).to_owned());
                    let series = Arc::new(Series::new("build", "shop", peer, None, labels));
                    if version(instance, block).is_some() {
                        batch.samples.push(Sample { series, value: 1.0 });
                    }
                }
                batch.samples.retain(|sample| {
                    let of = |name: &str| sample.series.peer.as_deref() == Some(name);
                    NAMES.iter().position(|name| of(name)).is_none_or(|i| answers(i, tick))
                });
                let at = start() + Span::MINUTE.times(tick);
                alerts.extend(engine.step(at, &batch).alerts);
            }
        }
        alerts
    }

    fn live(
        &mut self,
        engine: &mut Engine,
        (from, to): (Timestamp, Timestamp),
        factor: impl Fn(usize, &str, i64) -> Option<f64>,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let mut at = from;
        while at < to {
            let block = (at - start()).as_millis() / BLOCK.as_millis();
            alerts.extend(engine.step(at, &self.batch(block, &factor)).alerts);
            at = at + BLOCK;
        }
        alerts
    }
}

/// As many instances as that, all well.
fn first(n: usize) -> impl Fn(usize, &str, i64) -> Option<f64> {
    move |instance, _, _| (instance < n).then_some(1.0)
}

fn firing(alerts: &[Alert]) -> Vec<&Alert> {
    alerts.iter().filter(|alert| alert.state == State::Firing).collect()
}

fn said(alerts: &[Alert]) -> Vec<String> {
    let signal = |s: &grayflag::engine::alert::MovedSignal| {
        format!("{}{:?} {:?} for {:?} p {:.1e}", s.signal, s.labels, s.now, s.expected, s.p_value)
    };
    let moved = |a: &Alert| a.signals.iter().map(signal).collect::<Vec<_>>().join("; ");
    alerts.iter().map(|a| format!("{} {} {}: {}", a.at, a.state, a.severity, moved(a))).collect()
}

#[test]
fn one_of_four_instances_that_slows_is_told_by_name() {
    for seed in 1_001..1_004 {
        let (mut engine, mut fleet) = (engine(), Fleet::new(seed));
        let alerts = fleet.live(&mut engine, (start() - HISTORY, hours(10)), first(4));
        assert!(firing(&alerts).is_empty(), "{:#?}", said(&alerts));
        let alerts = fleet.live(&mut engine, (hours(10), hours(20)), |instance, signal, _| {
            let slow = instance == 2 && signal == "p99";
            (instance < 4).then_some(if slow { 1.3 } else { 1.0 })
        });
        let told = firing(&alerts);
        assert_eq!(told.len(), 1, "{:#?}", said(&alerts));
        assert!(told[0].at - hours(10) <= Span::from_hours(3), "{:#?}", said(&alerts));
        let strongest = &told[0].signals[0];
        assert_eq!(
            (strongest.signal.as_str(), strongest.labels["instance"].as_str()),
            ("p99", "c")
        );
        let ratio = strongest.now.unwrap() / strongest.expected.unwrap();
        assert!((1.1..1.6).contains(&ratio), "{ratio}");
        let typical = told[0].signals.iter().filter(|s| s.labels.is_empty());
        assert_eq!(typical.count(), 0, "the typical instance is well: {:#?}", said(&alerts));
        // `--scores` has a row per series that was measured, and no other.
        assert_eq!(engine.scores().len(), 4);
    }
}

#[test]
fn scrapes_that_fail_now_and_then_hide_nobody() {
    let settings = Settings { interval: Span::MINUTE, ..settings() };
    let (mut engine, mut fleet) = (Engine::new(rules(), settings), Fleet::new(1_004));
    fleet.live(&mut engine, (start() - HISTORY, hours(0)), first(4));
    // In every other block somebody misses one tick of five.
    let answers = |instance: usize, tick: i64| tick % 40 != 10 * i64::try_from(instance).unwrap();
    let alerts = fleet.live_by_minutes(
        &mut engine,
        (0, 18 * 12),
        |instance, signal, block| {
            let slow = instance == 2 && signal == "p99" && 8 * 12 <= block;
            (instance < 4).then_some(if slow { 1.3 } else { 1.0 })
        },
        Scrapes { answers: &answers, version: &|_, _| None },
    );
    let told = firing(&alerts);
    assert_eq!(told.len(), 1, "{:#?}", said(&alerts));
    assert!(hours(8) < told[0].at && told[0].at <= hours(11), "{:#?}", said(&alerts));
    assert_eq!(told[0].signals[0].labels["instance"], "c");
}

#[test]
fn a_new_version_is_given_its_hour() {
    let settings = Settings { interval: Span::MINUTE, ..settings() };
    let mut rules = Rules::clone(&rules());
    let build = signal("build", Role::Version, Some("instance"));
    rules.signals.push(Signal { split: vec!["version".to_owned()], ..build });
    let told = |told_of: &dyn Fn(usize, i64) -> &'static str| {
        let mut engine = Engine::new(Arc::new(rules.clone()), settings.clone());
        let mut fleet = Fleet::new(1_005);
        fleet.live(&mut engine, (start() - HISTORY, hours(0)), first(4));
        // One after the other is started anew within a minute, and slow for half an hour.
        let since =
            |instance: usize, block: i64| block - 96 - 12 * i64::try_from(instance).unwrap();
        let alerts = fleet.live_by_minutes(
            &mut engine,
            (0, 14 * 12),
            |instance, signal, block| {
                let cold = (0..6).contains(&since(instance, block)) && signal != "hits";
                (instance < 4).then_some(if cold { 2.5 } else { 1.0 })
            },
            Scrapes {
                answers: &|instance, tick| {
                    since(instance, tick.div_euclid(5)) != 0 || tick % 5 != 0
                },
                version: &|instance, block| Some(told_of(instance, since(instance, block))),
            },
        );
        firing(&alerts).len()
    };
    assert_eq!(told(&|_, since| if since < 0 { "v1" } else { "v2" }), 0);
    assert!(told(&|_, _| "v1") > 0, "where nobody says that it began anew, it is news");
}

#[test]
fn a_peer_with_a_cold_cache_is_apart_downwards() {
    let (mut engine, mut fleet) = (engine(), Fleet::new(1_010));
    fleet.live(&mut engine, (start() - HISTORY, hours(5)), first(3));
    let alerts = fleet.live(&mut engine, (hours(5), hours(12)), |instance, signal, _| {
        let cold = instance == 0 && signal == "hits";
        (instance < 3).then_some(if cold { 0.85 } else { 1.0 })
    });
    let told = firing(&alerts);
    assert_eq!(told.len(), 1, "{:#?}", said(&alerts));
    let strongest = &told[0].signals[0];
    assert_eq!(
        (strongest.direction.as_str(), strongest.labels["instance"].as_str()),
        ("down", "a")
    );
}

#[test]
fn a_rolling_restart_and_more_instances_are_no_news() {
    for seed in 1_020..1_023 {
        let (mut engine, mut fleet) = (engine(), Fleet::new(seed));
        let mut alerts = fleet.live(&mut engine, (start() - HISTORY, hours(6)), first(4));
        // Each is away for ten minutes, one after the other, and slow for half an hour after.
        alerts.extend(fleet.live(&mut engine, (hours(6), hours(12)), |instance, signal, block| {
            let since = block - 72 - 12 * i64::try_from(instance).unwrap();
            let cold = (2..8).contains(&since) && signal != "hits";
            let here = instance < 4 && !(0..2).contains(&since);
            here.then_some(if cold { 1.5 } else { 1.0 })
        }));
        // From three instances to nine, and down to three again, for a day.
        alerts.extend(fleet.live(&mut engine, (hours(12), hours(18)), first(3)));
        alerts.extend(fleet.live(&mut engine, (hours(18), hours(30)), first(9)));
        alerts.extend(fleet.live(&mut engine, (hours(30), hours(42)), first(3)));
        assert!(firing(&alerts).is_empty(), "seed {seed}: {:#?}", said(&alerts));
    }
}

#[test]
fn of_two_nobody_can_say_which_is_apart() {
    let (mut engine, mut fleet) = (engine(), Fleet::new(1_030));
    fleet.live(&mut engine, (start() - HISTORY, hours(5)), first(2));
    let alerts = fleet.live(&mut engine, (hours(5), hours(23)), |instance, _, _| {
        (instance < 2).then_some(if instance == 0 { 1.1 } else { 1.0 })
    });
    let apart = alerts.iter().flat_map(|a| &a.signals).filter(|s| !s.labels.is_empty());
    assert_eq!(apart.count(), 0, "{:#?}", said(&alerts));
    let mut reasons = Vec::new();
    for block in 23 * 12..25 * 12 {
        let batch = fleet.batch(block, first(2));
        let outcome = engine.step(start() + BLOCK.times(block), &batch);
        reasons.extend(outcome.report.silences);
    }
    let told: Vec<&str> = reasons
        .iter()
        .filter(|(_, reason)| *reason == Silence::TooFewPeers { have: 2 })
        .map(|(series, _)| series.as_str())
        .collect();
    assert_eq!(told, ["p99 of shop", "hits of shop", "cpu of shop"], "once a day");
}

#[test]
fn ordinary_weeks_of_many_instances_stay_within_the_budget() {
    let weeks = 3;
    let mut told = 0;
    for seed in 1_040..1_044 {
        let mut engine = Engine::new(rules_at(Budget::default()), settings());
        let mut fleet = Fleet::new(seed);
        let span = (start() - HISTORY, start() + Span::WEEK.times(weeks));
        told += firing(&fleet.live(&mut engine, span, first(5))).len();
    }
    println!("{told} incidents in {} service-weeks", 4 * weeks);
    // Twelve are accepted; two standard deviations of chance more.
    assert!(told <= 19, "{told} incidents, 12 accepted");
}

#[test]
fn distances_survive_a_restart_of_the_program() {
    let shared = Shared::default();
    let mut whole = Engine::with_archive(rules(), settings(), Box::new(shared.clone()));
    let mut fleet = Fleet::new(1_050);
    fleet.live(&mut whole, (start() - HISTORY, hours(3)), first(4));
    let bytes = whole.snapshot().unwrap();
    let mut restored =
        Engine::restore(rules(), settings(), snapshot::VERSION, &bytes, Box::new(shared)).unwrap();
    for block in 36..144 {
        let batch = fleet.batch(block, |instance, _, _| {
            (instance < 4).then_some(if instance == 1 { 1.4 } else { 1.0 })
        });
        let at = start() + BLOCK.times(block);
        assert_eq!(whole.step(at, &batch), restored.step(at, &batch), "at {at}");
    }
    assert!(!whole.incidents().is_empty(), "somebody is apart");
    assert_eq!(whole.snapshot().unwrap(), restored.snapshot().unwrap());
}
