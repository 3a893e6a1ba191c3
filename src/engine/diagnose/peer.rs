//! One peer of the suspected service stands apart from the others.

use crate::engine::diagnose::evidence::Looked;
use crate::engine::diagnose::scene::{MOVED_MIN, NORMAL_MAX, Scene, describe};
use crate::format;
use crate::rules::Role;

pub(super) fn apart(scene: &Scene<'_>, of: Option<Role>) -> Looked {
    let distances = scene.distances().filter(|seen| of.is_none_or(|of| seen.tracked.role == of));
    let strongest = distances.max_by(|a, b| a.score.total_cmp(&b.score));
    let farthest = strongest.and_then(|seen| Some((seen, seen.tracked.farthest()?)));
    let Some((seen, farthest)) = farthest else {
        return Looked::idle();
    };
    if seen.score < MOVED_MIN {
        let clearly = seen.score < NORMAL_MAX;
        let label = scene.rules.signals[seen.tracked.signal].peer.as_deref();
        let (all, root) = (peers(label), &scene.root);
        let text = if clearly {
            format!("all {all} of {root} behave alike")
        } else {
            format!("{all} of {root} are hardly apart")
        };
        return Looked::new(clearly.then_some(false), text);
    }
    let unit = scene.rules.signals[seen.tracked.signal].unit.as_deref();
    let [value, others] = format::pair([farthest.value, farthest.others], unit);
    let text = format!("{} is {value}, the other peers have {others}", describe(seen.tracked));
    let label = scene.rules.signals[seen.tracked.signal].peer.clone();
    let names = label.map(|label| (label, farthest.peer.clone())).into_iter().collect();
    Looked { names, ..Looked::new(Some(true), text) }
}

/// What a person calls several peers: by a label that is a plain word, such as `pod`.
fn peers(label: Option<&str>) -> String {
    let word = label.filter(|label| label.chars().all(|c| c.is_ascii_lowercase()));
    format!("{}s", word.unwrap_or("instance"))
}
