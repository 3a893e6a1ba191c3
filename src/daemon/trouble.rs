//! What went wrong while reading, told once.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{info, warn};

use crate::engine::outcome::{Report, Silence};
use crate::engine::track::SERIES_MAX;
use crate::source::SourceError;
use crate::time::Span;

/// Longest pause between two attempts at a backend that is away.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Shortest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Warnings remembered so as not to repeat them.
const WARNED_MAX: usize = 1_000;

/// Says what is wrong with the backend, each kind once while it lasts, and how long to wait.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Classes of errors told since the backend last answered.
    told: BTreeSet<&'static str>,
    failures: u32,
    /// Signals that had no answer at the last tick.
    unanswered: BTreeSet<String>,
    /// Warnings told since the start.
    warned: BTreeSet<String>,
}

impl Trouble {
    pub(super) fn pause(&mut self, away: &SourceError, interval: Span) -> Duration {
        if self.told.insert(away.class()) {
            warn!(class = away.class(), problem = %away, "backend cannot be read; its ticks wait");
        }
        self.failures = self.failures.saturating_add(1);
        let doubled = PAUSE_MIN.saturating_mul(1 << (self.failures - 1).min(8));
        let asked = away.retry_after().unwrap_or_default();
        doubled.max(asked).min(PAUSE_MAX).min(interval.to_std().max(PAUSE_MIN))
    }

    pub(super) fn over(&mut self) {
        if !self.told.is_empty() {
            info!(failures = self.failures, "backend is back; its ticks were caught up");
        }
        self.told.clear();
        self.failures = 0;
    }

    /// What the engine could not use of a tick, and why: each signal once until it is answered.
    pub(super) fn report(&mut self, report: &Report) {
        let mut unanswered = BTreeSet::new();
        for (signal, silence) in &report.silences {
            if let Silence::TooManyIncidents { .. } = silence {
                self.warn_once(&[
                    "trouble of some services is not told: too many incidents are open".to_owned(),
                ]);
            }
            if let Silence::Unanswered { reason } = silence {
                // By name, not by text: backends put instants and series into theirs.
                if !self.unanswered.contains(signal) {
                    warn!(signal, reason, "signal has no answer");
                }
                unanswered.insert(signal.clone());
            }
        }
        self.unanswered = unanswered;
        for crept in &report.crept {
            info!("{crept}");
        }
        for relevelled in &report.relevelled {
            info!("{relevelled}");
        }
        if report.samples_beyond_limit > 0 {
            self.warn_once(&[format!("series beyond the limit of {SERIES_MAX} are left out")]);
        }
    }

    pub(super) fn warn_once(&mut self, warnings: &[String]) {
        for warning in warnings {
            if self.warned.len() < WARNED_MAX && self.warned.insert(warning.clone()) {
                warn!(warning, "read with a warning");
            }
        }
    }
}
