//! What moves a whole fleet is nobody's trouble; what only load explains may still be some.

use grayflag::lab::dirt::{self, DAY, HOUR};

use super::{all, caused, plan, raise, told};

#[test]
fn a_holiday_on_a_weekday_opens_no_incident_and_hides_none() {
    let plan = plan(4, 1);
    let clean = plan.fleet().live();
    assert!(clean.calendar.is_empty(), "ordinary weeks are not special: {:?}", clean.calendar);
    let mut fleet = dirt::holiday(plan);
    let quiet = fleet.live();
    assert!(caused(&clean, &quiet).is_empty(), "{:?}", caused(&clean, &quiet));
    let day = fleet.plan.learned() + 2 * DAY;
    let during = quiet.calendar.iter().filter(|b| (day..day + DAY).contains(*b)).count();
    assert!(during > 16 * HOUR, "said why: {during} blocks of the day");
    assert!(quiet.calendar.len() < during + 6 * HOUR, "and ended: {}", quiet.calendar.len());

    let onset = day + 10 * HOUR;
    for line in fleet.lines_of("latency", Some(2)) {
        raise(&mut line.values[onset..onset + 8 * HOUR], 0.8);
    }
    // At the budget that people have, and not at one a hundred times as strict.
    fleet.plan.notices_per_week = 1.0;
    let lived = fleet.live();
    assert!(!told(&fleet, &lived, 2, onset..onset + 2 * HOUR).is_empty(), "{:?}", all(&lived));
}

#[test]
fn one_services_own_traffic_is_no_calendar() {
    let mut plan = plan(4, 1);
    plan.services = 4;
    let mut fleet = plan.fleet();
    let from = fleet.plan.learned() + 2 * DAY;
    for line in fleet.lines_of("traffic", Some(0)) {
        raise(&mut line.values[from..from + DAY], -0.5);
    }
    assert!(fleet.live().calendar.is_empty());
}

#[test]
fn what_load_explains_is_told_when_it_is_extreme() {
    let mut fleet = plan(1, 1).fleet();
    let onset = fleet.plan.learned() + 2 * DAY + 10 * HOUR;
    // In ordinary weeks latency follows traffic closely, so that load explains any rise of it.
    let traffic = fleet.lines_of("traffic", Some(0)).next().unwrap().values.clone();
    for (signal, power) in [("traffic", 1.0), ("latency", 1.0)] {
        for line in fleet.lines_of(signal, Some(0)) {
            for (block, value) in line.values.iter_mut().enumerate() {
                if signal == "latency" {
                    *value *= (traffic[block] / 40.0).powf(power);
                }
            }
            raise(&mut line.values[onset..onset + 6 * HOUR], 1.2 * power);
        }
    }
    let lived = fleet.live();
    assert!(!told(&fleet, &lived, 0, onset..onset + 4 * HOUR).is_empty(), "{:?}", all(&lived));
}
