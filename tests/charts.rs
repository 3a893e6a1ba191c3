//! What is drawn of an alert is what was measured and what was expected, from a fleet that is
//! fed by hand and from the simulated one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[path = "common/fleet.rs"]
#[expect(dead_code, reason = "shared")]
mod fleet;
#[path = "common/shared_archive.rs"]
mod shared_archive;

use std::collections::BTreeMap;
use std::sync::Arc;

use grayflag::engine::alert::{Alert, State};
use grayflag::engine::chart::{Chart, PANELS_MAX, Panel, VALUES_MAX};
use grayflag::engine::{Engine, Settings, snapshot};
use grayflag::lab::{self, FAULTS, FaultPlan};
use grayflag::rules::{Role, Rules, Signal};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use shared_archive::Shared;

const BLOCK: Span = Span::from_mins(5);
const WEEKS: i64 = 3;
const LIMIT: f64 = 3.0;

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn rules() -> Arc<Rules> {
    let signals = vec![
        Signal::plain("traffic", Role::Traffic),
        Signal { unit: Some("seconds".to_owned()), ..Signal::plain("p99", Role::Latency) },
        Signal { limit: Some(LIMIT), ..Signal::plain("wait", Role::PoolWait) },
        Signal::plain("failures", Role::Errors),
    ];
    Arc::new(Rules { signals, ..Rules::default() })
}

fn settings() -> Settings {
    Settings {
        interval: BLOCK,
        history: Span::WEEK.times(WEEKS),
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    }
}

/// One service, a value per block and signal; everything that was fed is remembered.
struct Fed {
    rng: ChaCha8Rng,
    noise: [f64; 4],
    now: Timestamp,
    engine: Engine,
    archive: Shared,
    values: BTreeMap<(&'static str, Timestamp), f64>,
}

impl Fed {
    /// A service that has been learned.
    fn warm() -> Self {
        let archive = Shared::default();
        let engine = Engine::with_archive(rules(), settings(), Box::new(archive.clone()));
        let rng = ChaCha8Rng::seed_from_u64(5);
        let now = start() - Span::WEEK.times(WEEKS);
        let mut fed = Self { rng, noise: [0.0; 4], now, engine, archive, values: BTreeMap::new() };
        while fed.now < start() {
            let alerts = fed.tick(0.0, &[]);
            assert!(alerts.is_empty());
        }
        fed
    }

    /// One block: latency and waiting are `moved` standard deviations away; what is `missing` is
    /// not told. Every 100th block fails a little.
    fn tick(&mut self, moved: f64, missing: &[&str]) -> Vec<Alert> {
        let day = self.now.as_secs_f64() / 86_400.0 * std::f64::consts::TAU;
        let mut batch = Batch { span: BLOCK, ..Batch::default() };
        for (place, name) in ["traffic", "p99", "wait", "failures"].into_iter().enumerate() {
            let shock: f64 = self.rng.sample(StandardNormal);
            self.noise[place] = 0.6 * self.noise[place] + 0.8 * shock;
            let z = self.noise[place];
            let value = match name {
                "traffic" => (6.0 + 0.4 * day.sin() + 0.1 * z).exp(),
                "p99" => (-1.5 + 0.2 * day.sin() + 0.1 * (z + moved)).exp(),
                "wait" => (-2.0 + 0.2 * (z + moved)).exp(),
                _ => f64::from(u8::from(z > 2.3)) * 0.001,
            };
            if !missing.contains(&name) {
                self.values.insert((name, self.now), value);
                let series = Arc::new(Series::new(name, "shop", None, None, Labels::new()));
                batch.samples.push(Sample { series, value });
            }
        }
        let at = self.now;
        self.now = at + BLOCK;
        self.engine.step(at, &batch).alerts
    }

    /// Lives on until something is told.
    fn until_told(&mut self, mut tick: impl FnMut(&mut Self, i64) -> Vec<Alert>) -> Alert {
        for n in 0..2_000 {
            if let Some(alert) = tick(self, n).into_iter().next() {
                return alert;
            }
        }
        panic!("nothing was told")
    }
}

fn panel<'a>(chart: &'a Chart, signal: &str) -> &'a Panel {
    chart.panels.iter().find(|panel| panel.signal == signal).unwrap()
}

fn assert_sound(chart: &Chart, alert: &Alert) {
    assert!(chart.panels.len() <= PANELS_MAX);
    assert!(chart.panels.is_sorted_by_key(|panel| panel.onset));
    for panel in &chart.panels {
        assert_eq!(panel.values.len(), panel.expected.len());
        assert!((1..=VALUES_MAX).contains(&panel.values.len()), "{}", panel.values.len());
        let end = chart.from + chart.step.times(i64::try_from(panel.values.len()).unwrap());
        assert!(end <= alert.at + BLOCK && alert.at - end <= BLOCK, "{end} {}", alert.at);
        assert!(panel.onset < end, "{} {end}", panel.onset);
        assert!(panel.values.iter().flatten().all(|value| value.is_finite()));
        for band in panel.expected.iter().flatten() {
            assert!(band.low <= band.centre && band.centre <= band.high, "{band:?}");
        }
    }
}

#[test]
fn values_are_those_that_were_measured_and_usual_ones_lie_in_the_band() {
    let mut fed = Fed::warm();
    // An ordinary day, so that there is one to look at.
    for _ in 0..288 {
        fed.tick(0.0, &[]);
    }
    let began = fed.now;
    // It creeps for a day and more before it is drawn, and two scrapes fail.
    let alert = fed.until_told(|fed, n| {
        fed.tick(0.05 * n as f64, if n == 3 || n == 4 { &["p99"] } else { &[] })
    });
    let chart = fed.engine.chart(&alert);
    assert_sound(&chart, &alert);
    assert!(chart.from <= alert.started_at - Span::from_hours(6));
    assert!(alert.started_at - chart.from < Span::from_hours(6) + BLOCK.times(2));
    let mut inside = (0_u32, 0_u32);
    for (panel, signal) in [(panel(&chart, "p99"), "p99"), (panel(&chart, "wait"), "wait")] {
        for (n, value) in panel.values.iter().enumerate() {
            let at = chart.from + BLOCK.times(i64::try_from(n).unwrap());
            #[expect(clippy::cast_possible_truncation, reason = "as the history keeps it")]
            let fed = fed.values.get(&(signal, at)).map(|&value| value as f32);
            assert_eq!(*value, fed, "{signal} at {at}");
            if let (Some(value), Some(band)) = (value, panel.expected[n])
                && at < began
            {
                let hit = band.low <= *value && *value <= band.high;
                inside = (inside.0 + u32::from(hit), inside.1 + 1);
            }
        }
        assert!(chart.from < panel.onset && panel.onset <= alert.at);
    }
    let share = f64::from(inside.0) / f64::from(inside.1);
    assert!(inside.1 > 50 && (0.88..=1.0).contains(&share), "{inside:?}");
    assert_eq!(panel(&chart, "p99").unit.as_deref(), Some("seconds"));
    assert_eq!(panel(&chart, "wait").threshold, Some(LIMIT));
}

#[test]
fn a_restart_draws_the_same() {
    let mut fed = Fed::warm();
    let alert = fed.until_told(|fed, n| fed.tick(0.1 * n as f64, &[]));
    let kept = fed.engine.snapshot().unwrap();
    let archive = Box::new(fed.archive.clone());
    let restored = Engine::restore(rules(), settings(), snapshot::VERSION, &kept, archive).unwrap();
    assert_eq!(restored.chart(&alert), fed.engine.chart(&alert));
    assert!(!restored.chart(&alert).panels.is_empty());
}

#[test]
fn what_is_silent_ends_and_what_is_gone_is_left_out() {
    let mut fed = Fed::warm();
    let all = ["traffic", "p99", "wait", "failures"];
    let alert = fed.until_told(|fed, n| fed.tick(0.0, if n < 12 { &[] } else { &all }));
    let chart = fed.engine.chart(&alert);
    assert_sound(&chart, &alert);
    assert!(!chart.panels.is_empty());
    for panel in &chart.panels {
        assert!(panel.values.last().unwrap().is_none());
        assert!(panel.values.iter().filter(|value| value.is_some()).count() > 12);
    }
    let mut other = alert.clone();
    for moved in &mut other.signals {
        moved.service = "renamed".to_owned();
    }
    assert!(fed.engine.chart(&other).panels.is_empty());
    let mut old = alert;
    old.started_at = start() - Span::WEEK;
    let chart = fed.engine.chart(&old);
    assert!(chart.panels.iter().all(|panel| panel.values.len() == VALUES_MAX));
    let blank = Engine::new(rules(), settings());
    assert_eq!(blank.chart(&old), Chart::default());
}

#[test]
fn every_fault_of_the_simulated_fleet_can_be_drawn() {
    let warm = fleet::Warm::new(1_001, 1, start());
    let mut drawn = 0;
    for info in FAULTS.into_iter().step_by(3) {
        let onset = info.fault.natural_onset(start() + Span::from_hours(8));
        let severity = lab::Severity::Middling;
        let end = onset + Span::from_hours(5);
        let plan = FaultPlan { fault: info.fault, onset, severity, end };
        warm.live_watched(end + Span::HOUR, &[plan], |engine, alert| {
            let chart = engine.chart(alert);
            assert_sound(&chart, alert);
            if alert.state != State::Resolved {
                assert!(!chart.panels.is_empty(), "{}", alert.to_json());
                assert_eq!(chart.panels.len(), alert.signals.len().min(PANELS_MAX));
                drawn += 1;
            }
        });
    }
    assert!(drawn > 5, "{drawn}");
}
