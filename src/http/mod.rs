//! The HTTP API: what other programs tell grayflag, and whether it is well.
//!
//! Nothing here may stop detection: the number of connections, of requests at once, of bytes and
//! of seconds is bounded.

mod changes;
mod digests;
mod exchange;
mod guard;
mod incidents;
mod listener;
pub mod live;
mod metrics;
mod parse;
mod problem;
pub mod reload;
mod silences;
mod status;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::notify::handle::StoreHandle;
use crate::notify::status::StatusBoard;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

use live::Live;
use problem::Refusal;
use reload::Reloader;

pub use parse::{POSTED_MAX, SERVICE_CHARS_MAX, WHAT_CHARS_MAX};

/// Bytes of one request: a thousand changes of 1 KB each.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Requests that are worked on at once.
const REQUESTS_MAX: usize = 32;
/// At the end, requests under way are waited for this long.
const GRACE: Duration = Duration::from_secs(3);

/// Where the API is served, and who may write.
#[derive(Clone, Debug)]
pub struct Config {
    /// Loopback unless told otherwise.
    pub listen: SocketAddr,
    /// What a writer must show; without it, writers must be on this machine.
    pub token: Option<SecretString>,
    /// Names under which this server may be addressed, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 9469));
        Self { listen, token: None, hosts: Vec::new() }
    }
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {listen}\nhint: is another grayflag running? `http.listen` takes another address"
)]
pub struct HttpError {
    listen: SocketAddr,
    source: io::Error,
}

impl HttpError {
    /// Why this address cannot be served.
    pub fn new(listen: SocketAddr, source: io::Error) -> Self {
        Self { listen, source }
    }
}

/// Where the present comes from.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What handlers need.
#[derive(Clone)]
pub struct Api {
    store: StoreHandle,
    now: Now,
    config: Arc<Config>,
    /// Ids of the causes that the rules know.
    causes: Arc<[String]>,
    /// Targets that are told when somebody looks after an incident.
    pagers: Arc<[String]>,
    telemetry: Telemetry,
    receivers: StatusBoard,
    live: Live,
    reloader: Reloader,
    requests: Arc<Semaphore>,
    /// Whether the log says that incidents cannot be read: once is enough.
    told_unreadable: Arc<AtomicBool>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Api {
    /// An API over a store. Feedback may name one of `causes`.
    pub fn new(config: Config, causes: Vec<String>, store: StoreHandle, now: Now) -> Self {
        Self {
            store,
            now,
            config: Arc::new(config),
            causes: causes.into(),
            pagers: Arc::default(),
            telemetry: Telemetry::default(),
            receivers: StatusBoard::default(),
            live: live::live().1,
            reloader: Reloader::default(),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            told_unreadable: Arc::default(),
        }
    }

    /// With the targets that are told when somebody looks after an incident.
    #[must_use]
    pub fn with_pagers(mut self, pagers: Vec<String>) -> Self {
        self.pagers = pagers.into();
        self
    }

    /// With a board that says how receivers fare.
    #[must_use]
    pub fn with_receivers(mut self, board: StatusBoard) -> Self {
        self.receivers = board;
        self
    }

    /// With what the loop shows of its engine.
    #[must_use]
    pub fn with_live(mut self, live: Live) -> Self {
        self.live = live;
        self
    }

    /// With a way to have the configuration read again.
    #[must_use]
    pub fn with_reloader(mut self, reloader: Reloader) -> Self {
        self.reloader = reloader;
        self
    }

    /// With what counts and says whether all is well.
    #[must_use]
    pub fn with_telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = telemetry;
        self
    }

    /// What counts and says whether all is well: for the loop to feed.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

/// Takes the configured address.
///
/// # Errors
///
/// When it cannot be had, such as one that is in use.
pub async fn bind(config: &Config) -> Result<TcpListener, HttpError> {
    let listen = config.listen;
    TcpListener::bind(listen).await.map_err(|source| HttpError::new(listen, source))
}

/// Serves until `stop`, then waits shortly for what is under way.
pub async fn serve(listener: TcpListener, api: Api, stop: CancellationToken) {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = listener::serve(listener, router(api), stop.clone()) => {}
        // A client that sends nothing must not hold up the end.
        () = late => {}
    }
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/-/healthy", get(metrics::healthy))
        .route("/-/ready", get(metrics::ready))
        .route("/-/reload", post(reload::reload))
        .route("/api/v1/changes", get(changes::list).post(changes::post))
        .route("/api/v1/digests", get(digests::list))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::one))
        .route("/api/v1/incidents/{id}/acknowledge", post(incidents::acknowledge))
        .route("/api/v1/incidents/{id}/feedback", post(incidents::give))
        .route("/api/v1/silences", get(silences::list).post(silences::add))
        .route("/api/v1/silences/{number}", delete(silences::end))
        .route("/api/v1/status", get(status::status))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(api.clone(), guard::guard))
        .layer(from_fn_with_state(api.clone(), metrics::measure))
        .with_state(api)
}
