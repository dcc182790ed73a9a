//! Ed25519 keys of Standard Webhooks: who holds the public one can verify, and cannot sign.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use thiserror::Error;
use zeroize::Zeroizing;

const SECRET_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

/// A secret key: `whsk_` and the base64 of its 32 bytes, or of 64, which are these and the public
/// key after them, as Svix writes it.
///
/// Its memory is overwritten when it is dropped, and `Debug` shows nothing of it.
///
/// ```
/// use tidings_wire::ed25519::SigningKey;
/// let key = SigningKey::generate([7; 32]); // 32 bytes from your source of randomness
/// assert_eq!(SigningKey::parse(&key.expose())?, key);
/// assert!(key.public_key().to_string().starts_with("whpk_"));
/// # Ok::<(), tidings_wire::ed25519::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key: `whpk_` and the base64 of its 32 bytes. `Display` writes it so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

/// Why a text cannot be a key. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Another prefix, or none.
    #[error("must begin with `{0}`")]
    Prefix(&'static str),
    /// What follows the prefix is not standard base64 with padding.
    #[error("after `{0}` a key must be standard base64 with padding")]
    Base64(&'static str),
    /// A secret key of neither 32 nor 64 bytes.
    #[error("after `whsk_` a key must decode to 32 or 64 bytes, this one has {0}")]
    SecretLength(usize),
    /// A secret key of 64 bytes whose second half is not the public key of the first.
    #[error("the second half of the `whsk_` key is not the public key of its first half")]
    Halves,
    /// A public key of another length than 32 bytes.
    #[error("after `whpk_` a key must decode to 32 bytes, this one has {0}")]
    PublicLength(usize),
    /// 32 bytes that are no point of the curve, or one of the few for which anybody can sign.
    #[error("the `whpk_` key is not a sound public key")]
    Unsound,
}

impl SigningKey {
    /// Reads a key as a person typed it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(decode(SECRET_PREFIX, text)?);
        if let Ok(both) = <&[u8; 64]>::try_from(&bytes[..]) {
            let key = ed25519_dalek::SigningKey::from_keypair_bytes(both);
            return key.map(Self).map_err(|_| KeyError::Halves);
        }
        let seed = <&[u8; 32]>::try_from(&bytes[..]);
        let seed = seed.map_err(|_| KeyError::SecretLength(bytes.len()))?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(seed)))
    }

    /// A new key, from 32 bytes of randomness.
    pub fn generate(random: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&random))
    }

    /// The key as text, in the form of 64 bytes. For storing it (encrypted) and showing it once.
    pub fn expose(&self) -> String {
        encode(SECRET_PREFIX, &*Zeroizing::new(self.0.to_keypair_bytes()))
    }

    /// What verifies its signatures. It is no secret.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature over a message (RFC 8032, Ed25519).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl PublicKey {
    /// Reads a key as a person typed it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(PUBLIC_PREFIX, text)?;
        let length = bytes.len();
        let bytes = bytes.try_into().map_err(|_| KeyError::PublicLength(length))?;
        match ed25519_dalek::VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(key)),
            _ => Err(KeyError::Unsound),
        }
    }

    /// Whether a signature is right. Strict: one signature per message has one spelling only.
    pub fn accepts(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(PUBLIC_PREFIX, self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

fn decode(prefix: &'static str, text: &str) -> Result<Vec<u8>, KeyError> {
    let encoded = text.strip_prefix(prefix).ok_or(KeyError::Prefix(prefix))?;
    STANDARD.decode(encoded).map_err(|_| KeyError::Base64(prefix))
}

fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::from(prefix);
    STANDARD.encode_string(bytes, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Svix's, of its worker's tests.
    const BOTH: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

    #[test]
    fn both_forms_of_a_secret_key_are_one_key() {
        let key = SigningKey::parse(BOTH).unwrap();
        assert_eq!(key.expose(), BOTH);
        assert_eq!(key.public_key().to_string(), PUBLIC);
        assert_eq!(PublicKey::parse(PUBLIC).unwrap(), key.public_key());
        let seed = encode(SECRET_PREFIX, &key.0.to_bytes());
        assert_eq!(SigningKey::parse(&seed).unwrap(), key);
        assert_eq!(format!("{key:?}"), "SigningKey(redacted)");
    }

    #[test]
    fn what_cannot_be_a_key() {
        let secret = |bytes: &[u8]| SigningKey::parse(&encode(SECRET_PREFIX, bytes)).unwrap_err();
        let public = |bytes: &[u8]| PublicKey::parse(&encode(PUBLIC_PREFIX, bytes)).unwrap_err();
        for length in [0, 31, 33, 63, 65] {
            assert_eq!(secret(&vec![7; length]), KeyError::SecretLength(length));
            assert_eq!(public(&vec![7; length]), KeyError::PublicLength(length));
        }
        assert_eq!(secret(&[7; 64]), KeyError::Halves);
        // The neutral element and a point of order two, for which one signature fits every message.
        let (mut one, mut minus_one) = ([0; 32], [0xff; 32]);
        one[0] = 1;
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        for unsound in [[0; 32], one, minus_one, [2; 32]] {
            assert_eq!(public(&unsound), KeyError::Unsound, "{unsound:?}");
        }
        assert_eq!(SigningKey::parse(PUBLIC), Err(KeyError::Prefix("whsk_")));
        assert_eq!(PublicKey::parse(BOTH), Err(KeyError::Prefix("whpk_")));
        assert_eq!(SigningKey::parse(BOTH.trim_end_matches('=')), Err(KeyError::Base64("whsk_")));
        assert_eq!(PublicKey::parse(&format!("{PUBLIC}\n")), Err(KeyError::Base64("whpk_")));
    }
}
