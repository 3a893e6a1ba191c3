//! The daemon: a replay whose end is now, with a store behind it and receivers in front.
//!
//! Every tick since the last one that was processed is asked for, so a gap, a restart and a
//! first start are one path. Alerts go into the outbox in one transaction with the state that
//! decided them; delivery is another task's business.

mod api;
mod difference;
pub mod digest;
mod heartbeat;
mod keep;
mod news;
mod notes;
mod orphans;
mod reload;
mod routing;
mod session;
pub mod systemd;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::changes::grafana::GrafanaError;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::engine::Settings;
use crate::engine::alert::Alert;
use crate::engine::archive::ArchiveError;
use crate::engine::grid::BLOCK;
use crate::http::live::Stage;
use crate::http::progress::Progress;
use crate::http::reload::Reloader;
use crate::http::{Api, HttpError};
use crate::notify::handle::StoreHandle;
use crate::notify::receiver::ReceiverError;
use crate::notify::status::StatusBoard;
use crate::replay::{AdvanceError, Driver};
use crate::series::Feedback;
use crate::source::{Prometheus, SourceError};
use crate::store::{Store, StoreError};
use crate::telemetry::Telemetry;
use crate::time::{Span, Timestamp};

use notes::Notebook;
use reload::Watcher;
pub use reload::{Heed, Origin};
pub use routing::Routing;
use session::{Carried, Prepared};
use systemd::Manager;
use trouble::Trouble;

/// In catch-up, ticks are written together for this long, in the ticks' time.
const COMMIT_EVERY: Span = Span::from_mins(30);
/// How often a finished rehearsal looks whether everything is delivered.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
/// A finished rehearsal waits this long for its receivers.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Between two signs of life while it waits.
const BREATH: Duration = Duration::from_secs(10);
/// Up to so many series an overview is made after every tick.
const SHOWN_AT_ONCE: usize = 10_000;

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The past, in the state file.
    #[error("what series did before cannot be used; the state is left as it was")]
    Archive(#[source] ArchiveError),
    /// Options of the source that cannot work.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A receiver that cannot be set up.
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
    /// Annotations that cannot be read with these options.
    #[error(transparent)]
    Annotations(#[from] GrafanaError),
    /// The address of the API.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// When a run begins and ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// First tick that may alert, for a first start; the present unless told otherwise.
    pub from: Option<Timestamp>,
    /// Stops after this tick, once everything is delivered.
    pub to: Option<Timestamp>,
}

/// Runs until `stop` is cancelled or the limit is reached. With an `origin`, the configuration is
/// read again from there; every one that can be used begins a session of its own, which goes on
/// from what the one before kept. No tick is lost in between, and no message sent twice: it is the
/// way of a restart.
///
/// # Errors
///
/// What cannot be started, and a store that cannot be written. A backend or receiver that is
/// away is no error: it is waited for.
pub async fn run(
    config: Config,
    clock: Clock,
    limits: Limits,
    stop: CancellationToken,
    origin: Option<Origin>,
) -> Result<(), DaemonError> {
    let store = StoreHandle::new(Store::open(&config.store.path)?);
    let clock = Arc::new(clock);
    let mut prepared = Prepared::new(config, &clock, None).await?;
    let telemetry = Telemetry::new(Arc::new(clock::monotonic));
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let manager = Arc::new(Manager::start(over));
    let (reloader, mut next) = match origin {
        Some(origin) => watch(origin, &prepared, (&clock, &telemetry, &manager), &stop)?,
        None => (Reloader::default(), mpsc::channel(1).1),
    };
    let (board, progress) = (StatusBoard::default(), Progress::default());
    let carried = Carried { store, clock, reloader, telemetry, manager, board, progress };
    loop {
        let session = session::run(prepared, &carried, limits, &stop, &mut next);
        // Large, and made once a session.
        match Box::pin(session).await? {
            Some(following) => prepared = following,
            None => return Ok(()),
        }
    }
}

/// Begins to watch for other configurations.
fn watch(
    origin: Origin,
    prepared: &Prepared,
    (clock, telemetry, manager): (&Arc<Clock>, &Telemetry, &Arc<Manager>),
    stop: &CancellationToken,
) -> Result<(Reloader, mpsc::Receiver<Prepared>), DaemonError> {
    let (reloader, wished) = Reloader::new();
    let (following, next) = mpsc::channel(1);
    let given = (reloader.clone(), Arc::clone(clock), telemetry.clone(), Arc::clone(manager));
    let config = prepared.config.clone();
    let watcher = Watcher::new(origin, config, prepared.address()?, given, following);
    tokio::spawn(watcher.run(wished, stop.clone()));
    Ok((reloader, next))
}

/// Waits until nothing waits to be delivered; a receiver that is away is not waited for long, and
/// what is held not at all.
async fn drain(store: &StoreHandle, stop: &CancellationToken) -> Result<(), StoreError> {
    let mut left = DRAIN_MAX;
    while !stop.is_cancelled() && !left.is_zero() {
        if store.with(|store| store.waiting_count(clock::now())).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(DRAIN_LOOK).await;
        left = left.saturating_sub(DRAIN_LOOK);
    }
    let waiting = store.with(|store| store.waiting_count(clock::now())).await?;
    warn!(waiting, "messages stay in the outbox for the next start");
    Ok(())
}

/// The polling side: an engine with its place in the source, and the store.
struct Poller {
    driver: Driver,
    store: StoreHandle,
    clock: Arc<Clock>,
    api: Api,
    stage: Stage,
    config: Config,
    routing: Arc<Routing>,
    /// How long late samples are waited for.
    settle: Span,
    /// The tick of the newest stored snapshot.
    stored: Option<Timestamp>,
    trouble: Trouble,
    notebook: Notebook,
    /// Attempts in a row to learn what is new in the rules.
    backfills: u32,
    manager: Arc<Manager>,
}

impl Poller {
    /// Goes on from the stored state, or from nothing.
    async fn start(
        config: Config,
        store: StoreHandle,
        (clock, api, stage): (&Arc<Clock>, Api, Stage),
        limits: Limits,
    ) -> Result<Self, DaemonError> {
        let resume = store.with(|store| store.resume()).await?;
        let rules = Arc::new(config.rules.clone());
        let settle = config.poll.settle;
        let now = (clock.now() - settle).floor_to(config.poll.interval);
        let fresh = settings(&config, limits.from.unwrap_or(now));
        let mut saved = resume.and_then(|resume| resume.snapshot);
        if let Some(old) = saved.take_if(|saved| now - saved.at > config.poll.history) {
            warn!(at = %old.at, "stored state is older than `poll.history`; learning anew");
        }
        let at = saved.as_ref().map(|saved| saved.at);
        let archive = store.with(|store| store.archive()).await?;
        let driver = saved.and_then(|saved| {
            let (version, archive) = (saved.version, Box::new(archive));
            match Driver::restore(rules.clone(), fresh.clone(), version, &saved.bytes, archive) {
                Ok(driver) => Some(driver),
                Err(problem) => {
                    warn!(%problem, "stored state cannot be used; learning anew");
                    None
                }
            }
        });
        let stored = at.filter(|_| driver.is_some());
        let mut driver = match driver {
            Some(driver) => driver,
            None => Self::begin_anew(&config, &store, now, fresh).await?,
        };
        driver.outside().annotations(&config.annotations)?;
        driver.watched_by(api.telemetry());
        driver.wait_for_answers();
        api.telemetry().grid(config.poll.interval, settle);
        if let Some(newest) = stored {
            api.telemetry().goes_on_from(newest);
        }
        let (clock, trouble) = (Arc::clone(clock), Trouble::default());
        let (notebook, manager) = (Notebook::default(), Arc::default());
        let routing = Arc::new(Routing::of(&config));
        Ok(Self {
            driver,
            store,
            clock,
            api,
            stage,
            config,
            routing,
            settle,
            stored,
            trouble,
            notebook,
            backfills: 0,
            manager,
        })
    }

    /// A driver that knows nothing, and a store without what an earlier one left unfinished.
    async fn begin_anew(
        config: &Config,
        store: &StoreHandle,
        now: Timestamp,
        settings: Settings,
    ) -> Result<Driver, DaemonError> {
        let closed = orphans::close(store, config, now).await?;
        if closed > 0 {
            warn!(closed, "incidents of the earlier state are closed; their end was not seen");
        }
        let emptied = store.with(|store| {
            let mut archive = store.archive()?;
            archive.clear()?;
            Ok(archive)
        });
        let archive = Box::new(emptied.await?);
        Ok(Driver::new(Arc::new(config.rules.clone()), settings, archive))
    }

    /// Processes what is due, waits for the next tick, and so on.
    async fn poll(
        &mut self,
        source: &Prometheus,
        to: Option<Timestamp>,
        stop: &CancellationToken,
    ) -> Result<(), DaemonError> {
        self.api.progress().begins(self.clock.now(), source.url());
        // A backend that is away is waited for, and must not make the start fail.
        self.manager.ready();
        self.stage.show(self.driver.engine().overview());
        let (manager, patience) = (Arc::clone(&self.manager), systemd::patience(&self.config));
        let asked = manager.during(patience, source.flavour());
        let flavour = tokio::select! {
            flavour = self.attend(asked) => flavour,
            () = stop.cancelled() => return Ok(()),
        };
        self.settle = self.settle.max(flavour.settle_min());
        self.api.telemetry().reads_from(source.counting());
        self.api.telemetry().grid(self.config.poll.interval, self.settle);
        self.api.progress().met(flavour.to_string());
        info!(%flavour, next_tick = %self.driver.next_tick(), "polling");
        while !stop.is_cancelled() {
            let next = self.driver.next_tick();
            if to.is_some_and(|to| next > to) {
                return Ok(());
            }
            self.rest(next + self.settle, stop).await;
            if stop.is_cancelled() {
                return Ok(());
            }
            let due = (self.clock.now() - self.settle).floor_to(self.config.poll.interval);
            let end = to.map_or(due, |to| due.min(to));
            let caught_up = self.catch_up(source, end, stop).await?;
            if let Err(away) = caught_up {
                let (class, problem) = (away.class(), away.to_string());
                self.api.progress().is_away(self.clock.now(), class, problem);
                let pause = self.trouble.pause(&away, self.config.poll.interval);
                self.manager.stands(self.driver.engine(), Some(&away));
                let pausing = manager.during(pause, tokio::time::sleep(pause));
                tokio::select! {
                    () = self.attend(pausing) => {}
                    () = stop.cancelled() => return Ok(()),
                }
            } else {
                self.trouble.over();
                self.manager.stands(self.driver.engine(), None);
                self.api.progress().is_back();
            }
        }
        Ok(())
    }

    /// Answers what is asked until `work`, which is none of the engine's, is done.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let (stage, engine) = (&mut self.stage, self.driver.engine());
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = stage.answer_next(engine) => {}
            }
        }
    }

    /// Waits, and answers what is asked meanwhile.
    async fn rest(&mut self, until: Timestamp, stop: &CancellationToken) {
        let (stage, engine) = (&mut self.stage, self.driver.engine());
        let over = self.clock.sleep_until(until);
        // However far ahead the next tick is: this wait ends by the clock.
        let over = self.manager.during(Duration::MAX, over);
        tokio::pin!(over);
        loop {
            self.api.telemetry().rests();
            tokio::select! {
                () = &mut over => return,
                () = stop.cancelled() => return,
                () = stage.answer_next(engine) => {}
                () = tokio::time::sleep(BREATH) => {}
            }
        }
    }

    /// Shows how everything stands; in large fleets only when a block was judged.
    fn show(&mut self, before: Timestamp) {
        let engine = self.driver.engine();
        let judged = |now: Timestamp| now.floor_to(BLOCK) > before.floor_to(BLOCK);
        if engine.census().0 <= SHOWN_AT_ONCE || engine.now().is_some_and(judged) {
            self.stage.show(engine.overview());
        }
        self.stage.answer(engine);
    }

    /// Processes every tick up to `end`, writing on the way. The inner error is the source's:
    /// nothing is lost, the same ticks are asked for again.
    async fn catch_up(
        &mut self,
        source: &Prometheus,
        end: Timestamp,
        stop: &CancellationToken,
    ) -> Result<Result<(), SourceError>, DaemonError> {
        let filled = tokio::select! {
            filled = self.backfill(source) => filled?,
            () = stop.cancelled() => return Ok(Ok(())),
        };
        if let Err(away) = filled {
            return Ok(Err(away));
        }
        let patience = systemd::patience(&self.config);
        while self.driver.next_tick() <= end && !stop.is_cancelled() {
            self.listen().await?;
            let mut alerts: Vec<Alert> = Vec::new();
            let mut newest = None;
            api::hand_over(&self.store, &mut self.driver, &self.clock).await?;
            let before = self.driver.engine().now().unwrap_or(self.driver.next_tick());
            let (trouble, notebook, manager) =
                (&mut self.trouble, &mut self.notebook, &self.manager);
            let learns_from = self.driver.next_tick();
            let (progress, clock) = (self.api.progress(), &self.clock);
            // What is read beyond the next commit would be read again after it.
            let learns_until = self.driver.learns_until();
            let until = learns_until.unwrap_or(self.driver.next_tick() + COMMIT_EVERY);
            if let Some(until) = learns_until {
                info!(from = %self.driver.next_tick(), %until, "learning from history");
            }
            let advance = self.driver.advance(source, until.min(end), |ticked| {
                manager.ticked();
                if ticked.learning {
                    manager.learning((learns_from, until), ticked.at);
                }
                newest = (!ticked.learning).then_some(ticked.at).or(newest);
                trouble.report(&ticked.outcome.report);
                progress.ticked((ticked.at, clock.now()), learns_until, &ticked.outcome.report);
                notebook.take(ticked.at, &ticked.outcome.report);
                alerts = ticked.outcome.alerts;
                // An alert is written with the state that decided it, before the next tick.
                alerts.is_empty() && !stop.is_cancelled()
            });
            let read = tokio::select! {
                read = manager.during(patience, advance) => read,
                // A backend that hangs must not hold up the end; what was processed is written.
                () = stop.cancelled() => Ok(()),
            };
            if let Err(AdvanceError::Archive(problem)) = read {
                // Nothing decided since is written: a restart goes on from the last snapshot.
                return Err(DaemonError::Archive(problem));
            }
            self.trouble.warn_once(self.driver.warnings());
            for news in self.driver.news() {
                warn!("{news}");
            }
            if learns_until.is_some() && self.driver.learns_until().is_none() {
                let (series, services, judged) = self.driver.engine().census();
                info!(series, services, judged, "learned; services with less than a day wait");
            }
            if let Some(tick) = newest {
                self.tell_news((before, tick), end).await?;
                self.commit(tick, alerts).await?;
            }
            self.show(before);
            if let Err(AdvanceError::Source(away)) = read {
                return Ok(Err(away));
            }
        }
        Ok(Ok(()))
    }

    /// Hands the engine what people said since it heard them last.
    async fn listen(&mut self) -> Result<(), DaemonError> {
        let after = self.driver.feedback_told();
        let mut news = self.store.with(move |store| store.feedback_after(after)).await?;
        // As with changes: a clock that was ahead must not hold words back.
        let now = self.clock.now();
        for word in &mut news {
            word.at = word.at.min(now);
        }
        if let Some(newest) = news.last() {
            let Feedback { incident, verdict, .. } = newest;
            info!(words = news.len(), incident, %verdict, "feedback");
        }
        self.driver.tell(news);
        Ok(())
    }
}

/// What the engine needs from the configuration: the same for live and replay.
pub fn settings(config: &Config, alerts_from: Timestamp) -> Settings {
    Settings {
        interval: config.poll.interval,
        history: config.poll.history,
        timezone: config.poll.timezone.clone(),
        alerts_from,
        pages_url: Some(config.http.pages_url()),
        source_url: Some(config.source.address()),
    }
}
