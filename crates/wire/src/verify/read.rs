//! Strict reading: one spelling for each value, the one that senders write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Digits and nothing else: no sign, space, fraction, exponent or leading zero.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let plain = match text {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let digits = std::str::from_utf8(text).ok().filter(|_| plain)?;
    digits.parse().ok()
}

/// Visible ASCII, at least one character.
pub(super) fn id(text: &[u8]) -> Option<&str> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(text).ok().filter(|_| plain)
}

/// Standard base64 with its padding, of exactly `N` bytes.
pub(super) fn base64<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != N.div_ceil(3) * 4 {
        return None;
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// 64 lower-case digits.
pub(super) fn hex(text: &[u8]) -> Option<[u8; 32]> {
    let pairs: &[[u8; 2]; 32] = text.as_chunks().0.try_into().ok()?;
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
