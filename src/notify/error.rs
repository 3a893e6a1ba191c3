//! Why a message could not be handed over, and whether to try again.

use crate::time::Span;

/// A failed delivery. Its text never holds a secret: neither a password nor the path of a
/// webhook's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{attempt}: {detail}")]
pub struct NotifyError {
    class: Class,
    attempt: String,
    detail: String,
    retry: Retry,
}

/// What kind of failure: a name of low cardinality for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Network,
    /// Encryption could not be agreed on.
    Tls,
    /// The login was refused.
    Auth,
    /// The receiver asks to come back later.
    Busy,
    /// The receiver failed.
    Server,
    /// The receiver refuses this message.
    Refused,
    /// The message could not be put together.
    Message,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: the same message would fail again.
    Never,
    /// Yes, after the usual pause.
    Later,
    /// Yes, after this at least.
    After(Span),
}

/// Longest detail kept, in characters.
const DETAIL_CHARS_MAX: usize = 300;

impl Class {
    /// The name used in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Busy => "busy",
            Self::Server => "server",
            Self::Refused => "refused",
            Self::Message => "message",
        }
    }
}

impl NotifyError {
    /// A failure of `attempt`. `secrets` are struck out of `detail`, which may come from
    /// outside, before anything else is done to it: half a secret could not be found any more.
    pub(super) fn new<'a>(
        class: Class,
        retry: Retry,
        attempt: &str,
        detail: &str,
        secrets: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut detail = detail.to_owned();
        for secret in secrets.into_iter().filter(|s| !s.is_empty()) {
            detail = detail.replace(secret, "<secret>");
        }
        let detail = super::view::clean(&detail).chars().take(DETAIL_CHARS_MAX).collect();
        Self { class, attempt: attempt.to_owned(), detail, retry }
    }

    /// What kind of failure.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Whether and when to try again.
    pub const fn retry(&self) -> Retry {
        self.retry
    }
}
