//! The only place that reads the clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::time::{Span, Timestamp};

/// Where the daemon's time comes from.
#[derive(Debug)]
pub enum Clock {
    /// The machine's clock.
    Real,
    /// A rehearsal: the past, one tick after the other, as fast as it can be processed. Waiting
    /// for an instant makes it now.
    Rehearsal {
        /// Now, in milliseconds.
        at: AtomicI64,
        /// Where time ends, if it does.
        end: Option<End>,
    },
}

/// The end of a rehearsal that stays as it is then.
#[derive(Debug)]
pub struct End {
    /// There is no instant after this one.
    at: Timestamp,
    /// Told once somebody waits for one.
    reached: CancellationToken,
}

impl Clock {
    /// A clock that begins at `from` and moves by being waited for.
    pub fn rehearsal(from: Timestamp) -> Self {
        Self::Rehearsal { at: AtomicI64::new(from.as_millis()), end: None }
    }

    /// A rehearsal in which time stands still once it is `until`: whoever waits for later waits
    /// for ever. `reached` is cancelled when somebody does.
    pub fn rehearsal_until(from: Timestamp, until: Timestamp, reached: CancellationToken) -> Self {
        let end = Some(End { at: until, reached });
        Self::Rehearsal { at: AtomicI64::new(from.as_millis()), end }
    }

    /// The current instant.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Real => now(),
            Self::Rehearsal { at, .. } => Timestamp::from_millis(at.load(Ordering::SeqCst)),
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
            Self::Rehearsal { at: instant, end } => {
                if let Some(End { at: last, reached }) = end
                    && *last < at
                {
                    instant.fetch_max(last.as_millis(), Ordering::SeqCst);
                    reached.cancel();
                    return std::future::pending().await;
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_stands_still_at_its_end() {
        let (from, reached) = (Timestamp::from_secs(1_000), CancellationToken::new());
        let until = from + Span::MINUTE;
        let clock = Clock::rehearsal_until(from, until, reached.clone());
        clock.sleep_until(until).await;
        assert!(clock.now() == until && !reached.is_cancelled());
        let later = clock.sleep_until(until + Span::SECOND);
        let waited = tokio::time::timeout(Duration::from_secs(60), later).await;
        assert!(waited.is_err() && clock.now() == until && reached.is_cancelled());
    }
}
