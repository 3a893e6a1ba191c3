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
        let text = if clearly {
            format!("no peer of {} is apart from the others", scene.root)
        } else {
            format!("peers of {}: hardly apart", scene.root)
        };
        return Looked::new(clearly.then_some(false), text);
    }
    let unit = scene.rules.signals[seen.tracked.signal].unit.as_deref();
    let (value, others) =
        (format::value(farthest.value, unit), format::value(farthest.others, unit));
    let text = format!("{} is {value}, the other peers have {others}", describe(seen.tracked));
    let label = scene.rules.signals[seen.tracked.signal].peer.clone();
    let names = label.map(|label| (label, farthest.peer.clone())).into_iter().collect();
    Looked { names, ..Looked::new(Some(true), text) }
}
