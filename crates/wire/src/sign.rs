//! HMAC-SHA-256 over exactly the bytes that are sent.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// A MAC, as bytes.
pub(crate) type MacBytes = [u8; 32];

/// One key, ready to sign: the key schedule of HMAC (two blocks of SHA-256) is done once, and its
/// state copied for every message.
///
/// **Rotation.** The caller decides which keys sign. Where the scheme has room for several
/// signatures ([`Scheme::has_room_for_several`](crate::profile::Scheme::has_room_for_several)),
/// pass the new key first and the old one after it for as long as the overlap lasts. Where it has
/// one, pass the *old* key alone until the overlap ends, and the new key alone from then on.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
}

impl Signer {
    /// A signer for a secret.
    pub fn new(secret: &Secret) -> Self {
        Self::from_key(secret.as_bytes())
    }

    /// A signer for the raw bytes of a key, of any length (RFC 2104 hashes long ones first).
    pub fn from_key(key: &[u8]) -> Self {
        Self { keyed: Hmac::new_from_slice(key).expect("HMAC takes keys of every length") }
    }

    /// The MAC over the parts, one after the other, without anything between them.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Appends `v1,<base64>` over `{id}.{timestamp}.{body}` (Standard Webhooks, "Signature scheme").
    pub fn push_standard(&self, id: &[u8], timestamp: &[u8], body: &[u8], out: &mut String) {
        let mac = self.mac(&[id, b".", timestamp, b".", body]);
        out.push_str("v1,");
        STANDARD.encode_string(mac, out);
    }

    /// Appends 64 lower-case hex characters over the body.
    pub fn push_hex(&self, body: &[u8], out: &mut String) {
        for byte in self.mac(&[body]) {
            out.push(HEX[usize::from(byte >> 4)] as char);
            out.push(HEX[usize::from(byte & 15)] as char);
        }
    }

    /// Compares in constant time: how long it takes says nothing of where the MACs differ.
    pub(crate) fn accepts(&self, parts: &[&[u8]], macs: &[MacBytes]) -> bool {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(part);
        }
        let ours = mac.finalize();
        // No early exit, so that it does not say which one matched either.
        macs.iter().fold(false, |found, theirs| {
            found | (ours == hmac::digest::CtOutput::new((*theirs).into()))
        })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(redacted)")
    }
}

/// `v1,<base64>` for each signer, space separated: the value of `webhook-signature`.
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
    const TOKEN: usize = "v1,".len() + 44 + " ".len();
    let mut value = String::with_capacity(signers.len() * TOKEN);
    for signer in signers {
        if !value.is_empty() {
            value.push(' ');
        }
        signer.push_standard(id.as_bytes(), timestamp.as_bytes(), body, &mut value);
    }
    value
}

/// `<prefix><hex>` over the body: `sha256=…` for the profiles `emp` and `aegisx`.
pub fn hmac_hex(signer: &Signer, prefix: &str, body: &[u8]) -> String {
    let mut value = String::with_capacity(prefix.len() + 64);
    value.push_str(prefix);
    signer.push_hex(body, &mut value);
    value
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends bytes as lower-case hex.
pub(crate) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}
