//! The daemon over a simulated fleet that has an incident, with time under the test's control.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use grayflag::clock::Clock;
use grayflag::config::{Config, Poll, Store as StoreConfig};
use grayflag::daemon::{self, Limits};
use grayflag::lab::endpoint::{self, Shared};
use grayflag::lab::{self, Fault, FaultPlan, History, Lab, Severity};
use grayflag::time::{Span, Timestamp};
use grayflag::{http, source};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What is learned from.
const LEARNED: Span = Span::WEEK;
const SCRAPE: Span = Span::MINUTE;
/// Midnight before a Monday.
const LIVE: Timestamp = Timestamp::from_secs(1_772_409_600);
const ONSET: Timestamp = Timestamp::from_secs(1_772_409_600 + 8 * 3_600);
/// Long before the fault is over.
pub(crate) const DURING: Timestamp = Timestamp::from_secs(1_772_409_600 + 13 * 3_600);
/// Long after it.
pub(crate) const AFTER: Timestamp = Timestamp::from_secs(1_772_409_600 + 20 * 3_600);

/// A fleet and its endpoint.
pub(crate) struct Fleet {
    record: Shared,
    lab: Lab,
    source: SocketAddr,
    _stop: DropGuard,
}

/// The daemon over it, at an instant at which time stands still.
pub(crate) struct Daemon {
    pub(crate) url: String,
    /// However a test ends, nothing is left running that its runtime would wait for.
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Fleet {
    pub(crate) async fn new() -> Self {
        let (start, fault) = (LIVE - LEARNED, Fault::SlowDependency);
        let end = ONSET + Span::from_hours(6);
        let plan = FaultPlan { fault, onset: ONSET, severity: Severity::Middling, end };
        let settings = lab::Settings { seed: 3, start, scrape: SCRAPE, faults: vec![plan] };
        let record = Arc::new(RwLock::new(History::new(start, SCRAPE)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let ended = stop.clone().cancelled_owned();
        tokio::spawn(endpoint::serve(listener, Arc::clone(&record), ended));
        Self { record, lab: Lab::new(settings).unwrap(), source, _stop: stop.drop_guard() }
    }

    /// The daemon that has lived until an instant, from the state in a folder.
    pub(crate) async fn live(&mut self, folder: &Path, until: Timestamp) -> Daemon {
        let record = &self.record;
        record.write().unwrap_or_else(PoisonError::into_inner).extend(&mut self.lab, until);
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let poll = Poll { interval: SCRAPE, history: LEARNED, ..Poll::default() };
        let end = until + poll.settle;
        let config = Config {
            poll,
            rules: lab::rules().unwrap(),
            source: source::Config {
                gzip: false,
                ..source::Config::new(format!("http://{}", self.source))
            },
            store: StoreConfig { path: folder.join("state.db") },
            http: http::Config { listen: free, ..http::Config::default() },
            ..Config::default()
        };
        let (reached, stop) = (CancellationToken::new(), CancellationToken::new());
        let clock = Clock::rehearsal_until(LIVE, end, reached.clone());
        let limits = Limits { from: Some(LIVE), to: None };
        let stopped = stop.clone();
        let here = tokio::runtime::Handle::current();
        let mut task = tokio::task::spawn_blocking(move || {
            here.block_on(daemon::run(config, clock, limits, stopped, None)).unwrap();
        });
        tokio::select! {
            () = reached.cancelled() => {}
            ended = &mut task => ended.unwrap(),
        }
        Daemon { url: format!("http://{free}"), stop: stop.drop_guard(), task }
    }
}

impl Daemon {
    pub(crate) async fn end(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}
