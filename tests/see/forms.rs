use grayflag::rules::{Role, RoleState, See};

use crate::world::World;

const LOAD: (Role, &str, &[&str]) = (Role::Traffic, "", &[""]);
const P99: (Role, &str, &[&str]) = (Role::Latency, "", &[""]);

/// The trouble that opens the incident, whatever else is going on.
fn slow(role: &str, hours: f64) -> f64 {
    if role == "latency" && hours >= 0.0 { 1.5 } else { 1.0 }
}

#[test]
fn climbing_is_a_steady_rise_and_neither_a_step_nor_traffic() {
    let see = || See::RoleIs { role: Role::Memory, is: RoleState::Climbing };
    let world = || World::new(&[LOAD, P99, (Role::Memory, "", &[""])], see());
    let climb = |hours: f64| (0.04 * hours.max(0.0)).exp();
    let memory = |of: &dyn Fn(f64) -> f64, role: &str, hours: f64| match role {
        "memory" => of(hours),
        role => slow(role, hours),
    };
    let (seen, named) = world().live(9, &|role, _, h, _| Some(memory(&climb, role, h))).looks();
    assert_eq!(seen, Some(true), "{named:?}");
    // It falls by itself, and nothing was started anew.
    let sawtooth = |h: f64| climb(h.max(0.0) % 2.0 * 4.0);
    let (seen, named) = world().live(9, &|role, _, h, _| Some(memory(&sawtooth, role, h))).looks();
    assert_ne!(seen, Some(true), "{named:?}");
    let step = |h: f64| if h < 0.0 { 1.0 } else { 1.4 };
    let (seen, named) = world().live(9, &|role, _, h, _| Some(memory(&step, role, h))).looks();
    assert_eq!(seen, Some(false), "{named:?}");
    // As traffic climbs, so does what it uses.
    let led = |role: &str, h: f64| match role {
        "traffic" | "memory" => climb(h),
        role => slow(role, h),
    };
    let (seen, named) = world().live(9, &|role, _, h, _| Some(led(role, h))).looks();
    assert_eq!(seen, Some(false), "{named:?}");
}

#[test]
fn a_leak_goes_on_over_restarts() {
    let see = See::RoleIs { role: Role::Memory, is: RoleState::Climbing };
    let world =
        World::new(&[LOAD, P99, (Role::Memory, "", &[""]), (Role::Restarts, "", &[""])], see);
    let (seen, named) = world
        .live(18, &|role, _, h, _| {
            let since_start = if h < 9.0 { h.max(0.0) } else { h - 9.0 };
            Some(match role {
                "memory" => (0.04 * since_start).exp(),
                "restarts" => {
                    if (9.0..9.1).contains(&h) {
                        0.05
                    } else {
                        0.0
                    }
                }
                role => slow(role, h),
            })
        })
        .looks();
    assert_eq!(seen, Some(true), "{named:?}");
}

#[test]
fn one_peer_that_leaks_climbs_although_the_typical_one_does_not() {
    let see = See::RoleIs { role: Role::Memory, is: RoleState::Climbing };
    let world = World::new(&[LOAD, P99, (Role::Memory, "instance", &["a", "b", "c", "d"])], see);
    let (seen, _) = world
        .live(9, &|role, who, h, _| {
            let leaks = role == "memory" && who == "c";
            Some(if leaks { (0.06 * h.max(0.0)).exp() } else { slow(role, h) })
        })
        .looks();
    assert_eq!(seen, Some(true));
}

#[test]
fn versions_are_mixed_when_two_ran_before_the_onset_and_still_do() {
    let world =
        || World::new(&[LOAD, P99, (Role::Version, "version", &["v1", "v2"])], See::VersionsMixed);
    let run = |from: f64, old_until: f64, hours: i64| {
        world().live(hours, &|role, version, h, _| match version {
            "v2" if h < from => None,
            "v1" if h >= old_until => None,
            _ => Some(slow(role, h)),
        })
    };
    let (seen, named) = run(-0.5, 99.0, 2).looks();
    assert_eq!(seen, Some(true), "{named:?}");
    assert_eq!(named.culprit.labels["version"], "v2");
    assert_eq!(run(-0.5, -0.5, 2).looks().0, Some(false), "a clean switch");
    let (seen, named) = run(3.0, 99.0, 4).looks();
    assert_eq!(seen, Some(false), "a rollback under way: {named:?}");
    let (seen, named) = run(-999.0, 99.0, 2).looks();
    assert_eq!(seen, Some(true), "{named:?}");
    assert!(named.culprit.labels.is_empty(), "both ran from the start: {named:?}");
    let alone = World::new(&[LOAD, P99], See::VersionsMixed);
    assert_eq!(alone.live(2, &|role, _, h, _| Some(slow(role, h))).looks().0, None);
}

#[test]
fn of_two_versions_that_came_together_none_is_the_new_one() {
    let instances: &[&str] = &["v1 a", "v1 b", "v2 c", "v2 d"];
    let signals = [LOAD, (Role::Latency, "instance", instances), (Role::Version, "on", instances)];
    let run = |from: f64| {
        World::new(&signals, See::NewVersionWorse).live(2, &|role, who, h, _| {
            let new = who.starts_with("v2");
            let slow = role == "latency" && new && h >= 0.0;
            (!new || h >= from).then_some(if slow { 1.6 } else { 1.0 })
        })
    };
    let (seen, named) = run(-1.0).looks();
    assert_eq!(seen, Some(true), "{named:?}");
    assert_eq!(named.culprit.labels["version"], "v2");
    let (seen, named) = run(-999.0).looks();
    assert_eq!(seen, None, "{named:?}");
    assert_eq!(named.unknown, ["versions side by side: none came after the others"]);
}

#[test]
fn attempts_that_do_not_grow_go_with_nothing() {
    let signals = [LOAD, P99, (Role::Attempts, "", &[""][..]), (Role::Goodput, "", &[""][..])];
    let told = |attempts: f64, goodput: f64| {
        let world = World::new(&signals, See::GoodputFlatWhileAttemptsGrow);
        let (seen, named) = world
            .live(2, &|role, _, h, _| {
                Some(match role {
                    "attempts" if h >= 0.0 => attempts,
                    "goodput" if h >= 0.0 => goodput,
                    role => slow(role, h),
                })
            })
            .looks();
        (seen, format!("{:?} {:?} {:?}", named.evidence_for, named.against, named.unknown))
    };
    let (seen, text) = told(2.0, 0.9);
    assert!(seen == Some(true) && text.contains("grow while goodput does not"), "{text}");
    let (seen, text) = told(2.0, 2.0);
    assert!(seen == Some(false) && text.contains("attempts and goodput grow together"), "{text}");
    let (seen, text) = told(0.95, 1.0);
    assert!(seen == Some(false) && text.contains("attempts do not grow"), "{text}");
}

#[test]
fn traffic_explains_what_is_high_and_may_explain_what_rises() {
    let at_level = |factor: f64| {
        let world = World::new(&[LOAD, P99], See::TrafficExplains);
        let surge = move |h: f64| if h >= 0.0 { factor } else { 1.0 };
        // By night: the usual highs are those of the day.
        let night = 12.0;
        let moved = move |role: &str, h: f64| match role {
            "traffic" => surge(h - night),
            role => slow(role, h - night),
        };
        world.live(14, &|role, _, h, _| Some(moved(role, h))).looks().0
    };
    assert_eq!(at_level(3.0), Some(true), "beyond the usual highs");
    assert_eq!(at_level(1.3), None, "more than at this hour, and no more than by day");
    assert_eq!(at_level(1.0), Some(false));
}

#[test]
fn what_the_same_traffic_did_not_do_before_it_does_not_explain() {
    let run = |sold_before: bool, moves: Role| {
        let world = World::new(&[LOAD, (moves, "", &[""])], See::TrafficExplains);
        let since = |h: f64, factor: f64| if h >= 0.0 { factor } else { 1.0 };
        let fate = move |role: &str, h: f64| match role {
            "traffic" if sold_before && (-96.0..-90.0).contains(&h) => 3.5,
            "traffic" => since(h, 3.0),
            _ => since(h, 1.5),
        };
        world.live(3, &|role, _, h, _| Some(fate(role, h))).looks()
    };
    assert_eq!(run(false, Role::Latency).0, Some(true));
    let (seen, named) = run(true, Role::Latency);
    assert_eq!(seen, Some(false), "{named:?}");
    assert!(
        named.against.concat().contains("of now before, and latency of shop was 19"),
        "{named:?}"
    );
    let (seen, named) = run(false, Role::LogVolume);
    assert_eq!(seen, None, "nothing that load would bend: {named:?}");
}

#[test]
fn a_trickle_of_retries_is_no_load() {
    let see = || See::RoleIs { role: Role::Retries, is: RoleState::Rising };
    let called: &[&str] = &["bank", "stock"];
    let signals =
        [LOAD, P99, (Role::Attempts, "dependency", called), (Role::Retries, "dependency", called)];
    // Retries of calls to each, as a share of twenty calls a second.
    let run = |bank: f64, stock: f64| {
        let fate = move |role: &str, to: &str, h: f64| match (role, to) {
            ("retries", _) if h < 0.0 => 0.000_5,
            ("retries", "bank") => bank,
            ("retries", _) => stock,
            (role, _) => slow(role, h),
        };
        World::new(&signals, see()).live(3, &|role, to, h, _| Some(fate(role, to, h))).looks()
    };
    assert_eq!(run(0.05, 0.000_5).0, Some(true));
    let (seen, named) = run(0.005, 0.000_5);
    assert_eq!(seen, None, "{named:?}");
    assert!(named.unknown[0].contains("too few of all calls"), "{named:?}");
    let (seen, named) = run(0.009, 0.02);
    assert_eq!(seen, Some(true), "what is more than a trickle counts: {named:?}");
}

#[test]
fn a_knee_is_what_traffic_passed_and_not_a_busy_hour() {
    let world = || World::new(&[LOAD, P99], See::TrafficKnee);
    let knee = |load: f64| 1.0 + 0.02 * (load - 150.0).max(0.0);
    let surge = |h: f64| if (0.0..9.0).contains(&h) { 1.9 } else { 1.0 };
    let (seen, named) = world()
        .live(3, &|role, _, h, load| Some(if role == "traffic" { surge(h) } else { knee(load) }))
        .looks();
    assert_eq!(seen, Some(true), "{named:?}");
    assert!(named.evidence_for[0].contains("rises once traffic passes 1"), "{named:?}");
    // Slow for a reason of its own, at the usual traffic.
    let (seen, named) = world().live(3, &|role, _, h, _| Some(slow(role, h))).looks();
    assert_eq!(seen, Some(false), "{named:?}");
    // The same surge was borne on other days.
    let daily = |h: f64| surge(h.rem_euclid(24.0));
    let (seen, named) = world()
        .live(3, &|role, _, h, _| Some(if role == "traffic" { daily(h) } else { slow(role, h) }))
        .looks();
    assert_eq!(seen, Some(false), "{named:?}");
}

#[test]
fn the_loop_closes_when_stages_follow_each_other() {
    let stages = [
        Role::DependencyLatency,
        Role::Latency,
        Role::Retries,
        Role::Attempts,
        Role::PoolWait,
        Role::Errors,
    ];
    let signals: Vec<(Role, &str, &[&str])> =
        stages.iter().map(|&role| (role, "", &[""] as &[&str])).collect();
    let run = |of: &dyn Fn(&str) -> Option<f64>| {
        World::new(&signals, See::LoopClosing)
            .live(5, &|role, _, h, _| {
                // Shares lie below one.
                let unit = if role == "errors" { 0.001 } else { 1.0 };
                Some(unit * if of(role).is_some_and(|from| h >= from) { 1.6 } else { 1.0 })
            })
            .looks()
    };
    let place = |role: &str| stages.iter().position(|stage| stage.name() == role);
    let (seen, named) = run(&|role| place(role).map(|n| 0.5 * n as f64));
    assert_eq!(seen, Some(true), "{named:?}");
    let (seen, named) = run(&|role| place(role).filter(|&n| n < 2).map(|_| 0.0));
    assert_eq!(seen, Some(false), "a slow dependency that nobody retries: {named:?}");
    // Everything at once against the order, hours apart: not this loop.
    let (seen, named) = run(&|role| place(role).map(|n| 4.0 - 0.8 * n as f64));
    assert_ne!(seen, Some(true), "{named:?}");
}

#[test]
fn one_dependency_or_several() {
    let calls: (Role, &str, &[&str]) =
        (Role::DependencyLatency, "dependency", &["bank", "db", "mail"]);
    let run = |several: bool, slow: &[&str]| {
        let world = World::new(&[LOAD, calls], See::Dependencies { several });
        world
            .live(3, &|_, who, h, _| Some(if slow.contains(&who) && h >= 0.0 { 1.5 } else { 1.0 }))
            .looks()
    };
    let (seen, named) = run(false, &["db"]);
    assert_eq!(seen, Some(true), "{named:?}");
    assert_eq!(
        (named.culprit.service.as_str(), named.culprit.labels["dependency"].as_str()),
        ("db", "db")
    );
    assert_eq!(run(true, &["db"]).0, Some(false));
    assert_eq!(run(true, &["db", "mail"]).0, Some(true));
    let (seen, named) = run(false, &["db", "mail"]);
    assert_eq!(seen, Some(false), "{named:?}");
    assert_eq!(named.culprit.service, "shop", "what was not seen names nobody");
}

#[test]
fn a_peer_apart_is_the_culprit() {
    let p99 = (Role::Latency, "instance", &["a", "b", "c", "d"] as &[&str]);
    let world = || World::new(&[LOAD, p99], See::PeerApart { of: Some(Role::Latency) });
    let slows = |who: &str, role: &str, h: f64, all: bool| {
        if role == "latency" && h >= 0.0 && (all || who == "c") { 1.6 } else { 1.0 }
    };
    let (seen, named) =
        world().live(3, &|role, who, h, _| Some(slows(who, role, h, false))).looks();
    assert_eq!(seen, Some(true), "{named:?}");
    assert_eq!(named.culprit.labels["instance"], "c");
    let (seen, named) = world().live(3, &|role, who, h, _| Some(slows(who, role, h, true))).looks();
    assert_eq!(seen, Some(false), "{named:?}");
    assert!(named.culprit.labels.is_empty(), "{named:?}");
    // Always the slowest, by more for two hours, and by nothing since, while all of them are slow.
    let was = |who: &str, role: &str, h: f64| match (role, who) {
        ("latency", "c") if h >= 2.0 => 1.6,
        ("latency", "c") if h >= 0.0 => 3.0,
        ("latency", "c") => 1.3,
        ("latency", _) if h >= 0.0 => 1.6,
        _ => 1.0,
    };
    let (seen, named) = world().live(3, &|role, who, h, _| Some(was(who, role, h))).looks();
    assert_eq!(seen, None, "{named:?}");
}

#[test]
fn what_rose_is_told_above_its_usual_level() {
    let see = See::RoleIs { role: Role::Attempts, is: RoleState::Rising };
    let world = World::new(&[LOAD, P99, (Role::Attempts, "", &[""])], see);
    // The newest block happens to be low.
    let factor = |role: &str, h: f64| match role {
        "traffic" => 1.0,
        _ if h < 0.4 => 1.0,
        "attempts" if h > 0.9 => 0.9,
        _ => 1.5,
    };
    let (seen, named) = world.live(1, &|role, _, h, _| Some(factor(role, h))).looks();
    assert_eq!(seen, Some(true), "{named:?}");
    let text = named.evidence_for.iter().find(|text| text.starts_with("attempts")).unwrap();
    let number = |after: &str| -> f64 {
        let rest = text.split(after).nth(1).unwrap().split_whitespace().next().unwrap();
        rest.parse().unwrap()
    };
    assert!(number("rose to ") > number("(usual "), "{text}");
}

#[test]
fn a_burst_of_a_few_rare_events_is_no_rise() {
    let see = || See::RoleIs { role: Role::Throttled, is: RoleState::Rising };
    let bank: (Role, &str, &[&str]) = (Role::Throttled, "dependency", &["bank"]);
    // One refusal in eight hours, as ever, and what the test adds, in events a block.
    let looks = |more: &dyn Fn(f64) -> f64| {
        let refused = |hours: f64| {
            let block = (hours * 12.0).round();
            (more(block) + f64::from((block.rem_euclid(97.0) - 5.0).abs() < 0.5)) / 300.0
        };
        let world = World::new(&[LOAD, P99, bank], see());
        let fate = |role: &str, hours: f64| match role {
            "throttled" => refused(hours),
            role => slow(role, hours),
        };
        world.live(1, &|role, _, hours, _| Some(fate(role, hours))).looks()
    };
    // Far from chance and over, at a level that nobody cares about.
    let burst = |block: f64| match block {
        8.0 => 2.0,
        9.0 => 16.0,
        _ => 0.0,
    };
    let (seen, named) = looks(&burst);
    assert_eq!(seen, None, "{named:?}");
    // What matters is told by its newest block, where that has enough of them to be known by, and
    // else by its level: the newest block happens to have none.
    for (every, told) in [(1.0, "rose to 0.2 "), (2.0, "rose to 0.0728 ")] {
        let more = |block: f64| {
            let is_hit = (2.0..12.0).contains(&block) && block % every > every - 1.5;
            if is_hit { 60.0 } else { 0.0 }
        };
        let (seen, named) = looks(&more);
        assert_eq!(seen, Some(true), "{named:?}");
        assert!(named.evidence_for[0].contains(told), "{named:?}");
    }
}
