//! Crashes: what was acknowledged is there afterwards, and nothing is there by half.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use grayflag::engine::alert::State;
use grayflag::store::{Store, StoreError, Tick};
use grayflag::time::Span;
use tempfile::TempDir;

use crate::{START, alert, open, to};

/// One commit of the process that gets killed: an alert to one receiver.
fn commit_number(store: &mut Store, number: i64) {
    let alert = alert(&format!("i{number}"), State::Firing, number);
    store
        .commit(&Tick {
            last_tick: alert.at,
            snapshot: Some((1, &vec![7; 100_000])),
            alerts: std::slice::from_ref(&alert),
            charts: &[],
            deliveries: &[to("mail", 0)],
        })
        .unwrap();
}

#[test]
#[ignore = "another test runs it in a process of its own and kills that"]
fn writes_until_killed() {
    // The folder is the one that the parent process started this one in.
    let mut store = open(Path::new("state.db"));
    for number in 0.. {
        commit_number(&mut store, number);
        println!("committed {number}");
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = TempDir::new().unwrap();
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::writes_until_killed", "--ignored", "--nocapture"])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut numbers = lines
            .map_while(Result::ok)
            .filter_map(|line| line.rsplit_once("committed ")?.1.parse::<i64>().ok());
        let last = numbers.by_ref().find(|n| 5 + 7 * round <= *n).unwrap();
        assert!(matches!(
            Store::open(&dir.path().join("state.db")).unwrap_err(),
            StoreError::InUse { .. }
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = numbers.last().unwrap_or(last);

        let store = open(&dir.path().join("state.db"));
        let resume = store.resume().unwrap().unwrap();
        // A commit may have reached the disk without the word of it reaching us.
        let at_least = START + Span::from_mins(last);
        assert!(at_least <= resume.last_tick, "{last} was acknowledged, {resume:?} was found");
        assert_eq!(resume.snapshot.unwrap().at, resume.last_tick);
        let n = u64::try_from((resume.last_tick - START).as_secs() / 60 + 1).unwrap();
        assert_eq!(store.pending_count().unwrap(), n);
        assert_eq!(store.alerts(100_000).unwrap().len() as u64, n);
    }
}

#[test]
fn a_power_cut_leaves_whole_commits() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let mut store = open(&path);
    for number in 0..6 {
        commit_number(&mut store, number);
        // What a disk would hold: file and log, no shared memory, the log cut anywhere.
        let log = std::fs::read(dir.path().join("state.db-wal")).unwrap();
        for cut in [log.len(), log.len() * 9 / 10, log.len() / 2, 10] {
            let image = TempDir::new().unwrap();
            std::fs::copy(&path, image.path().join("state.db")).unwrap();
            std::fs::write(image.path().join("state.db-wal"), &log[..cut]).unwrap();
            let found = open(&image.path().join("state.db"));
            let alerts = found.alerts(100).unwrap().len() as u64;
            assert_eq!(found.pending_count().unwrap(), alerts);
            let ticks = found.resume().unwrap().map(|r| {
                assert_eq!(r.snapshot.unwrap().at, r.last_tick);
                u64::try_from((r.last_tick - START).as_secs() / 60 + 1).unwrap()
            });
            assert_eq!(ticks.unwrap_or(0), alerts);
            if cut == log.len() {
                assert_eq!(alerts, u64::try_from(number + 1).unwrap());
            }
        }
    }
}
