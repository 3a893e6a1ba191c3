//! Causes weighed where evidence is scarce or worth nothing.

#[path = "common/scene.rs"]
mod scene;

use grayflag::rules::{Cause, ChangeSide, Evidence, See};
use grayflag::series::{Change, ChangeKind};
use grayflag::time::{Span, Timestamp};
use scene::Stage;

const ONSET: Timestamp = Timestamp::from_secs(1_772_409_600);

/// What is named for a service without series, given these changes.
fn named(causes: Vec<Cause>, changes: &[Change]) -> Vec<(String, f64, Vec<String>)> {
    let causes = Stage { changes: changes.to_vec(), ..Stage::at(ONSET) }.named(causes);
    causes.into_iter().map(|c| (c.id, c.probability, c.evidence_for)).collect()
}

#[test]
fn probabilities_never_add_up_to_more_than_one() {
    for others in 2..5 {
        let mut causes = vec![Cause::plain("unexplained-drift", 0.01, vec![])];
        causes.extend((0..others).map(|i| Cause::plain(&format!("cause-{i}"), 0.1, vec![])));
        let sum: f64 = named(causes, &[]).iter().map(|(_, p, _)| p).sum();
        assert!(sum <= 1.0 && sum > 0.6, "{others}: {sum}");
    }
}

#[test]
fn the_absence_of_a_deploy_never_speaks_for_one() {
    // A service that deploys every few minutes, but not around the onset.
    let deploys: Vec<Change> = (1..2_000)
        .map(|i| Change {
            at: ONSET - Span::from_hours(4) - Span::from_mins(5 * i),
            end: None,
            kind: ChangeKind::Deploy,
            service: "shop".to_owned(),
            what: format!("v{i}"),
        })
        .rev()
        .collect();
    let see = See::Change {
        kinds: vec![ChangeKind::Deploy],
        onset: ChangeSide::After,
        within: Span::from_hours(2),
    };
    let evidence = Evidence { see, likely: 0.85, otherwise: 0.1 };
    let causes = vec![
        Cause::plain("bad-deploy", 0.1, vec![evidence]),
        Cause::plain("unexplained-drift", 0.1, vec![]),
    ];
    let all = named(causes, &deploys);
    let deploy = all.iter().find(|(id, ..)| id == "bad-deploy").unwrap();
    assert!(deploy.1 <= 0.5 && deploy.2.is_empty(), "{all:?}");
}

#[test]
fn a_cause_that_hardly_beats_the_honest_answer_is_not_clear() {
    let against = |prior| {
        vec![
            Cause::plain("overload", prior, vec![]),
            Cause::plain("unexplained-drift", 0.4, vec![]),
        ]
    };
    let first = |prior| named(against(prior), &[]).swap_remove(0);
    assert_eq!(first(0.5).0, "unexplained-drift");
    assert_eq!(first(0.7).0, "overload");
}

#[test]
fn of_several_changes_the_nearest_to_the_onset_counts_and_all_are_told() {
    let told = |minutes: &[i64]| {
        let deploy = |&minute: &i64| Change {
            at: ONSET + Span::from_mins(minute),
            end: None,
            kind: ChangeKind::Deploy,
            service: "shop".to_owned(),
            what: format!("v{}", 200 + minute),
        };
        let deploys: Vec<Change> = minutes.iter().map(deploy).collect();
        let see = See::Change {
            kinds: vec![ChangeKind::Deploy],
            onset: ChangeSide::After,
            within: Span::from_hours(2),
        };
        let evidence = Evidence { see, likely: 0.85, otherwise: 0.1 };
        named(vec![Cause::plain("bad-deploy", 0.1, vec![evidence])], &deploys)
            .swap_remove(0)
            .2
            .swap_remove(0)
    };
    let told = |minutes: &[i64]| told(minutes).replace(" [strong]", "").replace("2026-03-01 ", "");
    assert_eq!(told(&[-40]), "deploy of shop at 23:20 UTC (v160), onset 40m after it");
    assert_eq!(
        told(&[-100, -20]),
        "2 deploys of shop: v100 at 22:20 UTC, v180 at 23:40 UTC, onset 20m after v180"
    );
    assert_eq!(
        told(&[-110, -100, -90, -5]),
        "4 deploys of shop, the nearest: v100 at 22:20 UTC, v110 at 22:30 UTC, v195 at 23:55 UTC, \
         onset about when v195 came"
    );
}
