//! Signatures over exactly the bytes that are sent: HMAC-SHA-256, and Ed25519.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ed25519::SigningKey;
use crate::secret::Secret;

/// A MAC, as bytes.
pub(crate) type MacBytes = [u8; 32];

/// One key, ready to sign.
///
/// **Rotation.** The caller decides which keys sign. Where the scheme has room for several
/// signatures ([`Scheme::has_room_for_several`](crate::profile::Scheme::has_room_for_several)),
/// pass the new key first and the old one after it for as long as the overlap lasts. Where it has
/// one, pass the *old* key alone until the overlap ends, and the new key alone from then on.
#[derive(Debug, Clone)]
pub enum Signer {
    /// HMAC-SHA-256: `v1` of Standard Webhooks, and all other schemes.
    Mac(MacKey),
    /// Ed25519: `v1a` of Standard Webhooks.
    Ed25519(SigningKey),
}

impl Signer {
    /// A signer for a secret.
    pub fn new(secret: &Secret) -> Self {
        Self::Mac(MacKey::new(secret))
    }

    /// Its key for HMAC, if it is one.
    pub fn mac_key(&self) -> Option<&MacKey> {
        match self {
            Self::Mac(key) => Some(key),
            Self::Ed25519(_) => None,
        }
    }
}

/// A key for HMAC-SHA-256: its schedule (two blocks of SHA-256) is done once, and the state copied for
/// every message. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct MacKey {
    keyed: Hmac<Sha256>,
}

impl MacKey {
    /// The key of a secret.
    pub fn new(secret: &Secret) -> Self {
        Self::from_key(secret.as_bytes())
    }

    /// The raw bytes of a key, of any length (RFC 2104 hashes long ones first).
    pub fn from_key(key: &[u8]) -> Self {
        Self { keyed: Hmac::new_from_slice(key).expect("HMAC takes keys of every length") }
    }

    /// The MAC over the parts, one after the other, without anything between them.
    pub fn mac(&self, parts: &[&[u8]]) -> MacBytes {
        self.fed(parts).finalize().into_bytes().into()
    }

    /// Compares in constant time: how long it takes says nothing of where the MACs differ.
    pub(crate) fn accepts(&self, parts: &[&[u8]], macs: &[MacBytes]) -> bool {
        let ours = self.fed(parts).finalize();
        // No early exit, so that it does not say which one matched either.
        macs.iter().fold(false, |found, theirs| {
            found | (ours == hmac::digest::CtOutput::new((*theirs).into()))
        })
    }

    fn fed(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(redacted)")
    }
}

/// `v1,<base64>` or `v1a,<base64>` for each signer, space separated, over `{id}.{timestamp}.{body}`:
/// the value of `webhook-signature` (Standard Webhooks, "Signature scheme").
///
/// ```
/// use tidings_wire::{secret::Secret, sign::{Signer, standard}};
/// let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// let signature = standard(
///     &[Signer::new(&secret)],
///     "msg_p5jXN8AQM9LWM0D4loKWxJek",
///     "1614265330",
///     br#"{"test": 2432232314}"#,
/// );
/// assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
/// # Ok::<(), tidings_wire::secret::SecretError>(())
/// ```
pub fn standard(signers: &[Signer], id: &str, timestamp: &str, body: &[u8]) -> String {
    const LONGEST: usize = " v1a,".len() + 88;
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let mut value = String::with_capacity(signers.len() * LONGEST);
    for signer in signers {
        if !value.is_empty() {
            value.push(' ');
        }
        match signer {
            Signer::Mac(key) => {
                value.push_str("v1,");
                STANDARD.encode_string(key.mac(&parts), &mut value);
            }
            // Ed25519 reads the message twice, so it must be in one piece.
            Signer::Ed25519(key) => {
                value.push_str("v1a,");
                STANDARD.encode_string(key.sign(&parts.concat()), &mut value);
            }
        }
    }
    value
}

/// `<prefix><hex>` over the body: `sha256=…` for the profiles `emp` and `aegisx`.
pub fn hmac_hex(key: &MacKey, prefix: &str, body: &[u8]) -> String {
    let mut value = Vec::with_capacity(prefix.len() + 64);
    value.extend_from_slice(prefix.as_bytes());
    push_hex(&key.mac(&[body]), &mut value);
    String::from_utf8(value).expect("a text and hex digits")
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends bytes as lower-case hex.
pub(crate) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}
