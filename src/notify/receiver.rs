//! Receivers: what the config says of them, and the one way to hand them a message.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::email::{Email, EmailConfig};
use super::error::NotifyError;
use super::webhook::{Webhook, WebhookConfig};
use crate::engine::alert::Alert;
use crate::time::Timestamp;

/// A receiver as the config names it.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// The name that routes use.
    pub name: String,
    /// How it is reached.
    pub kind: ReceiverKind,
}

/// How a receiver is reached.
#[derive(Clone, Debug)]
pub enum ReceiverKind {
    /// By mail.
    Email(Box<EmailConfig>),
    /// By HTTP.
    Webhook(Box<WebhookConfig>),
}

/// One address of a receiver: what the outbox keeps account of.
///
/// A mail to three people is three targets, so that one refused address costs the others
/// nothing and a repetition after a crash reaches only those who have no mail yet.
#[derive(Debug)]
pub struct Target {
    name: String,
    channel: Channel,
}

/// A message on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// The alert as it is stored, so that every receiver gets the same digits.
    pub json: &'a str,
    /// The message's id: the same for every repetition.
    pub key: &'a str,
    /// The id of the first message about the same incident to the same target.
    pub first: &'a str,
    /// The time of sending.
    pub now: Timestamp,
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

#[derive(Debug)]
enum Channel {
    Email(Email),
    Webhook(Webhook),
}

impl ReceiverConfig {
    /// The names of its targets, in order: `oncall/ops@example.com` for mail, `hook` for HTTP.
    pub fn targets(&self) -> Vec<String> {
        match &self.kind {
            ReceiverKind::Webhook(_) => vec![self.name.clone()],
            ReceiverKind::Email(config) => {
                let mut seen = BTreeSet::new();
                let names = config.to.iter().map(|to| format!("{}/{}", self.name, to.email));
                names.filter(|name| seen.insert(name.clone())).collect()
            }
        }
    }

    /// Its targets, ready to send to.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or a setting cannot be used.
    pub fn open(&self) -> Result<Vec<Target>, ReceiverError> {
        match &self.kind {
            ReceiverKind::Webhook(config) => {
                let channel = Channel::Webhook(Webhook::new(&self.name, config)?);
                Ok(vec![Target { name: self.name.clone(), channel }])
            }
            ReceiverKind::Email(config) => {
                let mails = Email::for_each(&self.name, config)?;
                let mut targets: Vec<Target> = Vec::new();
                for (mail, to) in mails.into_iter().zip(&config.to) {
                    let name = format!("{}/{}", self.name, to.email);
                    if !targets.iter().any(|t| t.name == name) {
                        targets.push(Target { name, channel: Channel::Email(mail) });
                    }
                }
                Ok(targets)
            }
        }
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
    pub async fn send(&self, envelope: Envelope<'_>) -> Result<(), NotifyError> {
        match &self.channel {
            Channel::Email(email) => Box::pin(email.send(envelope)).await,
            Channel::Webhook(webhook) => Box::pin(webhook.send(envelope)).await,
        }
    }
}
