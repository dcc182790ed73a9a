//! What a success looks like: `{"success":true,"data":…,"timestamp":"…"}`; lists add `next_cursor`.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tidings_core::time::Timestamp;

/// The envelope of every answer but failures and a few flat ones.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Envelope<T> {
    /// Always true.
    pub success: bool,
    pub data: T,
    /// RFC 3339.
    pub timestamp: String,
}

/// The envelope of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ListEnvelope<T> {
    /// Always true.
    pub success: bool,
    pub data: Vec<T>,
    /// Opaque; null at the end.
    pub next_cursor: Option<String>,
    /// RFC 3339.
    pub timestamp: String,
}

/// Answers with data.
#[must_use]
pub fn answer<T: Serialize>(status: StatusCode, data: T, now: Timestamp) -> Response {
    json(status, &Envelope { success: true, data, timestamp: now.to_rfc3339() })
}

/// Answers with a page of a list.
#[must_use]
pub fn list<T: Serialize>(data: Vec<T>, next_cursor: Option<String>, now: Timestamp) -> Response {
    let timestamp = now.to_rfc3339();
    json(StatusCode::OK, &ListEnvelope { success: true, data, next_cursor, timestamp })
}

/// Answers with JSON as it is.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let body = serde_json::to_vec(body).expect("answers have string keys only");
    let mut response = (status, body).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
