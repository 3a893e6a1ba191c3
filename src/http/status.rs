//! `GET /api/v1/status`: how far detection is, and how everything around it fares.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::endpoint::{Content, Endpoint, of};
use super::exchange::{json, store_problem};
use super::problem::Refusal;
use super::progress::Reached;
use super::reload::Reloads;
use crate::engine::overview::Overview;
use crate::notify::status::Status;
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

pub(super) const STATUS: Endpoint = Endpoint::get(
    "/api/v1/status",
    ("getStatus", "How far detection is, and how backend, receivers and state file fare."),
    || get(status),
    &[(200, Content::Json(of::<Standing>))],
);

/// How the daemon stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Status")]
struct Standing {
    version: &'static str,
    /// Whether every tick up to now is processed.
    ready: bool,
    /// Since when the loop runs; none before it does.
    began_at: Option<Timestamp>,
    /// The newest tick that was written; none before the first.
    last_tick: Option<Timestamp>,
    /// Ticks processed since the start, also those that only taught.
    ticks: u64,
    learning: Learning,
    /// Backends that are read.
    sources: Vec<Source>,
    /// Every target, since the start.
    receivers: BTreeMap<String, Status>,
    outbox: Outbox,
    /// Configurations read again since the start.
    reloads: Reloads,
    store: File,
    /// What was spent of the budget in the last seven days, against what is accepted a week.
    budget: Budget,
}

/// What is not judged yet.
#[derive(Serialize, JsonSchema)]
pub(super) struct Learning {
    /// Until when the past is being read, while it is.
    pub(super) until: Option<Timestamp>,
    /// Services watched.
    pub(super) services: usize,
    /// Those that have enough history to be judged.
    pub(super) judged: usize,
    /// Series watched.
    pub(super) series: usize,
}

/// A backend.
#[derive(Serialize, JsonSchema)]
struct Source {
    /// Its address, without user and password.
    url: String,
    /// Which product it is; none before it has answered.
    flavour: Option<String>,
    /// The newest tick that was processed since the start.
    tick: Option<Timestamp>,
    /// When that was.
    read_at: Option<Timestamp>,
    /// Seconds that this tick lies back: the interval, the wait for late samples, and any delay.
    lag_seconds: Option<f64>,
    /// Why it cannot be read, while it cannot.
    error: Option<Away>,
    /// Signals that had no answer at that tick.
    unanswered: usize,
}

/// Why a backend cannot be read.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SourceError")]
struct Away {
    /// A word for the kind of trouble.
    class: &'static str,
    /// What happened last.
    problem: String,
    /// When it began.
    since: Timestamp,
}

/// Messages in the state file.
#[derive(Serialize, JsonSchema)]
struct Outbox {
    /// On their way, and not held.
    pending: u64,
    /// Waiting for a silence, maintenance or quiet hours to end.
    held: u64,
    /// Given up.
    dead: u64,
    /// Age of the oldest that is on its way and not held.
    oldest_seconds: Option<f64>,
}

/// The state file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StateFile")]
struct File {
    bytes: u64,
}

/// Incidents that began, without those that users felt or that somebody called useful.
#[derive(Serialize, JsonSchema)]
struct Budget {
    alerts: Share,
    /// Of any severity but critical.
    notices: Share,
}

/// Used against accepted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BudgetShare")]
struct Share {
    used: u64,
    accepted: f64,
}

/// What the state file says.
struct Stored {
    last_tick: Option<Timestamp>,
    outbox: Outbox,
    bytes: u64,
    /// Notices and alerts.
    charged: [u64; 2],
}

impl Stored {
    fn of(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let figures = store.figures(now)?;
        let [pending, held, dead] = ["pending", "held", "dead"].map(|one| figures.messages(one));
        let waiting = figures.outbox.iter().filter(|queue| queue.state == "pending");
        let oldest = waiting.map(|queue| queue.oldest).min();
        let age = oldest.map(|since| (now - since).as_secs_f64().max(0.0));
        Ok(Self {
            last_tick: store.last_tick()?,
            outbox: Outbox { pending, held, dead, oldest_seconds: age },
            bytes: figures.file_bytes,
            charged: figures.charged,
        })
    }
}

/// How it stands.
async fn status(State(api): State<Api>) -> Result<Response, Refusal> {
    let now = (api.now)();
    let found = api.store.with(move |store| Stored::of(store, now)).await;
    let stored = found.map_err(|problem| store_problem(&problem))?;
    let (overview, reached) = (api.live.overview(), api.progress.reached());
    let [notices, alerts] = overview.accepted;
    let standing = Standing {
        version: env!("CARGO_PKG_VERSION"),
        ready: api.telemetry.ready(now).is_ok(),
        began_at: reached.began,
        last_tick: stored.last_tick,
        ticks: api.telemetry.ticks(),
        learning: learning(&overview, &reached),
        sources: reached.began.map(|_| source(reached, now)).into_iter().collect(),
        receivers: api.receivers.all(),
        outbox: stored.outbox,
        store: File { bytes: stored.bytes },
        budget: Budget {
            alerts: Share { used: stored.charged[1], accepted: alerts },
            notices: Share { used: stored.charged[0], accepted: notices },
        },
        reloads: api.reloader.told(),
    };
    Ok(json(StatusCode::OK, &standing))
}

/// As far as the engine showed it.
pub(super) fn learning(overview: &Overview, reached: &Reached) -> Learning {
    let services = &overview.services;
    Learning {
        until: reached.learning_until,
        services: services.len(),
        judged: overview.judged(),
        series: services.iter().map(|service| service.series.len()).sum(),
    }
}

fn source(reached: Reached, now: Timestamp) -> Source {
    let (tick, read_at) = reached.newest.unzip();
    Source {
        url: reached.backend,
        flavour: reached.flavour,
        tick,
        read_at,
        lag_seconds: tick.map(|tick| (now - tick).as_secs_f64().max(0.0)),
        error: reached.away.map(|away| Away {
            class: away.class,
            problem: away.problem,
            since: away.since,
        }),
        unanswered: reached.unanswered.len(),
    }
}
