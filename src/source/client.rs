//! Requests to the backend: who we are, how long we wait, how much we read, and which error it
//! was if it was one.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::config::shown;
use super::counters::Counting;
use super::decode::{Head, Rows, decode};
use super::reading::shortened;
use super::{Config, SourceError, tls};

/// Longest that setting up a connection may take.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// What is read of the body of an error, and of a file with a token.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Sends requests to one backend.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// The address as messages show it.
    pub(super) url: String,
    /// Whose data it is, for those who keep it: see [`Config::identity`].
    pub(super) identity: String,
    config: Config,
    timeout: Duration,
    permits: Semaphore,
    pub(super) counting: Counting,
}

impl fmt::Debug for Client {
    /// Leaves out the address as it is used: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Proof of who we are, valid for one reading.
#[derive(Clone, Debug)]
pub(super) struct Authorization(Option<HeaderValue>);

/// A complete answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Rows that nobody wants.
pub(super) struct Ignored;

impl Rows for Ignored {
    fn label(&mut self, _: &str, _: &str) {}
    fn point(&mut self, _: f64, _: f64) {}
    fn end_row(&mut self) {}
}

impl Client {
    pub(super) fn new(config: Config) -> Result<Self, SourceError> {
        let base = config.validate()?;
        let timeout = config.timeout.to_std();
        let mut headers = default_headers(&config.headers)?;
        let builder = reqwest::Client::builder()
            .user_agent(concat!("grayflag/", env!("CARGO_PKG_VERSION")))
            .gzip(config.gzip)
            // A redirect is a login page; following it would only hide that.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .connect_timeout(timeout.min(CONNECT_TIMEOUT_MAX))
            .pool_max_idle_per_host(config.max_concurrency);
        // A proxy elsewhere cannot reach this machine's own loopback.
        let builder = if is_loopback(&base) { builder.no_proxy() } else { builder };
        let (builder, base, host) = tls::apply(builder, &config.tls, base)?;
        if let Some(host) = host {
            headers.insert(HOST, header("tls.server_name", &host)?);
        }
        let http = builder.default_headers(headers).build().map_err(|error| {
            SourceError::Config { option: "tls", reason: chain(&error.without_url()) }
        })?;
        let url = Url::parse(&config.url).map_or_else(|_| shown(&base), |url| shown(&url));
        let permits = Semaphore::new(config.max_concurrency);
        let (identity, counting) = (config.identity(), Counting::default());
        Ok(Self { http, base, url, identity, config, timeout, permits, counting })
    }

    /// Requests at the same time.
    pub(super) fn concurrency(&self) -> usize {
        self.config.max_concurrency
    }

    /// Points that one request asks for.
    pub(super) fn points_max(&self) -> usize {
        self.config.max_points_per_query
    }

    /// Longest that one request may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Reads the token file, if there is one; tokens are rotated, so each reading asks again.
    pub(super) async fn authorization(&self) -> Result<Authorization, SourceError> {
        let Some(path) = &self.config.bearer_token_file else {
            return Ok(Authorization(None));
        };
        let option = "bearer_token_file";
        let failed = |reason: String| SourceError::File { option, path: path.clone(), reason };
        let text = tokio::fs::read_to_string(path).await.map_err(|e| failed(e.to_string()))?;
        let token = text.trim();
        if token.is_empty() || ERROR_BYTES_MAX < token.len() {
            return Err(failed("it holds no token".to_owned()));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| failed("the token has characters that a header cannot have".to_owned()))?;
        value.set_sensitive(true);
        Ok(Authorization(Some(value)))
    }

    /// Asks with a form and reads the rows of the answer.
    pub(super) async fn ask(
        &self,
        path: &str,
        form: &[(&str, String)],
        authorization: &Authorization,
        rows: &mut impl Rows,
    ) -> Result<Head, SourceError> {
        let request = self.request(Method::POST, path).form(form);
        let answered = self.send(request, authorization, self.timeout).await;
        let bytes = answered.as_ref().map_or(0, |answered| answered.body.len());
        let outcome = answered.and_then(|answered| self.understand(&answered, rows));
        self.counting.count(bytes, &outcome);
        outcome
    }

    /// Asks the cheapest question there is, for an error if there is one.
    pub(super) async fn probe(
        &self,
        authorization: &Authorization,
        timeout: Duration,
    ) -> Result<(), SourceError> {
        let request = self.request(Method::POST, "api/v1/query").form(&[("query", "1")]);
        let answered = self.send(request, authorization, timeout).await?;
        self.understand(&answered, &mut Ignored).map(drop)
    }

    /// A plain GET: status, headers and a body of bounded size.
    pub(super) async fn get(
        &self,
        path: &str,
        authorization: &Authorization,
        timeout: Duration,
    ) -> Result<Answered, SourceError> {
        self.send(self.request(Method::GET, path), authorization, timeout).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        let (path, parameters) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        let whole = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        if let Some(more) = parameters {
            // Those of the address itself are sent along.
            let all = url.query().map_or_else(|| more.to_owned(), |own| format!("{own}&{more}"));
            url.set_query(Some(&all));
        }
        let request = self.http.request(method, url);
        match &self.config.basic_auth {
            Some(basic) => {
                request.basic_auth(&basic.username, Some(basic.password.expose_secret()))
            }
            None => request,
        }
    }

    async fn send(
        &self,
        mut request: RequestBuilder,
        authorization: &Authorization,
        timeout: Duration,
    ) -> Result<Answered, SourceError> {
        if let Some(value) = &authorization.0 {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let _permit = self.permits.acquire().await.map_err(|_| self.broken("shutting down"))?;
        let response =
            request.timeout(timeout).send().await.map_err(|error| self.transport_error(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response).await?;
        Ok(Answered { status, headers, body })
    }

    /// The body, decompressed, up to the limit.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, SourceError> {
        let success = response.status().is_success();
        let limit = if success { self.config.max_response_bytes } else { ERROR_BYTES_MAX };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if limit < body.len() + chunk.len() => {
                    if success {
                        return Err(SourceError::TooLarge { limit });
                    }
                    return Ok(body);
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                // The status says enough.
                Err(_) if !success => return Ok(body),
                Err(error) => return Err(self.transport_error(error)),
            }
        }
    }

    /// What an answer means.
    fn understand(&self, answered: &Answered, rows: &mut impl Rows) -> Result<Head, SourceError> {
        let decoded = decode(&answered.body, rows);
        match decoded {
            Ok(head) if answered.status.is_success() && head.status == "success" => Ok(head),
            Ok(head) => Err(self.refusal(answered, &head)),
            Err(reason) if answered.status.is_success() => {
                Err(SourceError::Garbage { url: self.url.clone(), reason })
            }
            Err(reason) => Err(self.status_error(answered, &format!("its text: {reason}"))),
        }
    }

    /// The backend's own error message.
    fn refusal(&self, answered: &Answered, head: &Head) -> SourceError {
        let reason = shortened(&head.error);
        let status = answered.status.as_u16();
        let says = |parts: &[&str]| parts.iter().any(|part| head.error.contains(part));
        let refused = matches!(status, 200..=299 | 400 | 413 | 414 | 422);
        if refused && says(&TOO_MANY_POINTS) {
            SourceError::TooManyPoints { reason }
        } else if refused && (head.error_type == "timeout" || says(&OUT_OF_TIME)) {
            SourceError::Timeout { url: self.url.clone(), reason }
        } else if refused && matches!(&*head.error_type, "internal" | "unavailable" | "canceled") {
            SourceError::Unavailable { url: self.url.clone(), status, reason, retry_after: None }
        } else if refused {
            SourceError::BadQuery { reason }
        } else {
            self.status_error(answered, &reason)
        }
    }

    /// A status that says what it is whatever the body.
    fn status_error(&self, answered: &Answered, reason: &str) -> SourceError {
        let (url, status) = (self.url.clone(), answered.status.as_u16());
        let (reason, retry_after) = (reason.to_owned(), retry_after(&answered.headers));
        match status {
            401 | 403 => SourceError::Unauthorized { url, status, reason },
            429 => SourceError::RateLimited { url, reason, retry_after },
            408 | 425 | 500.. => SourceError::Unavailable { url, status, reason, retry_after },
            300..=399 => {
                let reason = "it redirects; is there a login page in front?".to_owned();
                SourceError::NotFound { url, status, reason }
            }
            _ => SourceError::NotFound { url, status, reason },
        }
    }

    /// A request that got no complete answer.
    fn transport_error(&self, error: reqwest::Error) -> SourceError {
        let (timeout, connect) = (error.is_timeout(), error.is_connect());
        // The address may hold a password, so it is taken out before anything is printed.
        let reason = chain(&error.without_url());
        let url = self.url.clone();
        if timeout {
            let limit = self.timeout;
            return SourceError::Timeout { url, reason: format!("the limit is {limit:?}") };
        }
        if let Some(hint) = tls::hint(&reason) {
            return SourceError::Tls { url, reason, hint };
        }
        if connect {
            return SourceError::Connect { url, reason };
        }
        if ["gzip", "corrupt deflate", "compress"].iter().any(|part| reason.contains(part)) {
            return SourceError::Garbage { url, reason };
        }
        if self.base.scheme() == "https" && reason.contains("canceled") {
            // In TLS 1.3 a server refuses our certificate, or its absence, after we believe the
            // handshake to be over; whether its alert or the end is seen first is a race.
            let hint = "if the server asks clients for certificates, see source.tls.cert_file";
            return self.broken(&format!("{reason}\nhint: {hint}"));
        }
        self.broken(&reason)
    }

    fn broken(&self, reason: &str) -> SourceError {
        SourceError::Interrupted { url: self.url.clone(), reason: reason.to_owned() }
    }
}

/// How backends say that a range has more points, or loads more samples, than they allow.
const TOO_MANY_POINTS: [&str; 5] = [
    // Prometheus, Thanos, Mimir.
    "exceeded maximum resolution",
    "too many samples into memory",
    "exceeds the limit (query length",
    // VictoriaMetrics.
    "too many points for the given",
    "cannot process more than",
];

/// How backends say that their own limit of time has passed.
const OUT_OF_TIME: [&str; 3] = ["query timed out", "context deadline exceeded", "context canceled"];

/// Whether an address is this machine itself.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn default_headers(given: &[(String, SecretString)]) -> Result<HeaderMap, SourceError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| SourceError::Config {
            option: "headers",
            reason: format!("{name:?} is not the name of a header"),
        })?;
        let value = header("headers", value.expose_secret()).map_err(|_| SourceError::Config {
            option: "headers",
            reason: format!("the value of {name} has characters that a header cannot have"),
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn header(option: &'static str, text: &str) -> Result<HeaderValue, SourceError> {
    let mut value = HeaderValue::try_from(text).map_err(|_| SourceError::Config {
        option,
        reason: "has characters that a header cannot have".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// How long the backend wants us to wait: seconds, or a date beside its own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp());
    let its_now = date(headers.get(reqwest::header::DATE)?.to_str().ok()?)?;
    let wait = date(text)?.as_second() - its_now.as_second();
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// An error and its causes in one line, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    shortened(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_beside_the_servers_own() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|&(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            retry_after(&headers.collect())
        };
        assert_eq!(read(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let later = ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(read(&[later, date]), Some(Duration::from_secs(30)));
        assert_eq!(
            read(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date]),
            Some(Duration::ZERO)
        );
        for bad in [vec![], vec![later], vec![("retry-after", "soon"), date]] {
            assert_eq!(read(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is = |url: &str| is_loopback(&Url::parse(url).unwrap());
        for url in
            ["http://127.0.0.1:9090", "https://localhost/x", "http://[::1]:1", "http://127.9"]
        {
            assert!(is(url), "{url}");
        }
        for url in ["http://10.0.0.1", "http://localhost.example.com", "http://[2001:db8::1]"] {
            assert!(!is(url), "{url}");
        }
    }
}
