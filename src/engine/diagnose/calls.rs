//! How far the trouble reaches: services, what they call, how many of those are worse.

use std::collections::BTreeMap;

use crate::engine::diagnose::evidence::{Looked, movement};
use crate::engine::diagnose::scene::{MOVED_MIN, NORMAL_MAX, Scene, View};
use crate::engine::track::Tracked;
use crate::rules::{Role, Rules};
use crate::series::Labels;

/// Three or more services are many.
const MANY_SERVICES: usize = 3;
/// Names told of many.
const NAMES_TOLD: usize = 8;
/// What is rare by rights and less than this of the calls of a block is too little to divide.
const SHARE_OF_RARE_MIN: f64 = 0.01;
/// Of one dependency nobody can say whether it is the only one.
const DEPENDENCIES_MIN: usize = 2;

/// So many calls, which a series counts, as a share of all that the same caller makes to the same
/// dependency at a block; none where the series counts no calls or those are not counted alike.
pub(crate) fn share_of_calls(
    rules: &Rules,
    tracks: &[Tracked],
    (counted, number): (&Tracked, f64),
    block: i64,
) -> Option<f64> {
    // Rare ones are counted over hours until they come in numbers, calls over a block.
    let rare = counted.drift.counts_events();
    #[expect(clippy::float_cmp, reason = "it is the block's value, or it is not")]
    if rare && number != counted.history.at(block) {
        return None;
    }
    let share = number / calls_made(rules, tracks, counted, block)?;
    let least = if rare { SHARE_OF_RARE_MIN } else { 0.0 };
    (least..=1.0).contains(&share).then_some(share)
}

/// All calls that a caller makes at a block where a series counts some of them, in its unit; none
/// where the series counts no calls or those are not counted alike.
pub(super) fn calls_made(
    rules: &Rules,
    tracks: &[Tracked],
    counted: &Tracked,
    block: i64,
) -> Option<f64> {
    if !matches!(counted.role, Role::Throttled | Role::Retries) {
        return None;
    }
    let unit = |tracked: &Tracked| rules.signals[tracked.signal].unit.as_deref();
    unit(counted)?;
    let made = tracks.iter().filter(|tracked| {
        tracked.role == Role::Attempts
            && tracked.apart.is_none()
            && tracked.series.service == counted.series.service
            && tracked.series.dependency == counted.series.dependency
            && unit(tracked) == unit(counted)
    });
    let made: f64 = made.map(|tracked| tracked.history.at(block)).sum();
    (made > 0.0).then_some(made)
}

pub(super) fn services(scene: &Scene<'_>, many: bool) -> Looked {
    let n = scene.members.len();
    let seen = if many { n >= MANY_SERVICES } else { n == 1 };
    let names: Vec<&str> = scene.members.iter().map(String::as_str).take(NAMES_TOLD).collect();
    Looked::new(Some(seen), format!("{n} service(s) in trouble: {}", names.join(", ")))
}

/// Roles that tell what is wrong inside a service, as its callers cannot see it.
const INSIDE: [Role; 13] = [
    Role::PoolWait,
    Role::PoolUse,
    Role::QueueAge,
    Role::QueueDepth,
    Role::LockWait,
    Role::Conflicts,
    Role::CacheHit,
    Role::Memory,
    Role::Disk,
    Role::Fds,
    Role::Threads,
    Role::Sockets,
    Role::Gc,
];

pub(super) fn inside(scene: &Scene<'_>, view: View) -> Looked {
    if view == View::Inside {
        return Looked::idle();
    }
    let known = INSIDE.into_iter().filter_map(|role| scene.strongest(View::Inside, role));
    let strongest = known.max_by(|a, b| a.score.abs().total_cmp(&b.score.abs()));
    match strongest {
        None => Looked::unmeasured("what happens inside"),
        Some(seen) if seen.score.abs() >= MOVED_MIN => {
            Looked::new(Some(true), movement(scene, seen.tracked, seen.score))
        }
        Some(seen) if scene.is_older(seen.tracked) => {
            Looked::new(None, movement(scene, seen.tracked, seen.score))
        }
        Some(_) => Looked::new(Some(false), format!("nothing inside of {} moved", scene.root)),
    }
}

pub(super) fn callee(scene: &Scene<'_>, view: View) -> Looked {
    let Some(seen) = scene.callee_anomalous(view) else {
        return Looked::unmeasured("what it calls");
    };
    let text = match (view, seen) {
        (View::Outside, true) => format!("{} is in trouble of its own", scene.root),
        (View::Outside, false) => format!("{} shows no trouble of its own", scene.root),
        (View::Inside, true) => format!("something that {} calls is in trouble", scene.root),
        (View::Inside, false) => format!("what {} calls is well", scene.root),
    };
    Looked::new(Some(seen), text)
}

/// Of the dependencies whose calls are measured, how many have become worse.
pub(super) fn dependencies(scene: &Scene<'_>, view: View, several: bool) -> Looked {
    let root = &scene.root;
    let callers: Vec<&str> = match view {
        View::Inside => vec![root],
        View::Outside => scene.graph.callers(root).collect(),
    };
    // By dependency, the largest score of any call to it.
    let mut calls: BTreeMap<&str, f64> = BTreeMap::new();
    for &tracked in &scene.near {
        let call = matches!(tracked.role, Role::DependencyLatency | Role::DependencyErrors)
            && tracked.apart.is_none()
            && callers.contains(&tracked.series.service.as_str());
        let dependency = tracked.series.dependency.as_deref().filter(|_| call);
        if let (Some(dependency), Some(seen)) = (dependency, scene.judge(tracked)) {
            let score = calls.entry(dependency).or_insert(seen.score);
            *score = score.max(seen.score);
        }
    }
    let who = callers.join(", ");
    if calls.len() < DEPENDENCIES_MIN {
        return Looked::idle();
    }
    let worse: Vec<&str> =
        calls.iter().filter(|(_, score)| **score >= MOVED_MIN).map(|(name, _)| *name).collect();
    let unsure = calls.values().filter(|s| (NORMAL_MAX..MOVED_MIN).contains(*s)).count();
    let most = worse.len() + unsure;
    let seen = match (several, worse.len()) {
        (true, 2..) => Some(true),
        (true, _) => (most < 2).then_some(false),
        (false, 1) => (unsure == 0).then_some(true),
        (false, 2..) => Some(false),
        (false, _) => (most == 0).then_some(false),
    };
    let text = match worse.as_slice() {
        [] => format!("none of {} dependencies of {who} is worse", calls.len()),
        worse => {
            let names: Vec<&str> = worse.iter().copied().take(NAMES_TOLD).collect();
            let (n, of) = (worse.len(), calls.len());
            format!("{n} of {of} dependencies of {who} worse: {}", names.join(", "))
        }
    };
    let one = worse.first().filter(|_| !several && seen == Some(true));
    let names: Labels =
        one.map(|name| ("dependency".to_owned(), (*name).to_owned())).into_iter().collect();
    Looked { names, ..Looked::new(seen, text) }
}
