//! `Retry-After`: a receiver's own wish for when to try again, which it may word in any way it likes.

use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::limits::RETRY_AFTER_MS_MAX;

/// What the header said, in either of the two forms that RFC 9110 allows (10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// So many seconds from the answer.
    Seconds(u64),
    /// A point in time, in Unix milliseconds.
    At(i64),
}

impl RetryAfter {
    /// Reads a header's value: decimal digits that fit `u64`, or an HTTP date in any of its three forms.
    /// Everything else (`inf`, `1e18`, `-5`, `0x10`, `1_000`) is as if the header were not there.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
        if text.is_empty() || text.len() > 40 {
            return None; // The longest legal form is an RFC 850 date of 33 characters.
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(Self::Seconds);
        }
        let at = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(at.as_millis()).ok().map(Self::At)
    }

    /// Milliseconds to wait from `now_ms`: none when the point has passed, at most [`RETRY_AFTER_MS_MAX`].
    pub fn delay_ms_from(self, now_ms: i64) -> i64 {
        let wait = match self {
            Self::Seconds(seconds) => {
                i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)
            }
            Self::At(at) => at.saturating_sub(now_ms),
        };
        wait.clamp(0, RETRY_AFTER_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-06T08:49:37Z
    const AT: i64 = 1_793_954_977_000;

    #[test]
    fn the_two_legal_forms() {
        for (text, expected) in [
            ("120", RetryAfter::Seconds(120)),
            ("0", RetryAfter::Seconds(0)),
            (" 5 ", RetryAfter::Seconds(5)),
            ("9999999999999", RetryAfter::Seconds(9_999_999_999_999)),
            ("Fri, 06 Nov 2026 08:49:37 GMT", RetryAfter::At(AT)),
            ("Friday, 06-Nov-26 08:49:37 GMT", RetryAfter::At(AT)),
            ("Fri Nov  6 08:49:37 2026", RetryAfter::At(AT)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", RetryAfter::At(253_402_300_799_000)),
        ] {
            assert_eq!(RetryAfter::parse(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_ignored() {
        let digits = "9".repeat(4_096);
        for text in [
            "",
            " ",
            "-5",
            "+5",
            "NaN",
            "inf",
            "-inf",
            "1e300",
            "1e18",
            "1e12",
            "0x10",
            "1_000",
            "1.5",
            "5 s",
            "99999999999999999999",
            "tomorrow",
            "\u{0665}",
            &digits,
        ] {
            assert_eq!(RetryAfter::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(RetryAfter::parse(b"12\xff"), None);
    }

    #[test]
    fn the_wait_is_clamped() {
        assert_eq!(RetryAfter::Seconds(u64::MAX).delay_ms_from(0), RETRY_AFTER_MS_MAX);
        assert_eq!(RetryAfter::Seconds(7).delay_ms_from(i64::MAX), 7_000);
        assert_eq!(RetryAfter::At(AT).delay_ms_from(AT + 1), 0);
        assert_eq!(RetryAfter::At(AT).delay_ms_from(AT - 1_500), 1_500);
        assert_eq!(RetryAfter::At(AT).delay_ms_from(i64::MIN), RETRY_AFTER_MS_MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), now in any::<i64>()) {
            if let Some(after) = RetryAfter::parse(&bytes) {
                prop_assert!((0..=RETRY_AFTER_MS_MAX).contains(&after.delay_ms_from(now)));
            }
        }

        #[test]
        fn every_u64_is_read(seconds in any::<u64>()) {
            prop_assert_eq!(
                RetryAfter::parse(seconds.to_string().as_bytes()),
                Some(RetryAfter::Seconds(seconds))
            );
        }
    }
}
