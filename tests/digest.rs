//! What a digest says of a state file, and what is noted for it.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use grayflag::daemon::digest::{Standing, gather};
use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::notify::digest::{Digest, Every};
use grayflag::notify::sample;
use grayflag::series::Verdict;
use grayflag::store::{
    Dispatch, Hold, Kind, NewDigest, Note, NoteKind, Opinion, RowState, Store, Tick,
};
use grayflag::time::{Span, Timestamp};
use tempfile::TempDir;

/// A state file, and the day that its digests are about.
struct World {
    dir: TempDir,
    store: Store,
    from: Timestamp,
    to: Timestamp,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(&dir.path().join("state.db")).unwrap();
        let from: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
        Self { dir, store, from, to: from + Span::DAY }
    }

    /// Tells of an incident at some hour of the day, which may have begun the day before.
    fn tell(&mut self, name: &str, state: State, severity: Severity, hour: i64) -> Alert {
        let mut alert = sample::alerts().swap_remove(0);
        name.clone_into(&mut alert.incident);
        name.clone_into(&mut alert.service);
        (alert.state, alert.severity) = (state, severity);
        alert.at = self.from + Span::from_hours(hour);
        alert.started_at = alert.at - Span::from_mins(20);
        self.commit(&alert, &[]);
        alert
    }

    fn commit(&mut self, alert: &Alert, deliveries: &[Dispatch]) {
        let alerts = std::slice::from_ref(alert);
        let tick = Tick { last_tick: alert.at, snapshot: None, alerts, charts: &[], deliveries };
        self.store.commit(&tick).unwrap();
    }

    fn say(&mut self, incident: &str, verdict: Verdict) {
        let incident = incident.to_owned();
        let (cause, note, by) = (None, None, None);
        let opinion = Opinion { incident, verdict, cause, note, by, at: self.from };
        self.store.give_feedback(&opinion).unwrap();
    }

    fn digest(&self) -> Digest {
        gather(&self.store, &Standing::default(), Every::Day, (self.from, self.to)).unwrap()
    }
}

fn note(at: Timestamp, kind: NoteKind, service: &str, subject: &str) -> Note {
    let [service, subject] = [service, subject].map(str::to_owned);
    let text = format!("{service} {subject} in words");
    Note { at, until: at, kind, service, subject, text }
}

#[test]
fn a_day_without_news_is_quiet() {
    let digest = World::new().digest();
    assert!(digest.is_quiet());
    let again: Digest = serde_json::from_str(&digest.to_json()).unwrap();
    assert_eq!(again, digest);
    assert_eq!(digest.schema, "grayflag.digest/v1");
}

#[test]
fn incidents_count_where_they_were_told_and_at_their_highest() {
    let mut world = World::new();
    world.tell("before", State::Firing, Severity::Warning, -3);
    world.tell("before", State::Resolved, Severity::Warning, -1);
    world.tell("lasting", State::Firing, Severity::Warning, -2);
    world.tell("milder", State::Firing, Severity::Notice, 2);
    world.tell("worse", State::Firing, Severity::Notice, 3);
    world.tell("worse", State::Updated, Severity::Critical, 4);
    world.tell("worse", State::Resolved, Severity::Critical, 6);
    world.tell("after", State::Firing, Severity::Critical, 24);
    world.say("worse", Verdict::Useful);
    let digest = world.digest();
    let told: Vec<(&str, &str, bool)> = digest
        .incidents
        .items
        .iter()
        .map(|one| (one.incident.as_str(), one.severity.as_str(), one.ended_at.is_some()))
        .collect();
    assert_eq!(told, [("worse", "critical", true), ("lasting", "warning", false)]);
    assert_eq!(digest.incidents.items[0].verdict, Some(Verdict::Useful));
    assert_eq!(digest.notices.items.len(), 1);
    assert_eq!(digest.notices.items[0].incident, "milder");
    // It was a notice first, so somebody could have known before users did.
    assert_eq!(digest.users_first.count(), 0);
    // The one that users felt and the one of the day before do not count.
    assert_eq!((digest.budget.notices, digest.budget.alerts), (1, 0));
}

#[test]
fn the_worst_come_first_and_all_of_them_are_counted() {
    let mut world = World::new();
    world.tell("worst", State::Firing, Severity::Notice, 1);
    let mut alert = world.tell("worst", State::Updated, Severity::Critical, 2);
    alert.title = "now critical, errors rise — checkout latency".to_owned();
    alert.at = alert.at + Span::MINUTE;
    world.commit(&alert, &[]);
    for n in 0..25 {
        world.tell(&format!("later-{n:02}"), State::Firing, Severity::Warning, 3);
    }
    let digest = world.digest();
    let first = &digest.incidents.items[0];
    assert_eq!((first.incident.as_str(), first.title.as_str()), ("worst", "checkout latency"));
    assert_eq!(digest.subject(), "[daily digest] 1 critical, 25 warnings");
    for n in 0..25 {
        world.tell(&format!("later-{n:02}"), State::Updated, Severity::Critical, 4);
    }
    assert_eq!(world.digest().subject(), "[daily digest] 26 critical");
}

#[test]
fn what_was_open_all_the_while_is_told_though_it_changed_since() {
    let mut world = World::new();
    world.tell("open", State::Firing, Severity::Warning, -2);
    world.tell("over", State::Firing, Severity::Warning, -3);
    world.tell("over", State::Resolved, Severity::Warning, -1);
    world.tell("over", State::Firing, Severity::Warning, 25);
    world.tell("open", State::Resolved, Severity::Critical, 26);
    let told = world.digest().incidents.items;
    let told: Vec<_> =
        told.iter().map(|one| (one.incident.as_str(), one.severity.as_str())).collect();
    assert_eq!(told, [("open", "warning")]);
}

#[test]
fn what_cannot_be_read_hides_no_other() {
    let mut world = World::new();
    world.tell("open", State::Firing, Severity::Warning, -2);
    world.tell("rotten", State::Firing, Severity::Warning, -1);
    world.tell("new", State::Firing, Severity::Warning, 1);
    world.tell("rotten", State::Updated, Severity::Warning, 2);
    let file = rusqlite::Connection::open(world.dir.path().join("state.db")).unwrap();
    file.execute_batch(
        "UPDATE alerts SET json = 'rot' WHERE incident = 'rotten';
         UPDATE incidents SET alert = 'rot' WHERE id = 'rotten';",
    )
    .unwrap();
    let told = world.digest().incidents.items;
    let told: Vec<&str> = told.iter().map(|one| one.incident.as_str()).collect();
    assert_eq!(told, ["new", "open"]);
}

#[test]
fn what_users_felt_before_the_first_word_is_said_plainly() {
    let mut world = World::new();
    world.tell("late", State::Firing, Severity::Critical, 5);
    let digest = world.digest();
    assert_eq!(digest.users_first.items[0].incident, "late");
    assert!(digest.users_first.items[0].why.contains("already when it was first told"));
}

#[test]
fn what_was_called_false_twice_is_noisy() {
    let mut world = World::new();
    for (name, hour) in [("one", 1), ("two", 2), ("three", 3)] {
        world.tell(name, State::Firing, Severity::Warning, hour);
    }
    world.say("one", Verdict::False);
    assert_eq!(world.digest().noisy.count(), 0, "once can happen");
    world.say("two", Verdict::Expected);
    // The newest word counts.
    world.say("three", Verdict::False);
    world.say("three", Verdict::Useful);
    let noisy = world.digest().noisy.items;
    let found: Vec<_> =
        noisy.iter().map(|one| (one.kind.as_str(), one.incidents, one.unwanted)).collect();
    assert_eq!(found, [("cause", 3, 2), ("signal", 3, 2)]);
    assert_eq!(noisy[1].name, "dependency-latency-p99");
    assert!(noisy[1].advice.contains("min_effect"));
}

#[test]
fn what_was_kept_quiet_or_not_delivered_is_told() {
    let mut world = World::new();
    let mut alert = world.tell("held", State::Firing, Severity::Warning, 1);
    alert.at = alert.at + Span::HOUR;
    alert.state = State::Updated;
    let hold = Hold::new(world.to, "silence 3");
    let to = |receiver: &str, hold| Dispatch { receiver: receiver.to_owned(), alert: 0, hold };
    let held = [to("chat", Some(hold.clone())), to("oncall", Some(hold)), to("hook", None)];
    world.commit(&alert, &held);
    let now = world.from + Span::from_hours(3);
    let id = format!("{}/hook", alert.id());
    world.store.mark_failed(&id, now, "no answer in time", now + Span::MINUTE).unwrap();
    let digest = world.digest();
    let kept = &digest.kept_quiet.items;
    assert_eq!((kept.len(), kept[0].by.as_str(), kept[0].waiting), (1, "silence 3", 2));
    assert_eq!(kept[0].receivers, ["chat", "oncall"]);
    assert_eq!(kept[0].title, alert.title);
    let failed = &digest.delivery.items[0];
    assert_eq!((failed.receiver.as_str(), failed.given_up, failed.retried), ("hook", 0, 1));
    world.store.mark_dead(&id, now, "no such address").unwrap();
    let failed = &world.digest().delivery.items[0];
    assert_eq!((failed.given_up, failed.retried), (1, 0));
    assert_eq!(failed.error, "no such address");
    // What is given up counts on the day on which it is.
    let next = world.to + Span::DAY;
    let on = |world: &World| world.store.troubles_between(world.to, next).unwrap();
    assert!(on(&world).is_empty());
    let late = world.tell("late", State::Firing, Severity::Warning, 4);
    world.commit(
        &Alert { state: State::Updated, at: late.at + Span::MINUTE, ..late },
        &[to("hook", None)],
    );
    let rows = world.store.due(world.to, "hook", 9).unwrap();
    for row in &rows {
        world.store.mark_dead(&row.id, world.to, "status 410").unwrap();
    }
    assert_eq!(on(&world)[0].given_up, rows.len() as u64);
}

#[test]
fn what_goes_on_is_one_note_and_a_repetition_changes_nothing() {
    let mut world = World::new();
    let begin = world.from + Span::HOUR;
    let minutes = |n| begin + Span::from_mins(n);
    let cpu = |n| note(minutes(n), NoteKind::Unanswered, "", "cpu");
    let early: Vec<Note> = (0..12).map(|n| cpu(30 * n)).collect();
    world.store.note(&early).unwrap();
    // Back after a break that is too long to be the same.
    let late = [cpu(330 + 200), note(minutes(10), NoteKind::Blind, "search", "")];
    world.store.note(&late).unwrap();
    let before = world.store.notes(world.from, world.to).unwrap();
    let times: Vec<(Span, Span)> =
        before.iter().map(|one| (one.at - begin, one.until - one.at)).collect();
    let hours = [Span::ZERO, Span::from_mins(10), Span::from_mins(530)];
    assert_eq!(
        times,
        [(hours[0], Span::from_mins(330)), (hours[1], Span::ZERO), (hours[2], Span::ZERO)]
    );
    for notes in [&early[3..], &early[..], &late[..]] {
        world.store.note(notes).unwrap();
    }
    assert_eq!(world.store.notes(world.from, world.to).unwrap(), before);
    let silent = world.digest().silent.items;
    let found: Vec<(&str, &str)> =
        silent.iter().map(|one| (one.service.as_str(), one.signal.as_str())).collect();
    assert_eq!(found, [("", "cpu"), ("search", ""), ("", "cpu")]);
    assert!(silent.iter().all(|one| one.until.is_some()), "all of it is over");
}

#[test]
fn notes_of_incidents_name_them_and_old_notes_go() {
    let mut world = World::new();
    let alert = world.tell("held", State::Firing, Severity::Notice, 1);
    let old = note(world.from - Span::WEEK.times(6), NoteKind::Crept, "search", "memory");
    let new = [
        note(world.from + Span::HOUR, NoteKind::Budget, "", "held"),
        note(world.from + Span::HOUR, NoteKind::Crept, "search", "memory"),
    ];
    world.store.note(&[old]).unwrap();
    world.store.note(&new).unwrap();
    assert_eq!(world.store.notes(Timestamp::from_secs(0), world.to).unwrap().len(), 2);
    let digest = world.digest();
    let held = &digest.held_back.items[0];
    assert_eq!(held.service, "held");
    assert!(held.text.starts_with(&alert.title) && held.text.contains("budget"), "{}", held.text);
    assert_eq!(digest.crept.items[0].text, "search memory in words");
}

#[test]
fn a_digest_is_put_on_its_way_once() {
    let mut world = World::new();
    let digest = world.digest();
    let (id, json, to) = (digest.id(), digest.to_json(), ["chat".to_owned(), "hook".to_owned()]);
    let new = NewDigest { id: &id, at: world.to, json: &json, to: &to };
    assert!(world.store.keep_digest(&new).unwrap());
    // Made again after a crash, it may say something else.
    assert!(!world.store.keep_digest(&NewDigest { json: "{}", ..new }).unwrap());
    assert_eq!(world.store.pending_count().unwrap(), 2);
    assert_eq!(world.store.digests(10).unwrap(), [json.as_str()]);
    let due = world.store.due(world.to, "chat", 10).unwrap();
    assert_eq!((due.len(), due[0].kind, due[0].alert.as_str()), (1, Kind::Digest, json.as_str()));
    assert_eq!(due[0].first, due[0].id);
    world.store.mark_done(&due[0].id, world.to, None).unwrap();
    assert!(!world.store.keep_digest(&new).unwrap());
    assert_eq!(world.store.count(RowState::Done).unwrap(), 1);
    assert!(world.store.due(world.to, "chat", 10).unwrap().is_empty());
}
