//! The ways in which a detector that learns from data goes wrong without any data being wrong:
//! METHODS 4. Each stays silent where it must, and still speaks where it should.
//!
//! Fleets are simulated (`lab::dirt`); what must not alarm is compared with the same fleet
//! without it, so that an alarm that was there before is not held against it.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "failure_modes/calendar.rs"]
mod calendar;
#[path = "failure_modes/coarse.rs"]
mod coarse;
#[path = "failure_modes/hygiene.rs"]
mod hygiene;
#[path = "failure_modes/jobs.rs"]
mod jobs;
#[path = "failure_modes/names.rs"]
mod names;

use grayflag::engine::alert::Alert;
use grayflag::lab::dirt::{Fleet, Lived, Plan};
use grayflag::time::{Span, Timestamp};

/// Judging seeds begin at 1001.
const SEED: u64 = 1_001;

/// Few services for few weeks: debug builds fit slowly. Told is what is rarer than once in a
/// hundred weeks, so that an alarm is no accident.
fn plan(services: usize, live: usize) -> Plan {
    Plan { services, weeks: [4, live], notices_per_week: 0.01, ..Plan::new(SEED) }
}

/// What was told of a service between two blocks: readable when a test fails.
fn told(
    fleet: &Fleet,
    lived: &Lived,
    service: usize,
    blocks: std::ops::Range<usize>,
) -> Vec<String> {
    let (from, to) = (fleet.at(blocks.start), fleet.at(blocks.end));
    let name = format!("service-{service:02}");
    let about = |a: &&Alert| a.services.contains(&name) && from <= a.at && a.at < to;
    lived.incidents().filter(about).map(line).collect()
}

/// One line per incident.
fn all(lived: &Lived) -> Vec<String> {
    lived.incidents().map(line).collect()
}

fn line(alert: &Alert) -> String {
    let signals: Vec<&str> = alert.signals.iter().map(|s| s.signal.as_str()).collect();
    format!("{} {} {signals:?}", alert.at, alert.service)
}

/// Incidents of `dirty` that lie more than six hours from every one of `clean` in that service.
fn caused(clean: &Lived, dirty: &Lived) -> Vec<String> {
    let same = Span::from_hours(6);
    let near = |a: Timestamp, b: Timestamp| a <= b + same && b <= a + same;
    let known = |d: &Alert| clean.incidents().any(|c| c.service == d.service && near(c.at, d.at));
    dirty.incidents().filter(|d| !known(d)).map(line).collect()
}

/// Multiplies a series by e^`height` in some blocks.
fn raise(values: &mut [f64], height: f64) {
    for value in values {
        *value *= height.exp();
    }
}
