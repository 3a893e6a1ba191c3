//! The same thing under two names, under a new name, or from more or fewer instances.

use std::sync::Arc;

use grayflag::engine::alert::Alert;
use grayflag::lab::dirt::{DAY, HOUR, Line};
use grayflag::series::{Labels, Series};

use super::{all, caused, plan, raise};

#[test]
fn a_fleet_that_exports_everything_twice_has_as_many_incidents() {
    let mut fleet = plan(3, 1).fleet();
    for service in 0..3 {
        let onset = fleet.plan.learned() + (1 + service) * DAY + 6 * HOUR;
        for line in fleet.lines_of("latency", Some(service)) {
            raise(&mut line.values[onset..onset + 4 * HOUR], 0.4);
        }
    }
    let once = fleet.live().count();
    let copies: Vec<Line> = fleet
        .lines
        .iter()
        .map(|line| {
            let name = format!("{}_again", line.series.signal);
            let series = Series::new(&name, &line.series.service, None, None, Labels::new());
            Line { series: Arc::new(series), values: line.values.clone() }
        })
        .collect();
    fleet.lines.extend(copies);
    for mut signal in fleet.signals.clone() {
        signal.name.push_str("_again");
        fleet.signals.push(signal);
    }
    let twice = fleet.live();
    assert!(once >= 3, "the three troubles: {once}");
    assert!(twice.count().abs_diff(once) <= 1, "{once}, and {:?}", all(&twice));
}

#[test]
fn a_renamed_label_is_neither_silence_nor_drift() {
    let mut fleet = plan(1, 1).fleet();
    let clean = fleet.live();
    for signal in &mut fleet.signals {
        signal.split = vec!["cluster".to_owned()];
    }
    let renamed = fleet.plan.learned() + 2 * DAY + 5 * HOUR;
    let mut after = fleet.lines.clone();
    for (old, new) in fleet.lines.iter_mut().zip(&mut after) {
        let labels = Labels::from([("cluster".to_owned(), "b".to_owned())]);
        let name = &old.series;
        new.series = Arc::new(Series::new(&name.signal, &name.service, None, None, labels));
        old.values[renamed..].fill(f64::NAN);
        new.values[..renamed].fill(f64::NAN);
    }
    fleet.lines.extend(after);
    let lived = fleet.live();
    assert!(caused(&clean, &lived).is_empty(), "{:?}", caused(&clean, &lived));
    // Without a successor it is a silence.
    fleet.lines.truncate(fleet.lines.len() / 2);
    let silent: Vec<Alert> = fleet.live().incidents().cloned().collect();
    assert!(
        silent.iter().any(|a| (fleet.at(renamed)..fleet.at(renamed + HOUR)).contains(&a.at)),
        "{silent:?}"
    );
}

#[test]
fn instances_that_come_and_go_are_no_incident() {
    let mut fleet = plan(1, 1).fleet();
    for signal in &mut fleet.signals {
        signal.peer = Some("instance".to_owned());
    }
    let one = fleet.lines.clone();
    let clean = fleet.live();
    fleet.lines.clear();
    for line in one {
        for peer in 0..6_usize {
            let who = format!("10.0.0.{peer}");
            let labels = Labels::from([("instance".to_owned(), who.clone())]);
            let name = &line.series;
            let series = Series::new(&name.signal, &name.service, Some(who), None, labels);
            let mut values = line.values.clone();
            for (block, value) in values.iter_mut().enumerate() {
                let shared = name.signal == "traffic" || name.signal == "goodput";
                // Two by night, six by day; each has its own habits and a share of the work.
                let instances = if (8 * HOUR..20 * HOUR).contains(&(block % DAY)) { 6 } else { 2 };
                let habit = 1.0 + 0.02 * (peer as f64 - 2.5);
                *value *= if shared { habit / instances as f64 } else { habit };
                if peer >= instances {
                    *value = f64::NAN;
                }
            }
            fleet.lines.push(Line { series: Arc::new(series), values });
        }
    }
    let lived = fleet.live();
    assert!(caused(&clean, &lived).is_empty(), "{:?}", caused(&clean, &lived));
}
