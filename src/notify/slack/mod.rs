//! Slack: through the webhook of a channel, or as an app, which can change its messages.

mod bot;

use std::fmt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::chat::{self, Markup, Told};
use super::error::NotifyError;
use super::pace::Rate;
use super::post::{PostConfig, Poster};
use super::receiver::{Channel, Envelope, Receipt, ReceiverError};
use super::templates::Templates;

pub(super) use bot::Bot;

/// Slack as the config describes it.
#[derive(Clone, Debug)]
pub enum SlackConfig {
    /// The webhook of a channel: every message is a new one.
    Webhook(PostConfig),
    /// An app: the message about an incident changes as the incident moves.
    App(SlackApp),
}

/// An app of Slack.
#[derive(Clone, Debug)]
pub struct SlackApp {
    /// The address of the API, up to the path before the methods.
    pub api_url: String,
    /// The bot user's token.
    pub token: SecretString,
    /// The channel: its id, or its name with `#`.
    pub channel: String,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// A webhook of Slack, ready to send to.
pub(super) struct Webhook {
    poster: Poster,
    templates: Templates,
}

/// Where Slack's own API is.
pub const API_URL: &str = "https://slack.com/api";
/// Longest title of a message.
const HEADER_UNITS_MAX: usize = 150;
/// Longest text of a block.
const TEXT_UNITS_MAX: usize = 3_000;

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("poster", &self.poster).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// When address or certificates cannot be used.
    pub(super) fn new(
        receiver: &str,
        config: &PostConfig,
        templates: &Templates,
    ) -> Result<Self, ReceiverError> {
        let poster = Poster::new(receiver, config, &[])?;
        Ok(Self { poster, templates: templates.clone() })
    }

    async fn post(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let told = Told::new(&self.templates, &envelope, Markup::Slack);
        let request = self.poster.post_json(self.poster.url().clone(), &message(&told));
        self.poster.send(request, envelope.now).await?;
        Ok(Receipt { handle: None, failure: told.failure })
    }
}

/// What a message holds, whichever way it goes: two blocks, and the title again for lock screens.
fn message(told: &Told) -> Value {
    let title = format!("{} {}", told.tone.sign(), told.title);
    let text = chat::fit(&told.body, TEXT_UNITS_MAX);
    let mut blocks = vec![json!({
        "type": "header",
        "text": {
            "type": "plain_text",
            "text": chat::clip(&title, HEADER_UNITS_MAX),
            "emoji": false,
        },
    })];
    // A block without text would be refused, and a user's own template may leave none.
    if !text.is_empty() {
        // Verbatim: names of channels and people in data are not turned into links.
        let text = json!({ "type": "mrkdwn", "text": text, "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    json!({
        "text": Markup::Slack.inert(&title),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

impl Channel for Webhook {
    /// One message a second to a channel.
    fn rate(&self) -> Rate {
        Rate::per_minute(60)
    }

    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.post(envelope))
    }
}
