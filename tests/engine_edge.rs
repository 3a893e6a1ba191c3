//! Data as it should not be, but is: the engine must neither lie nor fall over.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::engine::baseline::Residual;
use grayflag::engine::detect::drift::{Direction, Drift};
use grayflag::engine::history::History;
use grayflag::engine::service::Service;
use grayflag::engine::transform::Transform;
use grayflag::engine::{Engine, Settings};
use grayflag::rules::{Budget, MinEffect, Role, Rules, Scale, Signal};
use grayflag::series::{Batch, Change, ChangeKind, Labels, Sample, Series};
use grayflag::stats::hours::Hours;
use grayflag::stats::profile::mask_incidents;
use grayflag::time::{Span, Timestamp};

const BLOCK: Span = Span::from_mins(5);
const HISTORY: Span = Span::from_hours(24 * 14);

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn settings(zone: &str) -> Settings {
    Settings {
        interval: BLOCK,
        history: HISTORY,
        timezone: jiff::tz::TimeZone::get(zone).unwrap(),
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    }
}

fn engine(signals: &[Signal]) -> Engine {
    let rules = Rules { signals: signals.to_vec(), ..Rules::default() };
    Engine::new(Arc::new(rules), settings("UTC"))
}

/// Numbers around zero that look like noise and are the same on every run: about unit normal.
fn noise(block: i64, series: i64) -> f64 {
    let mut x = (block * 31 + series).unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut sum = 0.0;
    for _ in 0..4 {
        x ^= x >> 30;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 27;
        sum += (x >> 40) as f64 / f64::from(1_u32 << 24);
    }
    (sum - 2.0) * 1.75
}

/// Feeds one service, `shop`, from `from` to `to`: `value(signal, block since start)` is each
/// series' value, none a gap. Returns what was told.
fn feed(
    engine: &mut Engine,
    from: Timestamp,
    to: Timestamp,
    value: impl Fn(&str, i64) -> Option<f64>,
) -> Vec<Alert> {
    let series: Vec<Arc<Series>> = engine
        .rules()
        .signals
        .iter()
        .map(|signal| Arc::new(Series::new(&signal.name, "shop", None, None, Labels::new())))
        .collect();
    let mut alerts = Vec::new();
    let mut at = from;
    while at < to {
        let block = (at - start()).as_millis() / BLOCK.as_millis();
        let mut batch = Batch { span: BLOCK, ..Batch::default() };
        for series in &series {
            if let Some(value) = value(&series.signal, block) {
                batch.samples.push(Sample { series: series.clone(), value });
            }
        }
        alerts.extend(engine.step(at, &batch).alerts);
        at = at + BLOCK;
    }
    alerts
}

fn hours(hours: i64) -> Timestamp {
    start() + Span::from_hours(hours)
}

/// Latency-like values, `sigmas` above the usual.
fn log_normal(block: i64, series: i64, sigmas: f64) -> f64 {
    (-1.5 + 0.08 * (noise(block, series) + sigmas)).exp()
}

fn states(alerts: &[Alert]) -> Vec<(Timestamp, State)> {
    alerts.iter().map(|alert| (alert.at, alert.state)).collect()
}

#[test]
fn silence_that_lasts_for_days_is_no_recovery() {
    let mut engine =
        engine(&[Signal::plain("p99", Role::Latency), Signal::plain("cpu", Role::Cpu)]);
    let usual = |name: &str, block| Some(log_normal(block, i64::from(name == "cpu"), 0.0));
    assert_eq!(states(&feed(&mut engine, start() - HISTORY, hours(2), usual)), []);
    let alerts = feed(&mut engine, hours(2), hours(62), |_, _| None);
    assert_eq!(alerts.first().map(|a| a.state), Some(State::Firing));
    assert!(alerts.iter().all(|a| a.state != State::Resolved), "{:?}", states(&alerts));
    let alerts = feed(&mut engine, hours(62), hours(70), usual);
    let resolved: Vec<_> = alerts.iter().filter(|a| a.state == State::Resolved).collect();
    assert_eq!(resolved.len(), 1, "{:?}", states(&alerts));
}

#[test]
fn a_silence_that_comes_back_is_another_incident() {
    let mut engine =
        engine(&[Signal::plain("p99", Role::Latency), Signal::plain("cpu", Role::Cpu)]);
    let first = 24;
    let alerts = feed(&mut engine, start() - HISTORY, hours(6), |name, block| {
        let back = name == "p99" && (first + 3..first + 15).contains(&block);
        (block < first || back).then(|| log_normal(block, i64::from(name == "cpu"), 0.0))
    });
    let told = alerts.iter().filter(|alert| alert.state == State::Firing);
    let ids: Vec<&str> = told.map(|alert| alert.incident.as_str()).collect();
    assert_eq!(ids.len(), 2, "{:?}", states(&alerts));
    assert_ne!(ids[0], ids[1], "an id that was resolved fires again");
}

#[test]
fn only_what_a_silence_took_is_told_as_silent() {
    let mut engine =
        engine(&[Signal::plain("p99", Role::Latency), Signal::plain("lag", Role::Staleness)]);
    let alerts = feed(&mut engine, start() - HISTORY, hours(4), |name, block| {
        // The second one was switched off three days before.
        let until = if name == "lag" { -3 * 288 } else { 24 };
        (block < until).then(|| log_normal(block, i64::from(name == "lag"), 0.0))
    });
    let silent: Vec<&str> = alerts[0].signals.iter().map(|s| s.signal.as_str()).collect();
    assert_eq!(silent, ["p99"]);
}

#[test]
fn a_sick_series_that_vanishes_has_not_recovered() {
    let signals = ["traffic", "cpu", "gc", "p99"]
        .map(|name| Signal::plain(name, Role::from_name(name).unwrap_or(Role::Latency)));
    let mut engine = engine(&signals);
    let sick = |name: &str, block: i64| {
        let i = ["traffic", "cpu", "gc", "p99"].iter().position(|n| *n == name).unwrap();
        let sigmas = if name == "p99" && block >= 0 { 4.0 } else { 0.0 };
        Some(log_normal(block, i64::try_from(i).unwrap(), sigmas))
    };
    let alerts = feed(&mut engine, start() - HISTORY, hours(3), sick);
    assert_eq!(alerts.first().map(|a| a.state), Some(State::Firing));
    let gone = |name: &str, block| sick(name, block).filter(|_| name != "p99");
    let alerts = feed(&mut engine, hours(3), hours(9), gone);
    assert!(alerts.iter().all(|a| a.state != State::Resolved), "{:?}", states(&alerts));
}

#[test]
fn an_outage_after_weeks_without_one_error_matters() {
    let mut errors = Signal::plain("errors", Role::Errors);
    errors.min_effect = MinEffect { relative: 0.5, absolute: 0.05 };
    let mut throttled = Signal::plain("throttled", Role::Throttled);
    throttled.min_effect = MinEffect { relative: 0.5, absolute: 0.1 };
    for (one, outage) in [(&errors, 0.9), (&throttled, 0.9), (&throttled, 5.0)] {
        // Nothing at all, and a blip now and then.
        for usual in [0.0, 0.001] {
            let mut engine = engine(&[one.clone(), Signal::plain("cpu", Role::Cpu)]);
            let alerts = feed(&mut engine, start() - HISTORY, hours(2), |name, block| {
                Some(match name {
                    "cpu" => 0.4 + 0.02 * noise(block, 1),
                    _ if block >= 6 => outage,
                    _ if block % 50 == 0 => usual,
                    _ => 0.0,
                })
            });
            let first = alerts.first().unwrap_or_else(|| panic!("{} {outage} {usual}", one.name));
            let soon = start() + Span::from_mins(45);
            assert!(first.at <= soon, "{} {outage} {usual}: {}", one.name, first.at);
        }
    }
}

#[test]
fn what_ended_is_not_the_onset_of_what_comes_next() {
    let sds = [1.0; 5];
    let after = |residual: Residual, blocks: i64, quiet: Residual, then: i64| {
        let mut drift = Drift::default();
        for block in 0..blocks {
            drift.update(block, Some(residual), &sds, &Hours::default());
        }
        for block in blocks..blocks + then {
            drift.update(block, Some(quiet), &sds, &Hours::default());
        }
        drift.onset(Direction::Up)
    };
    let none = Residual::Count { value: 0.0, events: 0.0, expected: 0.1 };
    let burst = Residual::Count { value: 1e6, events: 1e6, expected: 0.1 };
    assert_eq!(after(burst, 1, none, 48), None, "one burst of rare events");
    assert_eq!(after(Residual::Level(6.0), 288, Residual::Level(0.0), 144), None, "a day's outage");
    let still = after(Residual::Level(2.0), 288, Residual::Level(2.0), 0).unwrap();
    assert!(still.at <= 1, "what goes on keeps its onset");
}

#[test]
fn a_relapse_is_an_incident_of_its_own() {
    let mut engine =
        engine(&[Signal::plain("p99", Role::Latency), Signal::plain("cpu", Role::Cpu)]);
    let alerts = feed(&mut engine, start() - HISTORY, hours(72), |name, block| {
        // Four hours in every ten.
        let sick = block >= 0 && block % 120 < 48 && name == "p99";
        Some(log_normal(block, i64::from(name == "cpu"), if sick { 4.0 } else { 0.0 }))
    });
    let firing: Vec<&Alert> = alerts.iter().filter(|a| a.state == State::Firing).collect();
    assert!(firing.len() > 1, "{:?}", states(&alerts));
    let ids: BTreeSet<&str> = firing.iter().map(|a| a.incident.as_str()).collect();
    assert_eq!(ids.len(), firing.len(), "{ids:?}");
    for pair in firing.windows(2) {
        assert!(pair[0].at < pair[1].started_at, "{} {}", pair[0].at, pair[1].started_at);
    }
}

#[test]
fn a_young_series_with_a_step_is_not_masked() {
    // Five days of data in a window of four weeks, the last two of them on a new level.
    let slots: Vec<u16> = (0..8_064_u16).map(|i| i % 2_016).collect();
    let values: Vec<f64> = (0..8_064_i64)
        .map(|i| match i {
            0..6_624 => f64::NAN,
            6_624..7_488 => 1.0 + 0.05 * noise(i, 0),
            _ => 2.0 + 0.05 * noise(i, 0),
        })
        .collect();
    assert!(!mask_incidents(&values, &slots, 0).contains(&true));
}

#[test]
fn a_change_from_the_future_hides_no_other() {
    let mut engine =
        engine(&[Signal::plain("p99", Role::Latency), Signal::plain("cpu", Role::Cpu)]);
    let usual = |name: &str, block| Some(log_normal(block, i64::from(name == "cpu"), 0.0));
    feed(&mut engine, start() - HISTORY, hours(2), usual);
    let change = |at: &str, what: &str| Change {
        at: at.parse().unwrap(),
        end: None,
        kind: ChangeKind::Deploy,
        service: "shop".to_owned(),
        what: what.to_owned(),
    };
    let changes =
        vec![change("2026-03-02T01:58:00Z", "v2"), change("2126-03-02T01:58:00Z", "milliseconds")];
    let batch = Batch { span: BLOCK, changes, ..Batch::default() };
    let mut alerts = engine.step(hours(2), &batch).alerts;
    alerts.extend(feed(&mut engine, hours(2) + BLOCK, hours(4), |_, _| None));
    let told: Vec<&str> = alerts[0].changes.iter().map(|c| c.what.as_str()).collect();
    assert_eq!(told, ["v2"]);
}

#[test]
fn numbers_at_the_edge_stay_numbers() {
    assert!(Transform::Logit { offset: 1e-6 }.inverse(1e4).is_finite());
    assert!(Transform::Log { offset: 1e-6 }.inverse(1e4).is_finite());
    let mut history = History::default();
    history.push(7, 1e308, 10);
    assert!(history.at(7).is_finite());
    // Percent where a share was expected: its moves still show.
    let percent: Vec<f64> = (0..600).map(|i| 40.0 + 3.0 * noise(i, 0)).collect();
    let transform = Transform::fit(Scale::Logit, &percent).unwrap();
    assert!(transform.forward(80.0) > transform.forward(40.0) + 0.1, "{transform:?}");
}

#[test]
fn a_queue_that_was_always_empty_has_no_learned_objective() {
    let mut queue = Signal::plain("queue", Role::QueueAge);
    queue.min_effect.absolute = 1.0;
    let mut engine = engine(&[queue, Signal::plain("cpu", Role::Cpu)]);
    let alerts = feed(&mut engine, start() - HISTORY, hours(4), |name, block| {
        Some(match name {
            "queue" if block >= 0 => 0.001,
            "queue" => 0.0,
            _ => 0.4 + 0.02 * (noise(block, 1) + if block >= 0 { 5.0 } else { 0.0 }),
        })
    });
    assert_eq!(alerts.first().map(|a| a.state), Some(State::Firing));
    assert!(alerts.iter().all(|a| a.severity < Severity::Critical));
}

#[test]
fn no_alert_comes_before_it_may() {
    let rules = Rules { signals: vec![Signal::plain("p99", Role::Latency)], ..Rules::default() };
    let alerts_from = start() + Span::from_secs(150);
    let mut engine = Engine::new(Arc::new(rules), Settings { alerts_from, ..settings("UTC") });
    let alerts = feed(&mut engine, start() - HISTORY, hours(3), |_, block| {
        Some(log_normal(block, 0, if block >= -24 { 6.0 } else { 0.0 }))
    });
    let first = alerts.first().unwrap();
    assert!(alerts_from <= first.at && first.at <= start() + Span::from_mins(30), "{}", first.at);
}

#[test]
fn overlapping_episodes_are_masked_from_the_earliest_on() {
    let mut service = Service::new(&Budget::default());
    service.remember_episode(100, 200);
    service.remember_episode(50, 201);
    assert_eq!(Vec::from(service.episodes), [(50, 201)]);
}

/// Values that no series should have; every alert must still be readable.
fn absurd(series: i64, block: i64) -> Option<f64> {
    let usual = log_normal(block, series, 0.0);
    let live = block >= 0;
    match series {
        0 => Some(if live && block % 7 == 0 { 1e308 } else { usual }),
        1 => Some(4.0),
        2 => Some(if block == 30 { 0.3 } else { 0.0 }),
        3 => Some(if live { -usual } else { usual }),
        4 => Some(if live { 1e-300 } else { 1e300 * usual }),
        5 => (block >= -600).then_some(usual),
        // A gap of three days, a level that is another one after it.
        6 => (!(-1_200..-336).contains(&block)).then_some(usual + f64::from(u8::from(live))),
        _ => Some(usual * if live { (block as f64 / 20.0).exp() } else { 1.0 }),
    }
}

#[test]
fn absurd_values_give_alerts_that_hold_only_numbers() {
    let roles = [
        Role::Latency,
        Role::Cpu,
        Role::Errors,
        Role::QueueAge,
        Role::Memory,
        Role::PoolWait,
        Role::Gc,
        Role::PoolUse,
    ];
    let mut signals: Vec<Signal> =
        roles.iter().zip(0..).map(|(&role, i)| Signal::plain(&format!("s{i}"), role)).collect();
    signals.push(Signal::plain("traffic", Role::Traffic));
    signals[7].limit = Some(1e30);
    let rules = Rules { signals, ..Rules::default() };
    // Both change their clocks within these weeks: March 8th and March 29th. The second run's
    // incident outlasts the history, so that everything it could learn from is masked.
    for (zone, weeks) in [("America/New_York", 2), ("Europe/Berlin", 5)] {
        let mut engine = Engine::new(Arc::new(rules.clone()), settings(zone));
        let alerts = feed(&mut engine, start() - HISTORY, hours(168 * weeks), |name, block| {
            let series = name.strip_prefix('s').map_or(9, |i| i.parse().unwrap());
            // From the fifth day on all is as usual, so that incidents also end.
            absurd(series, if block < 1_200 { block } else { -1 - block % 500 })
        });
        assert!(alerts.iter().any(|a| a.state == State::Resolved), "{:?}", states(&alerts));
        for alert in &alerts {
            for moved in &alert.signals {
                assert!(moved.now.is_none_or(f64::is_finite), "{moved:?}");
                assert!(moved.expected.is_none_or(f64::is_finite), "{moved:?}");
                assert!((0.0..=1.0).contains(&moved.p_value), "{moved:?}");
            }
            let read: Alert = serde_json::from_str(&alert.to_json()).unwrap();
            assert_eq!(read.incident, alert.incident);
        }
        for row in engine.scores() {
            assert!((0.0..=1.0).contains(&row.score), "{row:?}");
            assert!(row.expected.is_none_or(f64::is_finite), "{row:?}");
            assert!(row.residual.is_none_or(f64::is_finite), "{row:?}");
        }
    }
}
