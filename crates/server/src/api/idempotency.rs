//! `Idempotency-Key`: the same key and body again gets the same answer; another body is a conflict.
//!
//! draft-ietf-httpapi-idempotency-key-header-07: the value is a quoted string; a bare one is accepted.

use http::HeaderMap;
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

/// The key of a request to `route`, if it has one.
pub fn key(headers: &HeaderMap, route: &str, body: &[u8]) -> Result<Option<IdempotencyKey>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let detail = format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(Problem::bad_request("invalid_idempotency_key", detail));
    }
    let key = format!("{route} {text}").into();
    Ok(Some(IdempotencyKey { key, fingerprint: fingerprint(&[body]) }))
}
