//! Where the body of an answer ends (RFC 9112, 6 and 7).

use httparse::Status;

use super::buffer::Buffer;

/// How a body ends, and how much of it is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes more.
    Length(u64),
    Chunked(Chunk),
    /// When the receiver closes the connection.
    UntilClosed,
}

/// What comes next in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// A line with the size of the next one.
    Size,
    /// So many bytes of it.
    Data(u64),
    /// The line end after it.
    DataEnd,
    /// Lines after the last one, up to an empty one.
    Trailer,
    /// Nothing more.
    End,
}

/// What there is of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Data(&'a [u8]),
    /// Nothing until more has been read.
    Wanting,
    End,
    /// It is not framed as it said.
    Broken,
}

impl Framing {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    /// The next piece of the body in what has been read.
    pub(super) fn next<'b>(&mut self, buffer: &'b mut Buffer) -> Piece<'b> {
        match self {
            Self::Length(0) => Piece::End,
            Self::Length(left) => data(left, buffer),
            Self::Chunked(chunk) => chunk.next(buffer),
            Self::UntilClosed => data(&mut { u64::MAX }, buffer),
        }
    }
}

/// At most `left` bytes, which are taken from it.
fn data<'b>(left: &mut u64, buffer: &'b mut Buffer) -> Piece<'b> {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.unread().len());
    if length == 0 {
        return Piece::Wanting;
    }
    *left -= length as u64;
    Piece::Data(buffer.take(length))
}

impl Chunk {
    fn next<'b>(&mut self, buffer: &'b mut Buffer) -> Piece<'b> {
        loop {
            match self {
                Self::Data(0) => *self = Self::DataEnd,
                Self::Data(left) => return data(left, buffer),
                Self::End => return Piece::End,
                Self::Size => match httparse::parse_chunk_size(buffer.unread()) {
                    Ok(Status::Complete((length, size))) => {
                        buffer.take(length);
                        *self = if size == 0 { Self::Trailer } else { Self::Data(size) };
                    }
                    Ok(Status::Partial) => return Piece::Wanting,
                    Err(_) => return Piece::Broken,
                },
                Self::DataEnd | Self::Trailer => match line(buffer) {
                    Some(is_empty) => match (*self, is_empty) {
                        (Self::DataEnd, false) => return Piece::Broken,
                        (Self::DataEnd, true) => *self = Self::Size,
                        (_, true) => *self = Self::End,
                        _ => {}
                    },
                    None => return Piece::Wanting,
                },
            }
        }
    }
}

/// Takes a line, and says whether it was empty; `None` while it has no end.
fn line(buffer: &mut Buffer) -> Option<bool> {
    let end = buffer.unread().iter().position(|byte| *byte == b'\n')?;
    let line = buffer.take(end + 1);
    Some(matches!(line, b"\r\n" | b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of a body that comes in pieces of so many bytes; `Err` with what there was when it broke.
    fn read(mut framing: Framing, bytes: &[u8], at_once: usize) -> Result<Vec<u8>, Vec<u8>> {
        let (mut buffer, mut body) = (Buffer::default(), Vec::new());
        let mut chunks = bytes.chunks(at_once);
        loop {
            match framing.next(&mut buffer) {
                Piece::Data(data) => body.extend_from_slice(data),
                Piece::End => return Ok(body),
                Piece::Broken => return Err(body),
                Piece::Wanting => match chunks.next() {
                    Some(chunk) => buffer.give(chunk),
                    None => return Err(body),
                },
            }
        }
    }

    #[test]
    fn bodies_end_where_they_say() {
        let chunked = Framing::chunked();
        for at_once in [1, 2, 3, 7, 1_000] {
            let text = b"3\r\nabc\r\n0a;x=\"y\"\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\nrest";
            assert_eq!(read(chunked, text, at_once), Ok(b"abc0123456789".to_vec()));
            assert_eq!(read(chunked, b"0\r\n\r\n", at_once), Ok(vec![]));
            assert_eq!(read(Framing::Length(2), b"abc", at_once), Ok(b"ab".to_vec()));
            assert_eq!(read(Framing::Length(0), b"abc", at_once), Ok(vec![]));
        }
    }

    #[test]
    fn bodies_that_do_not_are_broken() {
        let chunked = Framing::chunked();
        for (text, body) in [
            (&b"zz\r\n"[..], &b""[..]),
            (b"-1\r\n", b""),
            (b"11111111111111111\r\n", b""),
            (b"3\r\nabcd\r\n", b"abc"),
            (b"3\r\nab", b"ab"),
            (b"3\r\nabc\r\n", b"abc"),
            (b"3\r\nabc\r\n0\r\nA: b\r\n", b"abc"),
        ] {
            for at_once in [1, 1_000] {
                assert_eq!(read(chunked, text, at_once), Err(body.to_vec()), "{text:?}");
            }
        }
        assert_eq!(read(Framing::Length(4), b"abc", 2), Err(b"abc".to_vec()));
        assert_eq!(read(Framing::UntilClosed, b"abc", 2), Err(b"abc".to_vec()));
    }
}
