//! The HTTP API beside the loop: what is posted reaches the engine through the store.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::session::Carried;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::live::{Stage, live};
use crate::http::{self, Api, Bound, Facts, Now};
use crate::notify::handle::StoreHandle;
use crate::notify::receiver::ReceiverConfig;
use crate::replay::Driver;
use crate::store::StoreError;

/// Starts to serve at an address that was taken; the task ends after `stop`.
pub(super) fn start(
    config: &Config,
    bound: Bound,
    carried: &Carried,
    stop: CancellationToken,
) -> (Api, Stage, JoinHandle<()>) {
    let causes = config.rules.causes.iter().map(|cause| cause.id.clone()).collect();
    let pagers = ReceiverConfig::pagers(&config.receivers);
    let facts = Facts {
        zone: config.poll.timezone.clone(),
        source_url: Some(config.source.address()),
        rules: Arc::new(config.rules.clone()),
        interval: config.poll.interval,
        history: config.poll.history,
        receivers: config.receivers.len(),
    };
    let config = config.http.clone();
    let clock = Arc::clone(&carried.clock);
    let now: Now = Arc::new(move || clock.now());
    let address = bound.address().unwrap_or(config.listen);
    info!(%address, "serving the API");
    let (stage, live) = live();
    let api = Api::new(config, causes, carried.store.clone(), now)
        .with_pagers(pagers)
        .with_receivers(carried.board.clone())
        .with_live(live)
        .with_reloader(carried.reloader.clone())
        .with_progress(carried.progress.clone())
        .with_facts(facts)
        .with_telemetry(carried.telemetry.clone());
    let task = tokio::spawn(http::serve(bound, api.clone(), stop));
    (api, stage, task)
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
