//! A proxy in front of a real backend that fails on purpose until told otherwise.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::task::JoinHandle;

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As the backend answers.
    Good,
    /// Never.
    Hang,
    /// A status and a text.
    Status(u16),
    /// The same, from the first request that is meant on for every one.
    Goes(u16),
    /// A page for people, with status 200.
    Page,
    /// The first half of the backend's answer, as if it were all.
    Half,
    /// Spaces without end.
    Endless,
}

/// A proxy that fails on purpose.
pub(crate) struct FaultProxy {
    port: u16,
    shared: Shared,
    task: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Shared {
    mode: Arc<Mutex<Mode>>,
    /// Whether [`Mode::Goes`] has begun.
    gone: Arc<AtomicBool>,
    /// Only requests whose body holds this fail.
    part: &'static str,
    backend: String,
    http: reqwest::Client,
}

impl FaultProxy {
    pub(crate) async fn start(backend: &str) -> Self {
        Self::start_for(backend, "").await
    }

    /// Fails only where the request's body holds `part`.
    pub(crate) async fn start_for(backend: &str, part: &'static str) -> Self {
        let shared = Shared {
            mode: Arc::new(Mutex::new(Mode::Good)),
            gone: Arc::default(),
            part,
            backend: backend.to_owned(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        let mut proxy = Self { port: 0, shared, task: None };
        proxy.up().await;
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
        self.shared.gone.store(false, Ordering::SeqCst);
    }

    /// Stops listening: connections are refused.
    pub(crate) async fn down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Listens, on the same port as before.
    pub(crate) async fn up(&mut self) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let app = Router::new().fallback(answer).with_state(self.shared.clone());
        self.task = Some(tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }));
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let meant = String::from_utf8_lossy(&body).contains(shared.part);
    let request = Request::from_parts(head, Body::from(body));
    let set = *shared.mode.lock().unwrap();
    if meant && matches!(set, Mode::Goes(_)) {
        shared.gone.store(true, Ordering::SeqCst);
    }
    let gone = shared.gone.load(Ordering::SeqCst);
    let mode = if meant || gone { set } else { Mode::Good };
    let mut response = match mode {
        Mode::Good => shared.forward(request).await.into_response(),
        Mode::Half => {
            let whole = shared.forward(request).await;
            whole.slice(..whole.len() / 2).into_response()
        }
        Mode::Hang => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Mode::Status(status) | Mode::Goes(status) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(header::RETRY_AFTER, "1")], "not now").into_response()
        }
        Mode::Page => "<html><body>Please log in</body></html>".into_response(),
        Mode::Endless => {
            let spaces = futures_util::stream::repeat_with(|| {
                Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 16_384]))
            });
            Body::from_stream(spaces).into_response()
        }
    };
    // Each request on its own connection, so that going down is seen at once.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Shared {
    /// The backend's answer to the same question.
    async fn forward(&self, request: Request) -> Bytes {
        let (head, body) = request.into_parts();
        let url = format!("{}{}", self.backend, head.uri);
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let mut asked = self.http.request(head.method, url).body(body);
        if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
            asked = asked.header(header::CONTENT_TYPE, kind);
        }
        match asked.send().await {
            Ok(answer) => answer.bytes().await.unwrap_or_default(),
            Err(_) => Bytes::new(),
        }
    }
}
