//! Telegram, as a bot. The message about an incident is edited as it moves.

use std::fmt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::chat::{self, Markup, Posted, Told, Tone};
use super::error::{Class, NotifyError, Retry};
use super::pace::Rate;
use super::post::{Answer, PostConfig, Poster};
use super::receiver::{Channel, Content, Envelope, Receipt, ReceiverError};
use super::templates::Templates;
use crate::engine::alert::Alert;
use crate::time::Timestamp;

/// A chat of Telegram as the config describes it.
#[derive(Clone, Debug)]
pub struct TelegramConfig {
    /// The address of the Bot API, up to the path before `/bot`.
    pub api_url: String,
    /// The bot's token.
    pub token: SecretString,
    /// The chat: its number, or the `@name` of a channel.
    pub chat_id: String,
    /// The topic within the chat.
    pub message_thread_id: Option<i64>,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// A chat of Telegram, ready to send to.
pub(super) struct Telegram {
    poster: Poster,
    templates: Templates,
    chat_id: String,
    topic: Option<i64>,
}

/// Where Telegram's own API is.
pub const API_URL: &str = "https://api.telegram.org";
/// Longest text of a message. Telegram counts without the tags, we count with them.
const TEXT_UNITS_MAX: usize = 4_096;

impl fmt::Debug for Telegram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Telegram");
        shown.field("poster", &self.poster).field("chat_id", &self.chat_id).finish_non_exhaustive()
    }
}

impl Telegram {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// When address or certificates cannot be used.
    pub(super) fn new(
        receiver: &str,
        config: &TelegramConfig,
        templates: &Templates,
    ) -> Result<Self, ReceiverError> {
        let base = config.api_url.trim_end_matches('/');
        let url = SecretString::from(format!("{base}/bot{}/", config.token.expose_secret()));
        let post = PostConfig { url, headers: Vec::new(), ca_file: config.ca_file.clone() };
        Ok(Self {
            poster: Poster::new(receiver, &post, &[&config.token])?,
            templates: templates.clone(),
            chat_id: config.chat_id.clone(),
            topic: config.message_thread_id,
        })
    }

    async fn post(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let told = Told::new(&self.templates, &envelope, Markup::Telegram);
        let quiet = told.tone == Tone::Calm;
        let (text, now) = (text(&told), envelope.now);
        let Content::Alert(alert, _) = envelope.content else {
            let (_, refused) = self.create(&text, quiet, now).await?;
            return Ok(Receipt { handle: None, failure: told.failure.or(refused) });
        };
        let posted = Posted::read(envelope.handle);
        let edited = match &posted {
            Some(posted) => self.edit(&posted.id, &text, now).await?,
            None => Edited::Gone,
        };
        let (id, refused) = match (&posted, edited) {
            (Some(posted), Edited::Done(refused)) => {
                // Last, because it is what a repetition would double.
                self.remark(posted, alert, now).await?;
                (posted.id.clone(), refused)
            }
            _ => self.create(&text, quiet, now).await?,
        };
        let handle = Posted::new(id, String::new(), alert).handle();
        Ok(Receipt { handle, failure: told.failure.or(refused) })
    }

    /// Puts a message into the chat; its id, and what was wrong with its tags, if anything.
    async fn create(
        &self,
        text: &str,
        quiet: bool,
        now: Timestamp,
    ) -> Result<(String, Option<String>), NotifyError> {
        let mut body = self.body(text);
        body["disable_notification"] = quiet.into();
        let (answer, refused) = self.laid_out("sendMessage", body, now).await?;
        let id = answer.json()["result"]["message_id"].as_i64();
        let id = id.filter(|_| answer.is_done()).ok_or_else(|| self.refused(&answer))?;
        Ok((id.to_string(), refused))
    }

    async fn edit(&self, id: &str, text: &str, now: Timestamp) -> Result<Edited, NotifyError> {
        let mut body = self.body(text);
        body["message_id"] = id.parse::<i64>().unwrap_or_default().into();
        let (answer, refused) = self.laid_out("editMessageText", body, now).await?;
        let reason = description(&answer);
        if answer.is_done() || reason.contains("message is not modified") {
            return Ok(Edited::Done(refused));
        }
        let gone = ["message to edit not found", "message can't be edited", "MESSAGE_ID_INVALID"];
        if gone.iter().any(|gone| reason.contains(gone)) {
            return Ok(Edited::Gone);
        }
        Err(self.refused(&answer))
    }

    /// Asks for it as it is laid out, and as bare text if Telegram cannot read the tags: those of
    /// a user's own template may be wrong, and the alert goes out.
    async fn laid_out(
        &self,
        method: &str,
        mut body: Value,
        now: Timestamp,
    ) -> Result<(Answer, Option<String>), NotifyError> {
        let answer = self.ask(method, &body, now).await?;
        let reason = description(&answer);
        if !reason.contains("can't parse entities") {
            return Ok((answer, None));
        }
        if let Some(fields) = body.as_object_mut() {
            fields.remove("parse_mode");
        }
        Ok((self.ask(method, &body, now).await?, Some(reason)))
    }

    async fn remark(
        &self,
        posted: &Posted,
        alert: &Alert,
        now: Timestamp,
    ) -> Result<(), NotifyError> {
        let Some(remark) = posted.remark(alert) else { return Ok(()) };
        let mut body = self.body(&Markup::Telegram.inert(&remark));
        body["reply_parameters"] = json!({
            "message_id": posted.id.parse::<i64>().unwrap_or_default(),
            "allow_sending_without_reply": true,
        });
        let answer = self.ask("sendMessage", &body, now).await?;
        if answer.is_done() { Ok(()) } else { Err(self.refused(&answer)) }
    }

    async fn ask(&self, method: &str, body: &Value, now: Timestamp) -> Result<Answer, NotifyError> {
        self.poster.ask_json(self.poster.post_json(self.poster.below(&[method]), body), now).await
    }

    fn body(&self, text: &str) -> Value {
        let mut body = json!({
            "chat_id": self.chat_id,
            "text": text,
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        });
        if let Some(topic) = self.topic {
            body["message_thread_id"] = topic.into();
        }
        body
    }

    fn refused(&self, answer: &Answer) -> NotifyError {
        let reason = description(answer);
        let hint = match answer.json()["parameters"]["migrate_to_chat_id"].as_i64() {
            Some(id) => {
                format!("the group has another number now; hint: write `chat_id = \"{id}\"`")
            }
            None if reason.contains("chat not found") => {
                "hint: add the bot to the chat, or write to it once".to_owned()
            }
            None if answer.is_done() => "hint: is `api_url` an API for bots?".to_owned(),
            None => return self.poster.refused(answer),
        };
        let detail = format!("status {} {reason}; {hint}", answer.status);
        self.poster.error(Class::Refused, Retry::Never, &detail)
    }
}

/// What became of an edit.
enum Edited {
    /// The message says so now; and what was wrong with its tags, if anything.
    Done(Option<String>),
    /// There is no such message to edit.
    Gone,
}

/// What Telegram says of a refusal.
fn description(answer: &Answer) -> String {
    answer.json()["description"].as_str().unwrap_or_default().to_owned()
}

/// Titles are so short that most of the room is left, even if every character is an entity.
fn text(told: &Told) -> String {
    let title = Markup::Telegram.inert(&told.title);
    let head = format!("{} <b>{title}</b>\n\n", told.tone.sign());
    let room = TEXT_UNITS_MAX.saturating_sub(chat::size(&head));
    format!("{head}{}", chat::fit(&told.body, room))
}

impl Channel for Telegram {
    /// What a bot may send to one group.
    fn rate(&self) -> Rate {
        Rate::per_minute(20)
    }

    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.post(envelope))
    }
}
