//! `Idempotency-Key`: the same key and body again gets the same answer; another body is a conflict.
//!
//! draft-ietf-httpapi-idempotency-key-header-07: the value is a quoted string; a bare one is accepted.

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::request::Parts;
use sha2::{Digest, Sha256};
use tidings_core::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use tidings_core::publication::{Fingerprint, IdempotencyKey};

use super::problem::{Problem, Result};

/// The fingerprint of a body.
#[must_use]
pub fn fingerprint(parts: &[&[u8]]) -> Fingerprint {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let digest: [u8; 32] = digest.finalize().into();
    *digest.first_chunk().expect("32 bytes hold 16")
}

/// The `Idempotency-Key` of a request, if it has one.
#[derive(Debug, Clone)]
pub struct IdempotencyHeader(Option<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyHeader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let mut given = parts.headers.get_all("idempotency-key").iter();
        match (given.next(), given.next()) {
            (key, None) => Ok(Self(key.cloned())),
            (_, Some(_)) => Err(invalid("Idempotency-Key is given twice")),
        }
    }
}

impl IdempotencyHeader {
    /// The key of a request to `route` with this body.
    pub fn key(&self, route: &str, body: &[u8]) -> Result<Option<IdempotencyKey>> {
        self.0.as_ref().map(|value| key(value, route, body)).transpose()
    }
}

fn key(value: &HeaderValue, route: &str, body: &[u8]) -> Result<IdempotencyKey> {
    let text = value.to_str().unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let detail = format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(invalid(detail));
    }
    let key = format!("{route} {text}").into();
    Ok(IdempotencyKey { key, fingerprint: fingerprint(&[body]) })
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::bad_request("invalid_idempotency_key", detail)
}
