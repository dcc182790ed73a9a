//! The body of a request: JSON, bounded.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::App;
use super::problem::{Problem, Result};

/// The bytes of a JSON body, at most as many as the settings allow.
#[derive(Debug)]
pub struct JsonBody(pub Bytes);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        require_json(request.headers())?;
        let (head, body) = request.into_parts();
        read_body(&head.headers, body, app.settings.request_body_bytes_max).await.map(Self)
    }
}

/// The bytes of a body, at most `most`.
pub async fn read_body(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(most)),
        Err(_) => Err(Problem::bad_request("broken_body", "the body broke off")),
    }
}

/// 415 for what says that it is something else. No `Content-Type` at all is taken as JSON.
fn require_json(headers: &HeaderMap) -> Result<()> {
    let unsupported = |detail| {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
    };
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return unsupported("compressed bodies are not accepted");
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json");
    if is_json { Ok(()) } else { unsupported("the body must be application/json") }
}

fn too_large(most: usize) -> Problem {
    let detail = format!("the body is larger than {most} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}
