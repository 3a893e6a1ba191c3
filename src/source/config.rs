//! How to reach a backend.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::{ATTEMPTS_MAX, SourceError};
use crate::series::stable_hash;
use crate::time::Span;

/// Headers that change without the data changing: tokens are rotated.
const PROOFS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// How to reach a backend; every field has its default except the address.
#[derive(Clone)]
pub struct Config {
    /// The part before `/api/v1/`; its parameters are sent with every request.
    pub url: String,
    /// Sent with every request: `X-Scope-OrgID` and the like.
    pub headers: Vec<(String, SecretString)>,
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// A file with a token; read again for every reading, because tokens are rotated.
    pub bearer_token_file: Option<PathBuf>,
    /// For `https` addresses.
    pub tls: Tls,
    /// For one request, from connecting to the last byte.
    pub timeout: Span,
    /// Requests at the same time.
    pub max_concurrency: usize,
    /// Points per series that one request asks for.
    pub max_points_per_query: usize,
    /// Of one answer, after decompression.
    pub max_response_bytes: usize,
    /// Whether answers may come compressed; Prometheus before 3 is slow at it.
    pub gzip: bool,
}

/// User and password.
#[derive(Clone, Debug)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// Printed as such, never as text.
    pub password: SecretString,
}

/// Whom to trust and who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates in PEM that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate in PEM, for servers that ask for one.
    pub cert_file: Option<PathBuf>,
    /// Its key in PEM.
    pub key_file: Option<PathBuf>,
    /// The name in the server's certificate, if it is not the host of the address.
    pub server_name: Option<String>,
}

impl Config {
    /// The defaults for the backend at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            basic_auth: None,
            bearer_token_file: None,
            tls: Tls::default(),
            timeout: Span::from_secs(30),
            max_concurrency: 4,
            max_points_per_query: 11_000,
            // A quarter of a million series at one tick; four such answers at once are bearable.
            max_response_bytes: 64 << 20,
            gzip: true,
        }
    }

    /// Whose data this gives: the address, the user and every header but those that only prove who
    /// asks. What is here may be secret; it is for hashes.
    pub(super) fn identity(&self) -> String {
        let user = self.basic_auth.as_ref().map_or("", |basic| basic.username.as_str());
        let mut parts = vec![self.url.clone(), user.to_owned()];
        for (name, value) in &self.headers {
            let name = name.to_ascii_lowercase();
            if !PROOFS.contains(&name.as_str()) {
                parts.push(format!("{name}: {}", value.expose_secret()));
            }
        }
        format!("{:032x}", stable_hash(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// Longest that so many queries may take together: every attempt at each until its time is
    /// over, and room for one more round, such as the probe of a backend that fails.
    pub fn patience(&self, queries: usize) -> Duration {
        let rounds = queries.div_ceil(self.max_concurrency.max(1)).saturating_add(1);
        let requests = rounds.saturating_mul(ATTEMPTS_MAX);
        self.timeout.to_std().saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX))
    }

    /// Refuses what cannot work.
    pub(super) fn validate(&self) -> Result<Url, SourceError> {
        let refuse =
            |option, reason: &str| Err(SourceError::Config { option, reason: reason.to_owned() });
        // The text itself stays out of the message: it may hold a password.
        let url = match Url::parse(&self.url) {
            Ok(url) => url,
            Err(error) => return refuse("url", &error.to_string()),
        };
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return refuse("url", "expected an address such as `http://127.0.0.1:9090`");
        }
        if self.basic_auth.is_some() && self.bearer_token_file.is_some() {
            return refuse("bearer_token_file", "give either this or basic_auth");
        }
        if self.basic_auth.is_some() && !url.username().is_empty() {
            return refuse("url", "user and password are given here and in basic_auth");
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            return refuse("tls", "cert_file and key_file go together");
        }
        if self
            .tls
            .server_name
            .as_ref()
            .is_some_and(|name| name.parse::<std::net::IpAddr>().is_ok())
        {
            return refuse("tls.server_name", "expected a name, not an address");
        }
        if self.timeout <= Span::ZERO {
            return refuse("timeout", "must be longer than 0s");
        }
        if self.max_concurrency == 0 || self.max_points_per_query == 0 {
            return refuse("max_concurrency", "limits must be 1 or more");
        }
        if self.max_response_bytes == 0 {
            return refuse("max_response_bytes", "must be 1 or more");
        }
        Ok(url)
    }
}

impl fmt::Debug for Config {
    /// Leaves out what may be secret: the user part of the address, header values, the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Config")
            .field("url", &self.address())
            .field("headers", &headers)
            .field("basic_auth", &self.basic_auth)
            .field("bearer_token_file", &self.bearer_token_file)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout.to_string())
            .field("max_concurrency", &self.max_concurrency)
            .field("max_points_per_query", &self.max_points_per_query)
            .field("max_response_bytes", &self.max_response_bytes)
            .field("gzip", &self.gzip)
            .finish()
    }
}

impl Config {
    /// The address for messages and links: without user, password and parameters, any of which may
    /// be secret.
    pub fn address(&self) -> String {
        Url::parse(&self.url).map_or_else(|_| "(not a URL)".to_owned(), |url| shown(&url))
    }
}

/// An address for messages: without user, password and parameters, any of which may be secret.
pub(super) fn shown(url: &Url) -> String {
    let Some(host) = url.host_str() else {
        return "(not an address)".to_owned();
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let mut config = Config::new("https://anna:hunter2@prom.example:9090/base?key=hunter2");
        config.headers.push(("X-Token".to_owned(), "hunter2".into()));
        config.basic_auth =
            Some(BasicAuth { username: "anna".to_owned(), password: "hunter2".into() });
        let text = format!("{config:?}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("https://prom.example:9090/base"), "{text}");
        assert!(text.contains("X-Token"), "{text}");
        for url in
            ["https://anna:hunter2@", "ftp://a:hunter2@x", "anna:hunter2", "http://a:hunter2:b"]
        {
            let config = Config::new(url);
            let error = config.validate().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        }
    }

    #[test]
    fn patience_is_enough_for_every_attempt() {
        let config = Config::new("http://127.0.0.1:9090");
        assert_eq!(config.patience(9), Duration::from_secs(30 * 3 * 4));
        assert_eq!(Config { max_concurrency: 0, ..config }.patience(0), Duration::from_secs(90));
    }

    #[test]
    fn what_cannot_work_is_refused_and_named() {
        let refused = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::new("http://127.0.0.1:9090");
            assert!(config.validate().is_ok());
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(refused(&|c| c.url = "ftp://x".into()).contains("source.url"));
        assert!(refused(&|c| c.timeout = Span::ZERO).contains("source.timeout"));
        assert!(refused(&|c| c.max_concurrency = 0).contains("source.max_concurrency"));
        assert!(refused(&|c| c.tls.cert_file = Some("a.pem".into())).contains("key_file"));
        assert!(refused(&|c| c.tls.server_name = Some("127.0.0.1".into())).contains("a name"));
        assert!(
            refused(&|c| {
                c.basic_auth = Some(BasicAuth { username: String::new(), password: "".into() });
                c.bearer_token_file = Some("token".into());
            })
            .contains("either")
        );
    }
}
