//! The only place that reads the clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::time::{Span, Timestamp};

/// Where the daemon's time comes from.
#[derive(Debug)]
pub enum Clock {
    /// The machine's clock.
    Real,
    /// A rehearsal: the past, one tick after the other, as fast as it can be processed. Waiting
    /// for an instant makes it now.
    Rehearsal(AtomicI64),
}

impl Clock {
    /// A clock that begins at `from` and moves by being waited for.
    pub fn rehearsal(from: Timestamp) -> Self {
        Self::Rehearsal(AtomicI64::new(from.as_millis()))
    }

    /// The current instant.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Real => now(),
            Self::Rehearsal(at) => Timestamp::from_millis(at.load(Ordering::SeqCst)),
        }
    }

    /// Returns once it is `at`, at once if it is later already.
    pub async fn sleep_until(&self, at: Timestamp) {
        match self {
            Self::Real => {
                // In short stretches: the machine may sleep, and its clock may be set.
                while now() < at {
                    let left = (at - now()).to_std();
                    tokio::time::sleep(left.min(Span::from_secs(5).to_std())).await;
                }
            }
            Self::Rehearsal(instant) => {
                instant.fetch_max(at.as_millis(), Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Time since this was first asked; unlike [`now`] it never goes back, so that durations are right.
#[expect(clippy::disallowed_methods, reason = "this is the one reader of the clock")]
pub fn monotonic() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    now.saturating_duration_since(*BEGAN.get_or_init(|| now))
}

/// The machine's current instant.
#[expect(clippy::disallowed_methods, reason = "this is the one reader of the clock")]
pub fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}
