//! `GET /api/v1/status`: how far detection is, and how receivers fare.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::Api;
use super::exchange::{json, store_problem};
use super::problem::Refusal;
use super::reload::Reloads;
use crate::notify::status::Status;
use crate::store::{RowState, Store, StoreError};
use crate::time::Timestamp;

#[derive(Serialize)]
struct Standing {
    version: &'static str,
    ready: bool,
    /// The newest tick that was written; none before the first.
    last_tick: Option<Timestamp>,
    /// Every target, since the start.
    receivers: BTreeMap<String, Status>,
    outbox: Outbox,
    /// Configurations read again since the start.
    reloads: Reloads,
}

/// Messages in the state file.
#[derive(Serialize)]
struct Outbox {
    /// On their way, and not held.
    pending: u64,
    /// Waiting for a silence, maintenance or quiet hours to end.
    held: u64,
    /// Given up.
    dead: u64,
}

impl Outbox {
    fn of(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let pending = store.waiting_count(now)?;
        let held = store.pending_count()?.saturating_sub(pending);
        Ok(Self { pending, held, dead: store.count(RowState::Dead)? })
    }
}

/// How it stands.
pub(super) async fn status(State(api): State<Api>) -> Result<Response, Refusal> {
    let now = (api.now)();
    let found = api.store.with(move |store| Ok((store.last_tick()?, Outbox::of(store, now)?)));
    let (last_tick, outbox) = found.await.map_err(|problem| store_problem(&problem))?;
    let standing = Standing {
        version: env!("CARGO_PKG_VERSION"),
        ready: api.telemetry.ready(now).is_ok(),
        last_tick,
        receivers: api.receivers.all(),
        outbox,
        reloads: api.reloader.told(),
    };
    Ok(json(StatusCode::OK, &standing))
}
