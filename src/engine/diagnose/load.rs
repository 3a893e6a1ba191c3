//! What traffic explains: all of the trouble, or that it begins above a level of it.

use crate::engine::detect::drift::Direction;
use crate::engine::diagnose::evidence::{Looked, movement};
use crate::engine::diagnose::scene::{Scene, View, describe};
use crate::engine::grid::{PER_DAY, PER_HOUR, block_of};
use crate::engine::track::Tracked;
use crate::format;
use crate::rules::Role;
use crate::stats::knee::{Knee, knee};
use crate::stats::robust::median;

/// A knee is looked for in the last four weeks.
const PAST_BLOCKS: i64 = 28 * PER_DAY;
/// Points of the past at most: each the middle of at least an hour.
const PAST_POINTS: i64 = 500;
/// Blocks of the incident itself, at most: six hours.
const NOW_BLOCKS: i64 = 6 * PER_HOUR;
/// From this many points of the past beyond the knee on, they must show the trouble too.
const BEYOND_MIN: usize = 3;
/// What more work takes or waits in, long before anything bends.
const TAKEN: [Role; 9] = [
    Role::Cpu,
    Role::PoolUse,
    Role::Memory,
    Role::QueueDepth,
    Role::LockWait,
    Role::Threads,
    Role::Sockets,
    Role::Gc,
    Role::Disk,
];
/// What callers see of it.
const CALLED: [Role; 2] = [Role::DependencyLatency, Role::DependencyErrors];
/// What such traffic did before must be at least this share of what is seen now, or traffic does
/// not explain it.
const EXPLAINED_MIN: f64 = 0.5;
/// What bends above a knee, in the order in which it is asked.
const BENDS: [Role; 5] =
    [Role::Latency, Role::PoolWait, Role::QueueAge, Role::Errors, Role::LatencyTypical];

pub(super) fn explains(scene: &Scene<'_>) -> Looked {
    let Some(strongest) = scene.strongest(View::Inside, Role::Traffic) else {
        return Looked::unmeasured(Role::Traffic.name());
    };
    let moved = scene.moved(View::Inside, Role::Traffic, Direction::Up);
    let high = scene
        .services
        .get(&scene.root)
        .and_then(|service| service.traffic_is_high(&scene.tracks.all, scene.at.0));
    // More than at this hour on other days, and as much as on the busiest ones. What is only more
    // than at this hour may be on its way there, or costs more than such traffic did before.
    let movement = movement(scene, strongest.tracked, strongest.score);
    match (moved, high) {
        (Some(true), Some(true)) => match borne_before(scene) {
            Some(text) => Looked::new(Some(false), text),
            None if suffers(scene) => Looked::new(Some(true), movement),
            None => Looked::new(None, format!("{movement}: nothing rose that load bends or uses")),
        },
        (Some(false), _) | (None, Some(false)) => Looked::new(Some(false), movement),
        (Some(true), Some(false)) => {
            Looked::new(None, format!("{movement}: no more than at other hours"))
        }
        _ => Looked::new(None, movement),
    }
}

/// Traffic of the past that was as high as now and did not do what is seen now, in words; none where
/// it did, or never was as high.
fn borne_before(scene: &Scene<'_>) -> Option<String> {
    let traffic = scene.services.get(&scene.root)?.traffic_tracked(&scene.tracks.all)?;
    // The middle of a few events is none of them or one.
    let bent = bent(scene).filter(|bent| !bent.drift.counts_events())?;
    // Not the hours in which the trouble may have begun.
    let points = points(scene, (traffic, bent), block_of(scene.onset_range[0]))?;
    let [load, reached] = points.newest()?;
    let as_high = points.past.iter().filter(|&&(traffic, _)| load <= traffic);
    let mut then: Vec<f64> = as_high.map(|&(_, y)| y).filter(|y| y.is_finite()).collect();
    let mut usual: Vec<f64> = points.past.iter().map(|&(_, y)| y).collect();
    let (borne, usual) = (median(&mut then)?, median(&mut usual)?);
    if then.len() < BEYOND_MIN || borne - usual >= EXPLAINED_MIN * (reached - usual) {
        return None;
    }
    let unit = |tracked: &Tracked| scene.rules.signals[tracked.signal].unit.as_deref();
    let borne = bent.baseline.as_ref()?.transform.inverse(borne);
    Some(format!(
        "{} was above its {} of now before, and {} was {} then",
        describe(traffic),
        format::value(load, unit(traffic)),
        describe(bent),
        format::value(borne, unit(bent)),
    ))
}

pub(super) fn goodput(scene: &Scene<'_>, view: View) -> Looked {
    let attempts = scene.moved(view, Role::Attempts, Direction::Up);
    let goodput = scene.moved(view, Role::Goodput, Direction::Up);
    let seen = match (attempts, goodput) {
        (Some(true), Some(grows)) => Some(!grows),
        (Some(false), _) => Some(false),
        _ => None,
    };
    let measured =
        [Role::Attempts, Role::Goodput].iter().all(|role| scene.strongest(view, *role).is_some());
    let text = match (seen, attempts) {
        (Some(true), _) => "attempts grow while goodput does not",
        (Some(false), Some(true)) => "attempts and goodput grow together",
        (Some(false), _) => "attempts do not grow",
        (None, _) if measured => "attempts against goodput: not clear whether they grow",
        (None, _) => "attempts against goodput: not both measured",
    };
    Looked::new(seen, text.to_owned())
}

/// The trouble comes above a level of traffic, and traffic is above it.
pub(super) fn above_knee(scene: &Scene<'_>) -> Looked {
    let root = &scene.root;
    let unknown = |why: &str| Looked::new(None, format!("a knee in the load of {root}: {why}"));
    let Some(service) = scene.services.get(root) else { return Looked::idle() };
    let Some(traffic) = service.traffic_tracked(&scene.tracks.all) else {
        return Looked::unmeasured(Role::Traffic.name());
    };
    let Some(bent) = bent(scene) else { return Looked::idle() };
    if service.traffic_is_high(&scene.tracks.all, scene.at.0) == Some(false) {
        return Looked::new(Some(false), format!("traffic of {root} is not above its usual highs"));
    }
    let Some(points) = points(scene, (traffic, bent), block_of(scene.onset)) else {
        return unknown("too little data");
    };
    let Some(found) = knee(&points.all()) else { return unknown("too little data") };
    let unit = scene.rules.signals[traffic.signal].unit.as_deref();
    let (name, level) = (describe(bent), format::value(found.at, unit));
    let now = points.newest().map_or(f64::NAN, |[traffic, _]| traffic);
    if !found.is_clear() || !is_borne_out(&found, &points) {
        let text = format!("{name} does not rise above a certain level of traffic");
        return Looked::new(Some(false), text);
    }
    let (seen, now) = (now > found.at, format::value(now, unit));
    let text = format!("{name} rises once traffic passes {level}; it is {now} now");
    Looked::new(Some(seen), text)
}

/// Whether there is anything for traffic to explain, in the service in which the trouble begins or
/// as its callers see it.
fn suffers(scene: &Scene<'_>) -> bool {
    let inside = BENDS.iter().chain(&TAKEN).map(|role| (View::Inside, *role));
    let called = CALLED.iter().map(|role| (View::Outside, *role));
    let rose = |(view, role)| scene.moved(view, role, Direction::Up) == Some(true);
    inside.chain(called).any(rose)
}

/// What has risen in the service in which the trouble begins, of that which bends.
fn bent<'a>(scene: &Scene<'a>) -> Option<&'a Tracked> {
    let moved = |role: &Role| {
        let seen = scene.strongest(View::Inside, *role)?;
        let rose = scene.moved(View::Inside, *role, Direction::Up) == Some(true);
        (rose && seen.tracked.series.service == scene.root).then_some(seen.tracked)
    };
    BENDS.iter().find_map(moved)
}

/// Traffic and what may bend with it, oldest first.
struct Points {
    past: Vec<(f64, f64)>,
    now: Vec<(f64, f64)>,
}

impl Points {
    fn all(&self) -> Vec<(f64, f64)> {
        [self.past.as_slice(), self.now.as_slice()].concat()
    }

    /// The middle of the newest half hour of both.
    fn newest(&self) -> Option<[f64; 2]> {
        let newest = || self.now.iter().rev().take(6);
        let mut traffic: Vec<f64> = newest().map(|&(traffic, _)| traffic).collect();
        let mut bent: Vec<f64> = newest().map(|&(_, bent)| bent).collect();
        Some([median(&mut traffic)?, median(&mut bent)?])
    }
}

/// Hours of the past before the block `until`, and blocks since the onset; none when there are none
/// of either.
fn points(scene: &Scene<'_>, (traffic, bent): (&Tracked, &Tracked), until: i64) -> Option<Points> {
    let transform = bent.baseline.as_ref()?.transform;
    let end = scene.at.0 + 1;
    let onset = block_of(scene.onset).clamp(end - NOW_BLOCKS, end);
    let from = traffic.history.first()?.max(bent.history.first()?).max(end - PAST_BLOCKS);
    let load = traffic.past(scene.archive, from, end);
    let bent: Vec<f64> = bent.past(scene.archive, from, end);
    let bent: Vec<f64> = bent.into_iter().map(|value| transform.forward(value)).collect();
    let split = usize::try_from(onset - from).ok()?;
    let width = usize::try_from(((onset - from) / PAST_POINTS).max(PER_HOUR)).ok()?;
    let both = |chunk: (&[f64], &[f64])| {
        let (mut load, mut bent) = (chunk.0.to_vec(), chunk.1.to_vec());
        Some((median(&mut load)?, median(&mut bent)?))
    };
    let past = usize::try_from(until - from).unwrap_or(0).min(split);
    let past = load[..past].chunks(width).zip(bent[..past].chunks(width));
    let now = load[split..].chunks(1).zip(bent[split..].chunks(1));
    let points =
        Points { past: past.filter_map(both).collect(), now: now.filter_map(both).collect() };
    (!points.past.is_empty() && !points.now.is_empty()).then_some(points)
}

/// Whether the past agrees: where traffic was as far beyond the knee before, it hurt as well.
/// Without this, any trouble that falls on a busy hour would bend the line.
fn is_borne_out(found: &Knee, points: &Points) -> bool {
    let Some([now, _]) = points.newest() else { return true };
    let half_way = f64::midpoint(found.at, now);
    let beyond = points.past.iter().filter(|&&(traffic, _)| traffic >= half_way.max(found.at));
    let mut shares: Vec<f64> =
        beyond.map(|&(x, y)| (y - found.line(x)) / found.excess(x)).collect();
    shares.len() < BEYOND_MIN || median(&mut shares).is_some_and(|share| share >= EXPLAINED_MIN)
}
