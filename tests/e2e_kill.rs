//! kill -9 at any moment loses no alert and repeats none.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Prometheus;
use e2e::{Home, Hooks, World, fault, poll};
use grayflag::lab::Fault;
use grayflag::store::RowState;
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Kills while it learns, which nothing has been written of yet.
const EARLY: usize = 3;
/// Kills afterwards.
const LATER: usize = 17;
/// How often it writes what it has done, in the ticks' time, when it catches up.
const COMMITS: Span = Span::from_mins(30);

#[tokio::test]
async fn no_kill_loses_or_repeats_an_alert() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let to = from + Span::from_hours(14);
    let slow = fault(Fault::SlowDependency, from + Span::from_hours(1), 6);
    let world = World::simulate(from, to, vec![slow]);
    let backend = Prometheus::start_with_openmetrics(&world.openmetrics).await;
    let hooks = Hooks::start().await;
    let home = Home::new(&backend.url, "5m", &hooks.config());
    let expected = home.replay(from, to).await;
    assert!(expected.len() > 2, "an incident with a beginning and an end: {expected:#?}");

    let args = ["--rehearse", &from.to_string(), "--to", &to.to_string()];
    let mut random = ChaCha8Rng::seed_from_u64(11);
    // How many messages had been taken at each kill.
    let mut taken_at_kill = Vec::new();
    for round in 0..EARLY + LATER {
        let mut daemon = home.run(&args);
        if round == EARLY {
            // Killed again and again, it would never come to the end of three weeks.
            daemon.until(Duration::from_secs(60), |_| home.last_tick().is_some()).await;
        }
        // By what it has done and not by the clock alone: on a busy machine it may take seconds to
        // begin, and kills that all come before that try nothing out.
        let aim = home.last_tick().map(|at| at + COMMITS.times(random.random_range(0..=3)));
        let wait = Duration::from_millis(random.random_range(50..=400));
        let far_enough = async {
            poll(Duration::from_secs(60), || aim.is_none_or(|aim| home.last_tick() >= Some(aim)))
                .await;
            tokio::time::sleep(wait).await;
        };
        tokio::select! {
            status = daemon.ended(Duration::from_secs(120)) => {
                assert_eq!(status.code(), Some(0), "{}", daemon.log());
                continue;
            }
            () = far_enough => {}
        }
        daemon.kill();
        taken_at_kill.push(hooks.taken().len());
    }
    let between = taken_at_kill.iter().filter(|&&n| 0 < n && n < expected.len()).count();
    assert!(between > 0, "no kill between the first and the last alert: {taken_at_kill:?}");
    let mut daemon = home.run(&args);
    let status = daemon.ended(Duration::from_secs(120)).await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());

    let log = daemon.log();
    let (deliveries, excused) = without_excused(&hooks, &taken_at_kill);
    assert_eq!(deliveries, expected, "{taken_at_kill:?}, excused {excused:?}\n{log}");
    // The milliseconds between an acknowledgement and its note in the outbox cannot be closed;
    // that twenty kills meet them more than once would be no accident.
    assert!(excused.len() <= 1, "{excused:?}");
    assert_eq!(home.alerts(), expected);
    let store = home.store();
    assert_eq!(store.resume().unwrap().unwrap().last_tick, to);
    assert_eq!(store.count(RowState::Done).unwrap(), expected.len() as u64);
    assert_eq!(store.count(RowState::Pending).unwrap(), 0);
}

/// The deliveries in order, but for those that no program can avoid: the message that was the
/// last to be taken before a kill, and the first afterwards, since the kill came before the
/// program could write down that it was taken.
fn without_excused(hooks: &Hooks, taken_at_kill: &[usize]) -> (Vec<String>, Vec<String>) {
    let taken = hooks.taken();
    let (mut kept, mut excused) = (Vec::new(), Vec::new());
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, message) in taken.into_iter().enumerate() {
        let before = seen.insert(message.key.clone(), index);
        if before.is_some_and(|before| before + 1 == index) && taken_at_kill.contains(&index) {
            excused.push(message.key);
        } else {
            kept.push(message.body);
        }
    }
    (kept, excused)
}
