//! Webhooks against a real HTTP server, and deliveries to several receivers at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use grayflag::engine::alert::Alert;
use grayflag::notify::error::{Class, Retry};
use grayflag::notify::post::PostConfig;
use grayflag::notify::receiver::{ReceiverConfig, ReceiverKind};
use grayflag::notify::templates::Templates;
use grayflag::notify::webhook::WebhookConfig;
use grayflag::store::RowState;
use grayflag::time::Span;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;

use crate::smtp::{Certificates, Sink};
use crate::support::{Running, envelope, hook, mail, mail_to, receiver, sample};

/// How the server answers, in order; afterwards 200.
#[derive(Clone, Debug)]
enum Answer {
    Status(u16),
    After(u16, &'static str),
    Text(u16, String),
    Redirect,
    Hang,
}

/// A request as it came.
#[derive(Clone, Debug)]
struct Seen {
    headers: HeaderMap,
    body: String,
    /// What it was answered, 0 for never.
    status: u16,
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<std::collections::VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// An HTTP server for one test.
struct Server {
    url: String,
    script: Script,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Script {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Script::default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url =
            format!("http://{}/hooks/T0P-S3CRET?token=hunter2", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(script.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, script, task }
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    /// How often each message was taken.
    fn taken(&self) -> BTreeMap<String, usize> {
        let mut taken = BTreeMap::new();
        for seen in self.seen().iter().filter(|s| s.status == 200) {
            *taken.entry(text(&seen.headers, "idempotency-key")).or_default() += 1;
        }
        taken
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(script): State<Script>, headers: HeaderMap, body: Bytes) -> Response {
    let next = script.answers.lock().unwrap().pop_front();
    let response = match &next {
        None | Some(Answer::Hang) => StatusCode::OK.into_response(),
        Some(Answer::Status(status)) => StatusCode::from_u16(*status).unwrap().into_response(),
        Some(Answer::Text(status, text)) => {
            (StatusCode::from_u16(*status).unwrap(), text.clone()).into_response()
        }
        Some(Answer::After(status, after)) => {
            (StatusCode::from_u16(*status).unwrap(), [("retry-after", *after)]).into_response()
        }
        Some(Answer::Redirect) => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response()
        }
    };
    let hang = matches!(next, Some(Answer::Hang));
    script.seen.lock().unwrap().push(Seen {
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
        status: if hang { 0 } else { response.status().as_u16() },
    });
    if hang {
        std::future::pending::<()>().await;
    }
    response
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(HeaderValue::to_str).unwrap().unwrap().to_owned()
}

fn state(dir: &TempDir) -> PathBuf {
    dir.path().join("state.db")
}

/// Distinct incidents.
fn incidents(count: usize) -> Vec<Alert> {
    (0..count)
        .map(|number| {
            let mut alert = sample("firing");
            alert.incident = format!("incident-{number:03}");
            alert
        })
        .collect()
}

async fn post(receiver: &ReceiverConfig) -> Result<(), grayflag::notify::error::NotifyError> {
    let alert = sample("firing");
    let target = receiver.open(&Templates::default()).unwrap().remove(0);
    let json = alert.to_json();
    target.send(envelope(&alert, &json, "some/key")).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_the_alert_as_json() {
    let server = Server::start([]).await;
    let dir = TempDir::new().unwrap();
    let alert = sample("firing");
    let mut receiver = hook("hook", &server.url);
    if let ReceiverKind::Webhook(config) = &mut receiver.kind {
        config.post.headers.push(("Authorization".to_owned(), SecretString::from("Bearer abc")));
    }
    let running = Running::start(&state(&dir), &[receiver], alert.at);
    running.commit(vec![alert.clone()]).await;
    running.until_empty().await;
    running.stop().await;
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body, alert.to_json());
    assert_eq!(text(&seen[0].headers, "content-type"), "application/json");
    assert_eq!(text(&seen[0].headers, "authorization"), "Bearer abc");
    assert_eq!(text(&seen[0].headers, "idempotency-key"), format!("{}/hook", alert.id()));
    let agent = concat!("grayflag/", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&seen[0].headers, "user-agent"), agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_status_over_the_wire_is_what_the_table_says() {
    let after = |seconds| Retry::After(Span::from_secs(seconds));
    let cases = [
        (Answer::Status(400), Class::Refused, Retry::Never),
        (Answer::Status(401), Class::Auth, Retry::Never),
        (Answer::Status(404), Class::Refused, Retry::Never),
        (Answer::Status(408), Class::Busy, Retry::Later),
        (Answer::Status(425), Class::Busy, Retry::Later),
        (Answer::After(429, "7"), Class::Busy, after(7)),
        // The sample's tick is 02:30.
        (Answer::After(503, "Sun, 01 Mar 2026 02:31:00 GMT"), Class::Busy, after(60)),
        (Answer::After(429, "never"), Class::Busy, Retry::Later),
        (Answer::After(404, "7"), Class::Refused, Retry::Never),
        (Answer::Status(500), Class::Server, Retry::Later),
        (Answer::Status(599), Class::Server, Retry::Later),
        (Answer::Redirect, Class::Refused, Retry::Never),
    ];
    let server = Server::start(cases.iter().map(|case| case.0.clone())).await;
    let receiver = hook("hook", &server.url);
    for (answer, class, retry) in &cases {
        let error = post(&receiver).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (*class, *retry), "{answer:?}");
    }
    assert_eq!(server.seen().len(), cases.len(), "a redirect is not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_hold_no_secret_and_little_text() {
    let echo = "you sent /hooks/T0P-S3CRET?token=hunter2 with Bearer abc\u{1b}[2J\n".repeat(1_000);
    let server = Server::start([Answer::Text(500, echo)]).await;
    let mut receiver = hook("hook", &server.url);
    if let ReceiverKind::Webhook(config) = &mut receiver.kind {
        config.post.headers.push(("Authorization".to_owned(), SecretString::from("Bearer abc")));
    }
    let refused = post(&receiver).await.unwrap_err();
    drop(server);
    let gone = Server::start([]).await.url.clone();
    let unreachable = post(&hook("hook", &gone)).await.unwrap_err();
    assert_eq!((unreachable.class(), unreachable.retry()), (Class::Network, Retry::Later));
    for error in [refused, unreachable] {
        let text = format!(
            "{error} {error:?} {receiver:?} {:?}",
            receiver.open(&Templates::default()).unwrap()
        );
        for secret in ["S3CRET", "hunter2", "Bearer abc"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(error.to_string().starts_with("cannot post to `127.0.0.1`: "), "{error}");
        assert!(error.to_string().len() < 1_000);
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_cannot_work_are_refused_at_the_start() {
    for bad in ["", "nonsense", "ftp://example.com/x", "file:///etc/passwd"] {
        assert!(hook("hook", bad).open(&Templates::default()).is_err(), "{bad}");
    }
    let post = PostConfig {
        url: SecretString::from("https://example.com"),
        headers: vec![("X-Key".to_owned(), SecretString::from("two\r\nlines"))],
        ca_file: None,
    };
    let config = WebhookConfig { post, signing_secret: None };
    let kind = ReceiverKind::Webhook(Box::new(config));
    let error = receiver("hook", kind).open(&Templates::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "receiver `hook`: cannot use the value of a header: `X-Key`",
        "and not the value"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_authority_can_be_trusted() {
    let certificates = Certificates::make();
    // The mail server with implicit TLS speaks no HTTP, but shakes hands before saying so.
    let sink = Sink::start(json!({
        "cert": certificates.text("leaf.pem"), "key": certificates.text("leaf.key"),
        "implicit": true
    }));
    let mut receiver = hook("hook", &format!("https://127.0.0.1:{}/", sink.port));
    let distrusted = post(&receiver).await.unwrap_err();
    assert_eq!((distrusted.class(), distrusted.retry()), (Class::Tls, Retry::Later));
    if let ReceiverKind::Webhook(config) = &mut receiver.kind {
        config.post.ca_file = Some(certificates.path("ca.pem"));
    }
    let trusted = post(&receiver).await.unwrap_err();
    assert_eq!(trusted.class(), Class::Network, "{trusted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_for_a_while_gets_everything_once() {
    let server = Server::start((0..9).map(|_| Answer::Status(500))).await;
    let dir = TempDir::new().unwrap();
    let alerts = incidents(12);
    let running = Running::start(&state(&dir), &[hook("hook", &server.url)], alerts[0].at);
    running.commit(alerts.clone()).await;
    running.until_empty_in(120).await;
    let status = running.board.of("hook");
    assert_eq!((status.sent, status.dead, status.error), (12, 0, None));
    assert_eq!(status.failed.get("server"), Some(&9));
    running.stop().await;
    let taken = server.taken();
    assert_eq!(taken.len(), 12);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_kept() {
    let server = Server::start([Answer::After(429, "600")]).await;
    let dir = TempDir::new().unwrap();
    let alerts = incidents(2);
    let now = alerts[0].at;
    let running = Running::start(&state(&dir), &[hook("hook", &server.url)], alerts[0].at);
    running.commit(alerts).await;
    let board = running.board.clone();
    running.until("the refusal", move |_| board.of("hook").failed.contains_key("busy")).await;
    assert_eq!(server.seen().len(), 1);
    // Nobody is asked before: neither for this message nor for the other.
    let until = running.board.of("hook").rest_until.unwrap();
    assert_eq!(until, now + Span::from_secs(600));
    running.pass(Span::from_secs(601));
    running.until_empty().await;
    running.stop().await;
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_at_fault_does_not_hold_the_others_up() {
    let server = Server::start([Answer::Status(422), Answer::Status(500)]).await;
    let dir = TempDir::new().unwrap();
    let alerts = incidents(5);
    let running = Running::start(&state(&dir), &[hook("hook", &server.url)], alerts[0].at);
    running.commit(alerts.clone()).await;
    // The first is refused for good at once, the second fails for now.
    let board = running.board.clone();
    running.until("the failure", move |_| board.of("hook").failed.contains_key("server")).await;
    running.until_empty_in(5).await;
    let first = format!("{}/hook", alerts[0].id());
    let (state, _, error) = running.store.with(move |s| s.message(&first)).await.unwrap().unwrap();
    assert_eq!(state, RowState::Dead);
    assert!(error.unwrap().contains("status 422"));
    running.stop().await;
    assert_eq!(server.taken().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_or_is_gone_delays_no_other() {
    let hanging = Server::start((0..1_000).map(|_| Answer::Hang)).await;
    let gone = Server::start([]).await.url.clone();
    let good = Server::start([]).await;
    let sink = Sink::start(json!({}));
    let dir = TempDir::new().unwrap();
    let receivers = [
        hook("hanging", &hanging.url),
        hook("gone", &gone),
        hook("good", &good.url),
        mail(mail_to(&["ops@example.com"], sink.port)),
    ];
    let alerts = incidents(20);
    let running = Running::start(&state(&dir), &receivers, alerts[0].at);
    let begun = grayflag::clock::now();
    running.commit(alerts).await;
    let counts = |s: &grayflag::store::Store| s.count(RowState::Done).unwrap() == 40;
    running.until("both good receivers served", counts).await;
    let took = grayflag::clock::now() - begun;
    assert!(took < Span::from_secs(8), "{took}: the webhook's timeout is 10s");
    assert_eq!((good.taken().len(), sink.mails().len()), (20, 20));
    assert_eq!(running.board.of("hanging").sent, 0);
    // Stopping does not wait for the hanging one beyond its grace.
    let begun = grayflag::clock::now();
    running.stop().await;
    assert!(grayflag::clock::now() - begun < Span::from_secs(5));
}

#[test]
fn crashes_at_any_instant_lose_nothing() {
    let dir = TempDir::new().unwrap();
    let server_runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server_runtime.block_on(Server::start([]));
    let receivers = [hook("hook", &server.url)];
    let alerts = incidents(120);
    let crashes = 12;
    let mut unfinished = 0;
    for round in 0..=crashes {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let running = Running::start(&state(&dir), &receivers, alerts[0].at);
            running.commit(alerts.clone()).await;
            if round == crashes {
                running.until_empty().await;
                running.stop().await;
            } else {
                // Somewhere within a message: after so many, at no particular step of the next.
                let before = server.seen().len();
                let script = server.script.clone();
                let more = move |store: &grayflag::store::Store| {
                    before + 2 < script.seen.lock().unwrap().len()
                        || store.pending_count().unwrap() == 0
                };
                running.until("a few more", more).await;
                let left = running.store.with(|store| store.pending_count()).await.unwrap();
                unfinished += usize::from(left > 0);
            }
        });
        // Tasks end wherever they wait; what a blocking thread has begun, the disk decides.
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
    let taken = server.taken();
    assert!(unfinished > 2, "few crashes had anything to interrupt: {unfinished}");
    assert_eq!(taken.len(), 120, "every message arrived");
    let twice = taken.values().filter(|times| **times > 1).count();
    assert!(twice <= crashes, "only what a crash had in hand may come twice: {twice}");
    assert!(taken.values().all(|times| *times <= 2), "{taken:?}");
}
