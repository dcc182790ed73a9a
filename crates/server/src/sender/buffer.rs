//! Bytes that were read and not looked at yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::head::HEAD_BYTES_MAX;

/// Bytes that an idle connection has room for: more than most answers have.
const ROOM: usize = 1 << 10;

/// It grows up to the longest head.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first so many unread bytes, which now have been read.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.start += length;
        &self.bytes[start..self.start]
    }

    /// Reads at most `most` bytes more. `Ok(0)` is the end of the stream; one that is full cannot.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: Pin<&mut impl AsyncRead>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let room = self.make_room();
        let most = room.len().min(most);
        if most == 0 {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let mut buf = ReadBuf::new(&mut room[..most]);
        ready!(stream.poll_read(cx, &mut buf))?;
        let read = buf.filled().len();
        self.end += read;
        Poll::Ready(Ok(read))
    }

    /// Room for bytes behind those that are there.
    fn make_room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let length = (2 * self.bytes.len()).clamp(ROOM, HEAD_BYTES_MAX);
            self.bytes.resize(length, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Gives back what an idle connection has no use for.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() && self.bytes.len() > ROOM {
            *self = Self::default();
        }
    }

    #[cfg(test)]
    pub(super) fn give(&mut self, bytes: &[u8]) {
        let room = self.make_room();
        room[..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }
}
