//! Receivers behind the API of a service, against a server that checks requests as the services
//! document them and answers as they do. No real account is used.

mod discord;
mod documented;
mod hostile;
mod messages;
mod moved;
mod pagers;
mod secrets;
mod slack;
mod teams;
mod telegram;
mod webhook;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use grayflag::engine::alert::Alert;
use grayflag::engine::chart::Chart;
use grayflag::notify::discord::DiscordConfig;
use grayflag::notify::error::NotifyError;
use grayflag::notify::opsgenie::OpsgenieConfig;
use grayflag::notify::pagerduty::PagerDutyConfig;
use grayflag::notify::post::PostConfig;
use grayflag::notify::receiver::{
    Content, Envelope, Receipt, ReceiverConfig, ReceiverKind, Target,
};
use grayflag::notify::sample;
use grayflag::notify::slack::{SlackApp, SlackConfig};
use grayflag::notify::teams::TeamsConfig;
use grayflag::notify::telegram::TelegramConfig;
use grayflag::notify::templates::Templates;
use grayflag::notify::webhook::WebhookConfig;
use secrecy::SecretString;
use serde_json::Value;

use crate::support::receiver;
use documented::Documented;

/// Every kind of receiver behind an API, by the name of its golden files.
const KINDS: [&str; 8] =
    ["webhook", "slack", "slack-webhook", "pagerduty", "opsgenie", "teams", "discord", "telegram"];
/// Those that call people, and take no digests.
const PAGERS: [&str; 2] = ["pagerduty", "opsgenie"];

/// What nobody may read anywhere, of every kind.
const SLACK_TOKEN: &str = "xoxb-000-SLACKTOKEN";
const ROUTING_KEY: &str = "0123456789abcdefROUTINGKEY012345";
const GENIE_KEY: &str = "00-GENIEKEY-00";
const BOT_TOKEN: &str = "123456:TELEGRAMTOKEN-x_y";
const SIGNING_SECRET: &str = "SIGNING-SECRET-0123456789";
const PATH_TOKEN: &str = "PATHTOKEN0123456789abcdef";

/// A request as it came.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    /// With the query.
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    /// What it was answered.
    status: u16,
    answer: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap())
    }
}

/// An answer that is not the documented one to a good request.
#[derive(Clone, Debug)]
struct Scripted {
    status: u16,
    after: Option<&'static str>,
    body: String,
}

fn says(status: u16, body: &Value) -> Scripted {
    Scripted { status, after: None, body: body.to_string() }
}

#[derive(Clone, Default)]
struct Shared {
    scripted: Arc<Mutex<VecDeque<Option<Scripted>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    documented: Arc<Mutex<Documented>>,
}

/// A server that stands for all services.
struct Api {
    base: String,
    shared: Shared,
    task: tokio::task::JoinHandle<()>,
}

impl Api {
    async fn start() -> Self {
        let shared = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { base, shared, task }
    }

    /// The next requests are answered so; none stands for the documented answer.
    fn script(&self, answers: impl IntoIterator<Item = Option<Scripted>>) {
        self.shared.scripted.lock().unwrap().extend(answers);
    }

    /// What came since this was asked last.
    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }

    /// A receiver of a kind that reaches this server.
    fn receiver(&self, kind: &str) -> ReceiverConfig {
        let base = &self.base;
        let post = |path: &str| PostConfig {
            url: SecretString::from(format!("{base}{path}")),
            headers: Vec::new(),
            ca_file: None,
        };
        let kind = match kind {
            "webhook" => ReceiverKind::Webhook(Box::new(WebhookConfig {
                post: post(&format!("/hooks/{PATH_TOKEN}")),
                signing_secret: Some(SecretString::from(SIGNING_SECRET)),
            })),
            "slack" => ReceiverKind::Slack(Box::new(SlackConfig::App(SlackApp {
                api_url: format!("{base}/api"),
                token: SecretString::from(SLACK_TOKEN),
                channel: "#alerts".to_owned(),
                ca_file: None,
            }))),
            "slack-webhook" => {
                let config = SlackConfig::Webhook(post(&format!("/services/T0/B0/{PATH_TOKEN}")));
                ReceiverKind::Slack(Box::new(config))
            }
            "pagerduty" => ReceiverKind::PagerDuty(Box::new(PagerDutyConfig {
                api_url: format!("{base}/v2/enqueue"),
                routing_key: SecretString::from(ROUTING_KEY),
                ca_file: None,
            })),
            "opsgenie" => ReceiverKind::Opsgenie(Box::new(OpsgenieConfig {
                api_url: base.clone(),
                api_key: SecretString::from(GENIE_KEY),
                ca_file: None,
            })),
            "teams" => ReceiverKind::Teams(Box::new(TeamsConfig {
                post: post(&format!("/workflows/1/triggers/manual/paths/invoke?sig={PATH_TOKEN}")),
            })),
            "discord" => ReceiverKind::Discord(Box::new(DiscordConfig {
                post: post(&format!("/api/webhooks/1/{PATH_TOKEN}")),
            })),
            "telegram" => ReceiverKind::Telegram(Box::new(TelegramConfig {
                api_url: base.clone(),
                token: SecretString::from(BOT_TOKEN),
                chat_id: "-1001234567890".to_owned(),
                message_thread_id: None,
                ca_file: None,
            })),
            other => panic!("no receiver of the kind {other}"),
        };
        receiver("chat", kind)
    }

    fn target(&self, kind: &str) -> Target {
        self.target_with(kind, &Templates::default())
    }

    fn target_with(&self, kind: &str, templates: &Templates) -> Target {
        self.receiver(kind).open(templates).unwrap().remove(0)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path_and_query().unwrap().to_string();
    let mut seen =
        Seen { method, path, headers, body: body.to_vec(), status: 0, answer: String::new() };
    let scripted = shared.scripted.lock().unwrap().pop_front().flatten();
    let scripted = scripted.unwrap_or_else(|| {
        let base = format!("http://{}", seen.header("host").unwrap());
        shared.documented.lock().unwrap().answer(&seen, &base)
    });
    seen.status = scripted.status;
    seen.answer.clone_from(&scripted.body);
    shared.seen.lock().unwrap().push(seen);
    let status = StatusCode::from_u16(scripted.status).unwrap();
    let mut response = (status, scripted.body).into_response();
    if let Some(after) = scripted.after {
        response.headers_mut().insert("retry-after", HeaderValue::from_static(after));
    }
    response
}

/// Sends an alert to a target that was told of its incident before, if there is a handle.
async fn send(
    target: &Target,
    alert: &Alert,
    handle: Option<&str>,
) -> Result<Receipt, NotifyError> {
    send_charted(target, alert, None, handle).await
}

/// The same with what can be drawn of it.
async fn send_charted(
    target: &Target,
    alert: &Alert,
    chart: Option<&Chart>,
    handle: Option<&str>,
) -> Result<Receipt, NotifyError> {
    let (json, key) = (alert.to_json(), alert.id());
    let first = if handle.is_some() { "the first" } else { &key };
    let content = Content::Alert(alert, chart);
    let now = alert.at;
    target.send(Envelope { content, json: &json, key: &key, first, handle, now }).await
}

async fn send_digest(target: &Target) -> Result<Receipt, NotifyError> {
    let digest = sample::digest();
    let (json, key) = (serde_json::to_string(&digest).unwrap(), digest.id());
    let envelope = Envelope {
        content: Content::Digest(&digest),
        json: &json,
        key: &key,
        first: &key,
        handle: None,
        now: digest.to,
    };
    target.send(envelope).await
}
