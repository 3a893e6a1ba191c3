//! Connections: so many at once, since each is a file descriptor that polling needs too, and none
//! that keeps its place without a request.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 128;
/// A connection is closed when the head of its first request, or of its next one, is not complete
/// after this long. Clients that keep connections find them closed and open others.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that takes no byte of its answer for this long does not want it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves connections until `stop`, then waits for the requests that are under way.
pub(super) async fn serve(mut listener: TcpListener, router: Router, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    while let Some(held) = accept(&mut listener, &permits, &stop).await {
        let service = TowerToHyperService::new(router.clone());
        let connection = connections.watch(http.serve_connection(TokioIo::new(held), service));
        tokio::spawn(async move {
            if let Err(problem) = connection.await {
                tracing::debug!(%problem, "a connection ended early");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

/// The next connection; none once it is time to stop.
async fn accept(
    listener: &mut TcpListener,
    permits: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<Held> {
    let accepted = async {
        // The semaphore is never closed; were it, connections would only go uncounted.
        let permit = Arc::clone(permits).acquire_owned().await.ok();
        // Not the method of the same name that can fail: this one waits while descriptors are out.
        let (stream, _) = Listener::accept(listener).await;
        Held { stream, stuck: None, _permit: permit }
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
