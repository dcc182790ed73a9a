//! The header lines of a request, as they go over the wire.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

/// Headers that frame the message or belong to the connection; whoever sets them decides where a request
/// ends, so nobody but us does. Without `Accept-Encoding` answers come as they are.
const OURS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "expect",
    "upgrade",
    "te",
    "trailer",
];

/// Header lines, each ended by a line break, written once and sent as they are: with names in the very
/// letters of their profile, which some receivers insist on.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Lines(String);

/// A header that would not be one line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a header cannot be written")]
pub struct Unwritable;

impl Lines {
    /// With room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Adds a header, whose name is a token and whose value is visible ASCII, spaces and tabs. What is the
    /// sender's own to say is left out; nobody gives a name twice.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), Unwritable> {
        if !is_name(name) || !is_value(value) {
            return Err(Unwritable);
        }
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Ok(());
        }
        for part in [name, ": ", value, "\r\n"] {
            self.0.push_str(part);
        }
        Ok(())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `token` of RFC 9110, 5.6.2.
fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// `field-value` of RFC 9110, 5.5, without what is beyond ASCII.
fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
}

/// As [`Lines::push`] lets them be, whoever wrote them.
impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let mut lines = Self::with_capacity(text.len());
        for line in text.split_terminator("\r\n") {
            let (name, value) =
                line.split_once(": ").ok_or(Unwritable).map_err(de::Error::custom)?;
            lines.push(name, value).map_err(de::Error::custom)?;
        }
        Ok(lines)
    }
}

/// Names only: values can be credentials.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.lines().filter_map(|line| line.split(':').next());
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_is_refused() {
        let mut lines = Lines::default();
        for (name, value) in
            [("", "a"), ("a b", "a"), ("a:", "a"), ("a\r\n", "a"), ("é", "a"), ("a", "b\r\nc: d")]
        {
            assert_eq!(lines.push(name, value), Err(Unwritable), "{name:?}: {value:?}");
        }
        for value in ["a\0", "a\n", "a\r", "\u{7f}", "é"] {
            assert_eq!(lines.push("a", value), Err(Unwritable), "{value:?}");
        }
        assert_eq!(lines, Lines::default());
        lines.push("X-Webhook-ID", "a\tb c").expect("a line");
        lines.push("Transfer-Encoding", "chunked").expect("left out");
        assert_eq!(lines.as_str(), "X-Webhook-ID: a\tb c\r\n");
    }

    #[test]
    fn they_travel_and_are_looked_at_again() {
        let mut lines = Lines::default();
        lines.push("a", "b: c").expect("a line");
        lines.push("d", "").expect("a line");
        let text = serde_json::to_string(&lines).expect("text");
        assert_eq!(serde_json::from_str::<Lines>(&text).expect("the same"), lines);
        for text in [r#""a""#, r#""a: b\nc: d""#, r#""a b: c""#, r#""a: b\r\n\r\nGET / HTTP/1.1""#]
        {
            assert!(serde_json::from_str::<Lines>(text).is_err(), "{text}");
        }
        let host = serde_json::from_str::<Lines>(r#""Host: a\r\n""#).expect("left out");
        assert_eq!(host, Lines::default());
    }
}
