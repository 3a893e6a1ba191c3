//! What repeats is normal: jobs, garbage collection, ramps after restarts.

use grayflag::engine::alert::{Alert, Severity};
use grayflag::engine::grid::BLOCK;
use grayflag::lab::dirt::{DAY, Fleet, HOUR, Lived};
use grayflag::rules::{Role, Signal};
use grayflag::series::{Change, ChangeKind};

use super::{all, caused, plan, raise, told};

#[test]
fn nightly_and_hourly_jobs_wake_nobody() {
    let mut fleet = plan(2, 1).fleet();
    let clean = fleet.live();
    let nightly = |block: usize| (2 * HOUR..3 * HOUR).contains(&(block % DAY));
    let hourly = |block: usize| block.is_multiple_of(HOUR);
    let jobs: [&dyn Fn(usize) -> bool; 2] = [&nightly, &hourly];
    for (service, job) in jobs.into_iter().enumerate() {
        for line in fleet.lines_of("cpu", Some(service)) {
            for (_, value) in line.values.iter_mut().enumerate().filter(|(block, _)| job(*block)) {
                *value *= 1.5;
            }
        }
    }
    let lived = fleet.live();
    // The edges of a job may be told once more, never as what interrupts.
    assert!(caused(&clean, &lived).len() <= 1, "{:?}", caused(&clean, &lived));
    let waking = |alert: &&Alert| alert.severity > Severity::Notice;
    let of = |lived: &Lived| lived.alerts.iter().filter(waking).count();
    assert!(of(&lived) <= of(&clean), "{:?}", lived.alerts.iter().find(waking));
}

#[test]
fn the_sawtooth_of_garbage_collection_is_no_incident() {
    for period in [4, 14, 72] {
        let mut fleet = plan(1, 1).fleet();
        fleet.signals.push(Signal::plain("heap", Role::Memory));
        let line = fleet.add("heap", 0, &[]);
        // The collector is no clock: a period differs from the next by up to a quarter.
        let mut filled = 0.0;
        for (block, value) in line.values.iter_mut().enumerate() {
            filled += 1.0 + 0.25 * ((block / 50 * 7 % 5) as f64 / 2.0 - 1.0);
            filled = if filled >= f64::from(period) { 0.0 } else { filled };
            *value = 1e9 * (0.4 + 0.4 * filled / f64::from(period));
        }
        let lived = fleet.live();
        let heap: Vec<String> =
            all(&lived).into_iter().filter(|line| line.contains("heap")).collect();
        assert!(heap.is_empty(), "period of {period} blocks: {heap:?}");
    }
}

/// Deploys on four days a week, each with a quarter of an hour of cold caches.
fn with_deploys(last_is_bad: bool) -> (Fleet, usize) {
    let mut fleet = plan(1, 1).fleet();
    let blocks = fleet.plan.blocks();
    let mut deploys: Vec<usize> = (0..blocks / DAY)
        .filter(|day| day % 7 < 4)
        .map(|day| day * DAY + 8 * HOUR + day * 37 % (8 * HOUR))
        .collect();
    if last_is_bad {
        deploys.retain(|&at| at < fleet.plan.learned() + 2 * DAY);
    }
    let last = *deploys.last().unwrap();
    for &at in &deploys {
        let change = Change {
            at: fleet.at(at),
            end: None,
            kind: ChangeKind::Deploy,
            service: "service-00".to_owned(),
            what: format!("v{at}"),
        };
        fleet.changes.push((at, change));
        for line in fleet.lines_of("latency", None) {
            raise(&mut line.values[at..at + 3], 0.5);
        }
    }
    if last_is_bad {
        for line in fleet.lines_of("latency", None) {
            raise(&mut line.values[last + 3..], 0.5);
        }
    }
    (fleet, last)
}

#[test]
fn cold_caches_after_a_deploy_are_no_incident_and_a_bad_deploy_is() {
    let (fleet, _) = with_deploys(false);
    let lived = fleet.live();
    assert!(all(&lived).is_empty(), "{:?}", all(&lived));
    let (fleet, last) = with_deploys(true);
    let lived = fleet.live();
    let told = told(&fleet, &lived, 0, last..last + 6 * HOUR);
    assert!(!told.is_empty(), "nothing in {:?} after {}", BLOCK.times(72), fleet.at(last));
}
