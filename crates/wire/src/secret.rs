//! The key that sender and receiver share, in the two spellings that receivers know.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroize;

/// How Standard Webhooks marks a symmetric key.
const PREFIX: &str = "whsec_";
/// Key lengths that the Standard Webhooks specification allows.
const PREFIXED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const TEXT_BYTES: std::ops::RangeInclusive<usize> = 1..=255;

/// A signing secret.
///
/// * `whsec_` and base64: the decoded bytes are the key, 24 to 64 of them (Standard Webhooks).
/// * any other text: its UTF-8 bytes are the key, 1 to 255 of them. That is what
///   `crypto.createHmac('sha256', secret)` does in the receivers that were there before.
///
/// Its memory is overwritten when it is dropped, and `Debug` shows nothing of it.
///
/// ```
/// use tidings_wire::secret::Secret;
/// let secret = Secret::parse("your-secret-key")?;
/// assert_eq!(secret.as_bytes(), b"your-secret-key");
/// assert_eq!(secret.to_whsec(), "whsec_eW91ci1zZWNyZXQta2V5");
/// # Ok::<(), tidings_wire::secret::SecretError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    key: Vec<u8>,
    prefixed: bool,
}

/// Why a text cannot be a secret. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// A text without `whsec_` that has no bytes, or more than 255.
    #[error("a secret without `whsec_` must have 1 to 255 bytes, this one has {0}")]
    TextLength(usize),
    /// What follows `whsec_` is not standard base64 with padding.
    #[error("after `whsec_` a secret must be standard base64 with padding")]
    Base64,
    /// What follows `whsec_` decodes to fewer than 24 or more than 64 bytes.
    #[error("after `whsec_` a secret must decode to 24 to 64 bytes, this one has {0}")]
    KeyLength(usize),
    /// `whpk_` or `whsk_`: a key for Ed25519 (see [`ed25519`](crate::ed25519)). With a public key as
    /// HMAC key anybody could sign.
    #[error("`whpk_` and `whsk_` mark Ed25519 keys, which cannot be used as a shared secret")]
    Asymmetric,
}

impl Secret {
    /// Reads a secret as a person typed it. The prefix decides what it is, never the content.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.starts_with("whpk_") || text.starts_with("whsk_") {
            return Err(SecretError::Asymmetric);
        }
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            if !TEXT_BYTES.contains(&text.len()) {
                return Err(SecretError::TextLength(text.len()));
            }
            return Ok(Self { key: text.as_bytes().to_vec(), prefixed: false });
        };
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        let secret = Self { key, prefixed: true };
        match secret.key.len() {
            length if PREFIXED_BYTES.contains(&length) => Ok(secret),
            length => Err(SecretError::KeyLength(length)),
        }
    }

    /// The key of another sender, for verifying what it sends: some give out keys that are shorter
    /// or longer than [`Secret::parse`] lets ours be. An empty key is refused here too.
    pub fn from_key(key: &[u8]) -> Result<Self, SecretError> {
        match key.is_empty() {
            true => Err(SecretError::KeyLength(0)),
            false => Ok(Self { key: key.to_vec(), prefixed: true }),
        }
    }

    /// A new secret in the spelling of Standard Webhooks, from 32 bytes of randomness.
    pub fn generate_whsec(random: [u8; 32]) -> Self {
        Self { key: random.to_vec(), prefixed: true }
    }

    /// A new secret of 64 hex characters, used as text, from 32 bytes of randomness.
    pub fn generate_hex(random: [u8; 32]) -> Self {
        let mut key = Vec::with_capacity(64);
        crate::sign::push_hex(&random, &mut key);
        Self { key, prefixed: false }
    }

    /// The bytes that key the HMAC.
    pub fn as_bytes(&self) -> &[u8] {
        &self.key
    }

    /// The secret as it was given: `parse(secret.expose())` is the same secret (but for keys of
    /// others, [`Secret::from_key`]). For storing it (encrypted) and for showing it once.
    pub fn expose(&self) -> String {
        match self.prefixed {
            true => self.to_whsec(),
            false => String::from_utf8(self.key.clone()).expect("a text secret is UTF-8"),
        }
    }

    /// Whether it was given with `whsec_`.
    pub fn is_prefixed(&self) -> bool {
        self.prefixed
    }

    /// The secret as the official Standard Webhooks libraries take it, text secrets as well.
    ///
    /// Those libraries take any length. [`Secret::parse`] does not: a text secret of fewer than 24
    /// bytes is to be given to Tidings as the text that it is.
    pub fn to_whsec(&self) -> String {
        let mut text = String::from(PREFIX);
        STANDARD.encode_string(&self.key, &mut text);
        text
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_decides() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(secret.as_bytes().len(), 24);
        assert_eq!(secret.expose(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let text = Secret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(text.as_bytes(), b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(text.expose(), "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_ne!(secret, text);
        assert_eq!(Secret::parse("schlüssel").unwrap().as_bytes(), "schlüssel".as_bytes());
        assert_eq!(Secret::parse("WHSEC_x").unwrap().as_bytes(), b"WHSEC_x");
    }

    #[test]
    fn what_cannot_be_a_secret() {
        let prefixed = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (text, error) in [
            (String::new(), SecretError::TextLength(0)),
            ("x".repeat(256), SecretError::TextLength(256)),
            ("whsec_".into(), SecretError::KeyLength(0)),
            (prefixed(23), SecretError::KeyLength(23)),
            (prefixed(65), SecretError::KeyLength(65)),
            // Python's library takes these two, the others do not.
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS".into(), SecretError::Base64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr".into(), SecretError::Base64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!".into(), SecretError::Base64),
            ("whsec_MfKQ9r8GKYqr TwjUPD8ILPZIo2LaLaSw".into(), SecretError::Base64),
            // Trailing bits that no encoder writes: two spellings of one key.
            (format!("{}MB=", "whsec_".to_owned() + &"AAAA".repeat(8)), SecretError::Base64),
            ("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=".into(), SecretError::Asymmetric),
            ("whsk_x".into(), SecretError::Asymmetric),
        ] {
            assert_eq!(Secret::parse(&text).unwrap_err(), error, "{text}");
        }
        for text in ["x".to_owned(), "x".repeat(255), prefixed(24), prefixed(64)] {
            Secret::parse(&text).unwrap();
        }
    }

    #[test]
    fn generated_secrets_are_read_back() {
        let mut random = [0x5a; 32];
        random[0] = 0x01;
        let whsec = Secret::generate_whsec(random);
        assert_eq!(whsec.as_bytes(), random);
        assert_eq!(Secret::parse(&whsec.expose()).unwrap(), whsec);
        let hex = Secret::generate_hex(random);
        assert_eq!(hex.expose(), format!("01{}", "5a".repeat(31)));
        assert_eq!(Secret::parse(&hex.expose()).unwrap(), hex);
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::parse("hunter2-hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
    }
}
