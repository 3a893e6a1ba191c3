//! Messages that are held: by a silence, quiet hours, maintenance.

use grayflag::engine::alert::{Alert, State};
use grayflag::matcher::Matcher;
use grayflag::store::{
    Dispatch, Draft, Hold, MessageFilter, RowState, Store, StoreError, Tick, Which,
};
use grayflag::time::{Span, Timestamp};
use tempfile::TempDir;

use super::{START, alert, open, to};

/// A minute after the start.
fn minute(n: i64) -> Timestamp {
    START + Span::from_mins(n)
}

/// The first alert to a receiver, held until a minute.
fn held(receiver: &str, until: i64, by: &str) -> Dispatch {
    let hold = Some(Hold::new(minute(until), by));
    Dispatch { receiver: receiver.to_owned(), alert: 0, hold }
}

/// A file to which each of these was written, one tick for each.
fn written(steps: &[(State, i64, Dispatch)]) -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    for (state, at, dispatch) in steps {
        commit(&mut store, &alert("one", *state, *at), dispatch.clone());
    }
    (dir, store)
}

fn commit(store: &mut Store, alert: &Alert, dispatch: Dispatch) {
    let tick = Tick {
        last_tick: alert.at,
        snapshot: None,
        alerts: std::slice::from_ref(alert),
        charts: &[],
        deliveries: &[dispatch],
    };
    store.commit(&tick).unwrap();
}

fn id(state: State, at: i64) -> String {
    format!("{}/mail", alert("one", state, at).id())
}

fn state(store: &Store, of: State, at: i64) -> RowState {
    store.message(&id(of, at)).unwrap().unwrap().0
}

fn due(store: &Store, at: i64) -> Vec<String> {
    store.due(minute(at), "mail", 10).unwrap().into_iter().map(|row| row.id).collect()
}

#[test]
fn a_held_message_waits_for_weeks_and_is_not_waited_for() {
    let weeks = 3 * 7 * 24 * 60;
    let (_dir, store) = written(&[(State::Firing, 0, held("mail", weeks, "silence 3"))]);
    assert!(due(&store, 0).is_empty());
    assert!(due(&store, weeks - 1).is_empty(), "whatever a clock set back looks like");
    assert_eq!(store.next_due("mail").unwrap(), Some(minute(weeks)));
    assert_eq!(store.pending_count().unwrap(), 1);
    assert_eq!(store.waiting_count(minute(1)).unwrap(), 0);
    assert_eq!(store.waiting_count(minute(weeks)).unwrap(), 1);
    assert_eq!(due(&store, weeks), [id(State::Firing, 0)]);
}

#[test]
fn the_newest_of_a_night_is_the_one_that_is_sent() {
    let (_dir, mut store) = written(&[
        (State::Firing, 0, held("mail", 60, "quiet hours of mail")),
        (State::Updated, 10, held("mail", 60, "quiet hours of mail")),
        (State::Updated, 20, held("mail", 60, "quiet hours of mail")),
    ]);
    assert_eq!(state(&store, State::Firing, 0), RowState::Superseded);
    assert_eq!(state(&store, State::Updated, 10), RowState::Superseded);
    let rows = store.due(minute(60), "mail", 10).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].id, id(State::Updated, 20));
    assert_eq!(rows[0].first, rows[0].id, "a mail cannot answer one that was never sent");
    store.mark_done(&rows[0].id, minute(60), Some("m1")).unwrap();
    commit(&mut store, &alert("one", State::Resolved, 70), to("mail", 0));
    let end = store.due(minute(70), "mail", 10).unwrap().remove(0);
    assert_eq!((end.first, end.handle), (id(State::Updated, 20), Some("m1".to_owned())));
}

#[test]
fn nobody_hears_the_end_of_what_nobody_heard_of() {
    let (_dir, mut store) = written(&[
        (State::Firing, 0, held("mail", 60, "silence 1")),
        (State::Resolved, 30, to("mail", 0)),
    ]);
    assert_eq!(state(&store, State::Firing, 0), RowState::Superseded);
    assert_eq!(state(&store, State::Resolved, 30), RowState::Superseded);
    assert!(store.told("one").unwrap().is_empty());
    assert_eq!(store.next_due("mail").unwrap(), None);
    let filter = MessageFilter { state: Some("superseded"), receiver: None, limit: 10 };
    assert_eq!(store.messages(&filter, minute(31)).unwrap().len(), 2, "and both can be seen");
    // The same end again, after a crash, brings nothing back.
    commit(&mut store, &alert("one", State::Resolved, 30), to("mail", 0));
    assert_eq!(store.pending_count().unwrap(), 0);
}

#[test]
fn whoever_heard_the_beginning_hears_the_end() {
    let (_dir, mut store) = written(&[(State::Firing, 0, to("mail", 0))]);
    store.mark_done(&id(State::Firing, 0), minute(1), None).unwrap();
    commit(&mut store, &alert("one", State::Updated, 10), held("mail", 60, "silence 1"));
    commit(&mut store, &alert("one", State::Resolved, 20), to("mail", 0));
    assert_eq!(state(&store, State::Updated, 10), RowState::Superseded);
    assert_eq!(due(&store, 20), [id(State::Resolved, 20)]);
}

#[test]
fn a_beginning_that_is_on_its_way_counts_as_heard() {
    let (_dir, mut store) = written(&[
        (State::Firing, 0, to("mail", 0)),
        (State::Updated, 10, held("mail", 60, "silence 1")),
        (State::Resolved, 20, to("mail", 0)),
    ]);
    assert_eq!(state(&store, State::Resolved, 20), RowState::Pending);
    assert_eq!(due(&store, 20), [id(State::Firing, 0)]);
    store.mark_done(&id(State::Firing, 0), minute(20), None).unwrap();
    assert_eq!(due(&store, 20), [id(State::Resolved, 20)]);
}

#[test]
fn what_the_hold_excepts_is_sent_at_once_and_releases_nothing() {
    let (_dir, store) = written(&[
        (State::Firing, 0, held("mail", 60, "quiet hours of mail")),
        (State::Updated, 10, to("mail", 0)),
    ]);
    assert_eq!(due(&store, 10), [id(State::Updated, 10)]);
    assert_eq!(state(&store, State::Firing, 0), RowState::Superseded);
}

#[test]
fn other_targets_and_incidents_are_not_superseded() {
    let (_dir, mut store) = written(&[(State::Firing, 0, held("mail", 60, "silence 1"))]);
    commit(&mut store, &alert("two", State::Firing, 5), to("mail", 0));
    commit(&mut store, &alert("one", State::Updated, 10), to("hook", 0));
    assert_eq!(state(&store, State::Firing, 0), RowState::Pending);
}

#[test]
fn what_was_tried_or_is_let_go_is_not_superseded() {
    let (_dir, mut store) = written(&[(State::Firing, 0, held("mail", 5, "silence 1"))]);
    store.mark_failed(&id(State::Firing, 0), minute(6), "no", minute(7)).unwrap();
    commit(&mut store, &alert("one", State::Resolved, 10), to("mail", 0));
    assert_eq!(state(&store, State::Firing, 0), RowState::Pending);
    assert_eq!(due(&store, 10), [id(State::Firing, 0)], "it may have arrived");
}

#[test]
fn a_silence_that_is_ended_early_lets_its_messages_go() {
    let (_dir, mut store) = written(&[(State::Firing, 0, held("mail", 600, "silence 1"))]);
    commit(&mut store, &alert("two", State::Firing, 1), held("mail", 600, "silence 12"));
    assert_eq!(store.release("silence 1", minute(30)).unwrap(), 1);
    assert_eq!(due(&store, 30), [id(State::Firing, 0)]);
    assert_eq!(store.release("silence 1", minute(31)).unwrap(), 0, "once");
    // What comes now is told after it and does not take its place.
    commit(&mut store, &alert("one", State::Resolved, 32), to("mail", 0));
    assert_eq!(state(&store, State::Firing, 0), RowState::Pending);
    assert_eq!(state(&store, State::Resolved, 32), RowState::Pending);
}

#[test]
fn what_arrived_while_it_was_superseded_is_told_to_its_end() {
    // Let go at 60, in hand while a tick of 59 was processed late.
    let (_dir, mut store) = written(&[(State::Firing, 0, held("mail", 60, "silence 1"))]);
    assert_eq!(due(&store, 60), [id(State::Firing, 0)]);
    commit(&mut store, &alert("one", State::Resolved, 59), to("mail", 0));
    assert_eq!(state(&store, State::Resolved, 59), RowState::Superseded);
    store.mark_done(&id(State::Firing, 0), minute(60), None).unwrap();
    assert_eq!(state(&store, State::Firing, 0), RowState::Done);
    let end = store.due(minute(60), "mail", 10).unwrap().remove(0);
    assert_eq!((end.id, end.first), (id(State::Resolved, 59), id(State::Firing, 0)));
    assert_eq!(store.told("one").unwrap().len(), 1);
}

#[test]
fn messages_can_be_retried_and_dropped_by_name() {
    let (_dir, mut store) = written(&[(State::Firing, 0, to("mail/a@example.com", 0))]);
    commit(&mut store, &alert("one", State::Updated, 1), to("hook", 0));
    commit(&mut store, &alert("one", State::Updated, 2), held("quiet", 60, "silence 1"));
    let [mail, hook, quiet] = [
        format!("{}/mail/a@example.com", alert("one", State::Firing, 0).id()),
        format!("{}/hook", alert("one", State::Updated, 1).id()),
        format!("{}/quiet", alert("one", State::Updated, 2).id()),
    ];
    for id in [&mail, &hook] {
        store.mark_dead(id, minute(3), "status 404").unwrap();
    }
    let dead = |receiver: &str| Which::Dead(Some(receiver.to_owned()));
    assert_eq!(store.retry(&dead("mai"), minute(4)).unwrap(), 0);
    assert_eq!(store.retry(&dead("mail"), minute(4)).unwrap(), 1, "with all its addresses");
    assert_eq!(store.due(minute(4), "mail/a@example.com", 9).unwrap().len(), 1);
    // One that is held goes out early when it is named.
    assert_eq!(store.retry(&Which::One(quiet.clone()), minute(5)).unwrap(), 1);
    assert_eq!(store.due(minute(5), "quiet", 9).unwrap().len(), 1);
    assert_eq!(store.drop_messages(&Which::Dead(None)).unwrap(), 1);
    assert_eq!(store.message(&hook).unwrap(), None);
    assert_eq!(store.drop_messages(&Which::One(quiet.clone())).unwrap(), 1);
    store.mark_done(&mail, minute(6), None).unwrap();
    for (id, said) in [(&mail, "it is done"), (&quiet, "no message waits")] {
        let error = store.retry(&Which::One(id.clone()), minute(7)).unwrap_err();
        assert!(matches!(error, StoreError::NoSuchMessage { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn what_is_open_is_repeated_after_a_while() {
    let (_dir, mut store) = written(&[(State::Firing, 0, to("mail", 0))]);
    let every = Span::from_mins(5);
    let repeat = |store: &Store, at: i64| store.to_repeat(minute(at), every, "mail", 9).unwrap();
    assert!(repeat(&store, 60).is_empty(), "it was never told");
    assert_eq!(store.told_longest_ago("mail").unwrap(), None);
    store.mark_done(&id(State::Firing, 0), minute(1), Some("labels")).unwrap();
    assert!(repeat(&store, 5).is_empty());
    let row = repeat(&store, 6).remove(0);
    assert_eq!((row.id, row.handle), (id(State::Firing, 0), Some("labels".to_owned())));
    assert_eq!(store.told_longest_ago("mail").unwrap(), Some(minute(1)));
    store.mark_repeated(&repeat(&store, 6)[0], minute(6), None).unwrap();
    assert!(repeat(&store, 10).is_empty());
    assert_eq!(repeat(&store, 0).len(), 1, "the clock was set back");
    // What is not delivered yet does not take the place of what is.
    commit(&mut store, &alert("one", State::Updated, 11), held("mail", 600, "silence 1"));
    assert_eq!(repeat(&store, 12)[0].id, id(State::Firing, 0));
    commit(&mut store, &alert("one", State::Resolved, 13), held("mail", 600, "silence 1"));
    assert!(repeat(&store, 60).is_empty(), "it is over");
}

#[test]
fn what_was_given_up_is_not_sent_again_after_its_end() {
    let (_dir, mut store) = written(&[(State::Firing, 0, to("mail", 0))]);
    store.mark_dead(&id(State::Firing, 0), minute(1), "status 401").unwrap();
    commit(&mut store, &alert("one", State::Resolved, 9), to("mail", 0));
    store.mark_done(&id(State::Resolved, 9), minute(10), None).unwrap();
    assert_eq!(store.retry(&Which::Dead(None), minute(20)).unwrap(), 0);
    assert_eq!(state(&store, State::Firing, 0), RowState::Superseded);
    let error = store.retry(&Which::One(id(State::Firing, 0)), minute(20)).unwrap_err();
    assert!(error.to_string().contains("took its place"), "{error}");
}

#[test]
fn of_what_is_over_only_the_end_is_sent_again() {
    let (_dir, mut store) = written(&[(State::Firing, 0, to("mail", 0))]);
    store.mark_dead(&id(State::Firing, 0), minute(1), "status 401").unwrap();
    commit(&mut store, &alert("one", State::Resolved, 9), to("mail", 0));
    store.mark_dead(&id(State::Resolved, 9), minute(10), "status 401").unwrap();
    assert_eq!(store.retry(&Which::Dead(None), minute(20)).unwrap(), 1);
    assert_eq!(due(&store, 20), [id(State::Resolved, 9)]);
}

#[test]
fn what_is_held_twice_waits_for_the_other() {
    let both = |first: (i64, &str), second: (i64, &str)| Dispatch {
        hold: Hold::all([first, second].map(|(until, by)| Hold::new(minute(until), by))),
        ..to("mail", 0)
    };
    let (_dir, mut store) =
        written(&[(State::Firing, 0, both((60, "quiet hours of mail"), (600, "silence 1")))]);
    let held = |store: &Store| {
        let listed = store.messages(&MessageFilter { limit: 9, ..MessageFilter::default() }, START);
        let row = listed.unwrap().remove(0);
        (row.next_attempt_at.unwrap(), row.held_by.unwrap())
    };
    assert_eq!(held(&store), (minute(600), "silence 1".to_owned()));
    assert_eq!(store.release("silence 1", minute(30)).unwrap(), 0);
    assert_eq!(held(&store), (minute(60), "quiet hours of mail".to_owned()));
    assert!(due(&store, 59).is_empty());
    assert_eq!(due(&store, 60), [id(State::Firing, 0)]);

    commit(
        &mut store,
        &alert("one", State::Updated, 5),
        both((90, "silence 2"), (80, "silence 3")),
    );
    assert_eq!(store.release("silence 3", minute(30)).unwrap(), 0, "the longer one holds it");
    assert_eq!(held(&store), (minute(90), "silence 2".to_owned()));
    assert_eq!(store.release("silence 2", minute(30)).unwrap(), 1);
    assert_eq!(due(&store, 30), [id(State::Updated, 5)]);
}

#[test]
fn a_silence_that_ended_while_a_tick_was_decided_holds_nothing() {
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    let draft = Draft {
        matcher: Matcher::default(),
        all: true,
        starts_at: START,
        ends_at: minute(600),
        comment: "why".to_owned(),
        by: None,
    };
    for _ in 0..2 {
        store.add_silence(draft.clone(), START).unwrap();
    }
    let hold = |by: [&str; 2]| Hold::all(by.map(|by| Hold::new(minute(600), by)));
    let quiet = Hold::new(minute(60), "quiet hours of hook");
    store.end_silence(1, minute(1)).unwrap();
    commit(&mut store, &alert("one", State::Firing, 1), held("mail", 600, "silence 1"));
    let hook = Hold::all(hold(["silence 1", "silence 1"]).into_iter().chain([quiet]));
    let hook = Dispatch { receiver: "hook".to_owned(), alert: 0, hold: hook };
    commit(&mut store, &alert("two", State::Firing, 1), hook);
    let other = Dispatch { hold: hold(["silence 1", "silence 2"]), ..to("chat", 0) };
    commit(&mut store, &alert("three", State::Firing, 1), other);
    assert_eq!(due(&store, 1), [id(State::Firing, 1)]);
    assert_eq!(store.next_due("hook").unwrap(), Some(minute(60)));
    assert_eq!(store.next_due("chat").unwrap(), Some(minute(600)));
}

#[test]
fn what_was_refused_is_tried_again_while_its_incident_is_open() {
    let (_dir, mut store) = written(&[(State::Firing, 0, to("mail", 0))]);
    let every = Span::from_mins(5);
    let repeat = |store: &Store, at: i64| store.to_repeat(minute(at), every, "mail", 9).unwrap();
    store.mark_dead(&id(State::Firing, 0), minute(1), "status 401").unwrap();
    assert!(repeat(&store, 5).is_empty());
    let row = repeat(&store, 6).remove(0);
    assert_eq!((&row.id, &row.first), (&id(State::Firing, 0), &id(State::Firing, 0)));
    // Refused once more, and then taken.
    store.put_off_repeat(&row, minute(6)).unwrap();
    assert!(repeat(&store, 10).is_empty());
    let row = repeat(&store, 11).remove(0);
    store.mark_repeated(&row, minute(11), Some("labels")).unwrap();
    assert_eq!(state(&store, State::Firing, 0), RowState::Done);
    let row = repeat(&store, 16).remove(0);
    assert_eq!((row.id, row.handle), (id(State::Firing, 0), Some("labels".to_owned())));
    // What comes after it has its own turn.
    let (_dir, mut store) = written(&[(State::Firing, 0, to("mail", 0))]);
    store.mark_dead(&id(State::Firing, 0), minute(1), "status 401").unwrap();
    commit(&mut store, &alert("one", State::Updated, 2), to("mail", 0));
    assert!(repeat(&store, 60).is_empty());
}
