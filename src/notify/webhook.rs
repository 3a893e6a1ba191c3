//! Alerts as JSON to an HTTP address.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::{Class, NotifyError, Retry};
use super::receiver::{Envelope, ReceiverError};
use crate::series::stable_hash;
use crate::time::{Span, Timestamp};

/// A webhook as the config describes it.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// The address, kept secret because many services put their token into it.
    pub url: SecretString,
    /// Further headers, for example `Authorization`.
    pub headers: Vec<(String, SecretString)>,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// A webhook ready to send.
pub struct Webhook {
    client: Client,
    url: Url,
    headers: HeaderMap,
    /// What must not be printed.
    secrets: Vec<SecretString>,
    /// How errors name it: the host alone.
    attempt: String,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Done,
    /// Try again.
    Retry,
    /// The same request would fail again.
    Permanent,
}

/// Whole exchange, from connecting to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read for the error text.
const ANSWER_BYTES_MAX: usize = 4_096;
/// `Retry-After` beyond this is cut: a typo in a header must not silence alerts for a day.
const RETRY_AFTER_MAX: Span = Span::from_mins(15);

/// What a status means: 2xx is done; 408, 425, 429 and 5xx are worth another try; the rest,
/// redirects among them, needs a change of the config.
pub const fn verdict(status: u16) -> Verdict {
    match status {
        200..300 => Verdict::Done,
        408 | 425 | 429 | 500.. => Verdict::Retry,
        _ => Verdict::Permanent,
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Sets a webhook up.
    ///
    /// # Errors
    ///
    /// When address, headers or certificates cannot be used.
    pub fn new(receiver: &str, config: &WebhookConfig) -> Result<Self, ReceiverError> {
        let setup = |attempt, detail: String| ReceiverError::Setup {
            receiver: receiver.to_owned(),
            attempt,
            detail,
        };
        let url: Url = config
            .url
            .expose_secret()
            .parse()
            .map_err(|error| setup("use its `url`", format!("{error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(setup("use its `url`", "only http and https are known".to_owned()));
        }
        let mut client = Client::builder()
            .user_agent(concat!("grayflag/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none());
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(|source| ReceiverError::File {
                receiver: receiver.to_owned(),
                path: path.clone(),
                source,
            })?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|error| setup("use its `ca_file`", error.to_string()))?;
            client = client.tls_certs_merge(certificates);
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &config.headers {
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| setup("use the value of a header", format!("`{name}`")))?;
            value.set_sensitive(true);
            let name: HeaderName =
                name.parse().map_err(|_| setup("use a header's name", format!("`{name}`")))?;
            headers.insert(name, value);
        }
        let mut secrets: Vec<SecretString> = config.headers.iter().map(|h| h.1.clone()).collect();
        // The longest first, so that no part of it stays when a shorter one is struck out.
        let parts = [url.as_str(), url.path(), url.password().unwrap_or_default()];
        let query = url.query().unwrap_or_default();
        secrets.splice(
            0..0,
            parts.into_iter().chain([query]).filter(|p| p.len() > 1).map(SecretString::from),
        );
        let client = client.build().map_err(|error| setup("set up HTTP", error.to_string()))?;
        let attempt = format!("cannot post to `{}`", url.host_str().unwrap_or_default());
        Ok(Self { client, url, headers, secrets, attempt })
    }

    /// Posts a message.
    ///
    /// # Errors
    ///
    /// When the answer is not a success, or none comes.
    pub async fn send(&self, envelope: Envelope<'_>) -> Result<(), NotifyError> {
        let request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header("Idempotency-Key", header_text(envelope.key))
            .body(envelope.json.to_owned());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.broken(&error)),
        };
        let status = answer.status().as_u16();
        let verdict = verdict(status);
        if verdict == Verdict::Done {
            return Ok(());
        }
        let after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after(text, envelope.now));
        let class = match status {
            401 | 403 | 407 => Class::Auth,
            408 | 425 | 429 | 503 => Class::Busy,
            500.. => Class::Server,
            _ => Class::Refused,
        };
        let retry = match (verdict, after) {
            (Verdict::Permanent, _) => Retry::Never,
            (_, Some(span)) => Retry::After(span),
            (_, None) => Retry::Later,
        };
        let detail = format!("status {status} {}", self.beginning(answer).await);
        Err(self.error(class, retry, &detail))
    }

    fn broken(&self, error: &reqwest::Error) -> NotifyError {
        let mut detail = String::new();
        let mut next: Option<&dyn std::error::Error> = Some(error);
        while let Some(source) = next {
            detail =
                if detail.is_empty() { source.to_string() } else { format!("{detail}: {source}") };
            next = source.source();
        }
        if error.is_timeout() {
            let detail = format!("no answer within {} seconds", TIMEOUT.as_secs());
            return self.error(Class::Timeout, Retry::Later, &detail);
        }
        let class = if detail.contains("certificate") { Class::Tls } else { Class::Network };
        self.error(class, Retry::Later, &detail)
    }

    fn error(&self, class: Class, retry: Retry, detail: &str) -> NotifyError {
        let secrets = self.secrets.iter().map(SecretString::expose_secret);
        NotifyError::new(class, retry, &self.attempt, detail, secrets)
    }

    /// The beginning of an answer: often it says what is wrong.
    async fn beginning(&self, mut answer: reqwest::Response) -> String {
        let mut bytes = Vec::new();
        while bytes.len() <= ANSWER_BYTES_MAX {
            match answer.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            // The cut may go through a secret, so as much as the longest goes with it.
            let longest = self.secrets.iter().map(|s| s.expose_secret().len()).max().unwrap_or(0);
            bytes.truncate(ANSWER_BYTES_MAX.saturating_sub(longest));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Seconds or a date, as RFC 9110 has it.
fn retry_after(text: &str, now: Timestamp) -> Option<Span> {
    let text = text.trim();
    let span = if let Ok(seconds) = text.parse::<u32>() {
        Span::from_secs(i64::from(seconds))
    } else {
        let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Timestamp::from_millis(at.as_millisecond()) - now
    };
    Some(span.clamp(Span::ZERO, RETRY_AFTER_MAX))
}

/// The key itself where a header can carry it, else a hash of it.
fn header_text(key: &str) -> String {
    if key.bytes().all(|b| b.is_ascii_graphic()) {
        key.to_owned()
    } else {
        format!("{:032x}", stable_hash(&[key]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        for status in 100..=999 {
            let expected = match status {
                200..=299 => Verdict::Done,
                // Too slow, too early, too often; and the server's fault, also in the numbers
                // that nobody has defined.
                408 | 425 | 429 | 500..=999 => Verdict::Retry,
                // Informational, redirects and what the config has wrong.
                _ => Verdict::Permanent,
            };
            assert_eq!(verdict(status), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_bounds() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(Span::from_secs(120))),
            (" 0 ", Some(Span::ZERO)),
            ("86400", Some(RETRY_AFTER_MAX)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(Span::MINUTE)),
            // A date that has passed: at once.
            ("Wed, 21 Oct 2015 07:20:00 GMT", Some(Span::ZERO)),
            ("Thu, 21 Oct 2055 07:28:00 GMT", Some(RETRY_AFTER_MAX)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text}");
        }
    }

    #[test]
    fn keys_fit_into_a_header() {
        assert_eq!(header_text("a1/firing/1/hook"), "a1/firing/1/hook");
        let hashed = header_text("a1/firing/1/bereitschaft ü\n");
        assert_eq!(hashed.len(), 32);
        assert_ne!(hashed, header_text("a1/firing/1/bereitschaft ö\n"));
    }
}
