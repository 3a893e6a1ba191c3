//! Configurations that change while the daemon runs: read again when somebody asks, on SIGHUP, or
//! when a file changes; taken up only when nothing in them can fail.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::difference::differences;
use super::session::Prepared;
use super::systemd::Manager;
use crate::clock::Clock;
use crate::config::{self, Config, Fingerprint, Loaded, Machine};
use crate::http::reload::{Reloaded, Reloader, Wish};
use crate::telemetry::Telemetry;

/// How often files are looked at. What changed must be the same at two looks, so that a file that
/// is being written is not read half.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Called with every configuration that is taken up.
pub type Heed = Arc<dyn Fn(&Config) + Send + Sync>;

/// Where the configuration comes from, to be read again.
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// What the configuration in force was read from.
    pub read: Fingerprint,
    /// What else has to know of a new one, such as logging.
    pub heed: Heed,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads configurations again.
pub(super) struct Watcher {
    origin: Origin,
    config: Config,
    address: (SocketAddr, TcpListener),
    /// What was read last, also where it could not be used: it is not read again until it changes.
    seen: Fingerprint,
    /// What changed at the last look, if it was not taken up yet.
    changing: Option<Fingerprint>,
    reloader: Reloader,
    clock: Arc<Clock>,
    telemetry: Telemetry,
    manager: Arc<Manager>,
    next: mpsc::Sender<Prepared>,
}

impl Watcher {
    pub(super) fn new(
        origin: Origin,
        config: Config,
        address: (SocketAddr, TcpListener),
        (reloader, clock, telemetry, manager): (Reloader, Arc<Clock>, Telemetry, Arc<Manager>),
        next: mpsc::Sender<Prepared>,
    ) -> Self {
        let (seen, changing) = (origin.read.clone(), None);
        Self { origin, config, address, seen, changing, reloader, clock, telemetry, manager, next }
    }

    /// Watches until `stop`.
    pub(super) async fn run(mut self, mut wished: mpsc::Receiver<Wish>, stop: CancellationToken) {
        // Without the signal the other ways are left.
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                Some(wish) = wished.recv() => {
                    let outcome = self.reload().await;
                    // Whoever asked may have gone.
                    let _ = wish.send(outcome);
                }
                _ = hung_up => drop(self.reload().await),
                _ = look.tick() => self.look().await,
            }
        }
    }

    /// Takes up what changed, once it has stopped changing.
    async fn look(&mut self) {
        if !self.config.runtime.watch {
            return;
        }
        let before = self.seen.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let now = before.look_again(&Machine);
            (now != before).then_some(now)
        });
        let changed = looked.await.ok().flatten();
        if changed.is_some() && changed == self.changing {
            self.reload().await;
        } else {
            self.changing = changed;
        }
    }

    /// Reads the configuration again, and hands it over when it can be used.
    async fn reload(&mut self) -> Reloaded {
        self.manager.reloading();
        let path = self.origin.path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path, &Machine)).await;
        let outcome = match loaded {
            Ok(Ok(loaded)) => self.consider(loaded).await,
            Ok(Err(problem)) => {
                self.seen = self.seen.look_again(&Machine);
                Reloaded::Refused { problem: problem.to_string() }
            }
            Err(panicked) => Reloaded::Refused { problem: panicked.to_string() },
        };
        self.changing = None;
        let now = self.clock.now();
        match &outcome {
            Reloaded::Changed { changes } => {
                self.telemetry.reloaded(now);
                info!(changes = changes.join("; "), "configuration taken up");
            }
            Reloaded::Unchanged => info!("configuration read again: nothing is different"),
            Reloaded::Refused { problem } => {
                self.telemetry.reload_failed(now);
                error!(problem, "configuration cannot be used; the one before stays in force");
            }
        }
        if !matches!(outcome, Reloaded::Changed { .. }) {
            self.manager.ready();
        }
        self.reloader.remember(now, &outcome);
        outcome
    }

    async fn consider(&mut self, loaded: Loaded) -> Reloaded {
        let Loaded { config, problems, read, .. } = loaded;
        let files = read.differs_from(&self.origin.read);
        self.seen = read.clone();
        let Some(config) = config else {
            return Reloaded::Refused { problem: problems.render(false) };
        };
        let refused = |problem: String| Reloaded::Refused { problem };
        if config.store.path != self.config.store.path {
            return refused(
                "`store.url` cannot change while the daemon runs: restart it".to_owned(),
            );
        }
        let mut changes = differences(&self.config, &config);
        if changes.is_empty() {
            // Secrets and templates do not show what is in them.
            changes = files.iter().map(|path| format!("`{}`", path.display())).collect();
        }
        if changes.is_empty() {
            return Reloaded::Unchanged;
        }
        let prepared = match Prepared::new(config.clone(), &self.clock, Some(&self.address)).await {
            Ok(prepared) => prepared,
            Err(problem) => return refused(format!("{:#}", anyhow::Error::from(problem))),
        };
        match prepared.address() {
            Ok(address) => self.address = address,
            Err(problem) => return refused(problem.to_string()),
        }
        (self.origin.heed)(&config);
        self.config = config;
        self.origin.read = read;
        if self.next.send(prepared).await.is_err() {
            return refused("the daemon is stopping".to_owned());
        }
        Reloaded::Changed { changes }
    }
}
