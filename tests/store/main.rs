//! The state file: what is written once stays once, whatever crashes in between.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;

use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::store::{
    Committed, Dispatch, Limits, MessageFilter, RowState, Store, StoreError, Tick, Which,
};
use grayflag::time::{Span, Timestamp};
use tempfile::TempDir;

mod acknowledge;
mod archive;
mod changes;
mod crash;
mod feedback;
mod figures;
mod holds;
mod model;
mod silences;

const START: Timestamp = Timestamp::from_secs(1_772_331_000);

fn alert(incident: &str, state: State, minute: i64) -> Alert {
    let mut alert: Alert =
        serde_json::from_str(include_str!("../data/messages/firing.json")).unwrap();
    incident.clone_into(&mut alert.incident);
    alert.state = state;
    alert.at = START + Span::from_mins(minute);
    alert
}

fn to(receiver: &str, alert: usize) -> Dispatch {
    Dispatch { receiver: receiver.to_owned(), alert, hold: None }
}

fn open(path: &Path) -> Store {
    Store::open(path).unwrap()
}

#[test]
fn a_new_file_has_nothing_to_resume() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("state.db"));
    assert_eq!(store.resume().unwrap(), None);
    assert_eq!(store.pending_count().unwrap(), 0);
    assert_eq!(store.next_due("oncall").unwrap(), None);
}

#[test]
fn a_restart_goes_on_where_the_last_commit_ended() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut store = open(&path);
    let tick = |minute, snapshot| Tick {
        last_tick: START + Span::from_mins(minute),
        snapshot,
        alerts: &[],
        charts: &[],
        deliveries: &[],
    };
    store.commit(&tick(1, Some((3, b"state one")))).unwrap();
    store.commit(&tick(2, None)).unwrap();
    drop(store);
    let resume = open(&path).resume().unwrap().unwrap();
    assert_eq!(resume.last_tick, START + Span::from_mins(2));
    let snapshot = resume.snapshot.unwrap();
    assert_eq!((snapshot.at, snapshot.version), (START + Span::from_mins(1), 3));
    assert_eq!(snapshot.bytes, b"state one");
}

#[test]
fn ticks_processed_again_move_nothing_back() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    for minute in [5, 3] {
        let bytes = format!("state {minute}");
        store
            .commit(&Tick {
                last_tick: START + Span::from_mins(minute),
                snapshot: Some((1, bytes.as_bytes())),
                alerts: &[],
                charts: &[],
                deliveries: &[],
            })
            .unwrap();
    }
    let resume = store.resume().unwrap().unwrap();
    assert_eq!(resume.last_tick, START + Span::from_mins(5));
    assert_eq!(resume.snapshot.unwrap().bytes, b"state 5");
}

#[test]
fn the_same_commit_again_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let alerts = [alert("one", State::Firing, 1), alert("two", State::Firing, 1)];
    let deliveries = [to("mail", 0), to("hook", 0), to("mail", 1)];
    let tick = Tick {
        last_tick: alerts[0].at,
        snapshot: None,
        alerts: &alerts,
        charts: &[],
        deliveries: &deliveries,
    };
    let mut store = open(&path);
    let first = store.commit(&tick).unwrap();
    assert_eq!(first, Committed { alerts: 2, messages: 3, dropped: 0 });
    let now = START + Span::from_mins(2);
    let id = store.due(now, "mail", 10).unwrap()[0].id.clone();
    store.mark_done(&id, now, None).unwrap();
    drop(store);

    let mut store = open(&path);
    // More receivers the second time: the alert is known, so they are not told of it late.
    let more = [to("mail", 0), to("hook", 0), to("mail", 1), to("new", 0)];
    assert_eq!(store.commit(&Tick { deliveries: &more, ..tick }).unwrap(), Committed::default());
    assert_eq!(store.message(&id).unwrap().unwrap().0, RowState::Done);
    assert_eq!(store.pending_count().unwrap(), 2);
    assert_eq!(store.alerts(10).unwrap().len(), 2);
    assert_eq!(store.told("one").unwrap(), BTreeSet::from(["hook".to_owned(), "mail".to_owned()]));
}

#[test]
fn a_delivery_of_an_alert_that_is_not_there_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    let alerts = [alert("one", State::Firing, 1)];
    let deliveries = [to("mail", 1)];
    let error = store
        .commit(&Tick {
            last_tick: START,
            snapshot: None,
            alerts: &alerts,
            charts: &[],
            deliveries: &deliveries,
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "delivery to `mail` names alert 1 of 1");
    assert_eq!(store.resume().unwrap(), None);
    assert!(store.alerts(10).unwrap().is_empty());
}

#[test]
fn messages_about_one_incident_keep_their_order() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    let alerts = [
        alert("one", State::Firing, 1),
        alert("one", State::Resolved, 2),
        alert("two", State::Firing, 3),
    ];
    let deliveries = [to("mail", 0), to("mail", 1), to("mail", 2)];
    store
        .commit(&Tick {
            last_tick: alerts[2].at,
            snapshot: None,
            alerts: &alerts,
            charts: &[],
            deliveries: &deliveries,
        })
        .unwrap();
    let now = START + Span::from_mins(5);
    let ids = |store: &Store, now| {
        let due = store.due(now, "mail", 10).unwrap();
        due.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let [firing, resolved, other] = [0, 1, 2].map(|i: usize| format!("{}/mail", alerts[i].id()));
    assert_eq!(ids(&store, now), [firing.clone(), other.clone()]);
    // The first failed: the other incident does not wait for it, its own end does.
    store.mark_failed(&firing, now, "connection refused", now + Span::MINUTE).unwrap();
    assert_eq!(ids(&store, now), std::slice::from_ref(&other));
    assert_eq!(store.next_due("mail").unwrap(), Some(alerts[2].at));
    store.mark_done(&other, now, None).unwrap();
    assert_eq!(store.next_due("mail").unwrap(), Some(now + Span::MINUTE));
    store.mark_dead(&firing, now + Span::MINUTE, "refused").unwrap();
    let due = store.due(now + Span::MINUTE, "mail", 10).unwrap();
    assert_eq!(due.len(), 1);
    // What was given up was not the first that anybody saw.
    assert_eq!((&due[0].id, &due[0].first), (&resolved, &resolved));
    assert_eq!(
        store.message(&firing).unwrap().unwrap(),
        (RowState::Dead, 2, Some("refused".to_owned()))
    );
    // Its end is on its way: a beginning that overtakes it may never end.
    assert_eq!(store.retry(&Which::Dead(None), now).unwrap(), 0);
    assert_eq!(store.message(&firing).unwrap().unwrap().0, RowState::Superseded);
}

#[test]
fn a_clock_set_back_does_not_hold_messages_up() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    let alerts = [alert("one", State::Firing, 0)];
    let deliveries = [to("mail", 0)];
    let tick = Tick {
        last_tick: START,
        snapshot: None,
        alerts: &alerts,
        charts: &[],
        deliveries: &deliveries,
    };
    store.commit(&tick).unwrap();
    let id = format!("{}/mail", alerts[0].id());
    store.mark_failed(&id, START, "no", START + Span::DAY).unwrap();
    let due_at = |at| store.due(at, "mail", 1).unwrap().len();
    assert_eq!(due_at(START + Span::from_mins(59)), 0, "never put off beyond an hour");
    assert_eq!(due_at(START + Span::HOUR), 1);
    assert_eq!(due_at(START - Span::DAY), 1, "a day back: the row is due, not a day away");
}

#[test]
fn two_at_once_are_refused_and_a_death_frees_the_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let first = open(&path);
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    // Another name of the same file is the same file.
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Store::open(&link).unwrap_err(), StoreError::InUse { .. }));
    drop(first);
    open(&link);
}

#[test]
fn files_of_others_and_of_later_versions_are_left_alone() {
    let dir = TempDir::new().unwrap();
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "not a database at all, but long enough to look at\n".repeat(40))
        .unwrap();
    let before = std::fs::read(&text).unwrap();
    let error = Store::open(&text).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("hint:"));
    assert_eq!(std::fs::read(&text).unwrap(), before);

    let foreign = dir.path().join("other.db");
    let other = rusqlite::Connection::open(&foreign).unwrap();
    other.execute_batch("CREATE TABLE customers (id INTEGER)").unwrap();
    drop(other);
    assert!(matches!(Store::open(&foreign).unwrap_err(), StoreError::Foreign { .. }));

    let newer = dir.path().join("newer.db");
    drop(open(&newer));
    let raw = rusqlite::Connection::open(&newer).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let error = Store::open(&newer).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");

    let nowhere = dir.path().join("missing/state.db");
    assert!(matches!(Store::open(&nowhere).unwrap_err(), StoreError::Open { .. }));
}

#[test]
fn an_operator_can_read_while_the_daemon_writes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut store = open(&path);
    let alerts = [alert("one", State::Firing, 1)];
    let deliveries = [to("mail", 0)];
    let reader = rusqlite::Connection::open(&path).unwrap();
    store
        .commit(&Tick {
            last_tick: START,
            snapshot: None,
            alerts: &alerts,
            charts: &[],
            deliveries: &deliveries,
        })
        .unwrap();
    let row: (String, String, String) = reader
        .query_row("SELECT receiver, state, created FROM readable_outbox", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(row, ("mail".into(), "pending".into(), "2026-03-01 02:11:00".into()));
    let title: String =
        reader.query_row("SELECT title FROM readable_incidents", [], |row| row.get(0)).unwrap();
    assert_eq!(title, alerts[0].title);
}

#[test]
fn every_table_keeps_its_limit() {
    let dir = TempDir::new().unwrap();
    let limits = Limits { alerts: 4, finished: 3, pending: 5, resolved: 2, open: 6 };
    let mut store = Store::open_with(&dir.path().join("state.db"), limits).unwrap();
    let mut dropped = 0;
    for minute in 0..20 {
        let state = if minute % 2 == 0 { State::Resolved } else { State::Firing };
        let mut alert = alert(&format!("i{minute:02}"), state, minute);
        alert.severity = Severity::Critical;
        let tick = Tick {
            last_tick: alert.at,
            snapshot: Some((1, b"state")),
            alerts: std::slice::from_ref(&alert),
            charts: &[],
            deliveries: &[to("mail", 0)],
        };
        dropped += store.commit(&tick).unwrap().dropped;
    }
    assert_eq!(store.pending_count().unwrap(), 5);
    assert_eq!(store.count(RowState::Dead).unwrap(), 3);
    assert_eq!(dropped, 15);
    assert_eq!(store.alerts(100).unwrap().len(), 4);
    assert_eq!(store.incidents(100, None).unwrap().len(), 8);
    assert!(store.told("i00").unwrap().is_empty(), "forgotten with its incident");
    assert_eq!(store.told("i18").unwrap().len(), 1);
    let open = store.incidents(6, Some(true)).unwrap();
    assert_eq!(open.len(), 6, "whatever was resolved since");
    let filter = MessageFilter { state: Some("dead"), receiver: None, limit: 10 };
    let dead = store.messages(&filter, START).unwrap();
    assert!(dead.iter().all(|row| row.done_at.is_some()));
}

#[test]
fn a_chart_is_kept_for_what_waits_and_for_the_newest() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut store = open(&path);
    let charts = || {
        let raw = rusqlite::Connection::open(&path).unwrap();
        raw.query_row("SELECT count(*) FROM charts", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let chart = grayflag::notify::sample::chart();
    let tell = |store: &mut Store, state, minute| {
        let alert = alert("one", state, minute);
        let tick = Tick {
            last_tick: alert.at,
            snapshot: None,
            alerts: std::slice::from_ref(&alert),
            charts: std::slice::from_ref(&chart),
            deliveries: &[to("mail", 0)],
        };
        store.commit(&tick).unwrap();
        format!("{}/mail", alert.id())
    };
    let first = tell(&mut store, State::Firing, 0);
    let second = tell(&mut store, State::Updated, 1);
    assert_eq!(charts(), 2);
    store.mark_done(&first, START, None).unwrap();
    store.mark_dead(&second, START, "status 401").unwrap();
    tell(&mut store, State::Updated, 2);
    assert_eq!(charts(), 2, "the one given up may be tried again");
    store.drop_messages(&Which::One(second)).unwrap();
    let last = tell(&mut store, State::Resolved, 3);
    store.mark_done(&last, START, None).unwrap();
    assert_eq!(charts(), 2);
}

#[test]
fn a_command_that_has_the_lock_for_a_moment_keeps_no_daemon_from_starting() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    drop(open(&path));
    let command = std::fs::File::options().write(true).open(dir.path().join("state.db.lock"));
    let command = command.unwrap();
    command.lock().unwrap();
    let (answer, answers) = std::sync::mpsc::channel();
    let daemon = std::thread::spawn(move || answer.send(Store::open(&path).is_ok()).unwrap());
    answers.recv_timeout(std::time::Duration::from_millis(200)).unwrap_err();
    drop(command);
    assert!(answers.recv().unwrap());
    daemon.join().unwrap();
}

#[test]
fn alerts_that_could_be_decided_again_are_not_forgotten() {
    let dir = TempDir::new().unwrap();
    let limits = Limits { alerts: 2, ..Limits::default() };
    let mut store = Store::open_with(&dir.path().join("state.db"), limits).unwrap();
    let alerts: Vec<Alert> = (0..6).map(|m| alert(&format!("i{m}"), State::Firing, m)).collect();
    let deliveries: Vec<_> = (0..6).map(|i| to("mail", i)).collect();
    let tick = Tick {
        last_tick: alerts[5].at,
        snapshot: None,
        alerts: &alerts,
        charts: &[],
        deliveries: &deliveries,
    };
    store.commit(&tick).unwrap();
    assert_eq!(store.commit(&tick).unwrap(), Committed::default());
    assert_eq!(store.alerts(10).unwrap().len(), 6);
}

#[test]
fn messages_to_receivers_that_are_gone_are_given_up() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    let alerts = [alert("one", State::Firing, 1)];
    let deliveries = [to("mail", 0), to("old", 0)];
    store
        .commit(&Tick {
            last_tick: START,
            snapshot: None,
            alerts: &alerts,
            charts: &[],
            deliveries: &deliveries,
        })
        .unwrap();
    assert_eq!(store.give_up_strangers(&["mail".to_owned()], START).unwrap(), 1);
    assert_eq!(store.pending_count().unwrap(), 1);
}
