//! An app of Slack: posts a message, changes it as the incident moves, and answers below it when a
//! person must notice.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{SlackApp, message};
use crate::engine::alert::Alert;
use crate::engine::chart::Chart;
use crate::notify::chat::{Markup, Posted, Told};
use crate::notify::error::{Class, NotifyError, Retry};
use crate::notify::pace::Rate;
use crate::notify::post::{PostConfig, Poster};
use crate::notify::receiver::{Channel, Content, Envelope, Receipt, ReceiverError};
use crate::notify::templates::Templates;
use crate::time::Timestamp;

/// Draws a chart as PNG, for readers of these templates; none where it cannot be drawn.
pub(in crate::notify) type Draw = fn(&Chart, &Alert, &Templates) -> Option<Vec<u8>>;

/// An app of Slack, ready to send.
pub(in crate::notify) struct Bot {
    poster: Poster,
    templates: Templates,
    channel: String,
    draw: Draw,
}

/// How long a picture may take. Until then nobody knows that the message has been taken, and a
/// program that ends meanwhile would post it again.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(5);

/// What an error of Slack's API means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Try again.
    Later(Class),
    /// The config must change, in the way that the hint says.
    Never(Class, &'static str),
    /// The message is not there, or cannot be changed any more.
    Gone,
}

/// The decision for every error that tells more than that the request was bad.
const ERRORS: [(&str, Meaning); 26] = [
    ("ratelimited", Meaning::Later(Class::Busy)),
    ("rate_limited", Meaning::Later(Class::Busy)),
    ("message_limit_exceeded", Meaning::Later(Class::Busy)),
    ("internal_error", Meaning::Later(Class::Server)),
    ("fatal_error", Meaning::Later(Class::Server)),
    ("service_unavailable", Meaning::Later(Class::Server)),
    ("request_timeout", Meaning::Later(Class::Server)),
    ("team_added_to_org", Meaning::Later(Class::Server)),
    ("org_login_required", Meaning::Later(Class::Server)),
    ("not_authed", Meaning::Never(Class::Auth, "give the bot user's token, `xoxb-…`")),
    ("invalid_auth", Meaning::Never(Class::Auth, "give the bot user's token, `xoxb-…`")),
    ("account_inactive", Meaning::Never(Class::Auth, "install the app again, for a new token")),
    ("token_revoked", Meaning::Never(Class::Auth, "install the app again, for a new token")),
    ("token_expired", Meaning::Never(Class::Auth, "switch token rotation off for the app")),
    ("not_allowed_token_type", Meaning::Never(Class::Auth, "give the bot user's token, `xoxb-…`")),
    ("missing_scope", Meaning::Never(Class::Auth, "give the app the scope `chat:write`")),
    ("no_permission", Meaning::Never(Class::Auth, "invite the app to the channel")),
    ("access_denied", Meaning::Never(Class::Auth, "ask an administrator of the workspace")),
    (
        "channel_not_found",
        Meaning::Never(
            Class::Refused,
            "give the channel's id, and invite the app to it if it is private",
        ),
    ),
    ("not_in_channel", Meaning::Never(Class::Refused, "invite the app to the channel")),
    ("is_archived", Meaning::Never(Class::Refused, "name a channel that is in use")),
    ("restricted_action", Meaning::Never(Class::Refused, "ask an administrator of the workspace")),
    ("message_not_found", Meaning::Gone),
    ("cant_update_message", Meaning::Gone),
    ("edit_window_closed", Meaning::Gone),
    ("is_inactive", Meaning::Gone),
];

impl fmt::Debug for Bot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Bot");
        shown.field("poster", &self.poster).field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// How a call failed.
enum Failed {
    /// There is no such message to change.
    Gone,
    /// Everything else.
    Error(NotifyError),
}

impl Bot {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// When address, token or certificates cannot be used.
    pub(in crate::notify) fn new(
        receiver: &str,
        config: &SlackApp,
        templates: &Templates,
        draw: Draw,
    ) -> Result<Self, ReceiverError> {
        let bearer = SecretString::from(format!("Bearer {}", config.token.expose_secret()));
        let post = PostConfig {
            url: SecretString::from(format!("{}/", config.api_url.trim_end_matches('/'))),
            headers: vec![("Authorization".to_owned(), bearer)],
            ca_file: config.ca_file.clone(),
        };
        let poster = Poster::new(receiver, &post, &[&config.token])?;
        Ok(Self { poster, templates: templates.clone(), channel: config.channel.clone(), draw })
    }

    async fn tell(&self, envelope: Envelope<'_>) -> Result<Receipt, NotifyError> {
        let told = Told::new(&self.templates, &envelope, Markup::Slack);
        let (message, now) = (message(&told), envelope.now);
        let Content::Alert(alert, chart) = envelope.content else {
            self.create(message, now).await?;
            return Ok(Receipt { handle: None, failure: told.failure });
        };
        let posted = Posted::read(envelope.handle).filter(|posted| !posted.place.is_empty());
        let (id, place) = match posted {
            Some(posted) if self.change(&posted, message.clone(), now).await? => {
                // Last, because it is what a repetition would double.
                self.remark(&posted, alert, now).await?;
                (posted.id, posted.place)
            }
            _ => {
                let (id, place) = self.create(message, now).await?;
                if let Some(picture) =
                    chart.and_then(|chart| (self.draw)(chart, alert, &self.templates))
                {
                    self.show(picture, &id, &place, now).await;
                }
                (id, place)
            }
        };
        let handle = Posted::new(id, place, alert).handle();
        Ok(Receipt { handle, failure: told.failure })
    }

    /// Puts a message into the channel; its id, and the channel's.
    async fn create(
        &self,
        mut message: Value,
        now: Timestamp,
    ) -> Result<(String, String), NotifyError> {
        message["channel"] = self.channel.as_str().into();
        let answer = self.call("chat.postMessage", &message, now).await?;
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        text("ts").zip(text("channel")).ok_or_else(|| {
            let detail = "the answer names no message; hint: is `api_url` Slack's?";
            self.poster.error(Class::Refused, Retry::Never, detail)
        })
    }

    /// Whether the message was there to be changed.
    async fn change(
        &self,
        posted: &Posted,
        mut message: Value,
        now: Timestamp,
    ) -> Result<bool, NotifyError> {
        message["channel"] = posted.place.as_str().into();
        message["ts"] = posted.id.as_str().into();
        let request = self.poster.post_json(self.poster.below(&["chat.update"]), &message);
        match self.ask(request, now).await {
            Ok(_) => Ok(true),
            Err(Failed::Gone) => Ok(false),
            Err(Failed::Error(error)) => Err(error),
        }
    }

    async fn remark(
        &self,
        posted: &Posted,
        alert: &Alert,
        now: Timestamp,
    ) -> Result<(), NotifyError> {
        let Some(remark) = posted.remark(alert) else { return Ok(()) };
        let message = json!({
            "channel": posted.place,
            "thread_ts": posted.id,
            "text": Markup::Slack.inert(&remark),
            "unfurl_links": false,
        });
        self.call("chat.postMessage", &message, now).await.map(|_| ())
    }

    /// Puts a picture below a message. Without it the message still says everything.
    async fn show(&self, picture: Vec<u8>, id: &str, place: &str, now: Timestamp) {
        let uploaded = tokio::time::timeout(PICTURE_TIMEOUT, self.upload(picture, id, place, now));
        let error = match uploaded.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not uploaded within {} seconds", PICTURE_TIMEOUT.as_secs()),
        };
        tracing::warn!(error, "a message went out without its picture");
    }

    async fn upload(
        &self,
        picture: Vec<u8>,
        id: &str,
        place: &str,
        now: Timestamp,
    ) -> Result<(), NotifyError> {
        let url = self.poster.below(&["files.getUploadURLExternal"]);
        let length = picture.len().to_string();
        let fields = [("filename", "signals.png"), ("length", length.as_str())];
        let answer = self.ask(self.poster.post(url).form(&fields), now).await;
        let answer = answer.map_err(|failed| self.whole(failed))?;
        let named = answer["upload_url"].as_str().and_then(|url| url.parse::<Url>().ok());
        // Not to be led from an encrypted address to a plain one.
        let named = named.filter(|url| url.scheme() == self.poster.url().scheme());
        let (Some(upload), Some(file)) = (named, answer["file_id"].as_str()) else {
            let detail = "no address to put a picture to";
            return Err(self.poster.error(Class::Refused, Retry::Never, detail));
        };
        let request = self.poster.post_elsewhere(upload);
        let request = request.header(CONTENT_TYPE, "application/octet-stream").body(picture);
        self.poster.send(request, now).await?;
        let message = json!({
            "files": [{ "id": file, "title": "signals" }],
            "channel_id": place,
            "thread_ts": id,
        });
        self.call("files.completeUploadExternal", &message, now).await.map(|_| ())
    }

    /// Calls a method that changes no message.
    async fn call(&self, method: &str, body: &Value, now: Timestamp) -> Result<Value, NotifyError> {
        let request = self.poster.post_json(self.poster.below(&[method]), body);
        self.ask(request, now).await.map_err(|failed| self.whole(failed))
    }

    fn whole(&self, failed: Failed) -> NotifyError {
        match failed {
            Failed::Error(error) => error,
            Failed::Gone => {
                let detail = "the message is gone";
                self.poster.error(Class::Refused, Retry::Never, detail)
            }
        }
    }

    /// Asks, and reads what Slack means: it says 200 to most of what it refuses.
    async fn ask(&self, request: RequestBuilder, now: Timestamp) -> Result<Value, Failed> {
        let answer = self.poster.ask_json(request, now).await.map_err(Failed::Error)?;
        let body = answer.json();
        if answer.is_done() && body["ok"].as_bool() == Some(true) {
            return Ok(body);
        }
        let Some(name) = body["error"].as_str() else {
            return Err(Failed::Error(self.poster.refused(&answer)));
        };
        let error = |class, retry, detail: &str| {
            Err(Failed::Error(self.poster.error(class, retry, detail)))
        };
        match ERRORS.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning) {
            Some(Meaning::Gone) => Err(Failed::Gone),
            Some(Meaning::Later(class)) => error(class, answer.retry(), name),
            Some(Meaning::Never(class, hint)) => {
                error(class, Retry::Never, &format!("{name}; hint: {hint}"))
            }
            None if answer.is_done() => {
                // For what a request lacks, Slack says more than the name.
                let more = &body["response_metadata"]["messages"];
                let more = if more.is_null() { String::new() } else { format!(" {more}") };
                error(Class::Refused, Retry::Never, &format!("{name}{more}"))
            }
            None => Err(Failed::Error(self.poster.refused(&answer))),
        }
    }
}

impl Channel for Bot {
    /// One message a second to a channel.
    fn rate(&self) -> Rate {
        Rate::per_minute(60)
    }

    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.tell(envelope))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use axum::http::{HeaderMap, Uri};

    use super::*;
    use crate::time::Span;

    /// Path, whether the token came along, and body of every request.
    type Seen = Arc<Mutex<Vec<(String, bool, String)>>>;

    async fn slack(
        State((seen, works)): State<(Seen, bool)>,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> String {
        let host = headers.get("host").and_then(|h| h.to_str().ok()).unwrap_or_default();
        let path = uri.path().to_owned();
        let answer = match path.as_str() {
            "/api/files.getUploadURLExternal" if !works => {
                json!({ "ok": false, "error": "missing_scope" })
            }
            "/api/files.getUploadURLExternal" => json!({
                "ok": true, "file_id": "F1", "upload_url": format!("http://{host}/upload/v1"),
            }),
            _ => json!({ "ok": true, "channel": "C1", "ts": "1.5" }),
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        seen.lock().unwrap().push((path, headers.contains_key("authorization"), body));
        answer.to_string()
    }

    /// Tells of an incident with a chart, and then of its change; the requests.
    async fn told(works: bool) -> Vec<(String, bool, String)> {
        let seen = Seen::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(slack).with_state((Arc::clone(&seen), works));
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let config = SlackApp {
            api_url: format!("http://{address}/api"),
            token: SecretString::from("xoxb-1"),
            channel: "#alerts".to_owned(),
            ca_file: None,
        };
        let draw: Draw = |_, _, _| Some(b"a picture".to_vec());
        let bot = Bot::new("chat", &config, &Templates::default(), draw).unwrap();
        let alert: Alert =
            serde_json::from_str(include_str!("../../../tests/data/messages/firing.json")).unwrap();
        let chart = Chart { step: Span::from_mins(5), ..Chart::default() };
        let mut envelope = Envelope {
            content: Content::Alert(&alert, Some(&chart)),
            json: "",
            key: "1",
            first: "1",
            handle: None,
            now: alert.at,
        };
        let receipt = bot.tell(envelope).await.unwrap();
        (envelope.key, envelope.handle) = ("2", receipt.handle.as_deref());
        bot.tell(envelope).await.unwrap();
        server.abort();
        std::mem::take(&mut seen.lock().unwrap())
    }

    #[tokio::test]
    async fn a_picture_is_put_below_the_first_message_once() {
        let seen = told(true).await;
        let paths: Vec<_> = seen.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/api/chat.postMessage",
                "/api/files.getUploadURLExternal",
                "/upload/v1",
                "/api/files.completeUploadExternal",
                "/api/chat.update",
            ]
        );
        assert_eq!(seen[1].2, "filename=signals.png&length=9");
        assert_eq!(seen[2].2, "a picture");
        let with_token: Vec<_> = seen.iter().map(|(_, token, _)| *token).collect();
        assert_eq!(with_token, [true, true, false, true, true], "only Slack's API gets the token");
        let done: Value = serde_json::from_str(&seen[3].2).unwrap();
        assert_eq!(done["files"][0]["id"], "F1");
        assert_eq!((&done["channel_id"], &done["thread_ts"]), (&json!("C1"), &json!("1.5")));
    }

    #[tokio::test]
    async fn a_message_goes_out_without_its_picture() {
        let seen = told(false).await;
        let paths: Vec<_> = seen.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(
            paths,
            ["/api/chat.postMessage", "/api/files.getUploadURLExternal", "/api/chat.update",]
        );
    }
}
