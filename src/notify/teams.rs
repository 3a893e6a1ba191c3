//! Microsoft Teams, through the webhook of a workflow.

use std::fmt;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::chat::{self, Markup, Told, Tone};
use super::error::NotifyError;
use super::post::{PostConfig, Poster};
use super::receiver::{Channel, Envelope, Receipt, ReceiverError};
use super::templates::Templates;

/// A workflow of Teams as the config describes it.
#[derive(Clone, Debug)]
pub struct TeamsConfig {
    /// The address of its webhook.
    pub post: PostConfig,
}

/// A workflow of Teams, ready to send to.
pub(super) struct Teams {
    poster: Poster,
    templates: Templates,
}

/// Longest message that Teams takes is 28 KB; the workflow wraps some of its own around ours.
const CARD_BYTES_MAX: usize = 26_000;
/// Where cutting begins.
const BODY_UNITS_MAX: usize = 8_000;
/// Longest title, in units.
const TITLE_UNITS_MAX: usize = 300;
/// Buttons of a card, and the longest address of one.
const ACTIONS_MAX: usize = 3;
const LINK_BYTES_MAX: usize = 2_000;

impl fmt::Debug for Teams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teams").field("poster", &self.poster).finish_non_exhaustive()
    }
}

impl Teams {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// When address or certificates cannot be used.
    pub(super) fn new(
        receiver: &str,
        config: &TeamsConfig,
        templates: &Templates,
    ) -> Result<Self, ReceiverError> {
        let poster = Poster::new(receiver, &config.post, &[])?;
        Ok(Self { poster, templates: templates.clone() })
    }

    async fn post(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let told = Told::new(&self.templates, &envelope, Markup::Teams);
        let request = self.poster.post_json(self.poster.url().clone(), &message(&told));
        self.poster.send(request, envelope.now).await?;
        Ok(Receipt { handle: None, failure: told.failure })
    }
}

/// A message of one card that is small enough, whatever it takes.
fn message(told: &Told) -> Value {
    let mut units = BODY_UNITS_MAX;
    loop {
        let message = card(told, &chat::fit(&told.body, units));
        if units < BODY_UNITS_MAX / 8 || message.to_string().len() <= CARD_BYTES_MAX {
            return message;
        }
        units /= 2;
    }
}

fn card(told: &Told, text: &str) -> Value {
    let style = match told.tone {
        Tone::Calm => "accent",
        Tone::Warning => "warning",
        Tone::Critical => "attention",
        Tone::Over => "good",
    };
    let title = chat::clip(&told.title, TITLE_UNITS_MAX);
    let mut body = vec![json!({
        "type": "Container",
        "style": style,
        "bleed": true,
        "items": [rich(&title, true, false)],
    })];
    let mut begins = true;
    for line in text.lines() {
        if line.is_empty() {
            begins = true;
            continue;
        }
        let heading = line.strip_prefix("# ");
        body.push(rich(heading.unwrap_or(line), heading.is_some(), begins));
        begins = false;
    }
    let links = told.links.iter().filter(|link| link.url.len() <= LINK_BYTES_MAX);
    let actions: Vec<Value> = links
        .take(ACTIONS_MAX)
        .map(|link| json!({ "type": "Action.OpenUrl", "title": link.name, "url": link.url }))
        .collect();
    json!({
        "type": "message",
        "summary": title,
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
                "actions": actions,
            },
        }],
    })
}

/// A line in which nothing is markup: a text block would read Markdown.
fn rich(line: &str, strong: bool, apart: bool) -> Value {
    let weight = if strong { "Bolder" } else { "Default" };
    json!({
        "type": "RichTextBlock",
        "spacing": if apart { "Medium" } else { "None" },
        "inlines": [{ "type": "TextRun", "text": line, "weight": weight }],
    })
}

impl Channel for Teams {
    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.post(envelope))
    }
}
