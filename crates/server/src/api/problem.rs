//! Failures, as `application/problem+json` (RFC 9457).
//!
//! A handler returns a [`Problem`]; the outermost layer writes it, with the request's id. What is
//! said here is for the client; what operators need goes to the log where it happened.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tidings_store::{ReadError, WriteError};

/// The code of what was refused because too much waits: counted where it is written.
pub const OVERLOADED: &str = "overloaded";

/// What went wrong, for the client.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    /// For programs: stable, in snake case.
    pub code: &'static str,
    pub detail: String,
    pub errors: Vec<FieldError>,
    pub retry_after_s: Option<u32>,
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the request's body; empty for the whole body.
    pub pointer: String,
    pub detail: String,
}

impl From<tidings_wire::lead::Refused> for FieldError {
    fn from(refused: tidings_wire::lead::Refused) -> Self {
        Self { pointer: refused.pointer, detail: refused.what }
    }
}

/// The body of every failure.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemBody<'a> {
    /// Always false.
    success: bool,
    /// Identifies the kind of problem: `/problems/<code>`.
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after_s: None }
    }

    /// 422 with a pointer to each wrong field.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match &errors[..] {
            [one] if one.pointer.is_empty() => format!("the body {}", one.detail),
            [one] => format!("`{}` {}", one.pointer, one.detail),
            several => format!("{} fields are wrong", several.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail) }
    }

    /// 422 for one field.
    #[must_use]
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404: no such `what`, or not the caller's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} not found"))
    }

    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 503 that says when to come back.
    #[must_use]
    pub fn unavailable(code: &'static str, detail: impl Into<String>, retry_after_s: u32) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        Self { retry_after_s: Some(retry_after_s), ..problem }
    }

    /// The response with this problem as its body.
    #[must_use]
    pub fn render(&self, request_id: &str) -> Response {
        let body = ProblemBody {
            success: false,
            r#type: format!("/problems/{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
        };
        let body = serde_json::to_vec(&body).expect("a problem has string keys only");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 11.6.1. Webhooks that are received prove who sent them by their signature.
            let scheme = if self.code == "not_verified" { "Signature" } else { "Bearer" };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Hands the problem to the outermost layer, which knows the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        let text = error.to_string();
        match error {
            WriteError::Overloaded { retry_after_s } => {
                Self::unavailable(OVERLOADED, "too much is waiting to be written", retry_after_s)
            }
            WriteError::Unavailable(_) => {
                tracing::warn!(error = %text, "a write was refused");
                Self::unavailable("storage_unavailable", "the store cannot write now", 1)
            }
            WriteError::Closed => Self::unavailable("stopping", "the server is stopping", 1),
            WriteError::KeyConflict => Self::conflict("idempotency_key_reused", text),
            WriteError::EventConflict { .. } => Self::conflict("event_id_reused", text),
            WriteError::Conflict => Self::conflict("conflict", text),
            WriteError::Stale => Self::unavailable("catalogue_moving", text, 1),
            WriteError::NotFound => Self::not_found("it was"),
            WriteError::StillOwed => Self::conflict("still_owed", "the delivery is still pending"),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::warn!(%error, "a read failed");
        match error {
            ReadError::TooSlow => {
                Self::unavailable("too_slow", "the query took too long; narrow it", 1)
            }
            ReadError::Unavailable(_) | ReadError::Closed => {
                Self::unavailable("storage_unavailable", "the store cannot read now", 1)
            }
            ReadError::Inconsistent(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "inconsistent",
                "stored data could not be read",
            ),
        }
    }
}
