//! What belongs to an open incident, and what is another one.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use grayflag::engine::alert::{Alert, State};
use grayflag::engine::{Engine, Settings};
use grayflag::rules::{Cause, Evidence, Role, RoleState, Rules, See, Signal};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const STEP: Span = Span::from_mins(5);
/// When `front` falls ill, when `back` gets other work to do, and when it shows it or falls ill
/// itself.
const FRONT_ILL: Span = Span::from_hours(6);
const BACK_IDLE: Span = Span::from_hours(13);
const BACK_ILL: Span = Span::from_hours(14);
const END: Span = Span::from_hours(20);

/// What becomes of `back`, which `front` calls: by how much it gets less to do, by how much it does
/// less of what it gets, and by how many spreads its pool wait rises.
#[derive(Clone, Copy)]
struct Back {
    work: f64,
    done: f64,
    wait: f64,
}

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn rules() -> Arc<Rules> {
    let signals = vec![
        Signal::plain("traffic", Role::Traffic),
        Signal::plain("goodput", Role::Goodput),
        Signal::plain("p99", Role::Latency),
        Signal::plain("wait", Role::PoolWait),
    ];
    let see = See::RoleIs { role: Role::PoolWait, is: RoleState::Rising };
    let waits = vec![Evidence { see, likely: 0.95, otherwise: 0.01 }];
    let causes =
        vec![Cause::plain("unexplained-drift", 0.1, vec![]), Cause::plain("full-pool", 0.1, waits)];
    Arc::new(Rules { signals, causes, ..Rules::default() })
}

/// Which services each incident that opened was about, in order, and all that were in any by the
/// end.
fn told(back: Back) -> (Vec<String>, Vec<String>) {
    let rules = rules();
    let settings = Settings {
        interval: STEP,
        history: Span::WEEK.times(3),
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    };
    let mut engine = Engine::new(rules.clone(), settings);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut noise: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut alerts: Vec<Alert> = Vec::new();
    let mut at = start() - Span::WEEK.times(3);
    while at < start() + END {
        let mut batch = Batch { span: STEP, ..Batch::default() };
        batch.calls.push(("front".to_owned(), "back".to_owned()));
        for service in ["front", "back"] {
            let mut traffic = 0.0;
            for signal in &rules.signals {
                let shock: f64 = rng.sample(StandardNormal);
                let z = noise.entry((service, &signal.name)).or_default();
                *z = 0.6 * *z + 0.8 * shock;
                let ill = service == "front" && start() + FRONT_ILL <= at;
                let idle = service == "back" && start() + BACK_IDLE <= at;
                let other = service == "back" && start() + BACK_ILL <= at;
                let value = match signal.role {
                    Role::Traffic => {
                        traffic = 100.0 * (0.08 * *z).exp() * if idle { back.work } else { 1.0 };
                        traffic
                    }
                    Role::Goodput => {
                        traffic * (0.01 * *z).exp() * if other { back.done } else { 1.0 }
                    }
                    Role::PoolWait => {
                        0.05 * (0.08 * (*z + if other { back.wait } else { 0.0 })).exp()
                    }
                    _ => 0.2 * (0.08 * (*z + if ill { 8.0 } else { 0.0 })).exp(),
                };
                let series = Series::new(&signal.name, service, None, None, Labels::new());
                batch.samples.push(Sample { series: Arc::new(series), value });
            }
        }
        alerts.extend(engine.step(at, &batch).alerts);
        at = at + STEP;
    }
    let since = alerts.iter().filter(|alert| start() + FRONT_ILL <= alert.at);
    let opened = since.clone().filter(|alert| alert.state == State::Firing);
    let mut all: Vec<String> = since.flat_map(|alert| alert.services.clone()).collect();
    all.sort();
    all.dedup();
    (opened.map(|alert| alert.service.clone()).collect(), all)
}

#[test]
fn who_gets_no_work_from_a_troubled_caller_is_part_of_its_incident() {
    let (opened, all) = told(Back { work: 0.02, done: 0.3, wait: 0.0 });
    assert_eq!(opened, ["front"]);
    assert_eq!(all, ["back", "front"], "it is told that it is in it too");
}

#[test]
fn who_fails_at_its_usual_work_hours_later_is_another_incident() {
    let (opened, _) = told(Back { work: 1.0, done: 0.3, wait: 0.0 });
    assert_eq!(opened, ["front", "back"]);
}

#[test]
fn who_has_a_clear_cause_of_its_own_is_another_incident() {
    let (opened, _) = told(Back { work: 0.02, done: 1.0, wait: 12.0 });
    assert_eq!(opened, ["front", "back"]);
}
