//! Secrets at rest: XChaCha20-Poly1305 under the key of this installation.
//!
//! Secret are the signing secrets of a webhook or a direct delivery and the values of its custom
//! headers.
//!
//! A sealed blob is `version (1 byte) | nonce (24) | ciphertext and tag`. What the secret belongs to
//! is associated data, so that a blob moved to another row does not open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use serde::{Deserialize, Serialize};
use tidings_core::direct::Direct;
use tidings_core::id::DeliveryId;
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

    /// Seals a secret of `owner` (the id of a webhook or of a delivery).
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

/// What of a webhook or a direct delivery is sealed.
#[derive(Serialize, Deserialize)]
struct Secrets {
    signing: Vec<SigningSecret>,
    /// In the order of the headers, whose names are in the document.
    header_values: Vec<String>,
    /// Of a direct delivery: those of its lead format.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    options: String,
}

impl Sealer {
    /// What of this webhook must not lie open.
    #[must_use]
    pub fn seal_webhook(&self, webhook: &Webhook) -> Vec<u8> {
        self.seal_all(webhook.id.as_i64(), Secrets::of(&webhook.secrets, &webhook.headers))
    }

    /// Puts back into a stored webhook what [`Self::seal_webhook`] sealed.
    pub fn open_webhook(&self, webhook: &mut Webhook, sealed: &[u8]) -> Result<(), CannotOpen> {
        let secrets = self.open_all(webhook.id.as_i64(), sealed)?;
        webhook.secrets = secrets.give_back(&mut webhook.headers);
        Ok(())
    }

    /// Seals what of a direct delivery must not lie open, into itself.
    pub fn seal_direct(&self, id: DeliveryId, direct: &mut Direct) {
        let secrets = Secrets::of(&direct.secrets, &direct.headers);
        let secrets = Secrets { options: direct.options.clone(), ..secrets };
        direct.sealed = self.seal_all(id.as_i64(), secrets);
    }

    /// Opens what [`Self::seal_direct`] sealed, as the store gives it back.
    pub fn open_direct(&self, id: DeliveryId, direct: &mut Direct) -> Result<(), CannotOpen> {
        let mut secrets = self.open_all(id.as_i64(), &direct.sealed)?;
        direct.options = std::mem::take(&mut secrets.options);
        direct.secrets = secrets.give_back(&mut direct.headers);
        Ok(())
    }

    fn seal_all(&self, owner: i64, secrets: Secrets) -> Vec<u8> {
        let json = serde_json::to_vec(&secrets).expect("secrets have string keys only");
        self.seal(owner, &json)
    }

    fn open_all(&self, owner: i64, sealed: &[u8]) -> Result<Secrets, CannotOpen> {
        let json = self.open(owner, sealed)?;
        serde_json::from_slice(&json).map_err(|_| CannotOpen)
    }
}

impl Secrets {
    fn of(signing: &[SigningSecret], headers: &[(String, String)]) -> Self {
        let header_values = headers.iter().map(|(_, value)| value.clone()).collect();
        Self { signing: signing.to_vec(), header_values, options: String::new() }
    }

    /// Gives the headers their values, and returns the signing secrets.
    fn give_back(self, headers: &mut [(String, String)]) -> Vec<SigningSecret> {
        for ((_, value), sealed) in headers.iter_mut().zip(self.header_values) {
            *value = sealed;
        }
        self.signing
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
