//! One HTTP request to a receiver: what every receiver behind an address has in common.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, RequestBuilder, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::error::{Class, NotifyError, Retry};
use super::patience::{retry_after, retry_after_in};
use super::receiver::ReceiverError;
use crate::series::stable_hash;
use crate::time::{Span, Timestamp};

/// How an address is reached.
#[derive(Clone, Debug)]
pub struct PostConfig {
    /// The address, kept secret because many services put their token into it.
    pub url: SecretString,
    /// Further headers, for example `Authorization`.
    pub headers: Vec<(String, SecretString)>,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// Sends requests to one address and says what its answers mean.
pub(super) struct Poster {
    client: Client,
    url: Url,
    headers: HeaderMap,
    /// What must not be printed, the longest first.
    secrets: Vec<SecretString>,
    /// How errors name it: the host alone.
    attempt: String,
}

/// What a receiver answered.
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The beginning of the body.
    pub(super) body: Vec<u8>,
    /// How long it asks to be left alone.
    after: Option<Span>,
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
/// How much of an answer is read: far more than a service says that repeats a whole message with
/// all its letters escaped. Cut, it could not be read, and the message would count as refused.
const ANSWER_BYTES_MAX: usize = 262_144;
/// A part of an address from this length on is taken for a token, and struck out on its own.
const TOKEN_CHARS_MIN: usize = 16;

/// What a status means: 2xx is done; 408, 425, 429 and 5xx are worth another try; the rest,
/// redirects among them, needs a change of the config.
pub const fn verdict(status: u16) -> Verdict {
    match status {
        200..300 => Verdict::Done,
        408 | 425 | 429 | 500.. => Verdict::Retry,
        _ => Verdict::Permanent,
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Poster {
    /// Sets it up for a receiver. `secrets` must not be printed besides address and headers.
    ///
    /// # Errors
    ///
    /// When address, headers or certificates cannot be used.
    pub(super) fn new(
        receiver: &str,
        config: &PostConfig,
        secrets: &[&SecretString],
    ) -> Result<Self, ReceiverError> {
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
            client = client.tls_certs_merge(certificates(receiver, path)?);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| setup("use the value of a header", format!("`{name}`")))?;
            value.set_sensitive(true);
            let name: HeaderName =
                name.parse().map_err(|_| setup("use a header's name", format!("`{name}`")))?;
            headers.insert(name, value);
        }
        let client = client.build().map_err(|error| setup("set up HTTP", error.to_string()))?;
        let attempt = format!("cannot post to `{}`", url.host_str().unwrap_or_default());
        let given = config.headers.iter().map(|header| &header.1).chain(secrets.iter().copied());
        let secrets = unprintable(&url, given);
        Ok(Self { client, url, headers, secrets, attempt })
    }

    /// The address.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The address with further parts of its path; its query stays.
    pub(super) fn below(&self, parts: &[&str]) -> Url {
        let mut url = self.url.clone();
        // Only addresses without a host have no path, and such are refused.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// A GET of an address of the same receiver, with its headers.
    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url).headers(self.headers.clone())
    }

    /// A POST to an address of the same receiver, with its headers.
    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url).headers(self.headers.clone())
    }

    /// A POST of JSON to an address of the same receiver, with its headers.
    pub(super) fn post_json(&self, url: Url, body: &Value) -> RequestBuilder {
        json(self.post(url), body)
    }

    /// A POST to an address that the receiver named, without the headers that are for itself.
    pub(super) fn post_elsewhere(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// A PUT of JSON to an address of the same receiver, with its headers.
    pub(super) fn put_json(&self, url: Url, body: &Value) -> RequestBuilder {
        json(self.client.put(url).headers(self.headers.clone()), body)
    }

    /// A PATCH of JSON to an address of the same receiver, with its headers.
    pub(super) fn patch_json(&self, url: Url, body: &Value) -> RequestBuilder {
        json(self.client.patch(url).headers(self.headers.clone()), body)
    }

    /// Sends a request; the beginning of the answer when the status is a success.
    ///
    /// # Errors
    ///
    /// When the answer is not a success, or none comes.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        now: Timestamp,
    ) -> Result<Vec<u8>, NotifyError> {
        let answer = self.ask(request, now).await?;
        if answer.is_done() { Ok(answer.body) } else { Err(self.refused(&answer)) }
    }

    /// Sends a request; the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// When no answer comes.
    pub(super) async fn ask(
        &self,
        request: RequestBuilder,
        now: Timestamp,
    ) -> Result<Answer, NotifyError> {
        let answer = request.send().await.map_err(|error| self.broken(&error))?;
        let status = answer.status().as_u16();
        let after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after(text, now));
        let body = self.beginning(answer).await;
        let after = after.or_else(|| retry_after_in(&body));
        Ok(Answer { status, body, after })
    }

    /// Sends a request to a service that answers in JSON; the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// When no answer comes, or a success that is none of the service's own: something before it
    /// took the request, such as a proxy with a page about maintenance.
    pub(super) async fn ask_json(
        &self,
        request: RequestBuilder,
        now: Timestamp,
    ) -> Result<Answer, NotifyError> {
        let answer = self.ask(request, now).await?;
        if answer.is_done() && !answer.body.is_empty() && answer.json().is_null() {
            let body = String::from_utf8_lossy(&answer.body);
            let detail = format!("status {} and no JSON: {body}", answer.status);
            return Err(self.error(Class::Server, answer.retry(), &detail));
        }
        Ok(answer)
    }

    /// What an answer that is not a success means by its status alone.
    pub(super) fn refused(&self, answer: &Answer) -> NotifyError {
        let class = match answer.status {
            401 | 403 | 407 => Class::Auth,
            408 | 425 | 429 | 503 => Class::Busy,
            500.. => Class::Server,
            _ => Class::Refused,
        };
        let retry = match verdict(answer.status) {
            Verdict::Permanent | Verdict::Done => Retry::Never,
            Verdict::Retry => answer.retry(),
        };
        let body = String::from_utf8_lossy(&answer.body);
        self.error(class, retry, &format!("status {} {body}", answer.status))
    }

    /// A failure of this receiver, without its secrets.
    pub(super) fn error(&self, class: Class, retry: Retry, detail: &str) -> NotifyError {
        let secrets = self.secrets.iter().map(SecretString::expose_secret);
        NotifyError::new(class, retry, &self.attempt, detail, secrets)
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

    /// The beginning of an answer: often it says what is wrong.
    async fn beginning(&self, mut answer: reqwest::Response) -> Vec<u8> {
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
        bytes
    }
}

impl Answer {
    /// Whether the receiver has the message, by the status alone.
    pub(super) const fn is_done(&self) -> bool {
        matches!(verdict(self.status), Verdict::Done)
    }

    /// Another try, when the receiver wants it.
    pub(super) fn retry(&self) -> Retry {
        self.after.map_or(Retry::Later, Retry::After)
    }

    /// The body as JSON; null where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string())
}

fn certificates(receiver: &str, path: &Path) -> Result<Vec<Certificate>, ReceiverError> {
    let pem = std::fs::read(path).map_err(|source| ReceiverError::File {
        receiver: receiver.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    Certificate::from_pem_bundle(&pem).map_err(|error| ReceiverError::Setup {
        receiver: receiver.to_owned(),
        attempt: "use its `ca_file`",
        detail: error.to_string(),
    })
}

/// The longest first, so that no part of one stays when a shorter one is struck out.
fn unprintable<'a>(url: &Url, given: impl Iterator<Item = &'a SecretString>) -> Vec<SecretString> {
    let parts = [url.as_str(), url.path(), url.password().unwrap_or_default()];
    let parts = parts.into_iter().chain(url.query()).filter(|part| part.len() > 1);
    let mut secrets: Vec<SecretString> = parts.map(SecretString::from).collect();
    let tokens = url.path_segments().into_iter().flatten().map(str::to_owned);
    let tokens = tokens.chain(url.query_pairs().map(|(_, value)| value.into_owned()));
    secrets.extend(tokens.filter(|t| t.len() >= TOKEN_CHARS_MIN).map(SecretString::from));
    for given in given {
        // A server may repeat what it was given without the scheme, or what a login stands for.
        if let Some((scheme, credentials)) = given.expose_secret().split_once(' ') {
            let credentials = credentials.trim();
            secrets.push(credentials.into());
            if scheme.eq_ignore_ascii_case("basic") {
                secrets.extend(login(credentials));
            }
        }
        secrets.push(given.clone());
    }
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
    secrets
}

/// User and password together, and the password.
fn login(credentials: &str) -> Vec<SecretString> {
    let pair = BASE64_STANDARD.decode(credentials).ok().and_then(|b| String::from_utf8(b).ok());
    let password =
        pair.as_ref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password);
    pair.as_deref().into_iter().chain(password).map(SecretString::from).collect()
}

/// The key itself where a header can carry it, else a hash of it.
pub(super) fn header_text(key: &str) -> String {
    short_key(key, usize::MAX)
}

/// The key itself where it is plain and short enough, else a hash of it.
pub(super) fn short_key(key: &str, chars_max: usize) -> String {
    if key.len() <= chars_max && key.bytes().all(|b| b.is_ascii_graphic()) {
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
    fn keys_fit_into_a_header() {
        assert_eq!(header_text("a1/firing/1/hook"), "a1/firing/1/hook");
        let hashed = header_text("a1/firing/1/bereitschaft ü\n");
        assert_eq!(hashed.len(), 32);
        assert_ne!(hashed, header_text("a1/firing/1/bereitschaft ö\n"));
    }
}
