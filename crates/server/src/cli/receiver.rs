//! A local receiver of webhooks, for `listen` and `demo`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A body may have so many bytes: the largest event there is, and its envelope.
const BODY_BYTES_MAX: usize = 80 << 20;

/// A request as it arrived.
#[derive(Debug)]
pub(super) struct Received {
    pub method: http::Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on loopback and answers each request with the status that `judge` gives.
pub(super) async fn start(
    port: u16,
    judge: impl Fn(Received) -> StatusCode + Send + Sync + 'static,
) -> Result<Receiver> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    let address = listener.local_addr()?;
    let judge = Arc::new(judge);
    let task = tokio::spawn(async move {
        loop {
            // A failed accept is the peer's doing; running out of descriptors passes.
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(serve(stream, Arc::clone(&judge)));
        }
    });
    Ok(Receiver { address, task })
}

async fn serve<J>(stream: TcpStream, judge: Arc<J>)
where
    J: Fn(Received) -> StatusCode + Send + Sync + 'static,
{
    let service = service_fn(|request| {
        let judge = Arc::clone(&judge);
        async move { Ok::<_, Infallible>(answer(request, judge.as_ref()).await) }
    });
    // A sender that goes away is its own affair.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    judge: &impl Fn(Received) -> StatusCode,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let status = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => judge(Received {
            method: head.method,
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body: body.to_bytes(),
        }),
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    *response.status_mut() = status;
    response
}
