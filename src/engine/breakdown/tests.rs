use super::*;
use crate::rules::{Breakdown, Role};
use crate::series::LabelValue;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(1_772_331_000) + Span::from_mins(minutes)
}

fn signal(name: &str, role: Role, by: &[&str]) -> Signal {
    let by = by.iter().map(|&label| label.to_owned()).collect();
    let query = "sum by (service, {{label}}) (x)".to_owned();
    Signal { breakdown: Some(Breakdown { by, query }), ..Signal::plain(name, role) }
}

fn rules() -> Rules {
    let signals = vec![
        signal("errors", Role::Errors, &["tenant", "route"]),
        signal("hits", Role::CacheHit, &["pod"]),
        signal("work", Role::Traffic, &["tenant", "route", "zone", "caller"]),
    ];
    Rules { signals, ..Rules::default() }
}

fn topic(rules: &Rules, incident: Option<i64>) -> Topic<'_> {
    let signals = rules.signals.iter().collect();
    Topic { service: "web".to_owned(), onset: at(0), incident: incident.map(at), signals }
}

fn asked(breakdowns: &mut Breakdowns, minute: i64, topic: &Topic<'_>) -> Vec<String> {
    breakdowns.ask(at(minute), std::slice::from_ref(topic));
    breakdowns.open().iter().map(|q| format!("{} {}", q.signal, q.label)).collect()
}

fn values(levels: &[(&str, f64, f64)]) -> Vec<LabelValue> {
    let one = |&(value, before, since): &(&str, f64, f64)| LabelValue {
        value: value.to_owned(),
        before,
        since,
    };
    levels.iter().map(one).collect()
}

#[test]
fn near_the_threshold_the_same_is_asked_every_half_hour() {
    let rules = rules();
    let (mut breakdowns, near) = (Breakdowns::default(), topic(&rules, None));
    let first = asked(&mut breakdowns, 30, &near);
    assert_eq!(first, ["errors tenant", "errors route", "hits pod"], "two signals");
    let second = asked(&mut breakdowns, 35, &near);
    assert_eq!(second, ["work tenant", "work route", "work zone"], "three labels");
    assert!(asked(&mut breakdowns, 40, &near).is_empty());
    assert_eq!(asked(&mut breakdowns, 60, &near), first);
}

#[test]
fn an_incident_is_asked_about_when_it_opens_and_three_times_more() {
    let mut rules = rules();
    rules.signals.truncate(1);
    let mut breakdowns = Breakdowns::default();
    assert_eq!(asked(&mut breakdowns, 30, &topic(&rules, None)).len(), 2);
    let incident = topic(&rules, Some(35));
    let asked_at: Vec<i64> = (35..175)
        .step_by(5)
        .filter(|&minute| !asked(&mut breakdowns, minute, &incident).is_empty())
        .collect();
    assert_eq!(asked_at, [35, 45, 55, 65]);
    // Another incident is another story.
    assert_eq!(asked(&mut breakdowns, 180, &topic(&rules, Some(180))).len(), 2);
}

#[test]
fn no_more_is_asked_at_once_than_a_backend_can_bear() {
    let rules = rules();
    let topics: Vec<Topic<'_>> =
        (0..9).map(|n| Topic { service: format!("s{n}"), ..topic(&rules, Some(30)) }).collect();
    let mut breakdowns = Breakdowns::default();
    breakdowns.ask(at(30), &topics);
    assert_eq!(breakdowns.open().len(), QUESTIONS_MAX);
    let services: BTreeSet<_> = breakdowns.open().iter().map(|q| &q.service).collect();
    assert_eq!(services.len(), 4, "the first ones");
    breakdowns.ask(at(35), &topics);
    assert!(breakdowns.open().iter().all(|q| q.signal == "work"), "first what they lack");
    breakdowns.ask(at(40), &topics);
    assert!(breakdowns.open().iter().any(|q| q.service == "s5"), "the others are not lost");
}

#[test]
fn the_onset_leaves_time_for_a_level() {
    let rules = rules();
    let mut breakdowns = Breakdowns::default();
    let onset = |breakdowns: &mut Breakdowns, minutes: i64| {
        let topic = Topic { onset: at(minutes), ..topic(&rules, Some(minutes)) };
        breakdowns.ask(at(0), &[topic]);
        breakdowns.open()[0].onset
    };
    assert_eq!(onset(&mut breakdowns, -5), at(-15));
    assert_eq!(onset(&mut breakdowns, -90), at(-90));
    assert_eq!(onset(&mut breakdowns, -60 * 24 * 30), at(-60 * 24 * 7));
}

/// Asks about the signal and gives the answer.
fn answered(
    breakdowns: &mut Breakdowns,
    (signal, minute): (&str, i64),
    values: Result<Vec<LabelValue>, String>,
) -> Known {
    let rules = rules();
    let only = rules.signals.iter().filter(|s| s.name == signal).collect();
    let topic = Topic { signals: only, ..topic(&rules, Some(minute)) };
    breakdowns.ask(at(minute), &[topic]);
    let question = breakdowns.open()[0].clone();
    let answer = Answer { question: question.clone(), values };
    breakdowns.take(&rules, &answer);
    assert!(!breakdowns.open().contains(&question), "it is answered");
    let known = breakdowns.clone();
    known.known("web").find(|known| known.question.signal == signal).unwrap().clone()
}

fn explaining(signal: &str, levels: &[(&str, f64, f64)]) -> Vec<(String, Direction)> {
    let mut breakdowns = Breakdowns::default();
    let known = answered(&mut breakdowns, (signal, 60), Ok(values(levels)));
    let found = known.division.unwrap().explaining.into_iter();
    found.map(|dominant| (dominant.value, dominant.direction)).collect()
}

#[test]
fn values_that_explain_are_known_with_their_shares() {
    let mut breakdowns = Breakdowns::default();
    let levels = [("acme", 2.0, 30.0), ("beta", 4.0, 4.1), ("gamma", 4.0, 3.9)];
    let known = answered(&mut breakdowns, ("errors", 60), Ok(values(&levels)));
    let division = known.division.unwrap();
    assert_eq!((division.values, division.explaining.len()), (3, 1));
    let acme = &division.explaining[0];
    assert_eq!((acme.value.as_str(), acme.direction), ("acme", Direction::Up));
    assert!((acme.share - 30.0 / 38.0).abs() < 1e-9 && (acme.usual_share - 0.2).abs() < 1e-9);
}

#[test]
fn which_way_counts_depends_on_what_hurts() {
    let up = |value: &str| vec![(value.to_owned(), Direction::Up)];
    let down = |value: &str| vec![(value.to_owned(), Direction::Down)];
    let fell = [("a", 4.0, 0.2), ("b", 4.0, 4.0), ("c", 4.0, 4.1)];
    assert_eq!(explaining("errors", &fell), [], "fewer errors are no trouble");
    assert_eq!(explaining("work", &fell), down("a"));
    let rose = [("a", 4.0, 20.0), ("b", 4.0, 4.0), ("c", 4.0, 4.1)];
    assert_eq!(explaining("work", &rose), up("a"));
    // Hits are shares: one pod misses ten times as often, and its hits only halved.
    let missed = [("p1", 0.95, 0.5), ("p2", 0.95, 0.95), ("p3", 0.94, 0.94)];
    assert_eq!(explaining("hits", &missed), down("p1"));
}

#[test]
fn a_value_that_is_to_blame_for_a_fall_lost_its_share() {
    let mut breakdowns = Breakdowns::default();
    for (signal, levels) in [
        ("hits", [("p1", 0.95, 0.5), ("p2", 0.95, 0.95), ("p3", 0.94, 0.94)]),
        ("work", [("p1", 4.0, 0.2), ("p2", 4.0, 4.0), ("p3", 4.0, 4.1)]),
    ] {
        let known = answered(&mut breakdowns, (signal, 60), Ok(values(&levels)));
        let told = &known.division.unwrap().explaining[0];
        assert!(told.value == "p1" && told.share < told.usual_share, "{told:?}");
        assert!((told.usual_share - 1.0 / 3.0).abs() < 0.01, "{told:?}");
    }
}

#[test]
fn a_peer_that_left_misses_nothing() {
    let gone = f64::NAN;
    let left = [("p1", 0.95, gone), ("p2", 0.95, 0.8), ("p3", 0.94, 0.79)];
    assert_eq!(explaining("hits", &left), [], "the others miss more, both alike");
    let both = [("p1", 0.95, gone), ("p2", 0.95, 0.5), ("p3", 0.94, 0.94)];
    assert_eq!(explaining("hits", &both), [("p2".to_owned(), Direction::Down)]);
}

#[test]
fn what_many_have_together_is_never_to_blame() {
    let others = LabelValue::others(900, 4.0, 90.0);
    let mut many = values(&[("a", 4.0, 4.1), ("b", 4.0, 4.0)]);
    many.push(others);
    let known = answered(&mut Breakdowns::default(), ("errors", 60), Ok(many));
    assert_eq!(known.division, Ok(Division { values: 2, explaining: vec![] }));
    // Nor does it keep the peers from being compared: together they are no share.
    let mut peers = values(&[("p1", 0.95, 0.5), ("p2", 0.95, 0.95), ("p3", 0.94, 0.94)]);
    peers.push(LabelValue::others(3, 2.8, 2.8));
    let known = answered(&mut Breakdowns::default(), ("hits", 60), Ok(peers));
    assert_eq!(known.division.unwrap().explaining[0].value, "p1");
}

#[test]
fn values_that_cannot_be_told_apart_say_why() {
    for (levels, why) in [
        (&[][..], "no query gives it"),
        (&[("a", 1.0, 9.0)][..], "there is one value alone"),
        (&[("a", 0.0, 0.0), ("b", 0.0, 0.0)][..], "there is nothing in any of them"),
    ] {
        let mut breakdowns = Breakdowns::default();
        let known = answered(&mut breakdowns, ("errors", 60), Ok(values(levels)));
        assert_eq!(known.division, Err(why.to_owned()));
    }
}

#[test]
fn what_a_backend_says_is_one_short_line() {
    let page = format!("<html>\n\u{1b}[31m502{}", " bad".repeat(1_000));
    let known = answered(&mut Breakdowns::default(), ("errors", 60), Err(page));
    let reason = known.division.unwrap_err();
    assert!(reason.starts_with("it could not be looked up (<html> [31m502 bad"), "{reason}");
    assert!(reason.chars().count() < 250 && !reason.contains(['\n', '\u{1b}']), "{reason}");
}

#[test]
fn a_failure_is_known_but_takes_nothing_back() {
    let mut breakdowns = Breakdowns::default();
    let failed = answered(&mut breakdowns, ("errors", 60), Err("no answer".to_owned()));
    assert_eq!(failed.division, Err("it could not be looked up (no answer)".to_owned()));
    let levels = [("acme", 2.0, 30.0), ("beta", 4.0, 4.1)];
    let known = answered(&mut breakdowns, ("errors", 70), Ok(values(&levels)));
    let still = answered(&mut breakdowns, ("errors", 80), Err("no answer".to_owned()));
    assert!(known.division.is_ok());
    assert_eq!(still, known);
}

#[test]
fn what_nobody_asked_is_ignored() {
    let question = Question {
        signal: "errors".to_owned(),
        service: "web".to_owned(),
        label: "tenant".to_owned(),
        onset: at(0),
        until: at(60),
    };
    let mut breakdowns = Breakdowns::default();
    breakdowns.take(&rules(), &Answer { question, values: Ok(vec![]) });
    assert_eq!(breakdowns, Breakdowns::default());
}

#[test]
fn what_is_old_is_forgotten_unless_there_is_an_incident() {
    let mut breakdowns = Breakdowns::default();
    answered(&mut breakdowns, ("work", 60), Ok(vec![]));
    breakdowns.forget(at(60 + 300), &BTreeSet::from(["web"]));
    assert_eq!(breakdowns.known("web").count(), 1);
    breakdowns.forget(at(60 + 120), &BTreeSet::new());
    assert_eq!(breakdowns.known("web").count(), 1);
    breakdowns.forget(at(60 + 125), &BTreeSet::new());
    assert_eq!(breakdowns.known("web").count(), 0);
}
