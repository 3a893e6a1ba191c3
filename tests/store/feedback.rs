//! What people say about incidents: written beside a daemon, numbered, never lost.

use grayflag::engine::alert::State;
use grayflag::series::{Feedback, Verdict};
use grayflag::store::{Opinion, Store, StoreError, Tick};
use grayflag::time::Span;
use tempfile::TempDir;

use super::{START, alert, open};

fn told(store: &mut Store, incidents: &[&str]) {
    let alerts: Vec<_> =
        incidents.iter().map(|incident| alert(incident, State::Firing, 1)).collect();
    let tick = Tick {
        last_tick: START + Span::from_mins(1),
        snapshot: None,
        alerts: &alerts,
        charts: &[],
        deliveries: &[],
    };
    store.commit(&tick).unwrap();
}

fn opinion(incident: &str, verdict: Verdict) -> Opinion {
    Opinion {
        incident: incident.to_owned(),
        verdict,
        cause: Some("overload".to_owned()),
        note: Some("two words".to_owned()),
        at: START,
        by: None,
    }
}

#[test]
fn every_word_has_a_number_and_is_read_back_whole() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut store = open(&path);
    told(&mut store, &["one", "two"]);
    for verdict in Verdict::ALL {
        store.give_feedback(&opinion("one", verdict)).unwrap();
    }
    let last = Opinion { cause: None, note: None, ..opinion("two", Verdict::False) };
    assert_eq!(store.give_feedback(&last).unwrap(), 5);
    drop(store);
    let store = open(&path);
    let all = store.feedback_after(0).unwrap();
    assert_eq!(all.iter().map(|word| word.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let newest = Feedback {
        number: 5,
        at: START,
        incident: "two".to_owned(),
        verdict: Verdict::False,
        cause: None,
    };
    assert_eq!(store.feedback_after(4).unwrap(), [newest]);
    assert_eq!(store.feedback_after(5).unwrap(), []);
    let of_one: Vec<Opinion> = Verdict::ALL.map(|verdict| opinion("one", verdict)).to_vec();
    assert_eq!(store.feedback_of("one").unwrap(), of_one);
    assert_eq!(store.feedback_of("nobody").unwrap(), []);
}

#[test]
fn what_is_not_known_or_too_long_is_refused_with_a_remedy() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    let refused = |store: &mut Store, opinion: &Opinion| {
        let error = store.give_feedback(opinion).unwrap_err();
        (error.class(), error.to_string())
    };
    let nothing = refused(&mut store, &opinion("checkout-1", Verdict::Useful));
    assert!(nothing.1.contains("no incident was ever told"), "{}", nothing.1);
    told(&mut store, &["checkout-20260301T0212Z-4f1a", "web-20260301T0212Z-beef"]);
    let near = refused(&mut store, &opinion("checkout-20260301T0212Z-4f1b", Verdict::Useful));
    assert_eq!(near.0, "no_such_incident");
    assert!(near.1.contains("did you mean `checkout-20260301T0212Z-4f1a`?"), "{}", near.1);
    let far = refused(&mut store, &opinion("x", Verdict::Useful));
    assert!(far.1.contains("web-20260301T0212Z-beef"), "{}", far.1);
    let essay = Opinion {
        note: Some("é".repeat(2_001)),
        ..opinion("web-20260301T0212Z-beef", Verdict::Useful)
    };
    assert_eq!(refused(&mut store, &essay).0, "too_long");
    assert_eq!(store.feedback_after(0).unwrap(), []);
}

#[test]
fn old_words_make_room_and_numbers_never_come_twice() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut store = open(&path);
    told(&mut store, &["one"]);
    store.give_feedback(&opinion("one", Verdict::Useful)).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute("UPDATE sqlite_sequence SET seq = 10000 WHERE name = 'feedback'", []).unwrap();
    assert_eq!(store.give_feedback(&opinion("one", Verdict::False)).unwrap(), 10_001);
    assert_eq!(store.feedback_after(0).unwrap().len(), 1, "the first is gone");
    raw.execute("DELETE FROM feedback", []).unwrap();
    assert_eq!(store.give_feedback(&opinion("one", Verdict::False)).unwrap(), 10_002);
}

#[test]
fn a_daemon_and_a_person_share_the_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let missing = Store::open_beside(&path).unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    assert!(!path.exists());
    let mut daemon = open(&path);
    told(&mut daemon, &["one"]);
    let mut person = Store::open_beside(&path).unwrap();
    let number = person.give_feedback(&opinion("one", Verdict::Useful)).unwrap();
    assert_eq!(daemon.feedback_after(0).unwrap()[0].number, number);
    told(&mut daemon, &["two"]);
    drop(daemon);
    let daemon = open(&path);
    assert_eq!(
        person.incidents(10, None).unwrap().len(),
        2,
        "nor does it keep a daemon from starting"
    );
    drop((person, daemon));
    assert!(Store::open_beside(&path).is_ok(), "and needs none");
}

#[test]
fn a_file_from_before_feedback_gets_a_place_for_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    for step in [
        include_str!("../../src/store/001_state.sql"),
        include_str!("../../src/store/002_archive.sql"),
    ] {
        raw.execute_batch(step).unwrap();
    }
    raw.execute_batch("INSERT INTO meta VALUES (1, 42)").unwrap();
    raw.execute_batch(
        "INSERT INTO incidents VALUES ('one', 'web', 'notice', 'firing', 1, 1, '{}')",
    )
    .unwrap();
    raw.pragma_update(None, "application_id", 0x4746_4c47).unwrap();
    raw.pragma_update(None, "user_version", 2).unwrap();
    drop(raw);
    // A daemon of before has it: its schema is not ours to change.
    let lock = std::fs::File::create(dir.path().join("state.db.lock")).unwrap();
    lock.lock().unwrap();
    let older = Store::open_beside(&path).unwrap_err();
    assert!(matches!(older, StoreError::Older { found: 2, .. }), "{older}");
    drop(lock);
    let mut store = Store::open_beside(&path).unwrap();
    assert_eq!(store.resume().unwrap().unwrap().last_tick.as_millis(), 42);
    assert_eq!(store.give_feedback(&opinion("one", Verdict::Useful)).unwrap(), 1);
}
