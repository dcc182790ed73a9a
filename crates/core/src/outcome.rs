//! What an attempt met: an answer, or a failure before one.
//!
//! An outcome says nothing about what happens next; that is a verdict, and `core` makes it from this.
//! Outcomes travel (a worker hands them back to the owner of the shard), so they are plain data.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use tidings_wire::profile::ErrorType;

use crate::limits::{RESPONSE_BODY_CHARS_MAX, RESPONSE_HEADERS_BYTES_MAX};
use crate::retry_after::RetryAfter;

/// What one attempt met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The receiver answered with a status line; whatever befell the rest of the answer, this counts.
    Answered(Answer),
    /// There was no status line.
    Failed(Failure),
}

/// A receiver's answer, as much of it as is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status code, 200 to 999.
    pub status: u16,
    /// The headers, at most [`RESPONSE_HEADERS_BYTES_MAX`] of them.
    pub headers: Headers,
    /// The first [`RESPONSE_BODY_CHARS_MAX`] characters; bytes that are not UTF-8 are shown as U+FFFD.
    pub body: String,
    /// Whether the body had more than is kept here, or broke off.
    pub truncated: bool,
    /// The receiver's own wish for when to try again.
    pub retry_after: Option<RetryAfter>,
    /// Why this answer is no success though its status is: what a lead format knows of its service.
    #[serde(default)]
    pub objection: Option<Cow<'static, str>>,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of trouble.
    pub kind: FailureKind,
    /// One of a fixed set of sentences, fit for the tenant: it never holds an internal address.
    pub detail: Cow<'static, str>,
}

/// The kinds of failure that lead to different verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Refused, reset, closed early, unreachable, or an answer that is not HTTP.
    Network,
    /// The deadline passed before a status line.
    Timeout,
    /// The TLS handshake failed; there is never a second try in clear.
    Tls,
    /// The name does not exist or has no address.
    Dns,
    /// Our resolver had trouble (SERVFAIL, no answer): not charged to the receiver.
    DnsOurs,
    /// The egress policy denies every address of the target; no packet was sent.
    Blocked,
    /// The body cannot be written in the form that the profile asks for; nothing was sent.
    Unrepresentable,
}

impl Outcome {
    /// A failure of this kind.
    pub fn failed(kind: FailureKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Failed(Failure { kind, detail: detail.into() })
    }

    /// Whether the receiver took it: any 2xx, unless something in it says otherwise.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answered(answer) if answer.is_success())
    }

    /// The status code, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(answer) => Some(answer.status),
            Self::Failed(_) => None,
        }
    }

    /// What went wrong, for people; `None` after success.
    pub fn error_message(&self) -> Option<String> {
        match self {
            Self::Answered(answer) if answer.is_success() => None,
            Self::Answered(answer) => Some(match (&answer.objection, answer.reason()) {
                (Some(objection), _) => format!("HTTP {}: {objection}", answer.status),
                (None, "") => format!("HTTP {}", answer.status),
                (None, reason) => format!("HTTP {}: {reason}", answer.status),
            }),
            Self::Failed(failure) => Some(failure.detail.to_string()),
        }
    }

    /// What went wrong, for programs: `network`, `timeout`, `tls`, `dns`, `blocked` or `http`; `None`
    /// after success and when nothing was sent for a reason of the body's own.
    pub fn error_type(&self) -> Option<&'static str> {
        match self {
            Self::Answered(answer) if answer.is_success() => None,
            Self::Answered(_) => Some("http"),
            Self::Failed(failure) => failure.kind.error_type(),
        }
    }
}

impl Answer {
    /// Any 2xx to which there is no objection.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status) && self.objection.is_none()
    }

    /// The registered reason phrase of the status, not the receiver's own text; empty if there is none.
    pub fn reason(&self) -> &'static str {
        reason(self.status)
    }
}

impl FailureKind {
    /// See [`Outcome::error_type`].
    pub fn error_type(self) -> Option<&'static str> {
        self.error().map(ErrorType::name)
    }

    /// Why there was no answer, as profiles call it; `None` when nothing was asked.
    pub fn error(self) -> Option<ErrorType> {
        match self {
            Self::Network => Some(ErrorType::Network),
            Self::Timeout => Some(ErrorType::Timeout),
            Self::Tls => Some(ErrorType::Tls),
            Self::Dns | Self::DnsOurs => Some(ErrorType::Dns),
            Self::Blocked => Some(ErrorType::Blocked),
            Self::Unrepresentable => None,
        }
    }

    /// Whether the receiver's health is judged by it. Our own policy is no fault of the receiver: what
    /// it blocks is given up delivery by delivery, where its owner sees it, and switches nothing off.
    pub fn is_receivers_fault(self) -> bool {
        !matches!(self, Self::DnsOurs | Self::Unrepresentable | Self::Blocked)
    }
}

/// An answer's headers in one allocation, a `name: value` line each: they are written once for each
/// attempt and read only when a person looks at it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(String);

impl Headers {
    /// Adds a header, its name in lower case, unless that would exceed [`RESPONSE_HEADERS_BYTES_MAX`].
    /// Bytes beyond ASCII are taken as Latin-1, so that nothing is lost; line ends, which no parser lets
    /// through, become spaces.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        if self.0.len() + name.len() + value.len() + 3 > RESPONSE_HEADERS_BYTES_MAX {
            return;
        }
        if self.0.capacity() == 0 {
            self.0.reserve(256);
        }
        let start = self.0.len();
        self.0.push_str(name);
        self.0[start..].make_ascii_lowercase();
        self.0.push_str(": ");
        match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() && !text.contains(['\r', '\n']) => self.0.push_str(text),
            _ => self.0.extend(value.iter().map(|&byte| match byte {
                b'\r' | b'\n' => ' ',
                byte => char::from(byte),
            })),
        }
        self.0.push('\n');
    }

    /// The headers in the order they came, names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.split_once(": "))
    }

    /// The first value of this name, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines as they are stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, given away.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Back from [`Headers::as_str`].
    pub fn from_stored(lines: String) -> Self {
        Self(lines)
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in iter {
            headers.push(name.as_ref(), value.as_ref());
        }
        headers
    }
}

/// The first [`RESPONSE_BODY_CHARS_MAX`] characters of a body, and whether there was more.
///
/// `body` may end in the middle of a character when it was itself cut; that is shown as U+FFFD.
pub fn keep_body(body: &[u8]) -> (String, bool) {
    let mut kept = String::new();
    let mut room = RESPONSE_BODY_CHARS_MAX;
    for chunk in body.utf8_chunks() {
        let valid = chunk.valid();
        // The byte index after as many characters as there is room for.
        match valid.char_indices().nth(room) {
            Some((end, _)) => {
                kept.push_str(&valid[..end]);
                return (kept, true);
            }
            None => kept.push_str(valid),
        }
        room -= valid.chars().count();
        if !chunk.invalid().is_empty() {
            if room == 0 {
                return (kept, true);
            }
            let _ = kept.write_char(char::REPLACEMENT_CHARACTER);
            room -= 1;
        }
    }
    (kept, false)
}

/// The registered reason phrase (IANA HTTP status code registry).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Outcome {
        Outcome::Answered(Answer { status, ..Answer::default() })
    }

    #[test]
    fn messages_and_types() {
        let failure = answered(500);
        assert_eq!(failure.error_message().as_deref(), Some("HTTP 500: Internal Server Error"));
        assert_eq!(failure.error_type(), Some("http"));
        assert_eq!(answered(599).error_message().as_deref(), Some("HTTP 599"));
        let success = answered(204);
        assert!(success.is_success() && success.error_message().is_none());
        assert_eq!(success.error_type(), None);
        assert!(!answered(199).is_success() && !answered(300).is_success());
        let refused =
            Answer { status: 200, objection: Some("not `ok`".into()), ..Answer::default() };
        let refused = Outcome::Answered(refused);
        assert_eq!(refused.error_message().as_deref(), Some("HTTP 200: not `ok`"));
        assert_eq!((refused.is_success(), refused.error_type()), (false, Some("http")));
        let dns = Outcome::failed(FailureKind::DnsOurs, "the resolver gave no answer");
        assert_eq!(dns.error_type(), Some("dns"));
        assert_eq!(dns.error_message().as_deref(), Some("the resolver gave no answer"));
        assert!(!FailureKind::DnsOurs.is_receivers_fault());
        assert!(!FailureKind::Blocked.is_receivers_fault());
    }

    #[test]
    fn a_body_is_kept_by_characters() {
        assert_eq!(keep_body(b""), (String::new(), false));
        let exact = "é".repeat(RESPONSE_BODY_CHARS_MAX);
        assert_eq!(keep_body(exact.as_bytes()), (exact.clone(), false));
        assert_eq!(keep_body(format!("{exact}x").as_bytes()), (exact.clone(), true));
        // Invalid at the very end of the room: it does not fit any more.
        let mut bytes = exact.clone().into_bytes();
        bytes.push(0xff);
        assert_eq!(keep_body(&bytes), (exact, true));
        assert_eq!(keep_body(b"a\xff\0b"), ("a\u{fffd}\0b".to_owned(), false));
    }

    #[test]
    fn headers_are_bounded_and_lossless() {
        let mut headers = Headers::default();
        headers.push("x-odd", &[0x80, b'a', 0xff]);
        headers.push("empty", b"");
        headers.push("broken", b"a\r\nhost: b");
        headers.push("huge", &[b'x'; RESPONSE_HEADERS_BYTES_MAX]);
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [("x-odd", "\u{80}a\u{ff}"), ("empty", ""), ("broken", "a  host: b")]);
        assert_eq!(headers.get("empty"), Some(""));
        assert_eq!(Headers::from_stored(headers.as_str().to_owned()), headers);
    }
}
