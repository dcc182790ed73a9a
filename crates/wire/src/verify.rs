//! Verification, for receivers.
//!
//! Hand in the raw bytes of the body, before anything has parsed them: JSON that was parsed and
//! printed again is other bytes. Nothing here panics, whatever comes in; MACs are decoded to their
//! 32 bytes first and compared in constant time; what is written differently from how senders write
//! it is refused, not repaired.
//!
//! A signature with a timestamp can be replayed within the tolerance. So remember the ids that were
//! processed, for as long as the sender retries, and answer 2xx to those that come again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::secret::Secret;
use crate::sign::{MacBytes, MacKey};

/// How far the clocks of sender and receiver may be apart: five minutes, as in the official
/// Standard Webhooks libraries.
pub const DEFAULT_TOLERANCE_S: u64 = 300;

/// How many signatures a header may hold. A sender needs one per secret of a rotation.
pub const MAX_SIGNATURES: usize = 16;

/// Why a request is refused. For the log; tell the sender no more than "401".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No secret was handed in.
    #[error("there is no secret to verify with")]
    NoSecret,
    /// A header that must be there is not.
    #[error("the header `{0}` is missing")]
    Missing(&'static str),
    /// A header that must be there once is there more than once.
    #[error("the header `{0}` is there more than once")]
    Repeated(&'static str),
    /// An id that is not visible ASCII, or that has a full stop: since full stops separate what is
    /// signed, parts of the id could be passed off as the timestamp.
    #[error("the id is not visible ASCII without full stops")]
    InvalidId,
    /// A timestamp that is not a plain decimal number of seconds.
    #[error("the timestamp is not a plain decimal number")]
    InvalidTimestamp,
    /// The timestamp is too far in the past.
    #[error("the timestamp is too old")]
    TooOld,
    /// The timestamp is too far in the future.
    #[error("the timestamp is in the future")]
    TooNew,
    /// A signature header without a signature of this scheme in the form that senders write.
    #[error("the signature header has no well-formed signature of this scheme")]
    InvalidSignature,
    /// More than [`MAX_SIGNATURES`] signatures.
    #[error("the signature header has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// Well-formed, and made with another secret or over other bytes.
    #[error("no signature matches")]
    Mismatch,
}

/// The three headers of Standard Webhooks, as they arrived.
///
/// ```
/// use tidings_wire::verify::StandardHeaders;
/// let arrived = [
///     ("Webhook-Id", "msg_1".as_bytes()),
///     ("webhook-timestamp", b"1614265330"),
///     ("webhook-signature", b"v1,..."),
/// ];
/// assert_eq!(StandardHeaders::find(arrived)?.id, Some("msg_1".as_bytes()));
/// # Ok::<(), tidings_wire::verify::VerifyError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StandardHeaders<'a> {
    /// `webhook-id`
    pub id: Option<&'a [u8]>,
    /// `webhook-timestamp`
    pub timestamp: Option<&'a [u8]>,
    /// `webhook-signature`
    pub signature: Option<&'a [u8]>,
}

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

impl<'a> StandardHeaders<'a> {
    /// Picks the three out of all headers of a request. None may be there twice.
    pub fn find<'n>(
        headers: impl IntoIterator<Item = (&'n str, &'a [u8])>,
    ) -> Result<Self, VerifyError> {
        let mut found = Self::default();
        for (name, value) in headers {
            let (name, place) = if name.eq_ignore_ascii_case(ID) {
                (ID, &mut found.id)
            } else if name.eq_ignore_ascii_case(TIMESTAMP) {
                (TIMESTAMP, &mut found.timestamp)
            } else if name.eq_ignore_ascii_case(SIGNATURE) {
                (SIGNATURE, &mut found.signature)
            } else {
                continue;
            };
            if place.replace(value).is_some() {
                return Err(VerifyError::Repeated(name));
            }
        }
        Ok(found)
    }
}

/// What a verified request of Standard Webhooks says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The id of the event: the same for every attempt. Skip it if it was processed before.
    pub id: &'a str,
    /// When this attempt was made, in Unix seconds.
    pub timestamp_s: i64,
}

/// Verifies a request of Standard Webhooks: profile `standard`, and every other sender of it.
///
/// One valid `v1` signature with one of the secrets is enough. Signatures of other versions (as
/// `v1a`) are passed over, and so is a `v1` that is not the base64 of 32 bytes.
///
/// ```
/// use tidings_wire::{secret::Secret, verify::*};
/// let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// let headers = StandardHeaders {
///     id: Some(b"msg_p5jXN8AQM9LWM0D4loKWxJek"),
///     timestamp: Some(b"1614265330"),
///     signature: Some(b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
/// };
/// let body = br#"{"test": 2432232314}"#;
/// let verified = verify_standard(&[secret], &headers, body, 1614265400, DEFAULT_TOLERANCE_S)?;
/// assert_eq!(verified.id, "msg_p5jXN8AQM9LWM0D4loKWxJek");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify_standard<'a>(
    secrets: &[Secret],
    headers: &StandardHeaders<'a>,
    body: &[u8],
    now_s: i64,
    tolerance_s: u64,
) -> Result<Verified<'a>, VerifyError> {
    let id = headers.id.ok_or(VerifyError::Missing(ID))?;
    let timestamp = headers.timestamp.ok_or(VerifyError::Missing(TIMESTAMP))?;
    let signature = headers.signature.ok_or(VerifyError::Missing(SIGNATURE))?;
    let verified = Verified { id: parse_id(id)?, timestamp_s: parse_timestamp(timestamp)? };
    if verified.timestamp_s.abs_diff(now_s) > tolerance_s {
        let is_old = verified.timestamp_s < now_s;
        return Err(if is_old { VerifyError::TooOld } else { VerifyError::TooNew });
    }
    let macs = parse_standard_signatures(signature)?;
    // The timestamp as it arrived: the same digits that were signed.
    matches_any(secrets, &[id, b".", timestamp, b".", body], &macs)?;
    Ok(verified)
}

/// Verifies `<prefix><hex>` over the body: profiles `emp` and `aegisx` with the prefix `sha256=`.
///
/// ```
/// use tidings_wire::{secret::Secret, sign::{MacKey, hmac_hex}, verify::verify_hmac_hex};
/// let secret = Secret::parse("your-secret-key")?;
/// let header = hmac_hex(&MacKey::new(&secret), "sha256=", b"{}");
/// verify_hmac_hex(&[secret], "sha256=", Some(header.as_bytes()), b"{}")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify_hmac_hex(
    secrets: &[Secret],
    prefix: &str,
    header: Option<&[u8]>,
    body: &[u8],
) -> Result<(), VerifyError> {
    let header = header.ok_or(VerifyError::Missing("signature"))?;
    let mac = header
        .strip_prefix(prefix.as_bytes())
        .and_then(decode_hex)
        .ok_or(VerifyError::InvalidSignature)?;
    matches_any(secrets, &[body], &[mac])
}

fn matches_any(secrets: &[Secret], signed: &[&[u8]], macs: &[MacBytes]) -> Result<(), VerifyError> {
    if secrets.is_empty() {
        return Err(VerifyError::NoSecret);
    }
    match secrets.iter().any(|secret| MacKey::new(secret).accepts(signed, macs)) {
        true => Ok(()),
        false => Err(VerifyError::Mismatch),
    }
}

fn parse_id(id: &[u8]) -> Result<&str, VerifyError> {
    let plain = !id.is_empty() && id.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'.');
    std::str::from_utf8(id).ok().filter(|_| plain).ok_or(VerifyError::InvalidId)
}

/// Digits and nothing else: no sign, space, fraction, exponent or leading zero.
fn parse_timestamp(text: &[u8]) -> Result<i64, VerifyError> {
    let plain = match text {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let digits = std::str::from_utf8(text).ok().filter(|_| plain);
    digits.and_then(|digits| digits.parse().ok()).ok_or(VerifyError::InvalidTimestamp)
}

/// The MACs of all `v1` signatures. Work stops at the cap, however long the header is.
fn parse_standard_signatures(header: &[u8]) -> Result<Vec<MacBytes>, VerifyError> {
    let mut macs = Vec::new();
    for (at, token) in header.split(|&byte| byte == b' ').enumerate() {
        if at == MAX_SIGNATURES {
            return Err(VerifyError::TooManySignatures);
        }
        // Two spaces in a row, or one at an end.
        if token.is_empty() {
            return Err(VerifyError::InvalidSignature);
        }
        macs.extend(token.strip_prefix(b"v1,").and_then(decode_base64));
    }
    if macs.is_empty() { Err(VerifyError::InvalidSignature) } else { Ok(macs) }
}

/// Standard base64 with its padding, of 32 bytes: one spelling per MAC.
fn decode_base64(text: &[u8]) -> Option<MacBytes> {
    if text.len() != 44 {
        return None;
    }
    let mut decoded = [0; 33]; // what 44 characters can hold
    let length = STANDARD.decode_slice(text, &mut decoded).ok()?;
    decoded[..length].try_into().ok()
}

/// 64 lower-case digits: one spelling per MAC.
fn decode_hex(text: &[u8]) -> Option<MacBytes> {
    if text.len() != 64 {
        return None;
    }
    let mut mac = [0; 32];
    for (byte, pair) in mac.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(mac)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
