//! Incidents as alerts of Prometheus' Alertmanager, over its API v2.
//!
//! An Alertmanager takes an alert as over when nobody repeats it, so what is open is repeated
//! until it ends. It knows an alert by its labels: where severity or cause change, the labels
//! told before are ended in the same request, so that one incident is one alert at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::error::{Class, NotifyError, Retry};
use super::post::{PostConfig, Poster};
use super::receiver::{Channel, Content, Envelope, Receipt, ReceiverError};
use super::subject::headline;
use super::view::{View, clean};
use crate::engine::alert::{Alert, State};
use crate::time::{Span, Timestamp};

/// An Alertmanager as the config describes it.
#[derive(Clone, Debug)]
pub struct AlertmanagerConfig {
    /// The members of a cluster, each up to the path before `/api/v2`: all are told.
    pub urls: Vec<Url>,
    /// Sent with every request, for example `Authorization`.
    pub headers: Vec<(String, SecretString)>,
    /// User and password, if it asks for them.
    pub login: Option<(String, SecretString)>,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Further labels of every alert.
    pub labels: BTreeMap<String, String>,
    /// How often an open incident is repeated.
    pub keep_alive: Span,
    /// Who owns which service.
    pub owners: BTreeMap<String, String>,
}

/// One member of a cluster, ready to send to.
#[derive(Debug)]
pub(super) struct Alertmanager {
    poster: Poster,
    alerts: Url,
    labels: BTreeMap<String, String>,
    keep_alive: Span,
    owners: BTreeMap<String, String>,
}

/// Labels that every alert has, or has where they are known; nobody else may set them.
pub const LABELS: [&str; 7] =
    ["alertname", "service", "severity", "cause", "culprit", "incident", "owner"];
/// The name of every alert: labels tell one from another.
const ALERT_NAME: &str = "GrayflagIncident";
/// An open alert ends so many repetitions after the last: some may fail, or come late.
const KEPT_FOR: i64 = 5;
/// Labels of a culprit that are told; they narrow it down, and more do not.
const CULPRIT_LABELS_MAX: usize = 10;

/// An alert as the API takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Postable {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl AlertmanagerConfig {
    /// The names of its targets, in order: the receiver, a slash, the member. With one member
    /// too, so that what is open stays known when another is added.
    pub(super) fn targets(&self, receiver: &str) -> Vec<String> {
        self.urls.iter().map(|url| format!("{receiver}/{}", place(url))).collect()
    }
}

/// Host, port and path: what tells the members of a cluster apart.
pub fn place(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    format!("{}:{port}{path}", url.host_str().unwrap_or_default())
}

impl Alertmanager {
    /// Sets up every member.
    ///
    /// # Errors
    ///
    /// When headers or certificates cannot be used.
    pub(super) fn for_each(
        receiver: &str,
        config: &AlertmanagerConfig,
    ) -> Result<Vec<Self>, ReceiverError> {
        // As a header made here and not by the client, so that it can be struck out of errors.
        let mut headers = config.headers.clone();
        headers.extend(config.login.iter().map(|(user, password)| {
            let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
            (AUTHORIZATION.to_string(), SecretString::from(format!("Basic {pair}")))
        }));
        let member = |url: &Url| {
            let post = PostConfig {
                url: SecretString::from(url.as_str()),
                headers: headers.clone(),
                ca_file: config.ca_file.clone(),
            };
            let mut alerts = url.clone();
            alerts.set_path(&format!("{}/api/v2/alerts", url.path().trim_end_matches('/')));
            Ok(Self {
                poster: Poster::new(receiver, &post, &[])?,
                alerts,
                labels: config.labels.clone(),
                keep_alive: config.keep_alive,
                owners: config.owners.clone(),
            })
        };
        config.urls.iter().map(member).collect()
    }

    async fn post(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let Content::Alert(alert, _) = envelope.content else {
            let detail = "an Alertmanager shows what goes on now, and takes no digests";
            return Err(self.poster.error(Class::Message, Retry::Never, detail));
        };
        let before: Option<BTreeMap<String, String>> =
            envelope.handle.and_then(|handle| serde_json::from_str(handle).ok());
        let alerts = self.alerts(alert, before, envelope.now);
        let failed = |error: serde_json::Error| {
            self.poster.error(Class::Message, Retry::Never, &error.to_string())
        };
        let body = serde_json::to_vec(&alerts).map_err(failed)?;
        let told = alerts.first().map(|alert| serde_json::to_string(&alert.labels));
        let handle = told.transpose().map_err(failed)?;
        let request = self.poster.post(self.alerts.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        self.poster.send(request, envelope.now).await?;
        Ok(Receipt { handle, failure: None })
    }

    /// The alert, and after it the end of what was told before under other labels.
    fn alerts(
        &self,
        alert: &Alert,
        before: Option<BTreeMap<String, String>>,
        now: Timestamp,
    ) -> Vec<Postable> {
        let labels = self.labels(alert);
        let over = alert.state == State::Resolved;
        // What people see is what must end, whatever is known of it by now.
        let (labels, before) = match before {
            Some(before) if over => (before, None),
            before => (labels.clone(), before.filter(|before| *before != labels)),
        };
        let ends_at = if over { alert.at } else { now + self.keep_alive.times(KEPT_FOR) };
        let annotations = annotations(alert, now);
        let one = |labels, ends_at: Timestamp| Postable {
            labels,
            annotations: annotations.clone(),
            starts_at: alert.started_at,
            ends_at: ends_at.max(alert.started_at),
            generator_url: generator(alert),
        };
        let ended = before.map(|before| one(before, now));
        std::iter::once(one(labels, ends_at)).chain(ended).collect()
    }

    fn labels(&self, alert: &Alert) -> BTreeMap<String, String> {
        let leading = alert.causes.first();
        let owner = self.owners.get(&alert.service);
        let ours = [
            ("alertname", Some(ALERT_NAME)),
            ("service", Some(alert.service.as_str())),
            ("severity", Some(alert.severity.name())),
            ("incident", Some(alert.incident.as_str())),
            ("owner", owner.map(String::as_str)),
            ("cause", leading.map(|cause| cause.id.as_str())),
            ("culprit", leading.map(|cause| cause.culprit.service.as_str())),
        ];
        let given = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let ours = ours.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let mut labels: BTreeMap<String, String> =
            ours.chain(given).map(|(name, value)| (name.to_owned(), clean(value))).collect();
        let taken: BTreeSet<String> =
            LABELS.map(str::to_owned).into_iter().chain(labels.keys().cloned()).collect();
        let culprit = leading.iter().flat_map(|cause| &cause.culprit.labels);
        for (name, value) in culprit.take(CULPRIT_LABELS_MAX) {
            let name = label_name(name);
            let name = if taken.contains(&name) { format!("culprit_{name}") } else { name };
            labels.entry(name).or_insert_with(|| clean(value));
        }
        // A label without a value is no label.
        labels.retain(|_, value| !value.is_empty());
        labels
    }
}

impl Channel for Alertmanager {
    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.post(envelope))
    }

    fn keep_alive(&self) -> Option<Span> {
        Some(self.keep_alive)
    }
}

/// A name that every version takes: letters, digits and `_`, and no digit first.
pub fn label_name(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if safe.starts_with(|c: char| c.is_ascii_digit()) || safe.is_empty() {
        format!("_{safe}")
    } else {
        safe
    }
}

/// What people read. Lines are ours: every text of the alert is one line.
fn annotations(alert: &Alert, now: Timestamp) -> BTreeMap<&'static str, String> {
    let view = View::new(alert, now);
    let mut about = vec![format!("{} in {}, since {}.", view.title, view.service, view.began)];
    if !view.others.is_empty() {
        about.push(format!("Also in: {}.", view.others));
    }
    about.extend(view.left.iter().map(|left| format!("Time left: {left}.")));
    let cause = view.causes.first().map(|cause| {
        let lines = std::iter::once(format!(
            "{}: {} ({}, {})",
            cause.culprit, cause.name, cause.likelihood, cause.probability
        ));
        lines.chain(cause.supports.iter().map(|reason| format!("- {reason}"))).collect()
    });
    let steps = view.steps.iter().flat_map(|list| {
        let items = list.items.iter().map(|item| format!("- {item}"));
        std::iter::once(format!("{}:", list.name)).chain(items)
    });
    let links = view.links.iter().map(|link| format!("{}: {}", link.name, link.url));
    let texts: [(&'static str, Vec<String>); 6] = [
        ("summary", vec![clean(&format!("{}: {}", alert.service, headline(alert)))]),
        ("description", about),
        ("cause", cause.unwrap_or_default()),
        ("changes", view.changes.clone()),
        ("steps", steps.collect()),
        ("links", links.collect()),
    ];
    let filled = texts.into_iter().filter(|(_, lines)| !lines.is_empty());
    filled.map(|(name, lines)| (name, lines.join("\n"))).collect()
}

/// Where the incident is shown. An address that cannot be read would cost the whole alert.
fn generator(alert: &Alert) -> Option<String> {
    let link = alert.links.get("incident").or_else(|| alert.links.get("query"))?;
    Url::parse(link).ok().filter(|url| matches!(url.scheme(), "http" | "https")).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_version_takes() {
        for (name, want) in [
            ("instance", "instance"),
            ("k8s.pod.name", "k8s_pod_name"),
            ("straße", "stra_e"),
            ("5xx", "_5xx"),
            ("", "_"),
            ("a\nb", "a_b"),
        ] {
            assert_eq!(label_name(name), want);
        }
    }
}
