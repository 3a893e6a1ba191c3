use std::collections::BTreeMap;

use super::*;
use crate::engine::alert::{Culprit, NamedCause};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(1_772_331_000) + Span::from_mins(minutes)
}

fn onset(minutes: i64) -> Onset {
    Onset { at: at(minutes), range: [at(minutes - 10), at(minutes + 10)] }
}

fn diagnosis(causes: &[(&str, f64)]) -> Diagnosis {
    let causes = causes.iter().map(|&(id, probability)| NamedCause {
        id: id.to_owned(),
        probability,
        culprit: Culprit::default(),
        evidence_for: vec![],
        against: vec![],
        unknown: vec![],
    });
    Diagnosis { causes: causes.collect(), ..Diagnosis::default() }
}

#[test]
fn tells_once_and_then_only_what_changed() {
    let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
    incident.consider(diagnosis(&[("slow-dependency", 0.6), ("overload", 0.3)]), at(30));
    assert_eq!(incident.tell(), Some(State::Firing));
    assert_eq!(incident.tell(), None, "nothing changed");
    incident.consider(diagnosis(&[("overload", 0.45), ("slow-dependency", 0.44)]), at(40));
    assert_eq!(incident.tell(), None, "a lead by a hair is no news");
    incident.consider(diagnosis(&[(UNEXPLAINED, 0.5), ("overload", 0.3)]), at(40));
    assert_eq!(incident.tell(), None, "a clear cause is not taken back");
    for minute in [45, 50] {
        incident.consider(diagnosis(&[("overload", 0.7), ("slow-dependency", 0.2)]), at(minute));
        assert_eq!(incident.tell(), None, "may be a moment's noise");
    }
    incident.consider(diagnosis(&[("overload", 0.7), ("slow-dependency", 0.2)]), at(55));
    assert_eq!(incident.tell(), Some(State::Updated));
    incident.consider(diagnosis(&[("slow-dependency", 0.9)]), at(100));
    assert_eq!(incident.tell(), None, "named from what was known near the onset");
    incident.raise(Severity::Warning);
    incident.raise(Severity::Notice);
    assert_eq!(incident.severity, Severity::Warning, "severity never falls");
    assert_eq!(incident.news().as_deref(), Some("now warning"));
    assert_eq!(incident.tell(), Some(State::Updated));
    assert_eq!(incident.news(), None);
}

#[test]
fn an_unclear_incident_may_become_clear_later() {
    let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
    incident.consider(diagnosis(&[(UNEXPLAINED, 0.5)]), at(30));
    assert_eq!(incident.tell(), Some(State::Firing));
    for minute in [150, 155, 160] {
        incident.consider(diagnosis(&[("pool-exhaustion", 0.55)]), at(minute));
    }
    incident.services.extend(["db".to_owned(), "api".to_owned()]);
    let news = "the cause is clear now, api and db are in it too";
    assert_eq!(incident.news().as_deref(), Some(news));
    assert_eq!(incident.tell(), Some(State::Updated));
}

#[test]
fn what_grows_while_nobody_knows_why_is_named_anew() {
    let clear = || diagnosis(&[("time-boundary", 0.9)]);
    let told = |cause: &str| {
        let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
        incident.consider(diagnosis(&[(cause, 0.6)]), at(30));
        assert_eq!(incident.tell(), Some(State::Firing));
        assert!(!incident.is_open_to_naming(at(600)));
        incident
    };
    let mut unclear = told(UNEXPLAINED);
    unclear.seek(at(600));
    for minute in [605, 610, 615] {
        assert!(unclear.is_open_to_naming(at(minute)));
        unclear.consider(clear(), at(minute));
    }
    assert_eq!(unclear.tell(), Some(State::Updated));
    for cause in ["pool-exhaustion", "slow-dependency"] {
        let mut known = told(cause);
        known.diagnosis.causes[0].culprit.labels =
            BTreeMap::from([("dependency".to_owned(), "bank".to_owned())]);
        known.seek(at(600));
        assert!(!known.is_open_to_naming(at(605)), "what is known stays");
    }
}

#[test]
fn a_cause_that_leads_every_other_block_is_not_clear() {
    let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
    for minute in (30..90).step_by(10) {
        incident.consider(diagnosis(&[(UNEXPLAINED, 0.5)]), at(minute));
        assert_eq!(incident.tell().is_some(), minute == 30, "{minute}");
        incident.consider(diagnosis(&[("pool-exhaustion", 0.55)]), at(minute + 5));
        assert_eq!(incident.tell(), None, "{minute}");
    }
}

#[test]
fn what_has_no_finding_began_in_the_block_that_shows_it() {
    let onset = Onset::of(&[], at(30));
    assert_eq!((onset.at, onset.range), (at(25), [at(25), at(25)]), "not after the alert");
}

#[test]
fn resolves_after_an_hour_of_quiet_in_a_row() {
    let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
    for _ in 0..11 {
        assert!(!incident.quiet(true));
    }
    assert!(!incident.quiet(false), "a relapse starts the hour anew");
    assert_eq!((0..12).filter(|_| incident.quiet(true)).count(), 1);
}

#[test]
fn joins_by_onset_and_not_by_overlap_in_time() {
    let incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
    assert!(incident.is_near(&onset(100)));
    assert!(!incident.is_near(&onset(400)), "another onset is another incident");
}

#[test]
fn ids_can_be_read_and_hold_no_surprises() {
    let id = id_of(Kind::Drift, "we b/\n<x>", [at(0), at(30)]);
    assert!(id.starts_with("we_b___x_-20260301T0210Z-"), "{id}");
    assert_ne!(id, id_of(Kind::Silence, "we b/\n<x>", [at(0), at(30)]));
    assert_ne!(id, id_of(Kind::Drift, "we b/\n<x>", [at(0), at(90)]));
}

/// A diagnosis whose leading cause blames a label's value.
fn blaming(label: &str, value: &str, causes: &[(&str, f64)]) -> Diagnosis {
    let mut diagnosis = diagnosis(causes);
    diagnosis.trace.root = "web".to_owned();
    diagnosis.causes[0].culprit.labels.insert(label.to_owned(), value.to_owned());
    diagnosis
}

#[test]
fn who_is_waited_for_is_known_until_it_is_known_why() {
    let waits = blaming("dependency", "web", &[("slow-dependency", 0.9)]);
    let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
    incident.consider(waits.clone(), at(30));
    assert_eq!(incident.tell(), Some(State::Firing));
    assert_eq!(incident.explained_at(), None);
    let mut later = waits.clone();
    later.title = "the numbers of later".to_owned();
    for minute in [70, 75, 80, 85] {
        incident.consider(diagnosis(&[("overload", 0.9)]), at(minute));
        assert_eq!(incident.tell(), None, "by then everything is red");
        incident.consider(later.clone(), at(minute));
        assert_eq!(incident.diagnosis, waits, "named from what was known near the onset");
    }
    for minute in [90, 95, 100] {
        incident.consider(blaming("tenant", "t06", &[("hot-tenant", 0.9)]), at(minute));
    }
    assert_eq!(incident.tell(), Some(State::Updated), "whose work it is was answered late");
    assert_eq!(incident.explained_at(), Some("web"));
    assert!(!incident.is_open_to_naming(at(105)));
}

#[test]
fn a_cause_hardly_clear_gives_way_to_a_peer_that_clearly_is_behind_it() {
    let peer = |who: &str, p: f64| blaming("instance", who, &[("instance-outlier", p)]);
    let at_web = |cause: &str, p: f64| {
        let mut diagnosis = diagnosis(&[(cause, p)]);
        diagnosis.trace.root = "web".to_owned();
        diagnosis
    };
    let told = |cause: &str, p: f64| {
        let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
        incident.consider(at_web(cause, p), at(30));
        assert_eq!(incident.tell(), Some(State::Firing));
        incident
    };
    let later = |mut incident: Incident, seen: [&Diagnosis; 3]| {
        for (minute, diagnosis) in [90, 95, 100].into_iter().zip(seen) {
            incident.consider(diagnosis.clone(), at(minute));
        }
        incident.tell()
    };
    let boundary = || told("time-boundary", 0.55);
    let (sure, other) = (peer("web-2", 0.9), peer("web-3", 0.9));
    assert_eq!(later(boundary(), [&sure; 3]), Some(State::Updated));
    assert_eq!(later(boundary(), [&sure, &other, &sure]), None, "which one is it?");
    assert_eq!(later(boundary(), [&peer("web-2", 0.8); 3]), None, "not far more certain");
    assert_eq!(later(boundary(), [&at_web("overload", 0.95); 3]), None, "everything is red");
    let mut elsewhere = sure.clone();
    elsewhere.trace.root = "db".to_owned();
    assert_eq!(later(boundary(), [&elsewhere; 3]), None, "a peer of what suffers from it");
    assert!(boundary().is_open_to_naming(at(65)) && !boundary().is_open_to_naming(at(300)));
    let clear = told("pool-exhaustion", 0.8);
    assert!(!clear.is_open_to_naming(at(65)), "nothing can be that much more certain");
    assert_eq!(later(clear, [&sure; 3]), None);
}

#[test]
fn what_explains_it_must_lead_and_be_clear() {
    let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
    assert!(!incident.is_explained_by(&diagnosis(&[("bad-deploy", 0.9)])), "nothing was told");
    incident.consider(diagnosis(&[("bad-deploy", 0.9)]), at(30));
    incident.tell();
    assert!(incident.is_explained_by(&diagnosis(&[("bad-deploy", 0.5), ("overload", 0.4)])));
    assert!(!incident.is_explained_by(&diagnosis(&[("bad-deploy", 0.4), ("overload", 0.3)])));
    assert!(!incident.is_explained_by(&diagnosis(&[("overload", 0.9)])));
}

#[test]
fn it_is_remembered_as_it_looked_when_it_stood_highest() {
    use crate::engine::past::tests::pattern;
    let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
    for (standing, moves) in [(1.1, Some(1)), (1.8, Some(3)), (1.8, Some(0)), (1.2, Some(8))] {
        incident.show(standing, moves.map(pattern).as_ref());
    }
    assert_eq!(incident.look, pattern(3), "first the loudest, last what is left or noise");
    incident.show(2.5, None);
    assert_eq!(
        (incident.peak, &incident.look),
        (2.5, &pattern(3)),
        "what is red by then is not it"
    );
    incident.seek(at(60));
    incident.show(2.0, Some(&pattern(5)));
    incident.consider(diagnosis(&[("bad-deploy", 0.9)]), at(65));
    assert_eq!(incident.ended(at(200)).trace.pattern, pattern(5), "as it looked since it grew");
}
