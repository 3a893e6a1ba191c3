//! The HTTP API beside the loop: what is posted reaches the engine through the store.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::clock::Clock;
use crate::config::Config;
use crate::http::live::{Stage, live};
use crate::http::reload::Reloader;
use crate::http::{self, Api, HttpError};
use crate::notify::handle::StoreHandle;
use crate::notify::receiver::ReceiverConfig;
use crate::notify::status::StatusBoard;
use crate::replay::Driver;
use crate::store::StoreError;
use crate::telemetry::Telemetry;

/// Starts to serve at an address that was taken; the task ends after `stop`.
///
/// # Errors
///
/// When the runtime cannot wait for connections.
pub(super) fn start(
    config: &Config,
    listener: std::net::TcpListener,
    (store, board, reloader): (StoreHandle, StatusBoard, Reloader),
    telemetry: Telemetry,
    clock: &Arc<Clock>,
    stop: CancellationToken,
) -> Result<(Api, Stage, JoinHandle<()>), HttpError> {
    let causes = config.rules.causes.iter().map(|cause| cause.id.clone()).collect();
    let pagers = ReceiverConfig::pagers(&config.receivers);
    let config = config.http.clone();
    let listen = config.listen;
    let listener =
        TcpListener::from_std(listener).map_err(|source| HttpError::new(listen, source))?;
    let address = listener.local_addr().unwrap_or(config.listen);
    info!(%address, "serving the API");
    let clock = Arc::clone(clock);
    let api = Api::new(config, causes, store, Arc::new(move || clock.now()));
    let (stage, live) = live();
    let api = api.with_pagers(pagers).with_receivers(board).with_live(live).with_reloader(reloader);
    let api = api.with_telemetry(telemetry);
    let task = tokio::spawn(http::serve(listener, api.clone(), stop));
    Ok((api, stage, task))
}

/// Hands over what was posted since the driver heard last. Call it after it is known which ticks
/// are due: whatever is posted later than that is for later ticks.
pub(super) async fn hand_over(
    store: &StoreHandle,
    driver: &mut Driver,
    clock: &Clock,
) -> Result<(), StoreError> {
    let after = driver.outside().known();
    let posted = store.with(move |store| store.changes_after(after)).await?;
    let now = clock.now();
    // A clock that was ahead and is right again must not hold changes back until then.
    driver.outside().post(posted.into_iter().map(|mut one| {
        one.posted_at = one.posted_at.min(now);
        one
    }));
    Ok(())
}
