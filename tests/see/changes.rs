use grayflag::engine::alert::NamedCause;
use grayflag::engine::correlate::Finding;
use grayflag::engine::detect::drift::Direction;
use grayflag::rules::{Cause, ChangeSide, See};
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

fn change(minute: i64) -> Change {
    Change {
        at: at(minute),
        end: None,
        kind: ChangeKind::Deploy,
        service: "shop".to_owned(),
        what: "v2".to_owned(),
    }
}

/// What deploys make of the cause that asks for one, beside a cause that asks for nothing, when the
/// trouble began at these minutes, as its moves tell, and it is so many minutes later.
fn suspect(onset: i64, moves: &[(i64, i64)], later: i64, changes: Vec<Change>) -> NamedCause {
    let see = See::Change {
        kinds: vec![ChangeKind::Deploy],
        onset: ChangeSide::After,
        within: Span::from_mins(45),
    };
    let earliest = moves.iter().map(|(from, _)| *from).min().unwrap();
    let latest = moves.iter().map(|(_, to)| *to).max().unwrap();
    let stage = Stage {
        onset: [at(earliest), at(latest)],
        now: at(onset + later),
        findings: moves.iter().map(|&(from, to)| finding(from, to)).collect(),
        changes,
        ..Stage::at(at(onset))
    };
    let idle = Cause { id: "idle".to_owned(), evidence: Vec::new(), ..cause(see.clone()) };
    let named = stage.named(vec![cause(see), idle]);
    named.into_iter().find(|named| named.id == "suspect").unwrap()
}

/// What is said for and against a deploy at 14:00.
fn deploy(onset: i64, moves: &[(i64, i64)]) -> (Vec<String>, Vec<String>) {
    let named = suspect(onset, moves, 60, vec![change(0)]);
    (named.evidence_for, named.against)
}

#[test]
fn a_change_proves_the_less_the_easier_it_comes_there_by_chance() {
    let proves = |onset, range, changes| suspect(onset, &[range], 60, changes).probability;
    let sharp = proves(20, (10, 25), vec![change(0)]);
    assert!(sharp > 0.9, "{sharp}");
    // Anywhere within two days, and most likely when it came, or two days after it.
    let (middle, end) =
        (proves(20, (-1_440, 1_440), vec![change(0)]), proves(2_900, (0, 2_910), vec![change(0)]));
    assert!(sharp > middle && middle > end && end < 0.75, "{sharp} {middle} {end}");
    let often = (1..200).map(|n| change(-200 * n)).chain([change(0)]).collect();
    let often = proves(20, (10, 25), often);
    assert!((0.5..0.9).contains(&often), "seven a day: {often}");
    // Forty within two days, and nothing known from before: they count over a week.
    let lately = (1..40).map(|n| change(-70 * n)).chain([change(0)]).collect();
    let lately = proves(20, (10, 25), lately);
    assert!(often < lately && lately < sharp, "{often} {lately} {sharp}");
    let lasts = |days: i64| Change { end: Some(at(1_440 * days)), ..change(-1_440 * 10) };
    assert!(proves(20, (10, 25), vec![lasts(4)]) < 0.75, "under way for two weeks");
}

#[test]
fn of_several_changes_the_one_is_told_that_explains_the_onset_best() {
    let long = Change { end: Some(at(-30)), ..change(-60) };
    let named = suspect(0, &[(-120, 60)], 60, vec![long, change(50)]);
    assert!(named.evidence_for[0].contains("onset 1h after v2"), "{named:?}");
}

#[test]
fn what_is_announced_has_done_nothing_yet() {
    let named = suspect(0, &[(-5, 5)], 5, vec![change(10)]);
    assert!(named.evidence_for.is_empty() && named.against.len() == 1, "{named:?}");
    let named = suspect(0, &[(-5, 5)], 10, vec![change(10)]);
    assert_eq!(named.evidence_for.len(), 1, "{named:?}");
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
