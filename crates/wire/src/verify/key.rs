//! What a receiver verifies with.

use thiserror::Error;

use super::Why;
use crate::ed25519::{KeyError, PublicKey};
use crate::keys::{Keys, KeysError};
use crate::secret::{Secret, SecretError};
use crate::sign::{MacBytes, MacKey};

/// One key of a receiver. Its kind goes with it: a public key is never taken for a shared secret,
/// with which anybody could sign.
#[derive(Debug, Clone)]
pub enum Key {
    /// A shared secret, for HMAC-SHA-256.
    Mac(MacKey),
    /// A public key, for Ed25519: `v1a` of Standard Webhooks.
    Ed25519(PublicKey),
}

impl From<&Secret> for Key {
    fn from(secret: &Secret) -> Self {
        Self::Mac(MacKey::new(secret))
    }
}

impl From<PublicKey> for Key {
    fn from(key: PublicKey) -> Self {
        Self::Ed25519(key)
    }
}

/// Why there can be no such verifier. Says nothing of the secrets themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Without a secret nothing can be verified, and nothing must pass.
    #[error("there is no secret to verify with")]
    NoSecret,
    /// A text that is no secret in this scheme.
    #[error(transparent)]
    Secret(#[from] KeysError),
    /// A scheme of shared secrets, and a key for Ed25519.
    #[error("only Standard Webhooks verifies with Ed25519 keys")]
    Ed25519,
    /// A profile whose requests are not signed.
    #[error("requests of this profile are not signed")]
    Unsigned,
}

impl From<KeyError> for SetupError {
    fn from(error: KeyError) -> Self {
        Self::Secret(error.into())
    }
}

/// A secret as [`Keys`] reads it, a sender's own `whsk_` key for its public one, or a public key.
pub(super) fn read_ours(text: &str, keys: &mut Vec<Key>) -> Result<(), SetupError> {
    if text.starts_with("whpk_") {
        keys.push(Key::Ed25519(PublicKey::parse(text)?));
        return Ok(());
    }
    let given = Keys::parse(text)?;
    keys.extend(given.shared.as_ref().map(Key::from));
    keys.extend(given.ed25519.map(|key| Key::Ed25519(key.public_key())));
    Ok(())
}

/// A secret whose text is the key, whatever it begins with.
pub(super) fn read_text(text: &str, keys: &mut Vec<Key>) -> Result<(), SetupError> {
    if text.is_empty() {
        return Err(KeysError::from(SecretError::TextLength(0)).into());
    }
    keys.push(Key::Mac(MacKey::from_key(text.as_bytes())));
    Ok(())
}

/// Whether one of the keys made one of the MACs.
pub(super) fn check_macs(keys: &[Key], signed: &[&[u8]], macs: &[MacBytes]) -> Result<(), Why> {
    if macs.is_empty() {
        return Err(Why::InvalidSignature);
    }
    let made = keys.iter().fold(false, |made, key| match key {
        Key::Mac(key) => made | key.accepts(signed, macs),
        Key::Ed25519(_) => made,
    });
    if made { Ok(()) } else { Err(Why::Mismatch) }
}
