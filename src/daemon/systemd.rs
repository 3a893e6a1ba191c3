//! What a service manager such as systemd is told: ready, how things stand, and that the loop goes
//! on. Without one (no `NOTIFY_SOCKET`), nothing is sent. Its variables are read by the library that
//! speaks to it, and by nobody else.
//!
//! The watchdog is fed by a task that only looks at two counters. The loop itself moves them, with
//! every tick that it processed and while it waits for something that has an end: so a loop that
//! computes forever feeds nothing, and neither does one that waits longer than a backend may take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::engine::Engine;
use crate::source::SourceError;
use crate::time::Timestamp;

/// Within the manager's time the loop is looked at so often that one late look does no harm.
const LOOKS_PER_TIMEOUT: u32 = 4;
/// How often a wait moves its counter; a manager's time is never near it.
const WAIT_LOOK: Duration = Duration::from_millis(200);

/// The service manager that started the daemon, if any did.
#[derive(Debug, Default)]
pub struct Manager {
    moved: Arc<Moved>,
    /// What was said last: the same again is not sent.
    status: Mutex<String>,
}

/// How often the loop was seen to go on. Only differences matter.
#[derive(Debug, Default)]
struct Moved {
    /// Ticks processed.
    ticks: AtomicU64,
    /// Looks at waits that may still go on.
    waits: AtomicU64,
}

impl Moved {
    fn sum(&self) -> u64 {
        let (ticks, waits) = (&self.ticks, &self.waits);
        ticks.load(Ordering::Relaxed).wrapping_add(waits.load(Ordering::Relaxed))
    }
}

impl Manager {
    /// Begins to feed the manager's watchdog, if it has one, until `stop`.
    pub fn start(stop: CancellationToken) -> Self {
        let manager = Self::default();
        if let Some(timeout) = sd_notify::watchdog_enabled() {
            info!(?timeout, "the service manager watches the loop");
            let moved = Arc::clone(&manager.moved);
            let feeding = feed(timeout / LOOKS_PER_TIMEOUT, moved, || {
                tell(&[NotifyState::Watchdog]);
            });
            tokio::spawn(async move {
                tokio::select! {
                    () = feeding => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        manager
    }

    /// The API answers and ticks are processed from now on, whether the backend is there or not.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The configuration is being read again; [`Self::ready`] ends it, whatever came of it.
    pub fn reloading(&self) {
        // Newer managers take the one without the other as a failed reload.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// The daemon ends, once what it has in hand is done.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("Stopping")]);
    }

    /// How everything stands after the newest tick, and what kept it from going further.
    pub fn stands(&self, engine: &Engine, away: Option<&SourceError>) {
        let last = engine.now().map_or_else(|| "none".to_owned(), |at| at.to_string());
        if let Some(away) = away {
            self.say(format!("Backend cannot be read ({}); last tick {last}", away.class()));
            return;
        }
        let (series, services, _) = engine.census();
        self.say(format!("Watching {series} series of {services} services; last tick {last}"));
    }

    /// One line for whoever asks the manager how the daemon fares.
    fn say(&self, status: String) {
        let mut said = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != status {
            tell(&[NotifyState::Status(&status)]);
            *said = status;
        }
    }

    /// How much of the past between two ticks is learned: whole percents.
    pub fn learning(&self, (from, until): (Timestamp, Timestamp), at: Timestamp) {
        let whole = (until - from).as_millis().max(1);
        let percent = ((at - from).as_millis().saturating_mul(100) / whole).clamp(0, 100);
        self.say(format!("Learning from history: {percent} %"));
    }

    /// A tick was processed.
    pub fn ticked(&self) {
        self.moved.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for what has an end. Once nothing was processed for longer than `patience`, it no
    /// longer counts as going on; the wait itself is not ended.
    pub async fn during<T>(&self, patience: Duration, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let mut look = tokio::time::interval(WAIT_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut idle) = (0, Duration::ZERO);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = look.tick() => {
                    let ticks = self.moved.ticks.load(Ordering::Relaxed);
                    idle = if ticks == seen { idle.saturating_add(WAIT_LOOK) } else { WAIT_LOOK };
                    seen = ticks;
                    if idle <= patience {
                        self.moved.waits.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}

/// How long the backend may take for what a tick asks it at once.
pub fn patience(config: &Config) -> Duration {
    let rules = &config.rules;
    // A signal may ask for its traffic as well, and about its labels.
    let queries = 3 * rules.signals.len() + rules.changes.len() + 1;
    config.source.patience(queries)
}

/// Calls `alive` at every look at which the loop has gone on since the one before.
async fn feed(every: Duration, moved: Arc<Moved>, mut alive: impl FnMut()) {
    let mut look = tokio::time::interval(every.max(Duration::from_millis(1)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        look.tick().await;
        let sum = moved.sum();
        if seen.replace(sum) != Some(sum) {
            alive();
        }
    }
}

/// Sends to the manager. One that does not listen keeps nothing from working.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(problem) = sd_notify::notify(states) {
        warn!(%problem, "cannot tell the service manager");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// How often the watchdog is fed in a minute of a wait with this patience, a tick being
    /// processed every so often.
    async fn fed(patience: Duration, tick_every: Option<Duration>) -> u32 {
        let manager = Manager::default();
        let (mut fed, moved) = (0, Arc::clone(&manager.moved));
        let ticks = async {
            while let Some(every) = tick_every {
                tokio::time::sleep(every).await;
                manager.ticked();
            }
            std::future::pending::<()>().await;
        };
        let done = async {
            tokio::select! {
                () = manager.during(patience, ticks) => {}
                () = feed(Duration::from_secs(1), moved, || fed += 1) => {}
            }
        };
        let _ = tokio::time::timeout(LONG, done).await;
        fed
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_counts_for_as_long_as_it_may_take() {
        assert!(58 <= fed(LONG, None).await);
        let short = fed(Duration::from_secs(10), None).await;
        assert!((10..=12).contains(&short), "{short}");
        let ticking = fed(Duration::from_secs(10), Some(Duration::from_secs(9))).await;
        assert!(58 <= ticking, "{ticking}: every tick begins a new wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_move_feeds_nothing() {
        let (mut fed, moved) = (0, Arc::new(Moved::default()));
        let _ = tokio::time::timeout(LONG, feed(LONG / 60, moved, || fed += 1)).await;
        assert_eq!(fed, 1, "only the first look, at its start");
    }

    #[test]
    fn learning_is_told_in_percent() {
        let manager = Manager::default();
        let at = Timestamp::from_secs;
        for (now, text) in [(0, "0 %"), (999, "49 %"), (2_000, "100 %"), (3_000, "100 %")] {
            manager.learning((at(0), at(2_000)), at(now));
            assert_eq!(*manager.status.lock().unwrap(), format!("Learning from history: {text}"));
        }
        manager.learning((at(5), at(5)), at(5));
        assert!(manager.status.lock().unwrap().ends_with("0 %"));
    }
}
