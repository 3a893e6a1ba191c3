//! Change events and the onset: which came first, and how much that proves.

use std::cmp::Reverse;
use std::ops::Range;

use crate::engine::diagnose::doubt::doubt;
use crate::engine::diagnose::evidence::{Looked, ONSET_SLACK};
use crate::engine::diagnose::scene::Scene;
use crate::engine::grid::BLOCK;
use crate::rules::ChangeSide;
use crate::series::{Change, ChangeKind};
use crate::time::{Span, Timestamp};

/// Changes are counted over so long to know how usual they are: as far back as any is known.
const RATE_WINDOW: [Span; 2] = [Span::WEEK, Span::from_hours(28 * 24)];
/// Of several changes near an onset so many are named, the nearest.
const NAMED_MAX: usize = 3;
/// Changes that a service is taken to have had in that time beside those that are known: one that
/// nobody has seen change yet can.
const COUNT_PRIOR: f64 = 1.0;
/// A service changes at least this often as far as chance is concerned (METHODS 2.9).
const CHANCE_MIN: f64 = 0.02;

pub(super) fn change(
    scene: &Scene<'_>,
    kinds: &[ChangeKind],
    side: ChangeSide,
    within: Span,
) -> Looked {
    // What is announced and has not happened yet has done nothing.
    let of_kind = || scene.changes.iter().filter(|c| kinds.contains(&c.kind) && c.at <= scene.now);
    let of_root = || of_kind().filter(|c| c.service == scene.root);
    let kind = match kinds {
        [kind] => kind.name(),
        kinds if kinds.len() == ChangeKind::ALL.len() => "change",
        _ => "change of settings",
    };
    let matches = |c: &Change, range: [Timestamp; 2]| match onsets_of(c, side, within) {
        Some([first, last]) => first <= range[1] && range[0] <= last,
        None => came_too_late(c.at, range[1]) && c.at <= scene.onset + within,
    };
    let mut near: Vec<&Change> = of_root().filter(|c| matches(c, scene.onset_range)).collect();
    // Of two as near the later one: what came last is what is there now.
    near.sort_by_key(|c| ((scene.onset - c.at).as_millis().abs(), Reverse(c.at)));
    let watched = scene.rules.changes.iter().any(|rule| kinds.contains(&rule.kind))
        || scene.rules.told.iter().any(|kind| kinds.contains(kind))
        || scene.changes.iter().any(|c| kinds.contains(&c.kind) && c.service == scene.root);
    if !watched {
        return Looked::unreported(kind);
    }
    // Near only what some move's onset allows, and not the one that is known best: nobody can say.
    // How little it says where none is known well, the chance tells.
    let likely = scene.onset_at_best();
    let fits = |c: &Change| {
        let explained = onsets_of(c, side, within)?;
        Some((doubt(scene.onset, explained, likely), explained))
    };
    let best = near.iter().filter(|c| matches(c, likely)).filter_map(|c| Some((*c, fits(c)?)));
    let best = best.reduce(|best, next| if next.1.0 < best.1.0 { next } else { best });
    let text = match best.map(|(change, _)| change).or(near.first().copied()) {
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
    let seen = (near.is_empty() || best.is_some()).then_some(best.is_some());
    let (doubt, own) = match best {
        Some((_, (doubt, [first, last]))) => (doubt, last - first),
        None => ((likely[1] - likely[0]).as_secs_f64(), within),
    };
    let known = known_before(scene.onset, of_kind());
    let others = of_root().filter(|c| best.is_none_or(|(best, _)| best != *c));
    let lengths = others.filter(|c| known.contains(&c.at)).filter_map(|c| {
        let [first, last] = onsets_of(c, side, within)?;
        Some(last - first)
    });
    let chance = chance_of_change((own, lengths), doubt, known.end - known.start);
    Looked { chance: Some(chance), ..Looked::new(seen, text) }
}

/// Whether a change came too late to have begun what began at `latest` at the latest.
pub fn came_too_late(change: Timestamp, latest: Timestamp) -> bool {
    latest + ONSET_SLACK < change
}

/// The onsets that a change explains; none where it shows that it came too late.
fn onsets_of(change: &Change, side: ChangeSide, within: Span) -> Option<[Timestamp; 2]> {
    match side {
        ChangeSide::Inside => Some([change.at, change.end.unwrap_or(change.at + BLOCK)]),
        ChangeSide::After => {
            Some([change.at - ONSET_SLACK, change.end.unwrap_or(change.at) + within])
        }
        ChangeSide::Before => None,
    }
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

/// The time over which changes are counted, as far back as any of these is known.
fn known_before<'a>(
    onset: Timestamp,
    changes: impl Iterator<Item = &'a Change>,
) -> Range<Timestamp> {
    let [least, most] = RATE_WINDOW;
    let oldest = changes.map(|c| c.at).min().unwrap_or(onset);
    (onset - (onset - oldest).clamp(least, most))..onset
}

/// Chance that a change explains an onset, from how often this service changes: one that deploys ten
/// times a day proves little by having deployed (METHODS 2.9). `own` and `others` are how long the
/// onsets are apart that the change in question and each of the others within `known` explains,
/// `doubt` the seconds for which the onset is in doubt.
fn chance_of_change(
    (own, others): (Span, impl Iterator<Item = Span>),
    doubt: f64,
    known: Span,
) -> f64 {
    let covered = |length: Span| length.as_secs_f64() + doubt;
    let all = COUNT_PRIOR * covered(own) + others.map(covered).sum::<f64>();
    (1.0 - (-all / known.as_secs_f64()).exp()).max(CHANCE_MIN)
}
