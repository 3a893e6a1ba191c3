//! Opsgenie, by its Alert API. The incident is the alias: what is told twice is one alert.

use std::fmt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::chat::{self, Markup, Told};
use super::error::{Class, NotifyError, Retry};
use super::post::{PostConfig, Poster, short_key};
use super::receiver::{Channel, Content, Envelope, Receipt, ReceiverError};
use super::templates::Templates;
use super::view;
use crate::engine::alert::{Alert, Severity, State};
use crate::time::Timestamp;

/// An integration of Opsgenie as the config describes it.
#[derive(Clone, Debug)]
pub struct OpsgenieConfig {
    /// The address of the API, up to the path before `/v2`.
    pub api_url: String,
    /// The integration's key.
    pub api_key: SecretString,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// An integration of Opsgenie, ready to send to.
pub(super) struct Opsgenie {
    poster: Poster,
    templates: Templates,
}

/// Where Opsgenie's API is, outside the EU and inside.
pub const API_URL: &str = "https://api.opsgenie.com";
/// For accounts whose data stays in the EU.
pub const API_URL_EU: &str = "https://api.eu.opsgenie.com";
/// Longest line of an alert.
const MESSAGE_UNITS_MAX: usize = 130;
/// Longest text below it.
const DESCRIPTION_UNITS_MAX: usize = 15_000;
/// Longest key that tells one alert from another.
const ALIAS_CHARS_MAX: usize = 512;
/// Longest tag and longest name of what an alert is about.
const TAG_UNITS_MAX: usize = 50;
const ENTITY_UNITS_MAX: usize = 512;
/// Longest name of who acknowledged.
const USER_UNITS_MAX: usize = 100;
/// As whom alerts are changed.
const SOURCE: &str = "grayflag";

impl fmt::Debug for Opsgenie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opsgenie").field("poster", &self.poster).finish_non_exhaustive()
    }
}

impl Opsgenie {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// When address, key or certificates cannot be used.
    pub(super) fn new(
        receiver: &str,
        config: &OpsgenieConfig,
        templates: &Templates,
    ) -> Result<Self, ReceiverError> {
        let base = config.api_url.trim_end_matches('/');
        let key = format!("GenieKey {}", config.api_key.expose_secret());
        let post = PostConfig {
            url: SecretString::from(format!("{base}/v2/alerts")),
            headers: vec![("Authorization".to_owned(), SecretString::from(key))],
            ca_file: config.ca_file.clone(),
        };
        let poster = Poster::new(receiver, &post, &[&config.api_key])?;
        Ok(Self { poster, templates: templates.clone() })
    }

    async fn tell(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let Content::Alert(alert, _) = envelope.content else {
            let detail = "digests are not sent to a pager";
            return Err(self.poster.error(Class::Message, Retry::Never, detail));
        };
        let told = Told::new(&self.templates, &envelope, Markup::Plain);
        let (alias, now) = (alias(&alert.incident), envelope.now);
        if alert.state == State::Resolved {
            let note = json!({ "source": SOURCE, "note": description(&told) });
            self.change(&alias, "close", &note, now).await?;
            return Ok(Receipt { handle: None, failure: told.failure });
        }
        // For an alert that is open this only counts one more, and opens one that a person closed.
        let request = self.poster.post_json(self.poster.url().clone(), &create(alert, &told));
        self.poster.send(request, now).await?;
        if envelope.first != envelope.key {
            let url = self.url(&alias, "priority");
            let body = json!({ "priority": priority(alert.severity) });
            self.poster.send(self.poster.put_json(url, &body), now).await?;
            // Last, because it is what a repetition would double.
            let note = json!({ "source": SOURCE, "note": description(&told) });
            self.change(&alias, "notes", &note, now).await?;
        }
        Ok(Receipt { handle: None, failure: told.failure })
    }

    async fn change(
        &self,
        alias: &str,
        what: &str,
        body: &Value,
        now: Timestamp,
    ) -> Result<(), NotifyError> {
        let request = self.poster.post_json(self.url(alias, what), body);
        self.poster.send(request, now).await.map(|_| ())
    }

    fn url(&self, alias: &str, what: &str) -> Url {
        let mut url = self.poster.below(&[alias, what]);
        url.query_pairs_mut().append_pair("identifierType", "alias");
        url
    }
}

fn alias(incident: &str) -> String {
    short_key(incident, ALIAS_CHARS_MAX)
}

const fn priority(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "P1",
        Severity::Warning => "P3",
        Severity::Notice => "P5",
    }
}

/// The text, without what Opsgenie's pages would take as markup.
fn description(told: &Told) -> String {
    chat::fit(&told.body, DESCRIPTION_UNITS_MAX).replace('<', "‹").replace('>', "›")
}

fn create(alert: &Alert, told: &Told) -> Value {
    let cause = alert.causes.first();
    json!({
        "message": chat::clip(&told.title, MESSAGE_UNITS_MAX),
        "alias": alias(&alert.incident),
        "description": description(told),
        "entity": chat::clip(&view::clean(&alert.service), ENTITY_UNITS_MAX),
        "source": SOURCE,
        "priority": priority(alert.severity),
        "tags": [SOURCE, chat::clip(&view::clean(&alert.service), TAG_UNITS_MAX)],
        "details": {
            "incident": view::clean(&alert.incident),
            "severity": alert.severity.name(),
            "cause": cause.map_or("none".to_owned(), |cause| view::clean(&cause.id)),
            "started_at": alert.started_at.to_string(),
        },
    })
}

impl Channel for Opsgenie {
    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.tell(envelope))
    }

    fn acknowledge<'a>(
        &'a self,
        incident: &'a str,
        by: Option<&'a str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            let mut body = json!({ "source": SOURCE });
            if let Some(by) = by {
                body["user"] = chat::clip(&view::clean(by), USER_UNITS_MAX).into();
            }
            self.change(&alias(incident), "acknowledge", &body, now).await
        })
    }
}
