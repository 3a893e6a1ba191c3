//! Whether the loop is alive, and whether what it says can be relied on.

use std::time::Duration;

use super::Telemetry;
use crate::format;
use crate::time::{Span, Timestamp};

/// A loop that has given no sign of life for so long hangs: longer than any request to a backend
/// may take with all its attempts, and than a large fleet takes to learn.
pub const STALL_MAX: Duration = Duration::from_secs(15 * 60);
/// A tick is fresh for so many intervals, beside the time that late samples are waited for.
const FRESH_INTERVALS: i64 = 3;
/// And for so long at least: reading takes its time, however short the interval.
const FRESH_MIN: Span = Span::from_secs(30);

/// What the loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// It reads a range of ticks from the backend.
    Read,
    /// A tick goes through the engine.
    Step,
    /// A tick is written to the state file.
    Write,
}

impl Work {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::Read, Self::Step, Self::Write];

    /// As metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Step => "step",
            Self::Write => "write",
        }
    }
}

/// The loop's last sign of life.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pulse {
    /// When, since the clock began.
    pub(super) at: Duration,
    /// What it was doing then; none while it rests.
    pub(super) work: Option<Work>,
    /// Queries that the backend had answered by then.
    pub(super) requests: u64,
}

impl Telemetry {
    /// The loop is alive and waits for its next tick.
    pub fn rests(&self) {
        self.sign(None);
    }

    /// A sign of life.
    pub(super) fn sign(&self, work: Option<Work>) {
        let at = self.elapsed();
        let mut counts = self.lock();
        let requests = counts.requests();
        counts.pulse = Pulse { at, work, requests };
    }

    /// Whether the loop is alive, or why it is taken for dead. While it reads from a backend, each
    /// answer is a sign of life, so that weeks of history may take hours.
    ///
    /// # Errors
    ///
    /// What it was doing when it was last heard of, and how long ago that was.
    pub fn healthy(&self) -> Result<(), String> {
        let now = self.elapsed();
        let mut counts = self.lock();
        let requests = counts.requests();
        if requests != counts.pulse.requests {
            counts.pulse = Pulse { at: now, requests, ..counts.pulse };
        }
        let silent = now.saturating_sub(counts.pulse.at);
        if silent <= STALL_MAX {
            return Ok(());
        }
        let doing = match counts.pulse.work {
            Some(Work::Read) => "while it read from the backend",
            Some(Work::Step) => "while the engine judged a tick",
            Some(Work::Write) => "while it wrote to the state file",
            None => "while it waited for the next tick",
        };
        let minutes = silent.as_secs() / 60;
        Err(format!("the polling loop gave its last sign of life {minutes} minutes ago, {doing}"))
    }

    /// Whether everything was learned and the newest tick is fresh.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn ready(&self, now: Timestamp) -> Result<(), String> {
        let counts = self.lock();
        let away = match counts.away {
            Some(class) => format!("; the backend cannot be read ({class})"),
            None => String::new(),
        };
        let Some(at) = counts.last_tick else {
            return Err(format!("no tick was processed yet{away}"));
        };
        if counts.learned < 1.0 {
            let share = format::share(counts.learned);
            return Err(format!("the history is being learned, {share} of it so far{away}"));
        }
        let limit = counts.interval.times(FRESH_INTERVALS).max(FRESH_MIN) + counts.settle;
        let age = now - at;
        if age > limit {
            let (age, limit) = (age.rough(), limit.rough());
            return Err(format!("the newest tick is {age} old, more than {limit}{away}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::engine::outcome::Outcome;
    use crate::source::Counting;

    /// A clock that stands at so many seconds until it is moved.
    fn clock() -> (Arc<AtomicU64>, Telemetry) {
        let seconds: Arc<AtomicU64> = Arc::default();
        let read = Arc::clone(&seconds);
        let telemetry =
            Telemetry::new(Arc::new(move || Duration::from_secs(read.load(Ordering::SeqCst))));
        (seconds, telemetry)
    }

    #[test]
    fn a_loop_that_hangs_is_found_out_whatever_it_was_doing() {
        for (work, doing) in [
            (None, "waited"),
            (Some(Work::Read), "backend"),
            (Some(Work::Step), "engine"),
            (Some(Work::Write), "state file"),
        ] {
            let (seconds, telemetry) = clock();
            telemetry.sign(work);
            seconds.store(STALL_MAX.as_secs(), Ordering::SeqCst);
            assert_eq!(telemetry.healthy(), Ok(()), "{work:?}");
            seconds.store(STALL_MAX.as_secs() + 60, Ordering::SeqCst);
            let why = telemetry.healthy().unwrap_err();
            assert!(why.contains("16 minutes ago") && why.contains(doing), "{why}");
            telemetry.rests();
            assert_eq!(telemetry.healthy(), Ok(()), "it came back");
        }
    }

    #[test]
    fn a_slow_backend_that_answers_is_waited_for() {
        let (seconds, telemetry) = clock();
        let source = Counting::default();
        telemetry.reads_from(source.clone());
        let _reading = telemetry.begin(Work::Read);
        for hour in 1..=5 {
            seconds.store(hour * 3_600, Ordering::SeqCst);
            source.count::<()>(10, &Ok(()));
            assert_eq!(telemetry.healthy(), Ok(()), "hour {hour}");
        }
        seconds.store(6 * 3_600, Ordering::SeqCst);
        assert!(telemetry.healthy().is_err(), "no answer for an hour");
    }

    #[test]
    fn a_restart_is_ready_as_long_as_what_it_goes_on_from_is_fresh() {
        let (_, telemetry) = clock();
        telemetry.grid(Span::HOUR, Span::from_secs(20));
        let now = Timestamp::from_secs(1_000_000);
        telemetry.goes_on_from(now - Span::HOUR);
        assert_eq!(telemetry.ready(now), Ok(()), "nothing is due");
        assert!(telemetry.ready(now + Span::HOUR.times(3)).is_err(), "it fell behind");
        telemetry.ticked(now, 1.0, 1, &Outcome::default());
        telemetry.goes_on_from(now - Span::DAY);
        assert_eq!(telemetry.ready(now), Ok(()), "a reload forgets nothing");
    }

    #[test]
    fn ready_is_what_has_learned_and_is_fresh() {
        let (_, telemetry) = clock();
        telemetry.grid(Span::MINUTE, Span::from_secs(20));
        let now = Timestamp::from_secs(1_000_000);
        let why = |now| telemetry.ready(now).unwrap_err();
        assert_eq!(why(now), "no tick was processed yet");
        telemetry.backend(Some("connect"));
        assert!(why(now).ends_with("; the backend cannot be read (connect)"));
        telemetry.backend(None);
        telemetry.ticked(now - Span::WEEK, 0.42, 1, &Outcome::default());
        assert_eq!(why(now), "the history is being learned, 42% of it so far");
        telemetry.ticked(now, 1.0, 1, &Outcome::default());
        let last = now + Span::from_secs(200);
        assert_eq!(telemetry.ready(last), Ok(()));
        telemetry.backend(Some("timeout"));
        let old = why(last + Span::SECOND);
        assert!(old.starts_with("the newest tick is 3") && old.ends_with("(timeout)"), "{old}");
    }
}
