//! An HTTP/1.1 connection that is driven by whoever uses it, and by nobody while it is idle.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::response::Parts;
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::answer::BODY_BYTES_READ;
use super::stream::{Allowance, Stream, Transport};

/// Longest head of an answer, and most headers in it.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 100;
/// Bytes read for one answer in all: a head, a body as far as it is read, and as much again as a head
/// for interim answers and chunk sizes.
const ANSWER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX + BODY_BYTES_READ;

pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    driver: Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
    allowance: Arc<Allowance>,
    /// When it was opened: a connection has an age limit, so that receivers that move are followed.
    pub(super) opened: Instant,
}

impl Connection {
    pub(super) async fn open(transport: Transport) -> hyper::Result<Box<Self>> {
        let allowance = Arc::new(Allowance::default());
        allowance.set(ANSWER_BYTES_MAX);
        let stream = Stream { transport, allowance: allowance.clone() };
        let (requests, driver) = http1::Builder::new()
            // Some receivers look for `Content-Type` in just these letters.
            .title_case_headers(true)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let opened = Instant::now();
        Ok(Box::new(Self { requests, driver: Some(driver), allowance, opened }))
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) fn head(
        &mut self,
        message: http::Request<Full<Bytes>>,
    ) -> impl Future<Output = hyper::Result<(Parts, Incoming)>> {
        self.allowance.set(ANSWER_BYTES_MAX);
        // Boxed, it is not a part of the attempt's future, which would hold it twice over: allocating
        // and moving those 2.4 KiB made up 5 % of a delivery.
        let mut response = Box::pin(self.requests.send_request(message));
        poll_fn(move |cx| {
            drive(&mut self.driver, cx);
            response.as_mut().poll(cx).map_ok(http::Response::into_parts)
        })
    }

    /// Waits for the next piece of a body.
    pub(super) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<Frame<Bytes>>> {
        poll_fn(|cx| {
            drive(&mut self.driver, cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
        .await
    }

    /// Whether not a byte has come back for the last request.
    pub(super) fn heard_nothing(&self) -> bool {
        self.allowance.left() == ANSWER_BYTES_MAX
    }

    /// Whether it can take a request now: the last answer is over, the receiver has not closed, and has
    /// sent nothing that was not asked for. Also lets go of the task that drove it last.
    pub(super) fn is_ready(&mut self) -> bool {
        drive(&mut self.driver, &mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.requests.is_ready()
    }
}

/// Moves bytes. When the connection ends it is dropped, which tells its error to whoever waits.
fn drive(
    driver: &mut Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
    cx: &mut Context<'_>,
) {
    if let Some(connection) = driver
        && let Poll::Ready(_) = Pin::new(connection).poll(cx)
    {
        *driver = None;
    }
}
