//! Receivers: what the config says of them, and the one way to hand them a message.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::alertmanager::{Alertmanager, AlertmanagerConfig};
use super::chart;
use super::digest::Digest;
use super::discord::{Discord, DiscordConfig};
use super::email::{Email, EmailConfig};
use super::error::NotifyError;
use super::opsgenie::{Opsgenie, OpsgenieConfig};
use super::pace::{Pace, Rate};
use super::pagerduty::{PagerDuty, PagerDutyConfig};
use super::slack::{self, SlackConfig};
use super::teams::{Teams, TeamsConfig};
use super::telegram::{Telegram, TelegramConfig};
use super::templates::Templates;
use super::webhook::{Webhook, WebhookConfig};
use crate::engine::alert::Alert;
use crate::engine::chart::Chart;
use crate::time::{Span, Timestamp};

/// A receiver as the config names it.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// The name that routes use.
    pub name: String,
    /// How it is reached.
    pub kind: ReceiverKind,
    /// How fast it is sent messages.
    pub pace: PaceConfig,
}

/// How fast a receiver is sent messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceConfig {
    /// How many in how long, over all its addresses; none for what its kind usually takes.
    pub rate: Option<Rate>,
    /// How many may be in hand at once, for each address: about different incidents only, because
    /// those about one keep their order.
    pub at_once: usize,
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self { rate: None, at_once: 1 }
    }
}

/// How a receiver is reached.
#[derive(Clone, Debug)]
pub enum ReceiverKind {
    /// By Prometheus' Alertmanager.
    Alertmanager(Box<AlertmanagerConfig>),
    /// By mail.
    Email(Box<EmailConfig>),
    /// By HTTP.
    Webhook(Box<WebhookConfig>),
    /// Through Slack.
    Slack(Box<SlackConfig>),
    /// Through PagerDuty.
    PagerDuty(Box<PagerDutyConfig>),
    /// Through Opsgenie.
    Opsgenie(Box<OpsgenieConfig>),
    /// Through Microsoft Teams.
    Teams(Box<TeamsConfig>),
    /// Through Discord.
    Discord(Box<DiscordConfig>),
    /// Through Telegram.
    Telegram(Box<TelegramConfig>),
}

/// One address of a receiver: what the outbox keeps account of.
///
/// A mail to three people is three targets, so that one refused address costs the others
/// nothing and a repetition after a crash reaches only those who have no mail yet.
#[derive(Debug)]
pub struct Target {
    name: String,
    channel: Box<dyn Channel>,
    pace: Arc<Pace>,
    at_once: usize,
}

/// What every kind of receiver can do.
pub(super) trait Channel: fmt::Debug + Send + Sync {
    /// Hands a message over; returns only when the receiver has taken it. A message that is
    /// repeated after a crash must do no harm where the receiver can tell: by key or by handle.
    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>>;

    /// Says that a person looks after an incident, to receivers that call people until then.
    fn acknowledge<'a>(
        &'a self,
        _incident: &'a str,
        _by: Option<&'a str>,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// How often the newest message about an incident that is open must be repeated, for receivers
    /// that otherwise take it as over.
    fn keep_alive(&self) -> Option<Span> {
        None
    }

    /// How many messages it takes without complaint, where the config says nothing.
    fn rate(&self) -> Rate {
        Rate::DEFAULT
    }
}

/// A message on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// What it says.
    pub content: Content<'a>,
    /// The content as it is stored, so that every receiver gets the same digits.
    pub json: &'a str,
    /// The message's id: the same for every repetition.
    pub key: &'a str,
    /// The id of the first message about the same incident to the same target.
    pub first: &'a str,
    /// What this target answered to the newest message about the same incident that it took.
    pub handle: Option<&'a str>,
    /// The time of sending.
    pub now: Timestamp,
}

/// What a message says.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// News of an incident, with what can be drawn of it.
    Alert(&'a Alert, Option<&'a Chart>),
    /// What happened in a day or week.
    Digest(&'a Digest),
}

/// What a receiver said when it took a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// How it calls the message, for those that can be changed later.
    pub handle: Option<String>,
    /// What a template complained of; the message then carried the facts in no layout.
    pub failure: Option<String>,
}

/// Why a receiver cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// A file cannot be read.
    #[error("receiver `{receiver}`: cannot read `{path}`")]
    File {
        /// The receiver.
        receiver: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A certificate or address cannot be used.
    #[error("receiver `{receiver}`: cannot {attempt}: {detail}")]
    Setup {
        /// The receiver.
        receiver: String,
        /// What was attempted.
        attempt: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A password would cross the network for anyone to read.
    #[error(
        "receiver `{receiver}`: a login needs an encrypted connection\nhint: use `smtps://…`, or add `tls = \"starttls\"`"
    )]
    PlainLogin {
        /// The receiver.
        receiver: String,
    },
    /// Mail to nobody.
    #[error("receiver `{receiver}`: no recipient\nhint: name at least one address in `to`")]
    Nobody {
        /// The receiver.
        receiver: String,
    },
}

impl ReceiverKind {
    /// Whether it keeps an incident open until it is told the end, as pagers do. Such a receiver
    /// has no use for digests, and must be told that a test is over.
    pub fn keeps_open(&self) -> bool {
        match self {
            Self::PagerDuty(_) | Self::Opsgenie(_) | Self::Alertmanager(_) => true,
            Self::Email(_)
            | Self::Webhook(_)
            | Self::Slack(_)
            | Self::Teams(_)
            | Self::Discord(_)
            | Self::Telegram(_) => false,
        }
    }

    /// Whether it calls people until somebody says that the incident is looked after.
    fn calls_people(&self) -> bool {
        match self {
            Self::PagerDuty(_) | Self::Opsgenie(_) => true,
            Self::Alertmanager(_)
            | Self::Email(_)
            | Self::Webhook(_)
            | Self::Slack(_)
            | Self::Teams(_)
            | Self::Discord(_)
            | Self::Telegram(_) => false,
        }
    }
}

impl Envelope<'_> {
    /// The alert as this target should read it: whoever was not told of an incident before,
    /// because it was too mild for its route, is told that there is one and not that it changed.
    pub(super) fn as_news(&self, alert: &Alert) -> Alert {
        if self.first == self.key { alert.as_first() } else { alert.clone() }
    }
}

impl ReceiverConfig {
    /// The names of its targets, in order: `oncall/ops@example.com` for mail, its own name for
    /// every other.
    pub fn targets(&self) -> Vec<String> {
        match &self.kind {
            ReceiverKind::Email(config) => {
                let mut seen = BTreeSet::new();
                let names = config.to.iter().map(|to| format!("{}/{}", self.name, to.email));
                names.filter(|name| seen.insert(name.clone())).collect()
            }
            ReceiverKind::Webhook(_)
            | ReceiverKind::Slack(_)
            | ReceiverKind::PagerDuty(_)
            | ReceiverKind::Opsgenie(_)
            | ReceiverKind::Teams(_)
            | ReceiverKind::Discord(_)
            | ReceiverKind::Telegram(_) => vec![self.name.clone()],
            ReceiverKind::Alertmanager(config) => config.targets(&self.name),
        }
    }

    /// The names of all targets that are told when somebody looks after an incident.
    pub fn pagers(receivers: &[Self]) -> Vec<String> {
        receivers.iter().filter(|one| one.kind.calls_people()).flat_map(Self::targets).collect()
    }

    /// Its targets, ready to send to, with messages laid out by `templates`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or a setting cannot be used.
    pub fn open(&self, templates: &Templates) -> Result<Vec<Target>, ReceiverError> {
        let name = self.name.as_str();
        let one: Box<dyn Channel> = match &self.kind {
            ReceiverKind::Alertmanager(config) => {
                let members = Alertmanager::for_each(name, config)?.into_iter();
                return Ok(self.ready(members.map(|one| Box::new(one) as Box<dyn Channel>)));
            }
            ReceiverKind::Email(config) => {
                let mails = Email::for_each(name, config, templates)?.into_iter();
                return Ok(self.ready(mails.map(|mail| Box::new(mail) as Box<dyn Channel>)));
            }
            ReceiverKind::Webhook(config) => Box::new(Webhook::new(name, config)?),
            ReceiverKind::Slack(config) => match config.as_ref() {
                SlackConfig::Webhook(post) => Box::new(slack::Webhook::new(name, post, templates)?),
                SlackConfig::App(app) => {
                    Box::new(slack::Bot::new(name, app, templates, |chart, alert, templates| {
                        chart::png(chart, alert, templates.zone())
                    })?)
                }
            },
            ReceiverKind::PagerDuty(config) => Box::new(PagerDuty::new(name, config, templates)?),
            ReceiverKind::Opsgenie(config) => Box::new(Opsgenie::new(name, config, templates)?),
            ReceiverKind::Teams(config) => Box::new(Teams::new(name, config, templates)?),
            ReceiverKind::Discord(config) => Box::new(Discord::new(name, config, templates)?),
            ReceiverKind::Telegram(config) => Box::new(Telegram::new(name, config, templates)?),
        };
        Ok(self.ready(std::iter::once(one)))
    }

    fn ready(&self, channels: impl Iterator<Item = Box<dyn Channel>>) -> Vec<Target> {
        let channels: Vec<Box<dyn Channel>> = channels.collect();
        let usual = channels.first().map_or(Rate::DEFAULT, |channel| channel.rate());
        let pace = Arc::new(Pace::new(self.pace.rate.unwrap_or(usual)));
        let at_once = self.pace.at_once;
        let target = |(name, channel)| Target { name, channel, pace: Arc::clone(&pace), at_once };
        self.targets().into_iter().zip(channels).map(target).collect()
    }
}

impl Target {
    /// Its name in the outbox.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hands a message over. Returns only when the receiver has taken it.
    ///
    /// # Errors
    ///
    /// When it was not taken, or may not have been.
    pub async fn send(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        self.channel.send(envelope).await
    }

    /// Says that a person looks after an incident, and who, if that is known; nothing to do for
    /// most.
    ///
    /// # Errors
    ///
    /// When it could not be said.
    pub async fn acknowledge(
        &self,
        incident: &str,
        by: Option<&str>,
        now: Timestamp,
    ) -> Result<(), NotifyError> {
        self.channel.acknowledge(incident, by, now).await
    }

    /// Takes a place in the receiver's rate.
    pub(super) fn take_turn(&self, now: Timestamp) -> Result<(), Span> {
        self.pace.take(now)
    }

    /// How many messages may be in hand at once.
    pub(super) fn at_once(&self) -> usize {
        self.at_once.max(1)
    }

    /// How often the newest message about an open incident must be repeated, if at all.
    pub fn keep_alive(&self) -> Option<Span> {
        self.channel.keep_alive()
    }
}
