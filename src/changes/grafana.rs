//! Change events from Grafana's annotations, for teams that mark their deploys there.
//!
//! The HTTP API is `GET /api/annotations` (Grafana documentation, "Annotations HTTP API"): times in
//! milliseconds, tags joined by "and", at most `limit` answers, the newest first.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::engine::changes::CHANGES_KEPT;
use crate::format::one_line;
use crate::series::{Change, ChangeKind};
use crate::time::{Span, Timestamp};

/// Longest that one request may take: ticks wait for it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest that all requests of one reading may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Annotations of one request; where there are as many, the range is halved.
const LIMIT: usize = 1_000;
/// Requests of one reading.
const REQUESTS_MAX: usize = 64;
/// Bytes of one answer: a thousand annotations with 4 KB of text each.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Annotations are often written after the fact: each reading looks back this far again.
const LOOK_BACK: Span = Span::from_hours(6);
/// After a failure Grafana is left alone for this long, in the ticks' time.
const PAUSE: Span = Span::from_mins(5);
/// Characters of an annotation's text that are told.
const TEXT_CHARS_MAX: usize = 200;

/// A `[[change]]` whose events are annotations.
#[derive(Clone, Debug)]
pub struct Annotations {
    /// What kind of change they mark.
    pub kind: ChangeKind,
    /// How long such a change goes on where the annotation is no region.
    pub lasts: Option<Span>,
    /// Grafana's address, up to the path before `/api`.
    pub url: Url,
    /// A service account's token.
    pub token: Option<SecretString>,
    /// An annotation must have all of these.
    pub tags: Vec<String>,
    /// Which service an annotation is about.
    pub service: ServiceOf,
}

/// Which service an annotation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceOf {
    /// Always this one.
    Named(String),
    /// What follows this prefix in a tag; several such tags are several services.
    Tag(String),
}

/// Why annotations could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read annotations from {url}: {why}")]
pub struct GrafanaError {
    /// The address, which holds no secret.
    url: String,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("the token has characters that a header cannot have")]
    Token,
    #[error("{0}")]
    Client(String),
    #[error("no answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    #[error("no connection: {0}\nhint: is Grafana up, and is `url` right?")]
    Connect(String),
    #[error(
        "it refuses our token (HTTP {0})\nhint: give `token_file` the token of a service account that may read annotations"
    )]
    Refused(u16),
    #[error("it answers with HTTP {0}\nhint: `url` is the part before `/api/annotations`")]
    Status(u16),
    #[error("its answer is more than {BODY_BYTES_MAX} bytes\nhint: narrow `tags`")]
    TooLarge,
    #[error("its answer is not a list of annotations: {0}\nhint: is there a login page in front?")]
    Garbage(String),
    #[error("more than {LIMIT} annotations at one time\nhint: narrow `tags`")]
    TooMany,
}

/// Reads annotations, range by range.
#[derive(Debug)]
pub struct Grafana {
    config: Annotations,
    http: Client,
    /// Up to where it has answered.
    asked_until: Option<Timestamp>,
    /// Not asked for ticks before this one.
    paused_until: Option<Timestamp>,
    /// Annotations of the last reading that name no service.
    unnamed: usize,
}

/// One annotation, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Annotation {
    time: i64,
    time_end: Option<i64>,
    text: Option<String>,
    tags: Option<Vec<String>>,
}

impl Grafana {
    /// Prepares to read; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// A token that cannot be sent.
    pub fn new(config: Annotations) -> Result<Self, GrafanaError> {
        let failed = |why| GrafanaError { url: config.url.to_string(), why };
        let mut headers = reqwest::header::HeaderMap::new();
        if let Some(token) = &config.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
                .map_err(|_| failed(Why::Token))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = Client::builder()
            .user_agent(concat!("grayflag/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .default_headers(headers)
            .build()
            .map_err(|error| failed(Why::Client(error.to_string())))?;
        Ok(Self { config, http, asked_until: None, paused_until: None, unnamed: 0 })
    }

    /// The address, for messages.
    pub fn url(&self) -> &str {
        self.config.url.as_str()
    }

    /// Whose changes it knows, for messages.
    pub fn about(&self) -> String {
        let kind = self.config.kind;
        match &self.config.service {
            ServiceOf::Named(service) => format!("{kind} changes of {service}"),
            ServiceOf::Tag(prefix) => format!("{kind} changes of services tagged `{prefix}…`"),
        }
    }

    /// The last tick up to which it answered, while it does not.
    pub fn away_since(&self) -> Option<Timestamp> {
        self.asked_until.filter(|_| self.paused_until.is_some())
    }

    /// Annotations of the last reading that were left out because they name no service.
    pub fn unnamed(&self) -> usize {
        self.unnamed
    }

    /// The changes that began in the ticks' range or shortly before, in order of time. Some were
    /// told by earlier readings; whoever remembers them knows them again. After a failure the
    /// answer is empty for a while, and nothing is lost: the next range begins where it answered.
    ///
    /// # Errors
    ///
    /// See [`GrafanaError`].
    pub async fn read(
        &mut self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Change>, GrafanaError> {
        if self.paused_until.is_some_and(|until| to < until) {
            return Ok(Vec::new());
        }
        let begin = self.asked_until.map_or(from, |until| until.min(from)) - LOOK_BACK;
        let begin = begin.max(from - CHANGES_KEPT);
        let read = tokio::time::timeout(READ_TIMEOUT, self.ask(begin, to)).await;
        match read.unwrap_or(Err(Why::Timeout)) {
            Ok(found) => {
                self.asked_until = Some(to);
                self.paused_until = None;
                Ok(self.changes(found))
            }
            Err(why) => {
                // What could not be read is asked for again, also the first time.
                self.asked_until.get_or_insert(from);
                self.paused_until = Some(to + PAUSE);
                Err(GrafanaError { url: self.url().to_owned(), why })
            }
        }
    }

    /// All annotations of a range, halved where there are more than one answer holds.
    async fn ask(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Annotation>, Why> {
        let (mut ranges, mut all) = (vec![(from.as_millis(), to.as_millis())], Vec::new());
        for _ in 0..REQUESTS_MAX {
            let Some((from, to)) = ranges.pop() else { return Ok(all) };
            let found = self.ask_once(from, to).await?;
            if found.len() < LIMIT {
                all.extend(found);
            } else if from < to {
                let middle = i64::midpoint(from, to);
                ranges.extend([(from, middle), (middle + 1, to)]);
            } else {
                return Err(Why::TooMany);
            }
        }
        if ranges.is_empty() { Ok(all) } else { Err(Why::TooMany) }
    }

    async fn ask_once(&self, from: i64, to: i64) -> Result<Vec<Annotation>, Why> {
        let mut url = self.config.url.clone();
        let path = format!("{}/api/annotations", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut()
            .append_pair("from", &from.to_string())
            .append_pair("to", &to.to_string())
            .append_pair("type", "annotation")
            .append_pair("limit", &LIMIT.to_string())
            .extend_pairs(self.config.tags.iter().map(|tag| ("tags", tag)));
        let mut response = self.http.get(url).send().await.map_err(transport)?;
        match response.status() {
            status if status.is_success() => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Why::Refused(status.as_u16()));
            }
            status => return Err(Why::Status(status.as_u16())),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if BODY_BYTES_MAX < body.len() + chunk.len() {
                return Err(Why::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| Why::Garbage(error.to_string()))
    }

    /// The changes that annotations mark.
    fn changes(&mut self, found: Vec<Annotation>) -> Vec<Change> {
        let mut changes = Vec::with_capacity(found.len());
        self.unnamed = 0;
        for annotation in found {
            let tags = annotation.tags.unwrap_or_default();
            let services: Vec<&str> = match &self.config.service {
                ServiceOf::Named(name) => vec![name],
                ServiceOf::Tag(prefix) => tags
                    .iter()
                    .filter_map(|tag| tag.strip_prefix(prefix.as_str()))
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .collect(),
            };
            self.unnamed += usize::from(services.is_empty());
            let at = Timestamp::from_millis(annotation.time);
            // What is no region ends when it begins, or at 0 in older versions.
            let end = annotation.time_end.map(Timestamp::from_millis).filter(|&end| at < end);
            let end = end.or_else(|| self.config.lasts.map(|lasts| at + lasts));
            let what = one_line(annotation.text.as_deref().unwrap_or_default(), TEXT_CHARS_MAX);
            changes.extend(services.into_iter().map(|service| Change {
                at,
                end,
                kind: self.config.kind,
                service: service.to_owned(),
                what: what.clone(),
            }));
        }
        changes.sort();
        changes
    }
}

/// Why a request got no complete answer; without the address, which whoever asked adds.
fn transport(error: reqwest::Error) -> Why {
    if error.is_timeout() {
        return Why::Timeout;
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Why::Connect(cause.to_string())
}
