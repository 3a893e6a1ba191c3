//! Dirty data causes no alarm.

use grayflag::lab::dirt::{self, DAY, HOUR, Plan};
use jiff::tz::TimeZone;

use super::{all, caused, plan, raise, told};

#[test]
fn contaminated_history_resets_and_gaps_cause_no_incident() {
    let fleet = plan(3, 1).fleet();
    let clean = fleet.live();
    let old = dirt::old_incidents(fleet.clone()).live();
    assert!(caused(&clean, &old).is_empty(), "old incidents: {:?}", caused(&clean, &old));
    let resets = dirt::counter_resets(fleet.clone()).live();
    assert!(caused(&clean, &resets).is_empty(), "resets: {:?}", caused(&clean, &resets));
    let gaps = dirt::nan_storm(fleet.clone()).live();
    assert!(caused(&clean, &gaps).is_empty(), "gaps: {:?}", caused(&clean, &gaps));
}

#[test]
fn trouble_is_told_through_the_same_dirt() {
    let mut fleet = dirt::nan_storm(dirt::counter_resets(plan(3, 1).fleet()));
    let onset = fleet.plan.learned() + DAY + 10 * HOUR;
    for line in fleet.lines_of("latency", Some(1)) {
        raise(&mut line.values[onset..onset + 12 * HOUR], 0.6);
    }
    let lived = fleet.live();
    assert!(!told(&fleet, &lived, 1, onset..onset + 3 * HOUR).is_empty(), "{:?}", all(&lived));
}

#[test]
fn clock_changes_cause_no_incident() {
    for (zone, start) in [
        // Four weeks before the week whose Sunday has the change.
        ("Europe/Berlin", "2026-02-23T00:00:00Z"),
        ("Europe/Berlin", "2026-09-21T00:00:00Z"),
        ("America/New_York", "2026-02-02T00:00:00Z"),
        ("America/New_York", "2026-09-28T00:00:00Z"),
    ] {
        let zone_moves = TimeZone::get(zone).unwrap();
        let moved = Plan { start: start.parse().unwrap(), zone: zone_moves, ..plan(2, 2) };
        let still = TimeZone::fixed(moved.zone.to_offset(moved.start.to_jiff()));
        let clean = Plan { zone: still, ..moved.clone() }.fleet().live();
        let lived = moved.fleet().live();
        // From the Sunday of the change to the Tuesday after it.
        let sunday = moved.learned() + 6 * DAY;
        let mut soon = lived.clone();
        let fleet = moved.fleet();
        soon.alerts.retain(|a| fleet.at(sunday) <= a.at && a.at < fleet.at(sunday + 3 * DAY));
        assert!(caused(&clean, &soon).is_empty(), "{zone} {start}: {:?}", caused(&clean, &soon));
    }
}
