//! Looks up one piece of evidence and puts it into words.

use crate::engine::detect::drift::Direction;
use crate::engine::diagnose::scene::{MOVED_MIN, NORMAL_MAX, Scene, View, describe};
use crate::engine::diagnose::{Weighed, likelihood_ratio};
use crate::engine::grid::BLOCK;
use crate::engine::track::{Peer, Tracked};
use crate::format;
use crate::rules::{ChangeSide, Evidence, Role, RoleState, See};
use crate::series::{Change, ChangeKind};
use crate::stats::robust::median;
use crate::time::Span;

/// Changes are counted over at most this long to know how usual they are.
const RATE_WINDOW: Span = Span::WEEK;
/// A service changes at least this often as far as chance is concerned (METHODS 2.9).
const CHANCE_MIN: f64 = 0.02;
/// Blocks over which old and new version are compared: half an hour.
const VERSION_BLOCKS: usize = 6;
/// Blocks that a new version must have run before it is compared.
const VERSION_BLOCKS_MIN: i64 = 2;
/// How much worse the new version must be than every old peer.
const VERSION_RATIO: f64 = 1.15;
/// Three or more services are many.
const MANY_SERVICES: usize = 3;
/// An onset this shortly before a change may as well lie after it: noise moves it by a block or
/// two, and a version is reported one poll late.
const ONSET_SLACK: Span = Span::from_mins(15);
/// Onsets this close count as together; the order says nothing against a cause then.
const TIE: Span = Span::from_mins(10);

/// What looking gave: an answer or none, and words for both.
struct Looked {
    seen: Option<bool>,
    text: String,
    /// A better estimate of P(seen | another cause) than the rule's, where there is one.
    chance: Option<f64>,
}

impl Looked {
    fn new(seen: Option<bool>, text: String) -> Self {
        Self { seen, text, chance: None }
    }
}

/// Looks up a piece of evidence from a point of view.
pub(super) fn weigh(scene: &Scene<'_>, view: View, evidence: &Evidence) -> Weighed {
    let looked = look(scene, view, &evidence.see);
    // Where chance gives as much as the cause would, seeing it says nothing; it never says the
    // opposite, nor does its absence speak for the cause.
    let most = evidence.otherwise.max(evidence.likely);
    let otherwise = looked.chance.map_or(evidence.otherwise, |c| c.clamp(evidence.otherwise, most));
    let llr = looked.seen.map(|seen| likelihood_ratio(seen, evidence.likely, otherwise));
    Weighed { text: looked.text, llr }
}

fn look(scene: &Scene<'_>, view: View, see: &See) -> Looked {
    match see {
        See::RoleIs { role, is } => role_is(scene, view, *role, *is),
        See::Order { first, then, within } => order(scene, view, (*first, *then), *within),
        See::Change { kinds, onset, within } => change(scene, kinds, *onset, *within),
        See::NewVersionWorse => versions(scene),
        See::TrafficExplains => traffic(scene),
        See::GoodputFlatWhileAttemptsGrow => goodput(scene, view),
        See::Services { many } => services(scene, *many),
        See::CalleeAnomalous => callee(scene, view),
        See::InsideMoved => inside(scene, view),
        See::PeerApart { of } => peer(scene, *of),
        See::WindowsWorse { .. }
        | See::VersionsMixed
        | See::TrafficKnee
        | See::LoopClosing
        | See::Dependencies { .. }
        | See::ValueDominates { .. }
        | See::AtBoundary
        | See::RecursByClock => Looked::new(None, "not looked up".to_owned()),
    }
}

fn role_is(scene: &Scene<'_>, view: View, role: Role, is: RoleState) -> Looked {
    let Some(strongest) = scene.strongest(view, role) else {
        return silent_role(scene, view, role, is);
    };
    let seen = match is {
        RoleState::Rising => scene.moved(view, role, Direction::Up),
        RoleState::Falling => scene.moved(view, role, Direction::Down),
        RoleState::Normal => scene.normal(view, role),
        RoleState::Silent => Some(false),
        RoleState::Climbing => None,
    };
    Looked::new(seen, movement(scene, strongest.tracked, strongest.score))
}

/// A role that cannot be judged now: nobody measures it, or it fell silent.
fn silent_role(scene: &Scene<'_>, view: View, role: Role, is: RoleState) -> Looked {
    let known = scene.series_of(view, role).find(|tracked| tracked.baseline.is_some());
    match (known, is) {
        (Some(tracked), RoleState::Silent) => {
            Looked::new(Some(true), format!("{} is silent", describe(tracked)))
        }
        (Some(tracked), _) => Looked::new(None, format!("{} is silent", describe(tracked))),
        (None, _) => Looked::new(None, format!("{role}: no signal of {} has it", scene.root)),
    }
}

/// A series and where it stands: `latency of web rose to 420 ms (usual 310 ms) since 02:12 UTC`.
fn movement(scene: &Scene<'_>, tracked: &Tracked, score: f64) -> String {
    let unit = scene.rules.signals[tracked.signal].unit.as_deref();
    let name = describe(tracked);
    let now = format::optional(tracked.latest, unit);
    if score.abs() < MOVED_MIN {
        return format!("{name} is as usual: {now}");
    }
    let usual =
        scene.expected(tracked).map_or_else(|| "not known".to_owned(), |e| format::value(e, unit));
    let way = if score > 0.0 { Direction::Up } else { Direction::Down };
    let verb = if score > 0.0 { "rose to" } else { "fell to" };
    let since = tracked.drift.onset(way).map_or_else(String::new, |onset| {
        let at = crate::engine::grid::block_start(onset.at);
        format!(" since {}", format::clock(at, scene.now))
    });
    format!("{name} {verb} {now} (usual {usual}){since}")
}

fn order(scene: &Scene<'_>, view: View, roles: (Role, Role), within: Span) -> Looked {
    let (first, then) = roles;
    let (Some(a), Some(b)) = (scene.onset_of(view, first), scene.onset_of(view, then)) else {
        let text = format!("{first} before {then}: one of them did not move");
        return Looked::new(None, text);
    };
    // Onsets have widths: the order is denied only where these exclude each other.
    let overlap = a[0] <= b[2] && b[0] <= a[2];
    let seen = if a[1] <= b[1] + TIE {
        Some(b[1] - a[1] <= within)
    } else if overlap {
        None
    } else {
        Some(false)
    };
    let lag = (b[1] - a[1]).rough();
    let apart = (b[1] - a[1]).as_millis().abs();
    let text = if apart <= TIE.as_millis() {
        format!("{first} and {then} began to move together")
    } else if a[1] <= b[1] {
        format!("{first} moved {lag} before {then}")
    } else {
        format!("{first} moved {} after {then}", (a[1] - b[1]).rough())
    };
    Looked::new(seen, text)
}

fn change(scene: &Scene<'_>, kinds: &[ChangeKind], side: ChangeSide, within: Span) -> Looked {
    let of_root = |c: &&Change| kinds.contains(&c.kind) && c.service == scene.root;
    let kind = match kinds {
        [kind] => kind.name(),
        kinds if kinds.len() == ChangeKind::ALL.len() => "change",
        _ => "change of settings",
    };
    let [earliest, latest] = scene.onset_range;
    let near = scene.changes.iter().filter(of_root).find(|c| match side {
        ChangeSide::Inside => latest >= c.at && earliest <= c.end.unwrap_or(c.at + BLOCK),
        ChangeSide::After => {
            latest + ONSET_SLACK >= c.at && earliest <= c.end.unwrap_or(c.at) + within
        }
        ChangeSide::Before => latest + ONSET_SLACK < c.at && c.at <= scene.onset + within,
    });
    let watched = scene.rules.changes.iter().any(|rule| kinds.contains(&rule.kind))
        || scene.changes.iter().any(|c| kinds.contains(&c.kind));
    if !watched {
        return Looked::new(None, format!("{kind} of {}: nobody reports these", scene.root));
    }
    let text = match near {
        Some(c) => {
            let at = format::clock(c.at, scene.now);
            format!("{} of {} at {at} ({}), onset {}", c.kind, c.service, c.what, lag(scene, c))
        }
        None if side == ChangeSide::Before => {
            format!("it did not begin before a {kind} of {}", scene.root)
        }
        None => format!("no {kind} of {} near the onset", scene.root),
    };
    let mut looked = Looked::new(Some(near.is_some()), text);
    if side != ChangeSide::Before {
        looked.chance = Some(chance_of_change(scene, kinds, within));
    }
    looked
}

fn lag(scene: &Scene<'_>, change: &Change) -> String {
    let lag = scene.onset - change.at;
    if lag.as_millis().abs() <= ONSET_SLACK.as_millis() {
        "about then".to_owned()
    } else if lag >= Span::ZERO {
        format!("{} after it", lag.rough())
    } else {
        format!("{} before it", (change.at - scene.onset).rough())
    }
}

/// Chance that a change falls near any instant, from how often this service changes: one that
/// deploys ten times a day proves little by having deployed (METHODS 2.9).
fn chance_of_change(scene: &Scene<'_>, kinds: &[ChangeKind], within: Span) -> f64 {
    let since = scene.onset - RATE_WINDOW;
    let before = |c: &&Change| {
        kinds.contains(&c.kind)
            && c.service == scene.root
            && c.at >= since
            && c.at < scene.onset - within
    };
    let count = scene.changes.iter().filter(before).count() as f64;
    let share = within.as_secs_f64() / RATE_WINDOW.as_secs_f64();
    (1.0 - (-count * share).exp()).max(CHANCE_MIN)
}

/// Old and new version's peers at the same moment, on the roles that hurt.
fn versions(scene: &Scene<'_>) -> Looked {
    let unknown = |why: &str| Looked::new(None, format!("versions side by side: {why}"));
    let Some(Versions { new, old, since }) = versions_running(scene) else {
        return unknown("only one runs, or none is reported");
    };
    if scene.at.0 - since < VERSION_BLOCKS_MIN {
        return unknown("the new one has only just come");
    }
    let roles = [Role::Latency, Role::Errors, Role::Cpu, Role::LatencyTypical];
    let compared: Vec<(Role, f64, f64)> = roles
        .into_iter()
        .filter_map(|role| {
            let tracked = scene.series_of(View::Inside, role).find(|t| t.peers.len() > 1)?;
            let of = |names: &[String]| -> Vec<f64> {
                names.iter().filter_map(|name| tracked.peers.get(name)?.since(since)).collect()
            };
            let (new, old) = (of(&new), of(&old));
            let best_new = new.into_iter().reduce(f64::min)?;
            let worst_old = old.into_iter().reduce(f64::max)?;
            Some((role, best_new, worst_old))
        })
        .collect();
    let worse = compared.iter().find(|(_, new, old)| *new > VERSION_RATIO * *old && *new > 0.0);
    match (worse, compared.first()) {
        (Some((role, new, old)), _) => {
            let unit = scene
                .series_of(View::Inside, *role)
                .next()
                .and_then(|t| scene.rules.signals[t.signal].unit.as_deref());
            let (new, old) = (format::value(*new, unit), format::value(*old, unit));
            let text = format!("{role} on the new version is {new}, on the old one {old}");
            Looked::new(Some(true), text)
        }
        (None, Some(_)) => Looked::new(Some(false), "new and old version behave alike".to_owned()),
        (None, None) => unknown("no signal tells instances apart"),
    }
}

/// Peers by version, and the block since which the newest version is there.
struct Versions {
    new: Vec<String>,
    old: Vec<String>,
    since: i64,
}

/// Peers on the newest version and peers on older ones, when both run.
fn versions_running(scene: &Scene<'_>) -> Option<Versions> {
    let running: Vec<&Tracked> = scene
        .series_of(View::Inside, Role::Version)
        .filter(|t| t.history.at(scene.at.0).is_finite() && !t.peers.is_empty())
        .collect();
    let newest = running.iter().max_by_key(|t| t.history.first())?;
    let new: Vec<String> = present(newest, scene.at.0);
    let old: Vec<String> = running
        .iter()
        .filter(|t| t.series.id != newest.series.id)
        .flat_map(|t| present(t, scene.at.0))
        .filter(|peer| !new.contains(peer))
        .collect();
    let since = newest.history.first()?;
    (!new.is_empty() && !old.is_empty()).then_some(Versions { new, old, since })
}

fn present(tracked: &Tracked, block: i64) -> Vec<String> {
    let here = |peer: &Peer| peer.recent.back().is_some_and(|&(last, _)| last >= block - 1);
    tracked.peers.iter().filter(|(_, p)| here(p)).map(|(name, _)| name.clone()).collect()
}

impl Peer {
    /// The middle of the last half hour, as far as it lies after `block`.
    fn since(&self, block: i64) -> Option<f64> {
        let recent = self.recent.iter().rev().take(VERSION_BLOCKS);
        let values = recent.filter(|(at, _)| *at > block).map(|&(_, value)| value);
        median(&mut values.collect::<Vec<f64>>())
    }
}

fn traffic(scene: &Scene<'_>) -> Looked {
    let Some(strongest) = scene.strongest(View::Inside, Role::Traffic) else {
        return Looked::new(None, format!("traffic: no signal of {} has it", scene.root));
    };
    let moved = scene.moved(View::Inside, Role::Traffic, Direction::Up);
    let high = scene
        .services
        .get(&scene.root)
        .and_then(|service| service.traffic_is_high(scene.tracks, scene.at.0));
    // More than at this hour on other days, and as much as on the busiest ones.
    let seen = match (moved, high) {
        (Some(true), Some(true)) => Some(true),
        (Some(false), _) | (_, Some(false)) => Some(false),
        _ => None,
    };
    Looked::new(seen, movement(scene, strongest.tracked, strongest.score))
}

fn goodput(scene: &Scene<'_>, view: View) -> Looked {
    let attempts = scene.moved(view, Role::Attempts, Direction::Up);
    let goodput = scene.moved(view, Role::Goodput, Direction::Up);
    let seen = match (attempts, goodput) {
        (Some(true), Some(grows)) => Some(!grows),
        (Some(false), _) => Some(false),
        _ => None,
    };
    let text = match seen {
        Some(true) => "attempts grow while goodput does not",
        Some(false) => "attempts and goodput go together",
        None => "attempts against goodput: not both measured",
    };
    Looked::new(seen, text.to_owned())
}

fn services(scene: &Scene<'_>, many: bool) -> Looked {
    let n = scene.members.len();
    let seen = if many { n >= MANY_SERVICES } else { n == 1 };
    let names: Vec<&str> = scene.members.iter().map(String::as_str).take(8).collect();
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

fn inside(scene: &Scene<'_>, view: View) -> Looked {
    if view == View::Inside {
        return Looked::new(None, format!("what is inside of what {} calls", scene.root));
    }
    let known = INSIDE.into_iter().filter_map(|role| scene.strongest(View::Inside, role));
    let strongest = known.max_by(|a, b| a.score.abs().total_cmp(&b.score.abs()));
    match strongest {
        None => Looked::new(None, format!("nothing inside of {} is measured", scene.root)),
        Some(seen) if seen.score.abs() >= MOVED_MIN => {
            Looked::new(Some(true), movement(scene, seen.tracked, seen.score))
        }
        Some(_) => Looked::new(Some(false), format!("nothing inside of {} moved", scene.root)),
    }
}

fn peer(scene: &Scene<'_>, of: Option<Role>) -> Looked {
    let distances = scene.distances().filter(|seen| of.is_none_or(|of| seen.tracked.role == of));
    let strongest = distances.max_by(|a, b| a.score.total_cmp(&b.score));
    let farthest = strongest.and_then(|seen| Some((seen, seen.tracked.farthest()?)));
    let Some((seen, farthest)) = farthest else {
        return Looked::new(None, format!("peers of {}: fewer than three to compare", scene.root));
    };
    if seen.score < MOVED_MIN {
        let clearly = seen.score < NORMAL_MAX;
        let text = format!("no peer of {} is apart from the others", scene.root);
        return Looked::new(clearly.then_some(false), text);
    }
    let unit = scene.rules.signals[seen.tracked.signal].unit.as_deref();
    let (value, others) =
        (format::value(farthest.value, unit), format::value(farthest.others, unit));
    let text = format!("{} is {value}, the other peers have {others}", describe(seen.tracked));
    Looked::new(Some(true), text)
}

fn callee(scene: &Scene<'_>, view: View) -> Looked {
    let seen = scene.callee_anomalous(view);
    let text = match (view, seen) {
        (_, None) => format!("what {} calls is not measured", scene.root),
        (View::Outside, Some(true)) => format!("{} is in trouble of its own", scene.root),
        (View::Outside, Some(false)) => format!("{} shows no trouble of its own", scene.root),
        (View::Inside, Some(true)) => format!("something that {} calls is in trouble", scene.root),
        (View::Inside, Some(false)) => format!("what {} calls is well", scene.root),
    };
    Looked::new(seen, text)
}
