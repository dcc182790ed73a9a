//! The head of an answer (RFC 9112, 4 and 5), parsed by `httparse`.

use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Response, Status};
use tidings_core::outcome::{Answer, Failure};
use tidings_core::retry_after::RetryAfter;

use super::failure;
use super::framing::Framing;

/// Longest head of an answer, bytes.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most headers in it.
const HEADERS_MAX: usize = 100;

/// What a head says.
pub(super) enum Head {
    /// More to come: 100, 102, 103 and the like.
    Interim,
    Final {
        answer: Answer,
        /// Where its body ends.
        framing: Framing,
        /// The connection may be used again.
        is_kept: bool,
    },
}

/// Reads a head and says how long it is; `None` while it is not complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut headers,
    );
    match parsed {
        Ok(Status::Complete(length)) => Ok(Some((read(&response)?, length))),
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Ok(None),
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => Err(failure::too_large()),
        Err(_) => Err(failure::malformed()),
    }
}

fn read(response: &Response<'_, '_>) -> Result<Head, Failure> {
    let status = response.code.filter(|code| *code >= 100).ok_or_else(failure::malformed)?;
    match status {
        101 => return Err(failure::switched()),
        ..200 => return Ok(Head::Interim),
        _ => {}
    }
    let is_1_1 = response.version == Some(1);
    let mut answer = Answer { status, ..Answer::default() };
    let mut said = Said::default();
    for header in &*response.headers {
        answer.headers.push(header.name, header.value);
        if header.name.eq_ignore_ascii_case("retry-after") && answer.retry_after.is_none() {
            answer.retry_after = RetryAfter::parse(header.value);
        }
        said.take(header)?;
    }
    let is_kept = !said.close && (is_1_1 || said.keep_alive);
    let framing = said.framing(status, is_1_1)?;
    let ends_by_itself = !matches!(framing, Framing::UntilClosed);
    Ok(Head::Final { answer, framing, is_kept: is_kept && ends_by_itself })
}

/// What headers say of the message and its connection.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    has_coding: bool,
    /// The last coding is `chunked`.
    is_chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Said {
    fn take(&mut self, header: &Header<'_>) -> Result<(), Failure> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let words = || header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if is("content-length") {
            for word in words() {
                let length = digits(word).ok_or_else(failure::malformed)?;
                if self.length.is_some_and(|known| known != length) {
                    return Err(failure::malformed());
                }
                self.length = Some(length);
            }
        } else if is("transfer-encoding") {
            self.has_coding = true;
            let last = words().next_back();
            self.is_chunked = last.is_some_and(|word| word.eq_ignore_ascii_case(b"chunked"));
        } else if is("connection") {
            self.close |= words().any(|word| word.eq_ignore_ascii_case(b"close"));
            self.keep_alive |= words().any(|word| word.eq_ignore_ascii_case(b"keep-alive"));
        }
        Ok(())
    }

    /// RFC 9112, 6.3. Two ends of one message are the tool of smuggling.
    fn framing(&self, status: u16, is_1_1: bool) -> Result<Framing, Failure> {
        match (self.has_coding, self.length) {
            (true, Some(_)) => Err(failure::malformed()),
            (true, None) if !is_1_1 => Err(failure::malformed()),
            _ if status == 204 || status == 304 => Ok(Framing::Length(0)),
            (true, None) if self.is_chunked => Ok(Framing::chunked()),
            (false, Some(length)) => Ok(Framing::Length(length)),
            _ => Ok(Framing::UntilClosed),
        }
    }
}

/// A number of nothing but digits.
fn digits(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}
