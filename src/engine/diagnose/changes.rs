//! Change events and the onset: which came first, and how much that proves.

use std::cmp::Reverse;

use crate::engine::diagnose::evidence::{Looked, ONSET_SLACK};
use crate::engine::diagnose::scene::Scene;
use crate::engine::grid::BLOCK;
use crate::rules::ChangeSide;
use crate::series::{Change, ChangeKind};
use crate::time::{Span, Timestamp};

/// Changes are counted over at most this long to know how usual they are.
const RATE_WINDOW: Span = Span::WEEK;
/// Of several changes near an onset so many are named, the nearest.
const NAMED_MAX: usize = 3;
/// A service changes at least this often as far as chance is concerned (METHODS 2.9).
const CHANCE_MIN: f64 = 0.02;

pub(super) fn change(
    scene: &Scene<'_>,
    kinds: &[ChangeKind],
    side: ChangeSide,
    within: Span,
) -> Looked {
    let of_root = |c: &&Change| kinds.contains(&c.kind) && c.service == scene.root;
    let kind = match kinds {
        [kind] => kind.name(),
        kinds if kinds.len() == ChangeKind::ALL.len() => "change",
        _ => "change of settings",
    };
    let hull = scene.onset_range;
    let matches = |c: &Change, [earliest, latest]: [Timestamp; 2]| match side {
        ChangeSide::Inside => latest >= c.at && earliest <= c.end.unwrap_or(c.at + BLOCK),
        ChangeSide::After => {
            latest + ONSET_SLACK >= c.at && earliest <= c.end.unwrap_or(c.at) + within
        }
        ChangeSide::Before => latest + ONSET_SLACK < c.at && c.at <= scene.onset + within,
    };
    let of_root_at =
        |range| scene.changes.iter().filter(of_root).filter(move |c| matches(c, range));
    let mut near: Vec<&Change> = of_root_at(hull).collect();
    // Of two as near the later one: what came last is what is there now.
    near.sort_by_key(|c| ((scene.onset - c.at).as_millis().abs(), Reverse(c.at)));
    let watched = scene.rules.changes.iter().any(|rule| kinds.contains(&rule.kind))
        || scene.rules.told.iter().any(|kind| kinds.contains(kind))
        || scene.changes.iter().any(|c| kinds.contains(&c.kind) && c.service == scene.root);
    if !watched {
        return Looked::unreported(kind);
    }
    let text = match near.first() {
        Some(nearest) => {
            format!("{}, onset {}", told(scene, &near), lag(scene, nearest, near.len() > 1))
        }
        None if side == ChangeSide::Before => {
            format!("it did not begin before a {kind} of {}", scene.root)
        }
        None => format!("no {kind} of {} near the onset", scene.root),
    };
    if side == ChangeSide::Before {
        return Looked::new(Some(!near.is_empty()), text);
    }
    // Near only what some move's onset allows, and not the one that is known best: nobody can say.
    // How little it says where none is known well, the chance tells.
    let likely = scene.onset_at_best();
    let is_near = of_root_at(likely).next().is_some();
    let seen = (near.is_empty() || is_near).then_some(is_near);
    let chance = chance_of_change(scene, kinds, within + (likely[1] - likely[0]));
    Looked { chance: Some(chance), ..Looked::new(seen, text) }
}

/// The changes of one service, nearest to the onset first, in words and in order of time:
/// `deploy of web at 10:05 UTC (v41)`, `2 deploys of web: v41 at 10:05 UTC, v42 at 10:11 UTC`.
fn told(scene: &Scene<'_>, near: &[&Change]) -> String {
    let at = |c: &Change| scene.clock_time(c.at);
    if let [only] = near {
        return format!("{} of {} at {} ({})", only.kind, only.service, at(only), only.what);
    }
    let mut named = near[..near.len().min(NAMED_MAX)].to_vec();
    named.sort_by_key(|c| c.at);
    let deploys = near.iter().all(|c| c.kind == ChangeKind::Deploy);
    let names: Vec<String> = named
        .iter()
        .map(|c| match c.kind {
            ChangeKind::Deploy if deploys => format!("{} at {}", c.what, at(c)),
            kind => format!("{kind} {} at {}", c.what, at(c)),
        })
        .collect();
    let noun = if deploys { "deploys" } else { "changes" };
    let more = if near.len() > NAMED_MAX { ", the nearest" } else { "" };
    format!("{} {noun} of {}{more}: {}", near.len(), scene.root, names.join(", "))
}

/// When the onset was, as seen from the nearest of the changes.
fn lag(scene: &Scene<'_>, change: &Change, is_one_of_many: bool) -> String {
    let it = if is_one_of_many { change.what.as_str() } else { "it" };
    let lag = scene.onset - change.at;
    if lag.as_millis().abs() <= ONSET_SLACK.as_millis() {
        if is_one_of_many { format!("about when {it} came") } else { "about then".to_owned() }
    } else if lag >= Span::ZERO {
        format!("{} after {it}", lag.rough())
    } else {
        format!("{} before {it}", (change.at - scene.onset).rough())
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
