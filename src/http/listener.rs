//! Connections: so many at once, since each is a file descriptor that polling needs too, and none
//! that keeps its place without a request.

use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::Bound;
use super::tls::Tls;

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 128;
/// A connection is closed when the head of its first request, or of its next one, is not complete
/// after this long. Clients that keep connections find them closed and open others.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that a client may take to agree on encryption.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that takes no byte of its answer for this long does not want it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves connections until `stop`, then waits for the requests that are under way.
pub(super) async fn serve(bound: Bound, router: Router, stop: CancellationToken) {
    let Bound { mut listener, tls } = bound;
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    while let Some((held, peer)) = accept(&mut listener, &permits, &stop).await {
        let (tls, stop) = (tls.clone(), stop.clone());
        let served = Served { http: http.clone(), router: router.clone(), peer };
        let watcher = connections.watcher();
        tokio::spawn(async move {
            match tls {
                None => served.answer(held, watcher).await,
                Some(tls) => {
                    let agreed = tokio::select! {
                        agreed = handshake(tls, held) => agreed,
                        () = stop.cancelled() => None,
                    };
                    if let Some(stream) = agreed {
                        served.answer(stream, watcher).await;
                    }
                }
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

/// Agrees with a client on encryption; none where that fails.
async fn handshake(tls: Tls, held: Held) -> Option<tokio_rustls::server::TlsStream<Held>> {
    let acceptor = tokio::task::spawn_blocking(move || tls.acceptor()).await.ok()?;
    let agreed = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(held)).await;
    let agreed = agreed.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    agreed.inspect_err(|problem| tracing::debug!(%problem, "no encryption was agreed on")).ok()
}

/// How a connection is served.
struct Served {
    http: http1::Builder,
    router: Router,
    peer: Peer,
}

impl Served {
    /// Answers what is asked until the client leaves, or its last request after the time to stop.
    async fn answer(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, watcher: Watcher) {
        let Self { http, router, peer } = self;
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.call(request)
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        if let Err(problem) = watcher.watch(connection).await {
            tracing::debug!(%problem, "a connection ended early");
        }
    }
}

/// The next connection; none once it is time to stop.
async fn accept(
    listener: &mut TcpListener,
    permits: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(Held, Peer)> {
    let accepted = async {
        // The semaphore is never closed; were it, connections would only go uncounted.
        let permit = Arc::clone(permits).acquire_owned().await.ok();
        // Not the method of the same name that can fail: this one waits while descriptors are out.
        let (stream, peer) = Listener::accept(listener).await;
        (Held { stream, stuck: None, _permit: permit }, Peer(peer.ip()))
    };
    tokio::select! {
        held = accepted => Some(held),
        () = stop.cancelled() => None,
    }
}

/// A connection that counts while it is open.
struct Held {
    stream: TcpStream,
    /// While the client takes nothing: when to give up.
    stuck: Option<Pin<Box<Sleep>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// A result of writing, or an error when writing has been waiting for too long.
    fn in_time(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
