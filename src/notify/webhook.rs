//! Alerts and digests as JSON to an HTTP address, signed if there is a secret for it.

use std::fmt;
use std::fmt::Write as _;

use aws_lc_rs::hmac;
use futures_util::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::NotifyError;
use super::post::{PostConfig, Poster, header_text};
use super::receiver::{Channel, Content, Envelope, Receipt, ReceiverError};
use crate::time::Timestamp;

/// A webhook as the config describes it.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where it is.
    pub post: PostConfig,
    /// What signatures are made with, if messages are signed.
    pub signing_secret: Option<SecretString>,
}

/// A webhook ready to send.
pub(super) struct Webhook {
    poster: Poster,
    key: Option<hmac::Key>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("poster", &self.poster).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Sets a webhook up.
    ///
    /// # Errors
    ///
    /// When address, headers or certificates cannot be used.
    pub(super) fn new(receiver: &str, config: &WebhookConfig) -> Result<Self, ReceiverError> {
        let secrets: Vec<&SecretString> = config.signing_secret.iter().collect();
        let poster = Poster::new(receiver, &config.post, &secrets)?;
        let key = config
            .signing_secret
            .as_ref()
            .map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes()));
        Ok(Self { poster, key })
    }

    async fn post(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let event = match envelope.content {
            Content::Alert(alert, _) => alert.state.name(),
            Content::Digest(_) => "digest",
        };
        let mut request = self
            .poster
            .post(self.poster.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", header_text(envelope.key))
            .header("X-Grayflag-Event", event);
        if let Some(key) = &self.key {
            let signature = signature(key, envelope.now, envelope.json);
            request = request.header("X-Grayflag-Signature", signature);
        }
        self.poster.send(request.body(envelope.json.to_owned()), envelope.now).await?;
        Ok(Receipt::default())
    }
}

/// The time and a code that only who has the key can make of time and body. The time is signed too,
/// so that whoever overheard a message cannot send it again tomorrow.
fn signature(key: &hmac::Key, now: Timestamp, body: &str) -> String {
    let seconds = now.as_secs();
    let tag = hmac::sign(key, format!("{seconds}.{body}").as_bytes());
    let mut text = format!("t={seconds},v1=");
    for byte in tag.as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Channel for Webhook {
    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.post(envelope))
    }
}
