//! What ends a delivery at once: statuses, as a profile file lists them (`[410, "430-499"]`), and
//! failures without an answer.

use std::ops::RangeInclusive;

/// A set of HTTP statuses. In a file: a list of numbers and ranges, as `[410, "430-499"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// Whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    /// Adds what a file lists: `410` or `430-499`.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let range = match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => Some(from..=to),
            _ => None,
        };
        // A success cannot end a delivery as failed, and 1xx is no answer yet.
        let range = range.filter(|range| {
            *range.start() >= 300 && *range.end() <= 599 && !RangeInclusive::is_empty(range)
        });
        let wrong = "is neither a status from 300 to 599 nor a range of them like \"400-499\"";
        self.0.push(range.ok_or_else(|| format!("`{text}` {wrong}"))?);
        Ok(())
    }
}

impl From<u16> for StatusSet {
    fn from(status: u16) -> Self {
        Self(vec![status..=status])
    }
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorType {
    /// Refused, reset, closed early, unreachable, or an answer that is not HTTP.
    Network,
    /// The deadline passed before a status line.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// The name does not exist or has no address.
    Dns,
    /// The address is none that may be dialled.
    Blocked,
}

impl ErrorType {
    /// Every type, by the name that files and attempts give it.
    pub const ALL: [(&str, Self); 5] = [
        ("network", Self::Network),
        ("timeout", Self::Timeout),
        ("tls", Self::Tls),
        ("dns", Self::Dns),
        ("blocked", Self::Blocked),
    ];

    /// The name that files and attempts give it.
    pub fn name(self) -> &'static str {
        let entry = Self::ALL.iter().find(|(_, one)| *one == self);
        entry.expect("every type is listed").0
    }
}
