//! The HTTP API: what other programs tell grayflag, and whether it is well.
//!
//! Nothing here may stop detection: the number of connections, of requests at once, of bytes and
//! of seconds is bounded.

mod access;
mod bodies;
mod changes;
mod coverage;
mod digests;
mod endpoint;
mod exchange;
mod guard;
mod health;
mod incidents;
mod listener;
pub mod live;
mod login;
mod metrics;
mod openapi;
pub mod pages;
mod parse;
mod problem;
pub mod progress;
mod query;
pub mod reload;
mod routes;
mod rules;
mod services;
mod signals;
mod silences;
mod status;
mod throttle;
pub mod tls;
mod validity;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::notify::handle::StoreHandle;
use crate::notify::status::StatusBoard;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

use live::Live;
pub use pages::Facts;
use progress::Progress;
use reload::Reloader;
use throttle::Throttle;
use tls::{Tls, TlsError};

pub use access::{Scope, Token};
pub use endpoint::{Access, Endpoint};
pub use openapi::document;
pub use parse::{POSTED_MAX, SERVICE_CHARS_MAX, WHAT_CHARS_MAX};
pub use routes::{ENDPOINTS, router};

/// Bytes of one request: a thousand changes of 1 KB each.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Requests that are worked on at once.
const REQUESTS_MAX: usize = 32;
/// At the end, requests under way are waited for this long.
const GRACE: Duration = Duration::from_secs(3);

/// Where the API is served, and who may use it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Loopback unless told otherwise.
    pub listen: SocketAddr,
    /// What those may show who may not use it without; without any, everybody must be on this
    /// machine.
    pub tokens: Vec<Token>,
    /// Whether strangers may read, on whatever address.
    pub public_reads: bool,
    /// How it is encrypted; none for plain HTTP.
    pub tls: Option<tls::Config>,
    /// Names under which this server may be addressed, besides addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Where people reach the pages, for links in alerts; where it listens, unless told otherwise.
    pub url: Option<String>,
}

impl Config {
    /// Where people reach the pages, without a slash at its end.
    pub fn pages_url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.url.clone().unwrap_or_else(|| format!("{scheme}://{}", self.listen))
    }
}

impl Default for Config {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 9469));
        Self {
            listen,
            tokens: Vec::new(),
            public_reads: false,
            tls: None,
            hosts: Vec::new(),
            url: None,
        }
    }
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address.
    #[error(
        "cannot listen on {listen}\nhint: is another grayflag running? `http.listen` takes another address"
    )]
    Listen {
        /// Which one.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl HttpError {
    /// Why this address cannot be served.
    pub fn new(listen: SocketAddr, source: io::Error) -> Self {
        Self::Listen { listen, source }
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
    progress: Progress,
    throttle: Throttle,
    facts: Arc<Facts>,
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
            progress: Progress::default(),
            throttle: Throttle::default(),
            facts: Arc::default(),
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

    /// With what the loop says of its progress.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// What the loop says of its progress.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// With what is known beside the store and the engine.
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.facts = Arc::new(facts);
        self
    }
}

/// Takes the configured address, and reads the certificate where there is one.
///
/// # Errors
///
/// When the address cannot be had, such as one that is in use, or the certificate cannot be used.
pub async fn bind(config: &Config, now: &Now) -> Result<Bound, HttpError> {
    let tls = config.tls.clone().map(|tls| Tls::open(tls, now.clone())).transpose()?;
    let listen = config.listen;
    let listener = TcpListener::bind(listen);
    let listener = listener.await.map_err(|source| HttpError::new(listen, source))?;
    Ok(Bound { listener, tls })
}

/// Goes on with an address that is held already.
///
/// # Errors
///
/// When the certificate cannot be used, or the runtime cannot wait for connections.
pub fn take(config: &Config, now: &Now, held: std::net::TcpListener) -> Result<Bound, HttpError> {
    let tls = config.tls.clone().map(|tls| Tls::open(tls, now.clone())).transpose()?;
    let listener = TcpListener::from_std(held);
    Ok(Bound { listener: listener.map_err(|source| HttpError::new(config.listen, source))?, tls })
}

/// An address that was taken.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    tls: Option<Tls>,
}

impl Bound {
    /// The address, with the port that was given where none was asked for.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A second hold on it: whoever connects waits there while nobody serves.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn hold(&self) -> io::Result<std::net::TcpListener> {
        Ok(self.listener.as_fd().try_clone_to_owned()?.into())
    }
}

/// Serves until `stop`, then waits shortly for what is under way.
pub async fn serve(bound: Bound, api: Api, stop: CancellationToken) {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = listener::serve(bound, router(api), stop.clone()) => {}
        // A client that sends nothing must not hold up the end.
        () = late => {}
    }
}

/// A header as text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
