//! The HTTP server: HTTP/1.1 with bounded heads, slow clients cut off (while they send a body,
//! by whoever reads it: [`crate::api::body`]), and an orderly end.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::patience::Patient;

/// A client has so long to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// And so long to take a part of the answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
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

/// Starts to accept connections, whose requests are answered so.
#[must_use]
pub fn start<H, F>(listener: TcpListener, answer: H) -> HttpServer
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let (stop, stopped) = watch::channel(Duration::MAX);
    let task = tokio::spawn(accept(listener, answer, stopped));
    HttpServer { stop, task }
}

async fn accept<H, F>(listener: TcpListener, answer: H, mut stopped: watch::Receiver<Duration>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // Every connection holds a receiver: told when to end, and gone when it has.
    let ending = watch::Sender::new(());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => serve(stream, answer.clone(), ending.subscribe()),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let deadline = *stopped.borrow();
    ending.send_replace(());
    let _ = tokio::time::timeout(deadline, ending.closed()).await;
}

fn serve<H, F>(stream: TcpStream, answer: H, mut ending: watch::Receiver<()>)
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, WRITE_PATIENCE)), service)
        .with_upgrades();
    tokio::spawn(async move {
        let mut connection = pin!(connection);
        tokio::select! {
            // A client that goes away or speaks no HTTP is its own affair.
            _ = connection.as_mut() => return,
            _ = ending.changed() => {}
        }
        // The request under way is answered, and none after it.
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    });
}
