//! Secrets at rest: XChaCha20-Poly1305 under the key of this installation.
//!
//! Secret are a webhook's signing secrets and the values of its custom headers.
//!
//! A sealed blob is `version (1 byte) | nonce (24) | ciphertext and tag`. What the secret belongs to
//! is associated data, so that a blob moved to another row does not open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use serde::{Deserialize, Serialize};
use tidings_core::webhook::{SigningSecret, Webhook};

use crate::clock;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Seals and opens secrets.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

/// Shows no key.
impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// A blob that does not open: another key, another owner, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret cannot be opened; is TIDINGS_SECRET_KEY the one it was sealed with?")]
pub struct CannotOpen;

impl Sealer {
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&Key::from(key)))
    }

    /// Seals a secret of `owner` (a webhook's id).
    #[must_use]
    pub fn seal(&self, owner: i64, secret: &[u8]) -> Vec<u8> {
        let nonce = clock::random::<NONCE_BYTES>();
        let payload = Payload { msg: secret, aad: &owner.to_be_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let mut blob = vec![VERSION];
        blob.extend(nonce);
        blob.extend(sealed.expect("a secret is far below the cipher's limit"));
        blob
    }

    /// Opens what [`Self::seal`] made.
    pub fn open(&self, owner: i64, blob: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        let (&version, rest) = blob.split_first().ok_or(CannotOpen)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(CannotOpen)?;
        if version != VERSION {
            return Err(CannotOpen);
        }
        let payload = Payload { msg: sealed, aad: &owner.to_be_bytes() };
        self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| CannotOpen)
    }
}

/// What of a webhook is sealed.
#[derive(Serialize, Deserialize)]
struct Secrets {
    signing: Vec<SigningSecret>,
    /// In the order of the headers, whose names are in the webhook's document.
    header_values: Vec<String>,
}

impl Sealer {
    /// What of this webhook must not lie open.
    #[must_use]
    pub fn seal_webhook(&self, webhook: &Webhook) -> Vec<u8> {
        let secrets = Secrets {
            signing: webhook.secrets.clone(),
            header_values: webhook.headers.iter().map(|(_, value)| value.clone()).collect(),
        };
        let json = serde_json::to_vec(&secrets).expect("secrets have string keys only");
        self.seal(webhook.id.as_i64(), &json)
    }

    /// Puts back into a stored webhook what [`Self::seal_webhook`] sealed.
    pub fn open_webhook(&self, webhook: &mut Webhook, sealed: &[u8]) -> Result<(), CannotOpen> {
        let json = self.open(webhook.id.as_i64(), sealed)?;
        let secrets: Secrets = serde_json::from_slice(&json).map_err(|_| CannotOpen)?;
        webhook.secrets = secrets.signing;
        for ((_, value), sealed) in webhook.headers.iter_mut().zip(secrets.header_values) {
            *value = sealed;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_for_its_owner_and_key() {
        let sealer = Sealer::new([7; 32]);
        let blob = sealer.seal(5, b"secret");
        assert_eq!(sealer.open(5, &blob).as_deref(), Ok(&b"secret"[..]));
        assert_eq!(sealer.open(6, &blob), Err(CannotOpen));
        assert_eq!(Sealer::new([8; 32]).open(5, &blob), Err(CannotOpen));
        for cut in 0..blob.len() {
            assert_eq!(sealer.open(5, &blob[..cut]), Err(CannotOpen));
        }
    }
}
