//! Changes that were posted: every word on them, for as long as a tick may need it.

use grayflag::changes::outside::{Outside, Posted};
use grayflag::series::{Change, ChangeKind};
use grayflag::store::{Store, Tick, Wanted};
use grayflag::time::{Span, Timestamp};
use tempfile::TempDir;

use super::{START, open};

const ALL: Wanted = Wanted { from: None, to: None, service: None, after: None, limit: 100 };

fn at(minute: i64) -> Timestamp {
    START + Span::from_mins(minute)
}

fn deploy(end: Option<i64>) -> Change {
    Change {
        at: at(0),
        end: end.map(at),
        kind: ChangeKind::Deploy,
        service: "web".to_owned(),
        what: "v2".to_owned(),
    }
}

fn post(store: &mut Store, minute: i64, end: Option<i64>) -> bool {
    store.post_changes(at(minute), &[deploy(end)]).unwrap()[0].new
}

fn ends(posted: &[Posted]) -> Vec<Option<i64>> {
    posted.iter().map(|one| one.change.end.map(|end| (end - START).as_secs() / 60)).collect()
}

fn snapshot(store: &mut Store, minute: i64) {
    let snapshot = Some((1, &b"state"[..]));
    let tick = Tick { last_tick: at(minute), snapshot, alerts: &[], charts: &[], deliveries: &[] };
    store.commit(&tick).unwrap();
}

#[test]
fn ticks_that_are_processed_again_know_the_word_of_their_time() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut store = open(&path);
    snapshot(&mut store, 1);
    assert!(post(&mut store, 2, None));
    assert!(post(&mut store, 12, Some(11)));
    assert!(!post(&mut store, 13, None), "its beginning takes the end back from nobody");
    assert_eq!(ends(&store.changes(&ALL).unwrap()), [Some(11)], "one change, its newest end");
    drop(store);
    // After a crash, from the snapshot on.
    let mut outside = Outside::new(0);
    outside.post(open(&path).changes_after(0).unwrap());
    let due = |outside: &mut Outside, minute| outside.due(at(minute));
    assert_eq!(due(&mut outside, 2), []);
    assert_eq!(due(&mut outside, 3), [deploy(None)]);
    assert_eq!(due(&mut outside, 12), []);
    assert_eq!(due(&mut outside, 13), [deploy(Some(11))]);
}

#[test]
fn a_word_that_no_tick_needs_any_more_goes() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    for (minute, end) in [(2, None), (10, Some(20)), (15, Some(30))] {
        assert!(post(&mut store, minute, end));
    }
    assert_eq!(ends(&store.changes_after(0).unwrap()), [None, Some(20), Some(30)]);
    // From here on, no tick is without the word of minute 10.
    snapshot(&mut store, 10);
    assert!(post(&mut store, 16, Some(31)));
    assert_eq!(ends(&store.changes_after(0).unwrap()), [Some(20), Some(30), Some(31)]);
    assert_eq!(ends(&store.changes(&ALL).unwrap()), [Some(31)]);
}

#[test]
fn a_file_of_before_keeps_its_changes_and_their_numbers() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    for step in [
        include_str!("../../src/store/001_state.sql"),
        include_str!("../../src/store/002_archive.sql"),
        include_str!("../../src/store/003_feedback.sql"),
        include_str!("../../src/store/004_changes.sql"),
    ] {
        raw.execute_batch(step).unwrap();
    }
    raw.execute_batch(&format!(
        "INSERT INTO changes VALUES (7, 'x', 1, {}, NULL, 'deploy', 'web', 'v2')",
        START.as_millis()
    ))
    .unwrap();
    raw.pragma_update(None, "application_id", 0x4746_4c47).unwrap();
    raw.pragma_update(None, "user_version", 4).unwrap();
    drop(raw);
    let mut store = open(&path);
    assert!(post(&mut store, 1, Some(5)));
    let numbers: Vec<i64> =
        store.changes_after(0).unwrap().iter().map(|posted| posted.number).collect();
    assert_eq!(numbers, [7, 8]);
}
