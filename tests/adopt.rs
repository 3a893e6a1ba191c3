//! Rules that change between two starts: signals that are new, or mean something else, are learned
//! from the backend's past, and all others go on.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/shared_archive.rs"]
mod shared_archive;

use std::future::IntoFuture as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, RwLock};

use grayflag::engine::Settings;
use grayflag::engine::archive::MemoryArchive;
use grayflag::engine::overview::{Overview, SeriesStanding};
use grayflag::engine::snapshot::{self, SnapshotError};
use grayflag::lab::{self, History, Lab, endpoint};
use grayflag::replay::Driver;
use grayflag::rules::Rules;
use grayflag::source::{Config, Prometheus};
use grayflag::time::{Span, Timestamp};
use jiff::tz::TimeZone;
use shared_archive::Shared;
use tokio::net::TcpListener;

const INTERVAL: Span = Span::MINUTE;
const CHANGED: &str = "lab-latency-p99";

async fn backend(from: Timestamp, to: Timestamp) -> Prometheus {
    let start = from - Span::WEEK;
    let settings = lab::Settings { seed: 5, start, scrape: INTERVAL, faults: Vec::new() };
    let history = History::record(&mut Lab::new(settings).unwrap(), to);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let history = Arc::new(RwLock::new(history));
    tokio::spawn(endpoint::serve(listener, history, std::future::pending()).into_future());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Prometheus::new(Config::new(url)).unwrap()
}

fn settings(from: Timestamp) -> Settings {
    Settings {
        interval: INTERVAL,
        history: Span::WEEK,
        timezone: TimeZone::UTC,
        alerts_from: from,
        pages_url: None,
        source_url: None,
    }
}

fn standing<'a>(overview: &'a Overview, signal: &str) -> Vec<&'a SeriesStanding> {
    let series = overview.services.iter().flat_map(|service| &service.series);
    series.filter(|one| one.series.signal == signal).collect()
}

async fn until(driver: &mut Driver, source: &Prometheus, to: Timestamp) {
    driver.advance(source, to, |_| true).await.unwrap();
}

#[tokio::test]
async fn what_is_new_knows_its_past_and_the_rest_goes_on() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let (changed_at, to) = (from + Span::from_mins(62), from + Span::from_hours(2));
    let source = backend(from, to).await;
    let rules = lab::rules().unwrap();
    let mut old = rules.clone();
    for signal in &mut old.signals {
        if signal.name == CHANGED {
            // The same series by name, with other values.
            signal.query = format!("2 * ({})", signal.query);
        }
    }
    let left_out = "lab-errors";
    old.signals.retain(|signal| signal.name != left_out);
    let (old, rules): (Arc<Rules>, _) = (Arc::new(old), Arc::new(rules));

    let archive = Shared::default();
    let mut before = Driver::new(old, settings(from), Box::new(archive.clone()));
    until(&mut before, &source, changed_at).await;
    let kept = before.snapshot().unwrap();
    let restore = |settings| {
        let (rules, archive) = (Arc::clone(&rules), Box::new(archive.clone()));
        Driver::restore(rules, settings, snapshot::VERSION, &kept, archive)
    };
    let mut after = restore(settings(from)).unwrap();
    let strangers: Vec<String> = after.engine().strangers().into_iter().collect();
    assert_eq!(strangers, [left_out, CHANGED]);
    assert_eq!(after.backfill(&source).await.unwrap(), 2);
    assert_eq!(after.backfill(&source).await.unwrap(), 0, "it is known now");
    until(&mut after, &source, to).await;

    let mut fresh =
        Driver::new(Arc::clone(&rules), settings(from), Box::<MemoryArchive>::default());
    until(&mut fresh, &source, to).await;
    let (after, fresh) = (after.engine().overview(), fresh.engine().overview());
    for signal in rules.signals.iter().map(|signal| signal.name.as_str()) {
        let (ours, theirs) = (standing(&after, signal), standing(&fresh, signal));
        assert_eq!(ours.len(), theirs.len(), "{signal}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours.series, theirs.series);
            assert_eq!(ours.value, theirs.value);
            let [Some(ours), Some(theirs)] = [ours.usual, theirs.usual] else { continue };
            // Learned an hour later, over a history that is an hour longer.
            let [low, _, high] = theirs;
            let near = (ours[1] - theirs[1]).abs() <= 0.25 * (high - low).max(1e-9);
            assert!(near, "{signal}: {ours:?} and {theirs:?}");
        }
    }
    let known = standing(&after, CHANGED).into_iter().filter(|one| one.usual.is_some());
    assert!(known.count() > 0, "it has a baseline at once");

    let moved = Settings { timezone: TimeZone::get("Asia/Tokyo").unwrap(), ..settings(from) };
    let refused = restore(moved).unwrap_err();
    assert!(matches!(refused, SnapshotError::Zone { .. }), "{refused}");
}

#[tokio::test]
async fn a_past_that_cannot_be_had_is_done_without() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let to = from + Span::from_mins(30);
    let source = backend(from, to).await;
    let rules = Arc::new(lab::rules().unwrap());
    let mut old = Rules::clone(&rules);
    old.signals.pop();
    let archive = Shared::default();
    let mut before = Driver::new(Arc::new(old), settings(from), Box::new(archive.clone()));
    until(&mut before, &source, from + Span::from_mins(10)).await;
    let kept = before.snapshot().unwrap();
    let mut after =
        Driver::restore(rules, settings(from), snapshot::VERSION, &kept, Box::new(archive))
            .unwrap();
    let away = Prometheus::new(Config::new("http://127.0.0.1:1"));
    after.backfill(&away.unwrap()).await.unwrap_err();
    assert_eq!(after.engine().strangers().len(), 1, "asked again next time");
    after.begin_without_past();
    assert_eq!(after.engine().strangers().len(), 0);
    until(&mut after, &source, to).await;
}
