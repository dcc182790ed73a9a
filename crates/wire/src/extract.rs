//! Verified requests as extractors of [axum](https://docs.rs/axum), behind the feature `axum`.
//!
//! A [`Receiver`] in the state of the application verifies what arrives before any handler sees it:
//!
//! ```
//! use axum::{Router, extract::FromRef, routing::post};
//! use tidings_wire::extract::{Receiver, VerifiedJson};
//! use tidings_wire::verify::{Scheme, Verifier};
//!
//! #[derive(serde::Deserialize)]
//! struct Event {
//!     r#type: String,
//! }
//!
//! async fn handle(VerifiedJson { id, value, .. }: VerifiedJson<Event>) {
//!     println!("{id:?} {}", value.r#type);
//! }
//!
//! let verifier = Verifier::new(Scheme::Standard, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])?;
//! let receiver = Receiver::new(verifier, || 1_614_265_330); // the time in Unix seconds
//! let app: Router = Router::new().route("/", post(handle)).with_state(receiver);
//! # Ok::<(), tidings_wire::verify::SetupError>(())
//! ```
//!
//! | answer | when |
//! |---|---|
//! | 200 | the hook of [`Verifier::seen`] knows the id: it was processed, and the sender may rest |
//! | 400 | the body broke off, or what was verified is not what the handler expects |
//! | 401 | not verified |
//! | 413 | the body is longer than [`Receiver::limit`] |
//!
//! The answers have no bodies. A handler that takes `Result<VerifiedBytes, Rejection>` sees the
//! reasons, for its log.

use std::fmt;
use std::sync::Arc;

use axum_core::extract::rejection::BytesRejection;
use axum_core::extract::{DefaultBodyLimit, FromRef, FromRequest, Request};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::verify::{Refused, Verifier};

/// How long a body may be, in bytes, unless [`Receiver::limit`] says otherwise: 1 MiB.
pub const DEFAULT_LIMIT: usize = 1 << 20;

/// What verifies requests: a verifier, a clock, and a limit for bodies. Part of the state of an
/// application, by [`FromRef`].
#[derive(Clone)]
pub struct Receiver {
    verifier: Verifier,
    now_s: Arc<dyn Fn() -> i64 + Send + Sync>,
    limit: usize,
}

impl Receiver {
    /// A receiver with a clock that tells Unix seconds.
    pub fn new(verifier: Verifier, now_s: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { verifier, now_s: Arc::new(now_s), limit: DEFAULT_LIMIT }
    }

    /// How many bytes a body may have. It is read into memory whole before it can be verified.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("verifier", &self.verifier)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// The body of a verified request, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedBytes {
    /// See [`Verified::id`](crate::verify::Verified::id).
    pub id: Option<String>,
    /// When it was signed, in Unix seconds, if the scheme signs a time.
    pub timestamp_s: Option<i64>,
    /// What was signed.
    pub body: Bytes,
}

/// The body of a verified request, read as JSON. Nothing is read before it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedJson<T> {
    /// See [`Verified::id`](crate::verify::Verified::id).
    pub id: Option<String>,
    /// When it was signed, in Unix seconds, if the scheme signs a time.
    pub timestamp_s: Option<i64>,
    /// What it says.
    pub value: T,
}

/// Why a request does not reach its handler. As a response it is a status and nothing more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The body is announced to be longer than the limit.
    #[error("the body is too long")]
    TooLong,
    /// The body turned out to be longer than the limit, or broke off.
    #[error("the body cannot be read")]
    Body(#[source] BytesRejection),
    /// It is not verified; the source says why, for the log.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It is verified, and the id was processed before.
    #[error("processed before")]
    Seen,
    /// It is verified, and not the JSON that the handler expects.
    #[error("not the JSON that was expected")]
    Json(#[source] serde_json::Error),
}

impl Rejection {
    /// What it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(rejection) => rejection.status(),
            Self::Refused(_) => StatusCode::UNAUTHORIZED,
            Self::Seen => StatusCode::OK,
            Self::Json(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.status().into_response()
    }
}

impl<S> FromRequest<S> for VerifiedBytes
where
    Receiver: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Rejection> {
        let receiver = Receiver::from_ref(state);
        // Not to wait for what will be refused.
        if announced(request.headers()).is_some_and(|length| length > receiver.limit as u64) {
            return Err(Rejection::TooLong);
        }
        DefaultBodyLimit::max(receiver.limit).apply(&mut request);
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await.map_err(Rejection::Body)?;
        let verified = receiver.verifier.verify(&headers, &body, (receiver.now_s)())?;
        if verified.seen {
            return Err(Rejection::Seen);
        }
        let id = verified.id.map(str::to_owned);
        Ok(Self { id, timestamp_s: verified.timestamp_s, body })
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl<T, S> FromRequest<S> for VerifiedJson<T>
where
    T: DeserializeOwned,
    Receiver: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let verified = VerifiedBytes::from_request(request, state).await?;
        let value = serde_json::from_slice(&verified.body).map_err(Rejection::Json)?;
        Ok(Self { id: verified.id, timestamp_s: verified.timestamp_s, value })
    }
}
