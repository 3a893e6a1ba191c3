//! A role that climbs for hours, whatever traffic does.

use crate::engine::baseline::Load;
use crate::engine::detect::drift::Direction;
use crate::engine::diagnose::evidence::{Looked, silent_role};
use crate::engine::diagnose::scene::{Scene, View, describe};
use crate::engine::grid::{PER_DAY, PER_HOUR, block_of};
use crate::engine::service::own_load;
use crate::engine::track::Tracked;
use crate::engine::transform::Transform;
use crate::engine::vote::is_effect;
use crate::format;
use crate::rules::{Role, RoleState};
use crate::series::ChangeKind;
use crate::stats::climb::{Climb, climb};
use crate::stats::robust::median;
use crate::time::Span;

/// A climb is looked for over these windows, longest first, in blocks.
const WINDOWS: [i64; 3] = [PER_DAY, PER_DAY / 2, PER_DAY / 4];
/// Blocks per point: half an hour. Collections of garbage come and go within it.
const POINT_BLOCKS: i64 = PER_HOUR / 2;
/// After a start, caches and heaps fill: what climbs then is no leak.
const WARM_UP_BLOCKS: i64 = 2 * PER_HOUR;
/// A role that rises for less than this may climb yet.
const YOUNG: Span = Span::from_hours(4);
/// Traffic climbs, steadily or not, from this deviate of the trend test on: lower than for the
/// role itself, which is excused by it.
const LED_Z_MIN: f64 = 1.5;
/// Traffic whose own climb is this share of the role's leads it.
const LED_MIN: f64 = 0.5;
/// Where the two are not measured on one scale: a climb of traffic by 5 % leads.
const TRAFFIC_RISE_MIN: f64 = 0.05;

/// Whether a series climbs.
enum Course {
    Steady(Climb),
    WithTraffic,
    No,
}

/// Looks at a role's typical series and at the distance of its farthest peer.
pub(super) fn climbing(scene: &Scene<'_>, view: View, role: Role) -> Looked {
    let Some(strongest) = scene.strongest(view, role) else {
        return silent_role(scene, view, role, RoleState::Climbing);
    };
    let typical = scene.series_of(view, role);
    let peers = scene.distances().map(|seen| seen.tracked).filter(|t| t.role == role);
    let starts = starts(scene);
    let mut known = false;
    let mut with_traffic = false;
    for tracked in typical.chain(peers) {
        match course(scene, tracked, &starts) {
            Some(Course::Steady(climb)) => {
                return Looked::new(Some(true), steady(scene, tracked, climb));
            }
            Some(Course::WithTraffic) => (known, with_traffic) = (true, true),
            Some(Course::No) => known = true,
            None => {}
        }
    }
    let name = describe(strongest.tracked);
    if with_traffic {
        return Looked::new(Some(false), format!("{name} climbs as traffic does"));
    }
    let rises = scene.moved(view, role, Direction::Up) == Some(true);
    let since = scene.onset_of(view, role).map(|onset| onset[1]);
    if rises && since.is_some_and(|since| scene.now - since < YOUNG) {
        return Looked::new(None, format!("{name} rises, not yet for long enough to say more"));
    }
    if known {
        Looked::new(Some(false), format!("{name} does not climb steadily"))
    } else {
        Looked::new(None, format!("{name}: too little data to say whether it climbs"))
    }
}

fn steady(scene: &Scene<'_>, tracked: &Tracked, climb: Climb) -> String {
    let unit = scene.rules.signals[tracked.signal].unit.as_deref();
    let hours = Span::from_mins(30).times(2 * whole(climb.hours)).rough();
    let name = describe(tracked);
    let (now, usual) = match tracked.farthest() {
        Some(farthest) => (Some(farthest.value), Some(farthest.others)),
        None => (scene.tracks.newest(tracked).value, scene.expected(tracked)),
    };
    let now = format::optional(now, unit);
    let usual = usual.map_or_else(|| "not known".to_owned(), |usual| format::value(usual, unit));
    format!("{name} has climbed for {hours}, whatever traffic did, to {now} (usual {usual})")
}

#[expect(clippy::cast_possible_truncation, reason = "a day at most")]
fn whole(hours: f64) -> i64 {
    hours.round() as i64
}

/// What a series did over the longest window in which it climbs; none with too little data.
fn course(scene: &Scene<'_>, tracked: &Tracked, starts: &[i64]) -> Option<Course> {
    let baseline = tracked.baseline.as_ref()?;
    let service = scene.services.get(&tracked.series.service)?;
    let end = scene.at.0 + 1;
    let from = end - WINDOWS[0];
    let slots = scene.clock.slots(from, end);
    let load = service.loads(&scene.tracks.all, scene.archive, from, &slots);
    let own: Vec<f64> = deviations(scene, tracked, (from, &slots), &load);
    let usual = vec![Load::USUAL; slots.len()];
    let traffic = service.traffic_tracked(&scene.tracks.all).filter(|_| tracked.apart.is_none());
    let traffic = traffic.map(|traffic| deviations(scene, traffic, (from, &slots), &usual));
    let mut known = false;
    for window in WINDOWS {
        let stretches = |values: &[f64]| climb(&points(values, (from, end - window, end), starts));
        let Some(found) = stretches(&own) else { continue };
        known = true;
        if !found.is_steady() || !is_large(scene, tracked, found) {
            continue;
        }
        let led = traffic.as_deref().and_then(stretches).filter(|traffic| traffic.z >= LED_Z_MIN);
        let leads = |traffic: Climb| match baseline.transform {
            Transform::Log { .. } => traffic.rise() >= LED_MIN * found.rise(),
            _ => traffic.rise() >= TRAFFIC_RISE_MIN,
        };
        return Some(if led.is_some_and(leads) {
            Course::WithTraffic
        } else {
            Course::Steady(found)
        });
    }
    known.then_some(Course::No)
}

/// How far above what was expected a series was, block by block, in its comparable scale.
fn deviations(
    scene: &Scene<'_>,
    tracked: &Tracked,
    (from, slots): (i64, &[u16]),
    load: &[Load],
) -> Vec<f64> {
    let Some(baseline) = &tracked.baseline else { return vec![f64::NAN; slots.len()] };
    let to = from + WINDOWS[0];
    let past = tracked.past(scene.archive, from, to);
    let at = past.into_iter().zip(slots).zip(load);
    at.map(|((value, &slot), &load)| baseline.deviation(value, slot, own_load(tracked, load)))
        .collect()
}

/// Half-hour middles since `first`, cut where the service started; a warm-up is left out.
/// `values` begin at block `from`.
fn points(
    values: &[f64],
    (from, first, end): (i64, i64, i64),
    starts: &[i64],
) -> Vec<Vec<(f64, f64)>> {
    let mut edges = vec![first];
    for &start in starts.iter().filter(|&&start| start + WARM_UP_BLOCKS > first && start < end) {
        edges.extend([start.max(first), (start + WARM_UP_BLOCKS).min(end)]);
    }
    edges.push(end);
    let stretch = |edge: &[i64]| -> Vec<(f64, f64)> {
        let middle = |block: i64| {
            let at = usize::try_from(block - from).ok()?;
            let mut blocks = values.get(at..at + usize::try_from(POINT_BLOCKS).ok()?)?.to_vec();
            Some((block as f64 / PER_HOUR as f64, median(&mut blocks)?))
        };
        let count = (edge[1] - edge[0]).div_euclid(POINT_BLOCKS);
        // Counted from the end, so that the newest half hour is whole.
        (1..=count).rev().filter_map(|n| middle(edge[1] - n * POINT_BLOCKS)).collect()
    };
    // Pairs of edges: between them the service ran and was warm.
    edges.chunks(2).filter(|edge| edge.len() == 2 && edge[0] < edge[1]).map(stretch).collect()
}

/// When the suspected service started anew during the last day: deploys, configurations, and
/// restarts that were counted. In order.
fn starts(scene: &Scene<'_>) -> Vec<i64> {
    let end = scene.at.0 + 1;
    let from = end - WINDOWS[0] - WARM_UP_BLOCKS;
    let begins = |kind: ChangeKind| matches!(kind, ChangeKind::Deploy | ChangeKind::Config);
    let changes = scene.changes.iter().filter(|c| begins(c.kind) && c.service == scene.root);
    let mut starts: Vec<i64> = changes.map(|c| block_of(c.at)).collect();
    for tracked in scene.series_of(View::Inside, Role::Restarts) {
        let counted = tracked.past(scene.archive, from, end);
        // A count over a window stays up for as long as the window is.
        let rises =
            counted.windows(2).zip(from + 1..).filter(|(pair, _)| pair[1] > pair[0].max(0.0));
        starts.extend(rises.map(|(_, block)| block));
    }
    starts.retain(|&start| (from..end).contains(&start));
    starts.sort_unstable();
    starts.dedup_by(|next, start| *next - *start < WARM_UP_BLOCKS);
    starts
}

/// Whether anybody cares about a climb of this size.
fn is_large(scene: &Scene<'_>, tracked: &Tracked, climb: Climb) -> bool {
    let signal = &scene.rules.signals[tracked.signal];
    if tracked.apart.is_some() {
        return scene.matters(tracked);
    }
    let (Some(baseline), Some(usual)) = (&tracked.baseline, scene.expected(tracked)) else {
        return false;
    };
    let transform = baseline.transform;
    let seen = transform.inverse(transform.forward(usual) + climb.rise());
    is_effect(signal, seen, usual)
}
