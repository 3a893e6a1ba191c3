//! The fleet of the demo and its endpoint: three ordinary weeks, a quiet night, a fault.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::DemoError;
use crate::cli::progress::Progress;
use crate::engine::grid::BLOCK;
use crate::lab::endpoint::{self, LOOKBACK, Shared};
use crate::lab::{self, Fault, FaultPlan, History, Lab, LabError, Noticed, Severity};
use crate::time::{Span, Timestamp};

/// What is learned from.
pub(super) const LEARNED: Span = Span::from_hours(24 * 21);
/// From here on grayflag is live: midnight before Monday, 2 March 2026.
pub(super) const LIVE: Timestamp = Timestamp::from_secs(1_772_409_600);
/// The fault begins as people come to work.
pub(super) const ONSET: Timestamp = Timestamp::from_secs(1_772_409_600 + 8 * 3_600);
/// No fault is followed for longer than this.
pub(super) const FOLLOWED_MAX: Span = Span::from_hours(24);
/// Time between two scrapes.
pub(super) const SCRAPE: Span = Span::MINUTE;

/// A fleet, its record up to now, and the endpoint that serves the record.
pub(super) struct Stage {
    lab: Lab,
    record: Shared,
}

/// How much there is to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figures {
    /// Series in the record.
    pub(super) series: usize,
    /// Samples that a reader gets who asks for every block.
    pub(super) samples: usize,
}

/// A running endpoint; dropping it stops it.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
    stop: DropGuard,
}

impl Stage {
    /// A fleet whose first scrape lies [`LEARNED`] before [`LIVE`].
    pub(super) fn new(fault: Fault, seed: u64) -> Result<Self, LabError> {
        let end = ONSET + FOLLOWED_MAX + Span::HOUR;
        let onset = fault.natural_onset(ONSET);
        let plan = FaultPlan { fault, onset, severity: Severity::Middling, end };
        let start = LIVE - LEARNED;
        let settings = lab::Settings { seed, start, scrape: SCRAPE, faults: vec![plan] };
        let record = Arc::new(RwLock::new(History::new(start, SCRAPE)));
        Ok(Self { lab: Lab::new(settings)?, record })
    }

    /// Lets the weeks before [`LIVE`] pass; false if it was stopped on the way.
    pub(super) async fn simulate(
        &mut self,
        progress: &mut Progress,
        stop: &CancellationToken,
    ) -> bool {
        let days = LEARNED.as_millis() / Span::DAY.as_millis();
        progress.begin("simulating three weeks of a small fleet", days.unsigned_abs());
        for day in 1..=days {
            self.extend(LIVE - LEARNED + Span::DAY.times(day));
            progress.reach(day.unsigned_abs());
            // Signals are heard between two days, whatever the runtime.
            tokio::task::yield_now().await;
            if stop.is_cancelled() {
                return false;
            }
        }
        true
    }

    /// Lets time pass until `to`. What is later does not exist for anybody.
    pub(super) fn extend(&mut self, to: Timestamp) {
        self.record.write().unwrap_or_else(PoisonError::into_inner).extend(&mut self.lab, to);
    }

    /// The newest instant that exists.
    pub(super) const fn now(&self) -> Timestamp {
        self.lab.now()
    }

    /// When users will notice the fault, by letting a copy of the fleet run ahead: tells how long
    /// to watch, and is kept from everybody else.
    pub(super) fn foresee(&self) -> Option<Noticed> {
        let mut ahead = self.lab.clone();
        let before = ahead.noticed().len();
        while ahead.now() < ONSET + FOLLOWED_MAX {
            ahead.scrape();
            let at = ahead.truth().first().and_then(|truth| truth.noticed);
            if at.is_some() {
                return ahead.noticed()[before..].iter().find(|n| Some(n.at) == at).copied();
            }
        }
        None
    }

    /// Serves the record on a free port of the loopback interface.
    pub(super) async fn serve(&self) -> Result<Served, DemoError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(DemoError::Listen)?;
        let address = listener.local_addr().map_err(DemoError::Listen)?;
        let stop = CancellationToken::new();
        let ended = stop.clone().cancelled_owned();
        let server = tokio::spawn(endpoint::serve(listener, Arc::clone(&self.record), ended));
        Ok(Served { address, server, stop: stop.drop_guard() })
    }

    /// How much there is to learn from so far.
    pub(super) fn figures(&self) -> Figures {
        self.read(|record| {
            let rows =
                (0..record.rows()).filter(|&row| record.at(row).ceil_to(BLOCK) == record.at(row));
            let seen = |row: usize| {
                let has = |index: &usize| record.latest(*index, record.at(row), LOOKBACK).is_some();
                (0..record.series().len()).filter(has).count()
            };
            Figures { series: record.series().len(), samples: rows.map(seen).sum() }
        })
    }

    /// Looks at the record.
    pub(super) fn read<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.record.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Served {
    /// Stops the endpoint and waits until it has.
    pub(super) async fn end(self) {
        drop(self.stop);
        // That it was cancelled or failed at its end is nobody's concern any more.
        let _ = self.server.await;
    }
}
