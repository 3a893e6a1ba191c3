//! Discord, through the webhook of a channel. The message about an incident is edited as it moves.

use std::fmt;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::chat::{self, Markup, Posted, Told};
use super::error::{Class, NotifyError, Retry};
use super::pace::Rate;
use super::post::{PostConfig, Poster};
use super::receiver::{Channel, Content, Envelope, Receipt, ReceiverError};
use super::templates::Templates;
use crate::engine::alert::Alert;
use crate::time::Timestamp;

/// A webhook of Discord as the config describes it.
#[derive(Clone, Debug)]
pub struct DiscordConfig {
    /// Its address.
    pub post: PostConfig,
}

/// A webhook of Discord, ready to send to.
pub(super) struct Discord {
    poster: Poster,
    templates: Templates,
}

/// Longest description of a card.
const DESCRIPTION_UNITS_MAX: usize = 4_096;
/// The code of an answer about a message that is not there.
const UNKNOWN_MESSAGE: u64 = 10_008;

impl fmt::Debug for Discord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discord").field("poster", &self.poster).finish_non_exhaustive()
    }
}

impl Discord {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// When address or certificates cannot be used.
    pub(super) fn new(
        receiver: &str,
        config: &DiscordConfig,
        templates: &Templates,
    ) -> Result<Self, ReceiverError> {
        let poster = Poster::new(receiver, &config.post, &[])?;
        Ok(Self { poster, templates: templates.clone() })
    }

    async fn post(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let told = Told::new(&self.templates, &envelope, Markup::Markdown);
        let body = message(&told);
        let Content::Alert(alert, _) = envelope.content else {
            self.create(&body, envelope.now).await?;
            return Ok(Receipt { handle: None, failure: told.failure });
        };
        let posted = Posted::read(envelope.handle);
        let id = match &posted {
            Some(posted) if self.edit(&posted.id, &body, envelope.now).await? => {
                // Last, because it is what a repetition would double.
                self.remark(posted, alert, envelope.now).await?;
                posted.id.clone()
            }
            _ => self.create(&body, envelope.now).await?,
        };
        let handle = Posted::new(id, String::new(), alert).handle();
        Ok(Receipt { handle, failure: told.failure })
    }

    /// Puts a message into the channel; its id.
    async fn create(&self, body: &Value, now: Timestamp) -> Result<String, NotifyError> {
        let mut url = self.poster.url().clone();
        // Without it, Discord says that a message is taken before it has looked at it.
        url.query_pairs_mut().append_pair("wait", "true");
        let answer = self.poster.ask_json(self.poster.post_json(url, body), now).await?;
        if !answer.is_done() {
            return Err(self.poster.refused(&answer));
        }
        let id = answer.json()["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| {
            let detail = "the answer names no message; hint: is `webhook_url` Discord's?";
            self.poster.error(Class::Refused, Retry::Never, detail)
        })
    }

    /// Whether the message was there to be edited.
    async fn edit(&self, id: &str, body: &Value, now: Timestamp) -> Result<bool, NotifyError> {
        let request = self.poster.patch_json(self.poster.below(&["messages", id]), body);
        let answer = self.poster.ask_json(request, now).await?;
        if answer.status == 404 && answer.json()["code"].as_u64() == Some(UNKNOWN_MESSAGE) {
            return Ok(false);
        }
        if answer.is_done() { Ok(true) } else { Err(self.poster.refused(&answer)) }
    }

    async fn remark(
        &self,
        posted: &Posted,
        alert: &Alert,
        now: Timestamp,
    ) -> Result<(), NotifyError> {
        let Some(remark) = posted.remark(alert) else { return Ok(()) };
        let body = json!({
            "content": Markup::Markdown.inert(&remark),
            "allowed_mentions": { "parse": [] },
        });
        self.create(&body, now).await.map(|_| ())
    }
}

/// The title is the text, because phones show that of a message on a lock screen and no cards. It
/// is far shorter than the 2,000 characters that Discord takes.
fn message(told: &Told) -> Value {
    json!({
        "content": format!("**{}**", Markup::Markdown.inert(&told.title)),
        "embeds": [{
            "description": chat::fit(&told.body, DESCRIPTION_UNITS_MAX),
            "color": told.tone.colour(),
        }],
        "allowed_mentions": { "parse": [] },
    })
}

impl Channel for Discord {
    /// What one webhook takes.
    fn rate(&self) -> Rate {
        Rate::per_minute(30)
    }

    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.post(envelope))
    }
}
