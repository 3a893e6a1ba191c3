use grayflag::engine::correlate::Finding;
use grayflag::engine::detect::drift::Direction;
use grayflag::rules::{ChangeSide, See};
use grayflag::series::{Change, ChangeKind};
use grayflag::time::{Span, Timestamp};

use crate::scene::Stage;
use crate::world::cause;

fn at(minute: i64) -> Timestamp {
    "2026-03-10T14:00:00Z".parse::<Timestamp>().unwrap() + Span::from_mins(minute)
}

/// A clear move that began between these minutes.
fn finding(from: i64, to: i64) -> Finding {
    Finding {
        place: 0,
        direction: Direction::Up,
        score: 6.0,
        onset: at(to),
        range: [at(from), at(to)],
        p_value: 1e-6,
    }
}

/// What is said for and against a deploy at 14:00 when the trouble began at these minutes after
/// it, as its moves tell.
fn deploy(onset: i64, moves: &[(i64, i64)]) -> (Vec<String>, Vec<String>) {
    let see = See::Change {
        kinds: vec![ChangeKind::Deploy],
        onset: ChangeSide::After,
        within: Span::from_mins(45),
    };
    let change = Change {
        at: at(0),
        end: None,
        kind: ChangeKind::Deploy,
        service: "shop".to_owned(),
        what: "v2".to_owned(),
    };
    let earliest = moves.iter().map(|(from, _)| *from).min().unwrap();
    let latest = moves.iter().map(|(_, to)| *to).max().unwrap();
    let stage = Stage {
        onset: [at(earliest), at(latest)],
        now: at(onset) + Span::HOUR,
        findings: moves.iter().map(|&(from, to)| finding(from, to)).collect(),
        changes: vec![change],
        ..Stage::at(at(onset))
    };
    let named = stage.named(vec![cause(see)]).remove(0);
    (named.evidence_for, named.against)
}

#[test]
fn a_deploy_is_near_where_the_onset_that_is_known_best_is_near() {
    let (supports, against) = deploy(20, &[(10, 25), (-300, 200)]);
    assert!(supports.len() == 1 && against.is_empty(), "{supports:?} {against:?}");
    assert!(supports[0].contains("onset 20m after it"), "{supports:?}");
    // The trouble began a day later, but one of its moves cannot be dated: nobody can say.
    let (supports, against) = deploy(1_500, &[(1_490, 1_505), (-300, 1_600)]);
    assert!(supports.is_empty() && against.is_empty(), "{supports:?} {against:?}");
    // All moves began surely later.
    let (supports, against) = deploy(1_500, &[(1_490, 1_505), (1_300, 1_600)]);
    assert!(supports.is_empty() && against.len() == 1, "{supports:?} {against:?}");
}
