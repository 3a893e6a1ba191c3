//! What can go wrong between grayflag and a backend, told apart by what to do about it.

use std::path::PathBuf;
use std::time::Duration;

/// Why a backend could not be read.
///
/// No text here contains a secret or the user part of a URL: addresses are shown without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The configuration cannot be used.
    #[error("cannot use source.{option}: {reason}")]
    Config {
        /// Which option.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that the configuration names cannot be read.
    #[error("cannot read {}, named by source.{option}: {reason}", path.display())]
    File {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A range or step that is no grid, or more of it than a reading holds.
    #[error("cannot read from {from} to {to} in steps of {step}: {reason}")]
    Range {
        /// First instant asked for.
        from: String,
        /// Last instant asked for.
        to: String,
        /// Distance of ticks.
        step: String,
        /// Why not.
        reason: String,
    },
    /// No connection: refused, unreachable, unknown name.
    #[error("cannot connect to {url}: {reason}\nhint: is the backend up, and is source.url right?")]
    Connect {
        /// The address without its user part.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// The connection is not trusted, by us or by them.
    #[error("cannot set up TLS with {url}: {reason}\nhint: {hint}")]
    Tls {
        /// The address without its user part.
        url: String,
        /// What the TLS library said.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// No answer in time, ours or the backend's own limit.
    #[error("{url} did not answer in time: {reason}")]
    Timeout {
        /// The address without its user part.
        url: String,
        /// Whose limit.
        reason: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {url} broke: {reason}")]
    Interrupted {
        /// The address without its user part.
        url: String,
        /// What happened.
        reason: String,
    },
    /// 429: asked too often.
    #[error("{url} asks for fewer requests (HTTP 429): {reason}")]
    RateLimited {
        /// The address without its user part.
        url: String,
        /// What the backend said.
        reason: String,
        /// How long it wants us to wait.
        retry_after: Option<Duration>,
    },
    /// 5xx, or a status in the body that means the same.
    #[error("{url} cannot answer now (HTTP {status}): {reason}")]
    Unavailable {
        /// The address without its user part.
        url: String,
        /// The status.
        status: u16,
        /// What the backend said.
        reason: String,
        /// How long it wants us to wait.
        retry_after: Option<Duration>,
    },
    /// 401 or 403.
    #[error(
        "{url} refuses our credentials (HTTP {status}): {reason}\nhint: see source.basic_auth, \
         source.bearer_token_file and source.headers"
    )]
    Unauthorized {
        /// The address without its user part.
        url: String,
        /// The status.
        status: u16,
        /// What the backend said.
        reason: String,
    },
    /// Any other status: this is not the API.
    #[error(
        "{url} does not serve the Prometheus API (HTTP {status}): {reason}\nhint: source.url is \
         the part before `/api/v1/`"
    )]
    NotFound {
        /// The address without its user part.
        url: String,
        /// The status.
        status: u16,
        /// What the backend said.
        reason: String,
    },
    /// Something that is not the JSON of the API, or not all of it.
    #[error("{url} gave an answer that cannot be read: {reason}")]
    Garbage {
        /// The address without its user part.
        url: String,
        /// What was found instead.
        reason: String,
    },
    /// The backend understood us and refuses this query.
    #[error("the backend refuses the query: {reason}")]
    BadQuery {
        /// What the backend said.
        reason: String,
    },
    /// More points than the backend gives at once; the reader asks for fewer by itself.
    #[error("the backend gives fewer points at once: {reason}")]
    TooManyPoints {
        /// What the backend said.
        reason: String,
    },
    /// A body larger than the limit.
    #[error(
        "the answer is larger than {limit} bytes\nhint: aggregate in the query, for example \
         `sum by (service)`, so that it returns fewer series"
    )]
    TooLarge {
        /// The limit in bytes, after decompression.
        limit: usize,
    },
}

impl SourceError {
    /// Whether asking the same again later may work without anybody changing anything.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Timeout { .. }
            | Self::Interrupted { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::Garbage { .. } => true,
            Self::Config { .. }
            | Self::File { .. }
            | Self::Range { .. }
            | Self::Unauthorized { .. }
            | Self::NotFound { .. }
            | Self::BadQuery { .. }
            | Self::TooManyPoints { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// Whether this says something about the backend, not about the one query.
    pub(super) const fn is_about_backend(&self) -> bool {
        !matches!(self, Self::BadQuery { .. } | Self::TooManyPoints { .. } | Self::TooLarge { .. })
    }

    /// Whether this may say something about the backend: a body without end is either too many
    /// series or no answer at all, and only another question tells.
    pub const fn may_be_about_backend(&self) -> bool {
        self.is_about_backend() || matches!(self, Self::TooLarge { .. })
    }

    /// Whether asking the same again at once is worth it.
    pub(super) const fn is_retried(&self) -> bool {
        self.is_transient() && !matches!(self, Self::Tls { .. })
    }

    /// How long the backend wants us to wait, if it says.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// The name of the kind of error, for metrics and logs: a small fixed set.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Config { .. } => "config",
            Self::File { .. } => "file",
            Self::Range { .. } => "range",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::Timeout { .. } => "timeout",
            Self::Interrupted { .. } => "interrupted",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotFound { .. } => "not_found",
            Self::Garbage { .. } => "garbage",
            Self::BadQuery { .. } => "bad_query",
            Self::TooManyPoints { .. } => "too_many_points",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
