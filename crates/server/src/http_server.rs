//! The HTTP server: HTTP/1.1 with bounded heads, slow clients cut off, and an orderly end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::App;
use crate::api::outer::outer;
use crate::api::router::router;

/// A client has so long to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The head of a request with all its headers, bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// After a failed accept (no file descriptors left, usually) wait so long before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running HTTP server.
#[derive(Debug)]
pub struct HttpServer {
    stop: watch::Sender<Duration>,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Accepts no more connections and waits, for at most this long, for requests under way.
    pub async fn stop(self, deadline: Duration) {
        self.stop.send_replace(deadline);
        let _ = self.task.await;
    }
}

/// Starts to accept connections.
#[must_use]
pub fn start(listener: TcpListener, app: Arc<App>) -> HttpServer {
    let (stop, stopped) = watch::channel(Duration::MAX);
    let task = tokio::spawn(accept(listener, app, stopped));
    HttpServer { stop, task }
}

async fn accept(listener: TcpListener, app: Arc<App>, mut stopped: watch::Receiver<Duration>) {
    let router = router(Arc::clone(&app));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => serve(stream, &app, &router, &graceful),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let deadline = *stopped.borrow();
    let _ = tokio::time::timeout(deadline, graceful.shutdown()).await;
}

fn serve(stream: TcpStream, app: &Arc<App>, router: &Router, graceful: &GracefulShutdown) {
    let _ = stream.set_nodelay(true);
    let (app, router) = (Arc::clone(app), router.clone());
    let service = service_fn(move |request| {
        let answer = outer(Arc::clone(&app), router.clone(), request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // A client that goes away or speaks no HTTP is its own affair.
        let _ = connection.await;
    });
}
