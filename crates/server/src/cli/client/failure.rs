//! What the server refused, as people read it.

use std::fmt;

use http::StatusCode;
use serde::Deserialize;

use crate::cli::output::plain;

/// An answer from 400 on.
#[derive(Debug)]
pub(in crate::cli) struct Failure {
    pub status: StatusCode,
    detail: String,
    code: String,
    request_id: String,
    errors: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    #[serde(default)]
    pointer: String,
    detail: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    detail: String,
    code: String,
    request_id: String,
    errors: Vec<Field>,
}

impl Failure {
    /// From an answer, which is a problem of RFC 9457 when it comes from a Tidings server.
    pub(super) fn new(status: StatusCode, body: &[u8]) -> Self {
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        let reason = || status.canonical_reason().unwrap_or("the server refused").to_owned();
        let detail = if body.detail.is_empty() { reason() } else { body.detail };
        Self { status, detail, code: body.code, request_id: body.request_id, errors: body.errors }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", plain(&self.detail), self.status.as_u16())?;
        if !self.code.is_empty() {
            write!(f, " {}", plain(&self.code))?;
        }
        // Who asks for help about a failure of the server can name the line of its log.
        if self.status.is_server_error() && !self.request_id.is_empty() {
            write!(f, ", request {}", plain(&self.request_id))?;
        }
        f.write_str(")")?;
        // With one wrong field the detail has said it all.
        let several = self.errors.iter().filter(|field| !self.detail.contains(&field.detail));
        for field in several {
            let pointer = if field.pointer.is_empty() { "(body)" } else { &field.pointer };
            write!(f, "\n  {}: {}", plain(pointer), plain(&field.detail))?;
        }
        if self.status == StatusCode::UNAUTHORIZED {
            f.write_str("\n  give a key with --key or TIDINGS_API_KEY")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_told() {
        let body = br#"{"detail":"2 fields are wrong","code":"invalid_request",
            "errors":[{"pointer":"/url","detail":"is missing"},{"pointer":"","detail":"odd"}]}"#;
        let failure = Failure::new(StatusCode::UNPROCESSABLE_ENTITY, body);
        let told = "2 fields are wrong (422 invalid_request)\n  /url: is missing\n  (body): odd";
        assert_eq!(failure.to_string(), told);
        let foreign = Failure::new(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(foreign.to_string(), "Bad Gateway (502)");
    }
}
