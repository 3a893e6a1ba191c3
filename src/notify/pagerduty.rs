//! PagerDuty, by its Events API v2. The incident is the key: what is told twice is one alert.

use std::fmt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::error::{Class, NotifyError, Retry};
use super::pace::Rate;
use super::post::{PostConfig, Poster, short_key};
use super::receiver::{Channel, Content, Envelope, Receipt, ReceiverError};
use super::templates::Templates;
use super::view::{Cause, Signal, View};
use crate::engine::alert::{Alert, Severity, State};
use crate::time::Timestamp;

/// An integration of PagerDuty as the config describes it.
#[derive(Clone, Debug)]
pub struct PagerDutyConfig {
    /// Where events are taken, in full.
    pub api_url: String,
    /// The integration's key.
    pub routing_key: SecretString,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// An integration of PagerDuty, ready to send to.
pub(super) struct PagerDuty {
    poster: Poster,
    templates: Templates,
    routing_key: SecretString,
}

/// Where PagerDuty takes events, outside the EU and inside.
pub const API_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// For accounts whose data stays in the EU.
pub const API_URL_EU: &str = "https://events.eu.pagerduty.com/v2/enqueue";
/// Longest key that tells one alert from another.
const KEY_CHARS_MAX: usize = 255;

impl fmt::Debug for PagerDuty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagerDuty").field("poster", &self.poster).finish_non_exhaustive()
    }
}

impl PagerDuty {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// When address or certificates cannot be used.
    pub(super) fn new(
        receiver: &str,
        config: &PagerDutyConfig,
        templates: &Templates,
    ) -> Result<Self, ReceiverError> {
        let post = PostConfig {
            url: SecretString::from(config.api_url.as_str()),
            headers: Vec::new(),
            ca_file: config.ca_file.clone(),
        };
        let poster = Poster::new(receiver, &post, &[&config.routing_key])?;
        let routing_key = config.routing_key.clone();
        Ok(Self { poster, templates: templates.clone(), routing_key })
    }

    async fn tell(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let Content::Alert(alert, chart) = envelope.content else {
            let detail = "digests are not sent to a pager";
            return Err(self.poster.error(Class::Message, Retry::Never, detail));
        };
        let mut event = self.event(&alert.incident);
        if alert.state == State::Resolved {
            event["event_action"] = "resolve".into();
        } else {
            let view = self.templates.charted(&envelope.as_news(alert), chart, envelope.now);
            trigger(&mut event, alert, &view);
        }
        self.enqueue(&event, envelope.now).await?;
        Ok(Receipt::default())
    }

    async fn acknowledged(&self, incident: &str, now: Timestamp) -> Result<(), NotifyError> {
        let mut event = self.event(incident);
        event["event_action"] = "acknowledge".into();
        self.enqueue(&event, now).await
    }

    /// What every event about an incident holds.
    fn event(&self, incident: &str) -> Value {
        let key = short_key(incident, KEY_CHARS_MAX);
        json!({ "routing_key": self.routing_key.expose_secret(), "dedup_key": key })
    }

    async fn enqueue(&self, event: &Value, now: Timestamp) -> Result<(), NotifyError> {
        let request = self.poster.post_json(self.poster.url().clone(), event);
        self.poster.send(request, now).await.map(|_| ())
    }
}

/// The alert as PagerDuty shows it. Its fields are short by themselves: the view cuts each.
fn trigger(event: &mut Value, alert: &Alert, view: &View) {
    let severity = match alert.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Notice => "info",
    };
    let leading = view.causes.first();
    let cause = leading.filter(|_| view.clear);
    let others = view.causes.iter().skip(1).map(Cause::short).chain(view.rival.clone());
    let changed: Vec<&String> = view.changes.iter().chain(&view.breakdown).collect();
    let drawn = |signal: &Signal| format!("{}: {}", signal.name, signal.trend);
    let signals = view.signals.iter().filter(|signal| !signal.trend.is_empty()).map(drawn);
    event["event_action"] = "trigger".into();
    event["client"] = "grayflag".into();
    event["payload"] = json!({
        "summary": view.subject,
        "source": view.service,
        "severity": severity,
        "timestamp": alert.at.to_string(),
        "component": cause.map_or(&view.service, |cause| &cause.culprit),
        "group": view.service,
        "class": cause.map_or("no clear cause", |cause| &cause.name),
        "custom_details": {
            "what": view.title,
            "began": format!("{}, {}", view.began, view.began_range),
            "cause": cause.map_or("no clear cause".to_owned(), |c| format!("{}: {}", c.name, c.culprit)),
            "how sure": leading.map(|c| format!("{} ({})", c.likelihood, c.probability)),
            "users": view.users,
            "time left": view.left,
            "also": view.others,
            "why": leading.map(|c| &c.supports),
            "what else it could be": others.collect::<Vec<_>>(),
            "signals": signals.collect::<Vec<_>>(),
            "what else changed": changed,
            "steps": view.steps.first().map(|list| &list.items),
            "incident": view.incident,
        },
    });
    if let Some(link) = view.links.first() {
        event["client_url"] = link.url.as_str().into();
    }
    let links = view.links.iter().map(|link| json!({ "href": link.url, "text": link.name }));
    event["links"] = links.collect();
}

impl Channel for PagerDuty {
    /// What one integration takes.
    fn rate(&self) -> Rate {
        Rate::per_minute(120)
    }

    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.tell(envelope))
    }

    fn acknowledge<'a>(
        &'a self,
        incident: &'a str,
        // Events have no field for it.
        _by: Option<&'a str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(self.acknowledged(incident, now))
    }
}
