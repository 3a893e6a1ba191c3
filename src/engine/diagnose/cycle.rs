//! The loop in which slowness, retries, load and waiting feed each other.

use crate::engine::detect::drift::Direction;
use crate::engine::diagnose::evidence::{Looked, TIE};
use crate::engine::diagnose::load::goodput;
use crate::engine::diagnose::scene::{Scene, View};
use crate::rules::Role;
use crate::time::Timestamp;

/// The stages in the order in which each feeds the next; any role of a stage tells it.
const STAGES: [&[Role]; 8] = [
    &[Role::DependencyLatency],
    &[Role::Latency],
    &[Role::Retries],
    &[Role::Attempts],
    &[Role::PoolWait, Role::PoolUse],
    &[Role::QueueAge],
    &[Role::Staleness, Role::Conflicts],
    &[Role::Errors],
];
/// From this many stages on it is a loop and not a chain of two effects.
const STAGES_MIN: usize = 4;
/// How often the onsets may run against the order: a loop begins somewhere, and there its last
/// stage comes before its first.
const BREAKS_MAX: usize = 1;

/// How far round the loop the trouble is.
pub(super) fn closing(scene: &Scene<'_>, view: View) -> Looked {
    let states: Vec<(Role, Option<bool>)> =
        STAGES.into_iter().filter_map(|roles| stage(scene, view, roles)).collect();
    let moved: Vec<Role> =
        states.iter().filter(|(_, moved)| *moved == Some(true)).map(|&(role, _)| role).collect();
    let unsure = states.iter().filter(|(_, moved)| moved.is_none()).count();
    let (n, of) = (moved.len(), states.len());
    if n < STAGES_MIN {
        // Noise makes one stage or the other unsure most of the time: only where the last one that
        // is missing may have moved is it open.
        let known = of >= STAGES_MIN && n + unsure.min(1) < STAGES_MIN;
        let text = format!("slowness, retries and waiting: {n} of {of} stages of the loop moved");
        return Looked::new(known.then_some(false), text);
    }
    let onsets: Vec<[Timestamp; 3]> =
        moved.iter().filter_map(|&role| scene.onset_of(view, role)).collect();
    let pairs = onsets.windows(2);
    // Surely against the order where ranges exclude each other, probably by the best estimates.
    let sure = pairs.clone().filter(|pair| pair[1][2] < pair[0][0]).count();
    let probable = pairs.filter(|pair| pair[1][1] + TIE < pair[0][1]).count();
    let in_order = 2 * probable < n;
    let seen = if sure > BREAKS_MAX { Some(false) } else { in_order.then_some(true) };
    let names: Vec<&str> = moved.iter().map(|role| role.name()).collect();
    let mut text = format!("{n} of {of} stages of the loop moved: {}", names.join(" → "));
    if seen != Some(true) {
        text.push_str(", in another order");
    }
    if goodput(scene, view).seen == Some(true) {
        text.push_str("; attempts grow while goodput does not");
    }
    Looked::new(seen, text)
}

/// The state of a stage, and the role that tells it; none where no role of it is measured.
fn stage(scene: &Scene<'_>, view: View, roles: &[Role]) -> Option<(Role, Option<bool>)> {
    let state = |&role: &Role| {
        scene.strongest(view, role)?;
        Some((role, scene.moved(view, role, Direction::Up)))
    };
    let states: Vec<(Role, Option<bool>)> = roles.iter().filter_map(state).collect();
    // One role that moved is enough; one that is not sure is more than one that did not.
    let rank = |moved: Option<bool>| match moved {
        Some(true) => 2,
        None => 1,
        Some(false) => 0,
    };
    states.into_iter().rev().max_by_key(|&(_, moved)| rank(moved))
}
