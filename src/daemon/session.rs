//! One configuration in force: its source, its receivers, its API, and the loop that polls.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::systemd::Manager;
use super::{DaemonError, Limits, Poller, api, drain, heartbeat};
use crate::changes::outside::Outside;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::http::progress::Progress;
use crate::http::reload::Reloader;
use crate::http::{self, Bound, HttpError, Now};
use crate::notify::delivery::Delivery;
use crate::notify::handle::StoreHandle;
use crate::notify::receiver::{ReceiverError, Target};
use crate::notify::status::StatusBoard;
use crate::source::Prometheus;
use crate::telemetry::Telemetry;

/// A configuration with everything opened that can fail for it.
pub(super) struct Prepared {
    pub(super) config: Config,
    source: Prometheus,
    targets: Vec<Target>,
    bound: Bound,
}

impl Prepared {
    /// Opens what the configuration names. An address that is `held` already is not taken anew, so
    /// that nobody who connects meanwhile is turned away.
    ///
    /// # Errors
    ///
    /// Options that cannot work, files that cannot be read, an address that cannot be had.
    pub(super) async fn new(
        config: Config,
        clock: &Arc<Clock>,
        held: Option<&(SocketAddr, TcpListener)>,
    ) -> Result<Self, DaemonError> {
        let source = Prometheus::new(config.source.clone())?;
        let targets = open_receivers(&config)?;
        // Tried out: the driver opens them when it begins.
        Outside::default().annotations(&config.annotations)?;
        let listen = config.http.listen;
        let clock = Arc::clone(clock);
        let now: Now = Arc::new(move || clock.now());
        let bound = match held.filter(|(address, _)| *address == listen) {
            Some((_, listener)) => {
                let listener = listener.try_clone();
                let listener = listener.map_err(|source| HttpError::new(listen, source))?;
                http::take(&config.http, &now, listener)?
            }
            None => http::bind(&config.http, &now).await?,
        };
        Ok(Self { config, source, targets, bound })
    }

    /// The address as configured, and a second hold on it.
    pub(super) fn address(&self) -> Result<(SocketAddr, TcpListener), DaemonError> {
        let listen = self.config.http.listen;
        let held = self.bound.hold();
        Ok((listen, held.map_err(|source| HttpError::new(listen, source))?))
    }
}

fn open_receivers(config: &Config) -> Result<Vec<Target>, ReceiverError> {
    let mut targets = Vec::new();
    for receiver in &config.receivers {
        targets.extend(receiver.open(&config.templates)?);
    }
    Ok(targets)
}

/// What outlives a session.
pub(super) struct Carried {
    pub(super) store: StoreHandle,
    pub(super) clock: Arc<Clock>,
    pub(super) reloader: Reloader,
    pub(super) telemetry: Telemetry,
    pub(super) manager: Arc<Manager>,
    /// How receivers fared so far.
    pub(super) board: StatusBoard,
    /// How far it is with the backend.
    pub(super) progress: Progress,
}

/// Runs until `stop` or the limit, or until another configuration comes: that one is returned.
pub(super) async fn run(
    prepared: Prepared,
    carried: &Carried,
    limits: Limits,
    stop: &CancellationToken,
    next: &mut mpsc::Receiver<Prepared>,
) -> Result<Option<Prepared>, DaemonError> {
    let Prepared { config, source, targets, bound } = prepared;
    let Carried { store, clock, telemetry, manager, board, .. } = carried;
    let names: Vec<&str> = targets.iter().map(Target::name).collect();
    info!(
        backend = source.url(),
        signals = config.rules.signals.len(),
        causes = config.rules.causes.len(),
        receivers = names.join(", "),
        state = %config.store.path.display(),
        "starting"
    );
    if names.is_empty() {
        warn!("no [[receiver]] is configured: alerts are logged and stored, and sent to nobody");
    }
    // Delivery and heartbeat end before pages and API do.
    let (aside_stop, api_stop) = (CancellationToken::new(), CancellationToken::new());
    // However this ends, nothing is left running.
    let _ends = (aside_stop.clone().drop_guard(), api_stop.clone().drop_guard());
    let delivery = delivery(store.clone(), targets, board.clone());
    let heart = config.heartbeat.clone();
    let (api, stage, serving) = api::start(&config, bound, carried, api_stop.clone());
    let beating = heartbeat::start(heart.as_ref(), telemetry, clock, aside_stop.clone())?;
    let begun = (clock, api.clone(), stage);
    let mut poller = Poller::start(config, store.clone(), begun, limits).await?;
    poller.manager = Arc::clone(manager);
    let delivery = tokio::spawn(delivery.run(aside_stop.clone()));
    let pause = stop.child_token();
    let (ended, following) = {
        let polling = poller.poll(&source, limits.to, &pause);
        tokio::pin!(polling);
        tokio::select! {
            ended = &mut polling => (ended, None),
            Some(following) = next.recv() => {
                pause.cancel();
                (polling.await, Some(following))
            }
        }
    };
    if following.is_none() {
        manager.stopping();
    }
    if ended.is_ok() {
        poller.leave().await?;
    }
    if limits.to.is_some() && following.is_none() && !stop.is_cancelled() && ended.is_ok() {
        drain(store, stop).await?;
    }
    aside_stop.cancel();
    // A receiver may take seconds for the message in hand: who asks meanwhile is answered.
    let over = async { tokio::join!(beating, delivery) };
    let (beaten, delivered) = poller.attend(manager.during(Duration::MAX, over)).await;
    api_stop.cancel();
    let served = serving.await;
    if let Err(panicked) = served {
        error!(%panicked, "the API ended early");
    }
    if let Err(panicked) = beaten {
        error!(%panicked, "the heartbeat ended early");
    }
    if let Err(panicked) = delivered {
        error!(%panicked, "delivery ended early; its messages stay in the outbox");
    }
    ended?;
    // The newest of those that came meanwhile.
    let following = std::iter::successors(following, |_| next.try_recv().ok()).last();
    if following.is_none() {
        let last = poller.driver.engine().now();
        info!(last_tick = last.map_or_else(|| "none".to_owned(), |at| at.to_string()), "stopped");
    }
    Ok(following.filter(|_| !stop.is_cancelled()))
}

/// Delivery of what the outbox holds, not begun.
fn delivery(store: StoreHandle, targets: Vec<Target>, board: StatusBoard) -> Delivery {
    let seed = u64::try_from(clock::now().as_millis()).unwrap_or(0);
    Delivery::new(store, targets, Arc::new(clock::now), seed).with_status(board)
}
