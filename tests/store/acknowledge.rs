//! That somebody looks after an incident: the first word counts, and is told once.

use grayflag::engine::alert::State;
use grayflag::store::{Acknowledged, Dispatch, Hold, Kind, Limits, RowState, Store, Tick};
use grayflag::time::{Span, Timestamp};
use tempfile::TempDir;

use super::{START, alert, open, to};

fn minute(n: i64) -> Timestamp {
    START + Span::from_mins(n)
}

fn commit(store: &mut Store, incident: &str, (state, at): (State, i64), deliveries: &[Dispatch]) {
    let alert = alert(incident, state, at);
    let alerts = std::slice::from_ref(&alert);
    let tick = Tick { last_tick: alert.at, snapshot: None, alerts, charts: &[], deliveries };
    store.commit(&tick).unwrap();
}

fn word(at: i64, by: &str) -> Acknowledged {
    Acknowledged { at: minute(at), by: Some(by.to_owned()) }
}

fn pager() -> Vec<String> {
    vec!["pager".to_owned(), "other".to_owned()]
}

fn due(store: &Store, at: i64) -> Vec<(Kind, String)> {
    let rows = store.due(minute(at), "pager", 10).unwrap();
    rows.into_iter().map(|row| (row.kind, row.id)).collect()
}

#[test]
fn the_first_word_counts_and_those_who_were_told_hear_it_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut store = open(&path);
    commit(&mut store, "one", (State::Firing, 0), &[to("pager", 0), to("mail", 0)]);
    let first = word(1, "oncall");
    assert_eq!(store.acknowledge("one", &first, &pager()).unwrap(), (first.clone(), true));
    let again = store.acknowledge("one", &word(2, "backup"), &pager()).unwrap();
    assert_eq!(again, (first.clone(), false));
    assert_eq!(store.pending_count().unwrap(), 3, "no mail, and none who was not told");
    drop(store);

    let mut store = open(&path);
    let firing = format!("{}/pager", alert("one", State::Firing, 0).id());
    assert_eq!(due(&store, 3), [(Kind::Alert, firing.clone())], "in order");
    store.mark_done(&firing, minute(3), None).unwrap();
    let told = "one/acknowledge/pager".to_owned();
    assert_eq!(due(&store, 3), [(Kind::Acknowledge, told.clone())]);
    assert_eq!(store.next_due("pager").unwrap(), Some(minute(1)));
    commit(&mut store, "one", (State::Resolved, 4), &[to("pager", 0)]);
    assert_eq!(due(&store, 5), [(Kind::Acknowledge, told.clone())], "before the end");
    store.mark_done(&told, minute(5), None).unwrap();
    assert_eq!(store.message(&told).unwrap().unwrap().0, RowState::Done);
    assert_eq!(due(&store, 5).len(), 1, "the end");
    assert_eq!(store.incident("one").unwrap().acknowledged, Some(first.clone()));
    assert_eq!(store.summaries(1, None).unwrap().incidents[0].acknowledged, Some(first));
}

#[test]
fn what_is_not_known_or_too_long_is_refused_with_a_remedy() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    commit(&mut store, "checkout-20260301T0212Z-4f1a", (State::Firing, 0), &[to("pager", 0)]);
    let mut refused = |incident: &str, by: &str| {
        let problem = store.acknowledge(incident, &word(1, by), &pager()).unwrap_err();
        problem.to_string()
    };
    let near = refused("checkout-20260301T0212Z-4f1b", "oncall");
    assert!(near.contains("did you mean `checkout-20260301T0212Z-4f1a`?"), "{near}");
    let long = refused("checkout-20260301T0212Z-4f1a", &"é".repeat(2_001));
    assert!(long.contains("too long"), "{long}");
    assert_eq!(store.acknowledged("checkout-20260301T0212Z-4f1a").unwrap(), None);
    assert_eq!(store.pending_count().unwrap(), 1);
}

#[test]
fn a_hold_delays_no_acknowledgement_and_who_was_not_called_needs_none() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    let held = |until: i64| {
        let hold = Some(Hold::new(minute(until), "silence 1"));
        [Dispatch { receiver: "pager".to_owned(), alert: 0, hold }]
    };
    commit(&mut store, "one", (State::Firing, 0), &[to("pager", 0)]);
    let firing = format!("{}/pager", alert("one", State::Firing, 0).id());
    store.mark_done(&firing, minute(0), None).unwrap();
    commit(&mut store, "one", (State::Updated, 1), &held(60));
    store.acknowledge("one", &word(2, "oncall"), &pager()).unwrap();
    assert_eq!(due(&store, 2), [(Kind::Acknowledge, "one/acknowledge/pager".to_owned())]);
    assert_eq!(store.next_due("pager").unwrap(), Some(minute(2)));

    commit(&mut store, "held", (State::Firing, 3), &held(60));
    commit(&mut store, "over", (State::Firing, 3), &[to("pager", 0)]);
    commit(&mut store, "over", (State::Resolved, 4), &[to("pager", 0)]);
    let before = store.pending_count().unwrap();
    for incident in ["held", "over"] {
        assert!(store.acknowledge(incident, &word(5, "oncall"), &pager()).unwrap().1);
    }
    assert_eq!(store.pending_count().unwrap(), before);
}

#[test]
fn an_acknowledgement_goes_with_its_incident() {
    let dir = TempDir::new().unwrap();
    let limits = Limits { resolved: 1, ..Limits::default() };
    let mut store = Store::open_with(&dir.path().join("state.db"), limits).unwrap();
    commit(&mut store, "one", (State::Resolved, 0), &[]);
    store.acknowledge("one", &word(1, "oncall"), &[]).unwrap();
    commit(&mut store, "two", (State::Resolved, 2), &[]);
    assert_eq!(store.acknowledged("one").unwrap(), None);
}
