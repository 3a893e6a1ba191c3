//! Silences: kept, listed, ended, and what they held let go.

use grayflag::engine::alert::Severity;
use grayflag::matcher::{Matcher, Pattern};
use grayflag::store::{Dispatch, Draft, Hold, SILENCES_OPEN_MAX, Store, StoreError, Tick};
use grayflag::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_772_331_000);

fn hours(n: i64) -> Timestamp {
    NOW + Span::from_hours(n)
}

fn draft(from: i64, to: i64) -> Draft {
    let matcher = Matcher {
        service: vec![Pattern::from("web-*")],
        severity: vec![Severity::Notice],
        label: [("tenant".to_owned(), vec![Pattern::from("acme")])].into(),
        ..Matcher::default()
    };
    let comment = "load test".to_owned();
    let by = Some("oncall".to_owned());
    Draft { matcher, all: false, starts_at: hours(from), ends_at: hours(to), comment, by }
}

#[test]
fn a_silence_is_kept_until_it_is_over_and_listed_after() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut store = Store::open(&path).unwrap();
    let first = store.add_silence(draft(0, 2), NOW).unwrap();
    let second = store.add_silence(draft(1, 9), NOW).unwrap();
    assert_eq!((first.number, second.number, first.name()), (1, 2, "silence 1".to_owned()));
    drop(store);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.open_silences(NOW).unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.open_silences(hours(2)).unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.silences(9).unwrap(), [second.clone(), first.clone()]);
    assert!(first.holds_at(NOW) && !first.holds_at(hours(2)) && !second.holds_at(NOW));

    let (ended, released) = store.end_silence(1, hours(1)).unwrap();
    assert_eq!((ended.ends_at, released), (hours(1), 0));
    assert_eq!(store.end_silence(1, hours(5)).unwrap().0, ended, "it is over already");
    // One that was to come never holds.
    let (ended, _) = store.end_silence(2, NOW).unwrap();
    assert!((0..10).all(|hour| !ended.holds_at(hours(hour))));
    let unknown = store.end_silence(3, NOW).unwrap_err();
    assert!(matches!(unknown, StoreError::NoSuchSilence { number: 3 }), "{unknown}");
}

#[test]
fn a_silence_that_cannot_be_read_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut store = Store::open(&path).unwrap();
    store.add_silence(draft(0, 1), NOW).unwrap();
    let second = store.add_silence(draft(0, 2), NOW).unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute("UPDATE silences SET matchers = 'rot' WHERE number = 1", []).unwrap();
    assert_eq!(store.open_silences(NOW).unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.silences(9).unwrap(), [second]);
}

#[test]
fn what_a_silence_held_goes_out_when_it_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("state.db")).unwrap();
    let alert = serde_json::from_str(include_str!("../data/messages/firing.json")).unwrap();
    let alerts: [grayflag::engine::alert::Alert; 1] = [alert];
    let silence = store.add_silence(draft(0, 2), NOW).unwrap();
    let held = |receiver: &str, by: &str| Dispatch {
        receiver: receiver.to_owned(),
        alert: 0,
        hold: Some(Hold::new(hours(2), by)),
    };
    let now = Dispatch { receiver: "log".to_owned(), alert: 0, hold: None };
    let deliveries = [held("a", &silence.name()), held("b", "quiet hours of b"), now];
    let tick = Tick {
        last_tick: NOW,
        snapshot: None,
        alerts: &alerts,
        charts: &[],
        deliveries: &deliveries,
    };
    store.commit(&tick).unwrap();
    let waits = |store: &Store| -> Vec<(String, String)> {
        let [summary] = store.summaries(9, None).unwrap().incidents.try_into().unwrap();
        assert!(summary.held.iter().all(|held| held.until == hours(2)));
        summary.held.into_iter().map(|held| (held.receiver, held.by)).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(waits(&store), [pair("a", "silence 1"), pair("b", "quiet hours of b")]);
    assert_eq!(store.end_silence(silence.number, NOW).unwrap().1, 1);
    assert_eq!(waits(&store), [pair("b", "quiet hours of b")]);
}

#[test]
fn what_cannot_be_a_silence_is_told_with_its_part() {
    let flaws = |change: fn(&mut Draft)| {
        let mut draft = draft(0, 2);
        change(&mut draft);
        draft
            .flaws(NOW)
            .into_iter()
            .map(|(part, what)| format!("{part} {what}"))
            .collect::<Vec<_>>()
    };
    assert!(flaws(|_| {}).is_empty());
    assert!(flaws(|d| (d.all, d.matcher) = (true, Matcher::default())).is_empty());
    for (change, want) in [
        (
            (|d| d.matcher = Matcher::default()) as fn(&mut Draft),
            "match says nothing, which would silence everything",
        ),
        (
            |d| d.matcher.service = vec![Pattern::from("x"); 101],
            "match must have at most 100 values of one key, of at most 200 characters",
        ),
        (
            |d| d.matcher.owner = vec![Pattern::from("x".repeat(201).as_str())],
            "match must have at most 100 values of one key, of at most 200 characters",
        ),
        (|d| d.all = true, "match does not go with a silence of everything"),
        (|d| d.ends_at = d.starts_at, "ends_at must be after the begin"),
        (|d| (d.starts_at, d.ends_at) = (hours(-5), hours(-1)), "ends_at is over already"),
        (|d| d.ends_at = hours(24 * 90 + 1), "ends_at must be within 90d"),
        (|d| d.comment = " ".to_owned(), "comment must say why"),
        (|d| d.by = Some("x".repeat(501)), "by must have at most 500 characters"),
    ] {
        assert_eq!(flaws(change), [want]);
    }
}

#[test]
fn there_is_a_limit_to_what_is_silenced_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("state.db")).unwrap();
    for _ in 0..SILENCES_OPEN_MAX {
        store.add_silence(draft(0, 1), NOW).unwrap();
    }
    let full = store.add_silence(draft(0, 1), NOW).unwrap_err();
    assert!(full.to_string().contains("hint: end some"), "{full}");
    store.add_silence(draft(2, 3), hours(1)).unwrap();
}
