//! What a receiver is given in confidence stays there, whatever its server answers.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use grayflag::notify::alertmanager::AlertmanagerConfig;
use grayflag::notify::discord::DiscordConfig;
use grayflag::notify::opsgenie::OpsgenieConfig;
use grayflag::notify::pagerduty::PagerDutyConfig;
use grayflag::notify::post::PostConfig;
use grayflag::notify::receiver::{ReceiverConfig, ReceiverKind};
use grayflag::notify::slack::{SlackApp, SlackConfig};
use grayflag::notify::teams::TeamsConfig;
use grayflag::notify::telegram::TelegramConfig;
use grayflag::notify::templates::Templates;
use grayflag::notify::webhook::WebhookConfig;
use grayflag::time::Span;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::smtp::Sink;
use crate::support::{Running, envelope, mail, mail_to, receiver, sample};

/// Stands wherever a secret can.
const SECRET: &str = "k33p-THIS-b3tween-us";

/// The same as it goes over the wire in a login: after user and name, alone, and behind a colon, in
/// base 64 without padding.
const LOGINS: [&str; 3] = [
    "AGdyYXlmbGFnAGszM3AtVEhJUy1iM3R3ZWVuLXVz",
    "azMzcC1USElTLWIzdHdlZW4tdXM",
    "Z3JheWZsYWc6azMzcC1USElTLWIzdHdlZW4tdXM",
];

/// Every kind of receiver, with the secret in each place that takes one. The match makes a kind
/// that is missing below an error.
fn kinds(web: &str, smtp: u16) -> Vec<ReceiverConfig> {
    let mut email = mail_to(&["ops@example.com"], smtp);
    email.login = Some(("grayflag".to_owned(), SecretString::from(SECRET)));
    let post = || PostConfig {
        url: SecretString::from(format!("{web}/hooks/{SECRET}?token={SECRET}")),
        headers: vec![("X-Key".to_owned(), SecretString::from(SECRET))],
        ca_file: None,
    };
    let (api_url, secret) = (web.to_owned(), SecretString::from(SECRET));
    let webhook = WebhookConfig { post: post(), signing_secret: Some(secret.clone()) };
    let app = SlackApp {
        api_url: api_url.clone(),
        token: secret.clone(),
        channel: "C1".to_owned(),
        ca_file: None,
    };
    let telegram = TelegramConfig {
        api_url: api_url.clone(),
        token: secret.clone(),
        chat_id: "-1".to_owned(),
        message_thread_id: None,
        ca_file: None,
    };
    let alertmanager = AlertmanagerConfig {
        urls: vec![web.parse().unwrap()],
        headers: vec![("X-Key".to_owned(), secret.clone())],
        login: Some(("grayflag".to_owned(), secret.clone())),
        ca_file: None,
        labels: BTreeMap::new(),
        keep_alive: Span::MINUTE,
        owners: BTreeMap::new(),
    };
    let pager = |api_url, routing_key| PagerDutyConfig { api_url, routing_key, ca_file: None };
    let genie = |api_url, api_key| OpsgenieConfig { api_url, api_key, ca_file: None };
    let all = [
        mail(email).kind,
        ReceiverKind::Webhook(Box::new(webhook)),
        ReceiverKind::Slack(Box::new(SlackConfig::App(app))),
        ReceiverKind::Slack(Box::new(SlackConfig::Webhook(post()))),
        ReceiverKind::PagerDuty(Box::new(pager(api_url.clone(), secret.clone()))),
        ReceiverKind::Opsgenie(Box::new(genie(api_url, secret))),
        ReceiverKind::Teams(Box::new(TeamsConfig { post: post() })),
        ReceiverKind::Discord(Box::new(DiscordConfig { post: post() })),
        ReceiverKind::Telegram(Box::new(telegram)),
        ReceiverKind::Alertmanager(Box::new(alertmanager)),
    ];
    all.into_iter()
        .map(|kind| {
            let name = match &kind {
                ReceiverKind::Email(_) => "email",
                ReceiverKind::Webhook(_) => "webhook",
                ReceiverKind::Slack(_) => "slack",
                ReceiverKind::PagerDuty(_) => "pagerduty",
                ReceiverKind::Opsgenie(_) => "opsgenie",
                ReceiverKind::Teams(_) => "teams",
                ReceiverKind::Discord(_) => "discord",
                ReceiverKind::Telegram(_) => "telegram",
                ReceiverKind::Alertmanager(_) => "alertmanager",
            };
            receiver(name, kind)
        })
        .collect()
}

/// Answers every request with all that it said.
async fn echo(request: Request) -> (StatusCode, String) {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let keys = String::from_utf8_lossy(&body);
    let keys: Vec<&str> = keys.split('"').filter(|text| text.contains(SECRET)).collect();
    (StatusCode::BAD_REQUEST, format!("{keys:?} {:?} {}", head.headers, head.uri))
}

fn holds(text: &str) -> bool {
    text.contains(SECRET) || LOGINS.iter().any(|login| text.contains(login))
}

/// Where the log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that is in the files of a folder.
fn written(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect()
}

// On one thread, so that the log of all that runs is this test's.
#[tokio::test]
async fn no_secret_is_in_any_log_error_or_file() {
    let log = Log::default();
    let kept = log.clone();
    // Whatever libraries log, by way of either crate.
    let _guard = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || kept.clone())
        .finish()
        .set_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        axum::serve(listener, Router::new().fallback(echo)).await.unwrap();
    });
    let sink =
        Sink::start(json!({ "auth": ["grayflag", "other"], "echo": true, "plain_auth": true }));
    let alert = sample("firing");
    for receiver in kinds(&web, sink.port) {
        let dir = TempDir::new().unwrap();
        let json = alert.to_json();
        let target = receiver.open(&Templates::default()).unwrap().remove(0);
        let error = target.send(envelope(&alert, &json, "k")).await.unwrap_err();
        let running =
            Running::start(&dir.path().join("state.db"), std::slice::from_ref(&receiver), alert.at);
        running.commit(vec![alert.clone()]).await;
        let id = format!("{}/{}", alert.id(), target.name());
        let tried = move |s: &grayflag::store::Store| 1 <= s.message(&id).unwrap().unwrap().1;
        running.until("an attempt", tried).await;
        let board = format!("{:?}", running.board.all());
        running.stop().await;
        let name = receiver.name.clone();
        let said = format!("{error} {error:?} {target:?} {receiver:?} {board}");
        assert!(error.to_string().contains("<secret>"), "{name}: the answer repeats it: {error}");
        for (place, text) in [("what is said", said), ("a file", written(dir.path()))] {
            assert!(!holds(&text), "{name}: {place} holds the secret: {text}");
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("not delivered") && log.contains("gave a message up"), "{log}");
    for line in log.lines() {
        assert!(!holds(line), "the log holds the secret: {line}");
    }
    server.abort();
}

/// Answers every request with its credentials alone, as they are and decoded.
async fn echo_credentials(request: Request) -> (StatusCode, String) {
    let header = request.headers()["authorization"].to_str().unwrap();
    let (_, credentials) = header.split_once(' ').unwrap();
    let decoded = BASE64_STANDARD.decode(credentials).unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded);
    let password = decoded.split_once(':').map_or("", |(_, password)| password);
    (StatusCode::UNAUTHORIZED, format!("invalid token {credentials} ({password} of {decoded})"))
}

#[tokio::test]
async fn credentials_are_struck_out_without_their_scheme() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        axum::serve(listener, Router::new().fallback(echo_credentials)).await.unwrap();
    });
    let pair = BASE64_STANDARD.encode(format!("grayflag:{SECRET}"));
    let alert = sample("firing");
    let json = alert.to_json();
    for value in [format!("Bearer {SECRET}"), format!("Token  {SECRET}"), format!("basic {pair}")] {
        let headers = vec![("Authorization".to_owned(), SecretString::from(value.clone()))];
        let url = SecretString::from(web.as_str());
        let post = PostConfig { url, headers: headers.clone(), ca_file: None };
        let webhook = WebhookConfig { post, signing_secret: None };
        let alertmanager = AlertmanagerConfig {
            urls: vec![web.parse().unwrap()],
            headers,
            login: None,
            ca_file: None,
            labels: BTreeMap::new(),
            keep_alive: Span::MINUTE,
            owners: BTreeMap::new(),
        };
        for kind in [
            ReceiverKind::Webhook(Box::new(webhook)),
            ReceiverKind::Alertmanager(Box::new(alertmanager)),
        ] {
            let target = receiver("web", kind).open(&Templates::default()).unwrap().remove(0);
            let error = target.send(envelope(&alert, &json, "k")).await.unwrap_err();
            assert!(error.to_string().contains("invalid token <secret>"), "{error}");
            assert!(!holds(&format!("{error} {error:?}")), "{value}: {error}");
        }
    }
    server.abort();
}
