//! Standard Webhooks, under its own names and those of Svix.

use std::borrow::Cow;

use super::headers::Incoming;
use super::key::Key;
use super::{MAX_SIGNATURES, Verified, Why, read};
use crate::sign::MacBytes;

/// The names of its three headers.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub id: Cow<'static, str>,
    pub timestamp: Cow<'static, str>,
    pub signature: Cow<'static, str>,
}

impl Names {
    pub fn with_prefix(prefix: &str) -> Self {
        let name = |what| Cow::Owned(format!("{prefix}-{what}"));
        Self { id: name("id"), timestamp: name("timestamp"), signature: name("signature") }
    }
}

pub(super) fn verify<'h>(
    names: &Names,
    keys: &[Key],
    incoming: &Incoming<'h, '_>,
) -> Result<Verified<'h>, Why> {
    let id = incoming.required(&names.id)?;
    let timestamp = incoming.required(&names.timestamp)?;
    let signatures = incoming.required(&names.signature)?;
    // With a full stop in the id, `a.1` at 2 and `a` at 1 with a body `2.…` would be signed alike.
    let told = read::id(id).filter(|id| !id.contains('.')).ok_or(Why::InvalidId)?;
    let verified = Verified::new(Some(told), Some(incoming.fresh(timestamp)?));
    let signatures = Signatures::read(signatures)?;
    // The timestamp as it arrived: the same digits that were signed.
    signatures.check(keys, &[id, b".", timestamp, b".", incoming.body])?;
    Ok(verified)
}

/// What the header holds that can be verified.
#[derive(Default)]
struct Signatures {
    v1: Vec<MacBytes>,
    v1a: Vec<[u8; 64]>,
}

impl Signatures {
    /// Other versions are passed over, and so is what is no signature of its version. Work stops at
    /// the cap, however long the header is.
    fn read(header: &[u8]) -> Result<Self, Why> {
        let mut found = Self::default();
        for (at, token) in header.split(|&byte| byte == b' ').enumerate() {
            if at == MAX_SIGNATURES {
                return Err(Why::TooManySignatures);
            }
            // Two spaces in a row, or one at an end.
            if token.is_empty() {
                return Err(Why::InvalidSignature);
            }
            found.v1.extend(token.strip_prefix(b"v1,").and_then(read::base64::<32>));
            found.v1a.extend(token.strip_prefix(b"v1a,").and_then(read::base64::<64>));
        }
        match found.v1.is_empty() && found.v1a.is_empty() {
            true => Err(Why::InvalidSignature),
            false => Ok(found),
        }
    }

    fn check(&self, keys: &[Key], signed: &[&[u8]]) -> Result<(), Why> {
        let (mut any_key, mut matches) = (false, false);
        for key in keys {
            match key {
                Key::Mac(key) if !self.v1.is_empty() => {
                    any_key = true;
                    matches |= key.accepts(signed, &self.v1);
                }
                Key::Ed25519(key) if !self.v1a.is_empty() => {
                    any_key = true;
                    let message = signed.concat();
                    matches |= self.v1a.iter().any(|one| key.accepts(&message, one));
                }
                _ => {}
            }
        }
        match (any_key, matches) {
            (_, true) => Ok(()),
            (true, false) => Err(Why::Mismatch),
            (false, false) => Err(Why::NoKey),
        }
    }
}
