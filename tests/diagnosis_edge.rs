//! Causes weighed where evidence is scarce or worth nothing.

use std::collections::{BTreeMap, BTreeSet};

use grayflag::engine::correlate::Graph;
use grayflag::engine::diagnose::{Scene, diagnose};
use grayflag::rules::{Cause, ChangeSide, Evidence, Rules, See, Steps};
use grayflag::series::{Change, ChangeKind};
use grayflag::time::{Span, Timestamp};

const ONSET: Timestamp = Timestamp::from_secs(1_772_409_600);

fn cause(id: &str, prior: f64, evidence: Vec<Evidence>) -> Cause {
    Cause {
        id: id.to_owned(),
        title: id.to_owned(),
        explain: String::new(),
        prior,
        evidence,
        steps: Steps::default(),
    }
}

/// What is named for a service without series, given these changes.
fn named(causes: Vec<Cause>, changes: &[Change]) -> Vec<(String, f64, Vec<String>)> {
    let rules = Rules { causes, ..Rules::default() };
    let (services, trouble, graph) = (BTreeMap::new(), BTreeMap::new(), Graph::default());
    let scene = Scene {
        rules: &rules,
        services: &services,
        tracks: &[],
        graph: &graph,
        changes,
        trouble: &trouble,
        members: BTreeSet::from(["shop".to_owned()]),
        root: "shop".to_owned(),
        findings: vec![],
        onset_range: [ONSET, ONSET],
        onset: ONSET,
        at: (0, 0),
        now: ONSET,
    };
    let causes = diagnose(&scene).causes;
    causes.into_iter().map(|c| (c.id, c.probability, c.evidence_for)).collect()
}

#[test]
fn probabilities_never_add_up_to_more_than_one() {
    for others in 2..5 {
        let mut causes = vec![cause("unexplained-drift", 0.01, vec![])];
        causes.extend((0..others).map(|i| cause(&format!("cause-{i}"), 0.1, vec![])));
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
    let causes =
        vec![cause("bad-deploy", 0.1, vec![evidence]), cause("unexplained-drift", 0.1, vec![])];
    let all = named(causes, &deploys);
    let deploy = all.iter().find(|(id, ..)| id == "bad-deploy").unwrap();
    assert!(deploy.1 <= 0.5 && deploy.2.is_empty(), "{all:?}");
}
