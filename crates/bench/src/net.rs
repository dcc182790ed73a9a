//! The network under every role: connections in, connections out, one runtime per thread.
//!
//! A connection stays on the thread that it was given to. Nothing is stolen between threads and no
//! lock is contended, which is the fastest that hyper over tokio goes.

use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// One runtime on the thread that calls it.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs nothing but file descriptors")
        .block_on(future)
}

pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Threads of the load and of the receiver: half the processors each, unless told otherwise. With
/// more they wake up more often for less work each time, and take the time from the server.
pub fn threads_beside_a_server(wanted: Option<usize>) -> usize {
    wanted.unwrap_or(processors() / 2).max(1)
}

/// Serves `listener` until the process ends. Each thread gets the handler that `handler_for` makes
/// for it; connections are dealt to the threads in turn, so that they share the load evenly.
pub fn serve<H, F>(
    listener: &TcpListener,
    threads: usize,
    handler_for: impl Fn() -> H,
) -> Result<Infallible>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (give, mut take) = mpsc::unbounded_channel::<std::net::TcpStream>();
            let handler = handler_for();
            thread::spawn(move || {
                block_on(async {
                    while let Some(stream) = take.recv().await {
                        tokio::spawn(serve_connection(stream, handler.clone()));
                    }
                });
            });
            give
        })
        .collect();
    for worker in workers.iter().cycle() {
        let (stream, _) = listener.accept().context("could not accept a connection")?;
        worker.send(stream).context("a worker thread is gone")?;
    }
    unreachable!("there is at least one worker, and a cycle does not end")
}

async fn serve_connection<H, F>(stream: std::net::TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let ready = stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true));
    let Ok(stream) = ready.and_then(|()| TcpStream::from_std(stream)) else { return };
    let service = service_fn(|request| {
        let answer = handler(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    // An error here is the peer going away, which is its right.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A kept-alive connection out. It is driven by whoever waits for an answer on it, not by a task
/// of its own: one wake-up per answer instead of three.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("could not connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Box::pin(connection) })
    }

    /// Sends one request and reads its whole answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
        let Self { sender, driver } = self;
        drive(driver, sender.ready()).await??;
        let (head, body) = drive(driver, sender.send_request(request)).await??.into_parts();
        let body = drive(driver, body.collect()).await??.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

/// Polls a connection and what waits for it as one.
async fn drive<C, T>(connection: &mut Pin<Box<C>>, waiting: impl Future<Output = T>) -> Result<T>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut waiting = pin!(waiting);
    let mut ended = false;
    std::future::poll_fn(move |context: &mut Context<'_>| {
        // What waits goes first: when it is ready already, there is nothing to drive.
        if let Poll::Ready(value) = waiting.as_mut().poll(context) {
            return Poll::Ready(Ok(value));
        }
        if !ended && let Poll::Ready(end) = connection.as_mut().poll(context) {
            ended = true;
            end.context("the connection broke")?;
        }
        match waiting.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending if ended => {
                Poll::Ready(Err(anyhow::anyhow!("the connection was closed without an answer")))
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// `http://127.0.0.1:4000/api/events` as the address to dial, the `Host` and the path to ask for.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub host: String,
    pub path: Uri,
}

impl std::str::FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let uri: Uri = text.parse().with_context(|| format!("{text} is not a URL"))?;
        let host = uri.authority().with_context(|| format!("{text} has no host"))?.to_string();
        let address = host.parse().with_context(|| {
            format!("{host} must be an IP address and a port: the bench resolves no names")
        })?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        anyhow::ensure!(uri.scheme_str() == Some("http"), "{text} must begin with http://");
        Ok(Self { address, host, path })
    }
}

impl Target {
    /// A POST of JSON to this target.
    pub fn post(&self, body: Bytes) -> Request<Full<Bytes>> {
        Request::post(self.path.clone())
            .header(hyper::header::HOST, self.host.as_str())
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .expect("a path and two valid headers make a request")
    }
}
