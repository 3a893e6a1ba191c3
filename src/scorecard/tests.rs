//! Scorecards and comparisons of replays that are written down.

use std::collections::BTreeSet;

use super::*;
use crate::engine::alert::Severity;
use crate::time::{Span, Timestamp};

/// Minutes after the beginning.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(1_772_323_200) + Span::from_mins(minutes)
}

/// A case of one service from `opened` to `resolved`, alerting or not, with its leading causes turn
/// by turn.
fn case(
    service: &str,
    (opened, resolved): (i64, i64),
    severity: Severity,
    turns: &[(i64, &[&str])],
) -> Case {
    Case {
        id: format!("{service}-{opened}"),
        service: service.to_owned(),
        services: BTreeSet::from([service.to_owned()]),
        blamed: BTreeSet::new(),
        signals: BTreeSet::from([format!("{service}-signal")]),
        opened: at(opened),
        resolved: Some(at(resolved)),
        severity,
        alerted: (severity > Severity::Notice).then(|| at(opened)),
        turns: turns
            .iter()
            .map(|(minutes, causes)| Turn {
                at: at(*minutes),
                severity,
                causes: causes.iter().map(|&cause| cause.to_owned()).collect(),
                title: format!("{service} is slow"),
            })
            .collect(),
    }
}

fn truth(service: &str, onset: i64, noticed: Option<i64>, end: i64) -> Truth {
    Truth {
        onset: at(onset),
        service: service.to_owned(),
        noticed: noticed.map(at),
        end: Some(at(end)),
        cause: Some("slow-dependency".to_owned()),
        note: None,
    }
}

/// Two weeks.
fn record(cases: Vec<Case>, truths: &[Truth]) -> Record {
    Record {
        from: at(0),
        to: at(2 * 7 * 24 * 60),
        services: 3,
        accepted_per_week: [3.0, 1.5],
        cases,
        left_out: 0,
        sightings: truths.iter().map(|_| Sighting::default()).collect(),
    }
}

#[test]
fn incidents_are_caught_before_or_after_or_missed() {
    let truths = [
        truth("a", 100, Some(200), 300),
        truth("b", 1_000, Some(1_010), 1_300),
        truth("c", 2_000, Some(2_100), 2_300),
        truth("a", 30_000, None, 31_000),
    ];
    let cases = vec![
        case(
            "a",
            (130, 310),
            Severity::Warning,
            &[(130, &["overload"]), (190, &["slow-dependency"])],
        ),
        // Too early to be about it, and still open: what is told of it in time counts.
        case(
            "b",
            (900, 1_200),
            Severity::Notice,
            &[(900, &[]), (1_040, &["overload", "slow-dependency"])],
        ),
        case("c", (8_000, 8_100), Severity::Critical, &[(8_000, &["overload"])]),
        case("c", (9_000, 9_100), Severity::Notice, &[(9_000, &[])]),
    ];
    let card = Scorecard::new(&truths, &record(cases, &truths));
    let fates: Vec<Fate> = card.incidents.iter().map(|one| one.fate).collect();
    assert_eq!(fates, [Fate::Before, Fate::After, Fate::Missed]);
    assert_eq!(card.outside, 1);
    let caught = card.incidents[0].caught.as_ref().unwrap();
    assert_eq!((caught.delay, caught.lead), (Span::from_mins(30), Some(Span::from_mins(70))));
    assert_eq!(caught.rank, Some(1), "what was known when it was noticed counts");
    let late = card.incidents[1].caught.as_ref().unwrap();
    assert_eq!((late.at, late.lead), (at(1_040), Some(Span::from_mins(-30))));
    assert_eq!((late.rank, late.alerted), (Some(2), None));
    assert_eq!(card.false_alarms, ["c-8000", "c-9000"]);
    let expected = Figures {
        incidents: 3,
        caught: Some(2.0 / 3.0),
        noticed: 3,
        before_noticed: Some(1.0 / 3.0),
        missed: 1,
        lead: Some(Span::from_mins(-30)),
        delay: Some(Span::from_mins(30)),
        named: Some(0.5),
        named_in_three: Some(1.0),
        false_alerts: 1,
        false_alerts_per_week: 0.5,
        false_notices: 2,
        false_notices_per_week: 1.0,
    };
    assert_eq!(card.figures, expected);
    let spent = Spent { accepted: 3.0, false_ones: 1, told: 2 };
    assert_eq!(card.budget.alerts, spent);
    let of = |name: &str| card.services.iter().find(|tally| tally.name == name).unwrap();
    assert_eq!((of("c").missed, of("c").false_notices, of("a").caught), (1, 2, 1));
    let cause = &card.causes.iter().find(|tally| tally.name == "slow-dependency").unwrap();
    assert_eq!((cause.caught, cause.missed, cause.alone), (2, 1, 1));
}

#[test]
fn an_alert_is_false_only_where_nothing_in_reach_explains_it() {
    let truths = [truth("web", 1_000, None, 1_100)];
    let told = |service: &str, opened: i64| {
        let severity = Severity::Warning;
        case(service, (opened, opened + 20), severity, &[(opened, &[])])
    };
    let mut blames = told("shop", 1_050);
    blames.blamed.insert("web".to_owned());
    let cases = vec![
        told("web", 910),
        told("web", 945),
        blames,
        told("db", 1_050),
        told("mail", 1_050),
        told("web", 1_159),
        told("web", 1_165),
    ];
    let mut record = record(cases, &truths);
    record.sightings[0].neighbours.insert("db".to_owned());
    let card = Scorecard::new(&truths, &record);
    assert_eq!(card.false_alarms, ["web-910", "mail-1050", "web-1165"]);
    assert_eq!(card.incidents[0].caught.as_ref().unwrap().at, at(945));
    // A neighbour's alert explains itself, but tells nobody of this service.
    record.cases.retain(|case| case.service == "db");
    assert_eq!(Scorecard::new(&truths, &record).figures.missed, 1);
}

#[test]
fn what_was_taken_for_a_part_of_something_older_is_missed_and_says_so() {
    let truths = [truth("a", 1_000, None, 1_100)];
    let open = case("a", (100, 3_000), Severity::Critical, &[(100, &["overload"])]);
    let card = Scorecard::new(&truths, &record(vec![open], &truths));
    assert_eq!(card.incidents[0].fate, Fate::Missed);
    assert_eq!(card.incidents[0].within.as_deref(), Some("a-100"));
    assert!(card.false_alarms.is_empty());
}

#[test]
fn two_replays_differ_by_what_only_one_of_them_told() {
    let truths = [truth("a", 100, Some(200), 300), truth("b", 1_000, None, 1_300)];
    let this = record(
        vec![
            case("a", (110, 300), Severity::Warning, &[(110, &["overload"])]),
            case("b", (1_020, 1_300), Severity::Notice, &[(1_020, &["overload"])]),
        ],
        &truths,
    );
    let other = record(
        vec![
            case("a", (150, 300), Severity::Notice, &[(150, &["overload"])]),
            case("c", (5_000, 5_100), Severity::Warning, &[(5_000, &[])]),
        ],
        &truths,
    );
    let cards = [&this, &other].map(|record| Scorecard::new(&truths, record));
    let comparison = Comparison::new([&this, &other], Some([&cards[0], &cards[1]]));
    assert_eq!((comparison.told, comparison.alerts), ([2, 2], [1, 1]));
    let [earlier, gained] = comparison.incidents.as_slice() else { panic!("{comparison:?}") };
    assert_eq!(earlier.earlier, Some(Span::from_mins(40)));
    assert_eq!((gained.fate, gained.earlier), ([Fate::Before, Fate::Missed], None));
    let alone = |list: &[Alone]| -> Vec<(String, Option<bool>)> {
        list.iter().map(|one| (one.service.clone(), one.is_false)).collect()
    };
    assert_eq!(alone(&comparison.only_this), [("b".to_owned(), Some(false))]);
    assert_eq!(alone(&comparison.only_other), [("c".to_owned(), Some(true))]);
    let [changed] = comparison.changed.as_slice() else { panic!("{comparison:?}") };
    assert_eq!(changed.severity, [Severity::Warning, Severity::Notice]);
    let names: Vec<&str> = comparison.signals.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["b-signal", "c-signal"]);
    let same = Comparison::new([&this, &this], None);
    assert!(same.only_this.is_empty() && same.changed.is_empty(), "{same:?}");
}

#[test]
fn a_part_of_a_record_is_scored_by_itself() {
    let truths = [truth("a", 100, None, 200), truth("a", 5_000, None, 5_100)];
    let cases = vec![
        case("a", (110, 200), Severity::Warning, &[(110, &[])]),
        case("b", (6_000, 6_100), Severity::Warning, &[(6_000, &[])]),
    ];
    let record = record(cases, &truths);
    let split = Split { at: Some(at(1_000)) };
    let (earlier, later) = split.figures(&truths, &record);
    let later = later.unwrap();
    assert_eq!((earlier.incidents, earlier.missed, earlier.false_alerts), (1, 0, 0));
    assert_eq!((later.incidents, later.missed, later.false_alerts), (1, 1, 1));
}
