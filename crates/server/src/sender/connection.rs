//! An HTTP/1.1 connection: one request after the other, each with its answer.
//!
//! It is driven by whoever uses it, and by nobody while it is idle. It is written by hand because it is on
//! the path of every delivery: hyper's client took 3 to 4 of the 40 µs of a delivery more, for channels
//! between its halves and a map of headers for each message.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tidings_core::outcome::{Answer, Failure};
use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

use super::answer::{BODY_BYTES_READ, Reading};
use super::buffer::Buffer;
use super::framing::{Framing, Piece};
use super::head::{self, HEAD_BYTES_MAX, Head};
use super::stream::Stream;
use super::{Request, failure, message};

/// Bytes read for one answer in all: a head, a body as far as it is read, and as much again as a head
/// for interim answers and chunk sizes. A bound on the sum needs no count of any of them.
const ANSWER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX + BODY_BYTES_READ;
/// What an idle connection keeps to write the next request into, bytes.
const KEPT_TO_WRITE: usize = 2 << 10;

pub(super) struct Connection {
    stream: Stream,
    /// The head of the request, and its body if that is short.
    out: Vec<u8>,
    buffer: Buffer,
    /// Bytes that may still be read for this answer.
    allowance: usize,
    /// It can take another request when the answer is over.
    is_kept: bool,
    /// When it was opened: a connection has an age limit, so that receivers that move are followed.
    pub(super) opened: Instant,
}

/// What is still to be written of a request.
struct Unwritten<'a> {
    written: usize,
    /// The part of the body that was not copied.
    body: &'a [u8],
    is_flushed: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Box<Self> {
        Box::new(Self {
            stream,
            out: Vec::with_capacity(KEPT_TO_WRITE / 2),
            buffer: Buffer::default(),
            allowance: ANSWER_BYTES_MAX,
            is_kept: true,
            opened: Instant::now(),
        })
    }

    /// Sends a request and reads the answer into `reading`; fails only while there is no status line.
    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        reading: &mut Reading,
    ) -> Result<(), Failure> {
        self.allowance = ANSWER_BYTES_MAX;
        self.out.clear();
        let copied = message::write(request, &mut self.out)?;
        let mut unwritten =
            Unwritten { written: 0, body: &request.body[copied..], is_flushed: false };
        let (answer, framing) = poll_fn(|cx| self.poll_answer(cx, &mut unwritten)).await?;
        // Of an answer that came too early the rest of the request is owed, and never sent.
        self.is_kept &= unwritten.is_flushed;
        reading.answer(answer);
        self.read_body(framing, reading).await;
        Ok(())
    }

    /// Writes as long as there is something to write, and looks for an answer all the while: it may come
    /// before the request has been read, as the refusal of a large body does.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        unwritten: &mut Unwritten<'_>,
    ) -> Poll<Result<(Answer, Framing), Failure>> {
        let written = self.poll_write(cx, unwritten);
        match (self.poll_head(cx), written) {
            (Poll::Ready(result), _) => Poll::Ready(result),
            // What was said before the connection broke has been read by now.
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(failure::of_io(&error))),
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        unwritten: &mut Unwritten<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
        loop {
            let head = &self.out[unwritten.written.min(self.out.len())..];
            let body = &unwritten.body[unwritten.written.saturating_sub(self.out.len())..];
            let written = match (head, body) {
                ([], []) if unwritten.is_flushed => return Poll::Ready(Ok(())),
                ([], []) => {
                    ready!(stream.as_mut().poll_flush(cx))?;
                    unwritten.is_flushed = true;
                    return Poll::Ready(Ok(()));
                }
                (one, []) | ([], one) => stream.as_mut().poll_write(cx, one),
                (head, body) => {
                    let both = [IoSlice::new(head), IoSlice::new(body)];
                    stream.as_mut().poll_write_vectored(cx, &both)
                }
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => unwritten.written += count,
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Answer, Framing), Failure>> {
        loop {
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Err(failure::closed())),
                Ok(read) => {
                    if let Some(found) = self.take_head(read)? {
                        return Poll::Ready(Ok(found));
                    }
                }
                Err(error) => return Poll::Ready(Err(failure::of_io(&error))),
            }
        }
    }

    /// The answer, if its head is complete with these bytes that have just been read. It is only looked at
    /// when a line has ended, so that a head in drops costs no more than its lines.
    fn take_head(&mut self, read: usize) -> Result<Option<(Answer, Framing)>, Failure> {
        let unread = self.buffer.unread();
        let fresh = &unread[unread.len() - read..];
        let is_first = fresh.len() == unread.len();
        if !is_first && !fresh.contains(&b'\n') && unread.len() < HEAD_BYTES_MAX {
            return Ok(None);
        }
        while let Some((head, length)) = head::parse(self.buffer.unread())? {
            self.buffer.take(length);
            if let Head::Final { answer, framing, is_kept } = head {
                self.is_kept &= is_kept;
                return Ok(Some((answer, framing)));
            }
        }
        Ok(None)
    }

    /// Reads what is kept of a body. If it breaks off, or has no end, the status stands.
    async fn read_body(&mut self, mut framing: Framing, reading: &mut Reading) {
        loop {
            match framing.next(&mut self.buffer) {
                Piece::Data(data) if reading.data(data) => {}
                Piece::Wanting => match poll_fn(|cx| self.poll_fill(cx)).await {
                    Ok(0) if framing == Framing::UntilClosed => return reading.ended(),
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return self.is_kept = false,
                },
                Piece::End => return reading.ended(),
                Piece::Data(_) | Piece::Broken => return self.is_kept = false,
            }
        }
    }

    /// Reads some bytes, if that is still allowed. `Ok(0)` is the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = ready!(self.buffer.poll_fill(cx, Pin::new(&mut self.stream), self.allowance))?;
        self.allowance -= read;
        Poll::Ready(Ok(read))
    }

    /// Whether not a byte has come back for the last request.
    pub(super) fn heard_nothing(&self) -> bool {
        self.allowance == ANSWER_BYTES_MAX
    }

    /// Whether it can take a request now: the last answer is over, the receiver has not closed, and has
    /// sent nothing that was not asked for. Also lets go of the task that drove it last.
    pub(super) fn is_ready(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.is_kept && self.buffer.is_empty() && self.poll_fill(&mut cx).is_pending()
    }

    /// Gives back what an idle connection has no use for.
    pub(super) fn rest(&mut self) {
        self.buffer.shrink();
        self.out.clear();
        self.out.shrink_to(KEPT_TO_WRITE);
    }
}
