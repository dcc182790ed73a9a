//! Ids: 63 bits that sort by time, shown with a prefix that says what they name.
//!
//! An id is `milliseconds since 2020 (41 bits) | node (10) | sequence (12)`, so it fits an
//! `INTEGER PRIMARY KEY` of SQLite and a `BIGINT` of PostgreSQL, new rows are appended to the
//! right edge of a b-tree, and the moment of creation needs no column of its own. Ids are not
//! secrets: every look-up names its tenant as well.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::time::Timestamp;

/// What an id names; its prefix in text.
pub trait Kind: 'static {
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $prefix:literal, $alias:ident;)*) => {
        /// The kinds of things that have ids.
        pub mod kind {
            $( $(#[$doc])* #[derive(Debug)] pub enum $kind {} )*
        }
        $( impl Kind for kind::$kind { const PREFIX: &'static str = $prefix; }
           $(#[$doc])* pub type $alias = Id<kind::$kind>; )*
    };
}

kinds! {
    /// The owner of webhooks, events and deliveries.
    Tenant = "ten", TenantId;
    /// A key of a tenant to the API.
    Key = "key", KeyId;
    /// A registered URL.
    Webhook = "wh", WebhookId;
    /// Something that happened.
    Event = "evt", EventId;
    /// One event owed to one webhook, or to one direct URL.
    Delivery = "dlv", DeliveryId;
    /// One HTTP try of a delivery.
    Attempt = "att", AttemptId;
    /// Deliveries sent again by time range.
    Replay = "rpl", ReplayId;
    /// A webhook that was received.
    Inbound = "inb", InboundId;
    /// Somebody who wants to hear more, handed over to one service.
    Lead = "lead", LeadId;
    /// Work whose progress is told.
    Job = "job", JobId;
    /// A graph of jobs.
    Execution = "exec", ExecutionId;
}

/// An id of one kind of thing.
pub struct Id<K>(i64, PhantomData<fn() -> K>);

impl<K> Id<K> {
    /// The id as the store keeps it.
    #[must_use]
    pub const fn from_i64(raw: i64) -> Self {
        Self(raw, PhantomData)
    }

    /// The number that the store keeps.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// When the id was made, to the millisecond.
    #[must_use]
    pub const fn created_at(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> (NODE_BITS + SEQUENCE_BITS)) + EPOCH_MS)
    }

    /// The node that made it.
    #[must_use]
    pub const fn node(self) -> u16 {
        (self.0 >> SEQUENCE_BITS & ((1 << NODE_BITS) - 1)) as u16
    }

    /// The least id that can have been made at `at`: the bound of a search by time. Moments that no id
    /// can have (before 2020, after 2089) lie before and after all ids.
    #[must_use]
    pub const fn floor(at: Timestamp) -> Self {
        const SHIFT: u32 = NODE_BITS + SEQUENCE_BITS;
        match at.as_millis().saturating_sub(EPOCH_MS) {
            ..0 => Self::from_i64(0),
            since if since > i64::MAX >> SHIFT => Self::from_i64(i64::MAX),
            since => Self::from_i64(since << SHIFT),
        }
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Crockford's base 32, lower case: no `i l o u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits that 63 bits need.
const DIGITS: usize = 13;

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0_u8; DIGITS];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        f.write_str(std::str::from_utf8(&digits).expect("the alphabet is ASCII"))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no id of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {0}_…")]
pub struct ParseIdError(&'static str);

impl<K: Kind> FromStr for Id<K> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = ParseIdError(K::PREFIX);
        let digits = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|digits| digits.len() == DIGITS)
            .ok_or_else(|| refuse.clone())?;
        let mut raw: i64 = 0;
        for byte in digits.bytes() {
            let digit = ALPHABET.iter().position(|&c| c == byte).ok_or_else(|| refuse.clone())?;
            raw = raw.checked_mul(32).ok_or_else(|| refuse.clone())? | digit as i64;
        }
        Ok(Self::from_i64(raw))
    }
}

impl<K: Kind> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> serde::Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// 2020-01-01T00:00:00Z.
const EPOCH_MS: i64 = 1_577_836_800_000;
const NODE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
const SEQUENCE_MASK: i64 = (1 << SEQUENCE_BITS) - 1;

/// Makes the ids of one node: ever larger, even when its clock steps back.
#[derive(Debug)]
pub struct IdSource {
    node: i64,
    /// `milliseconds << SEQUENCE_BITS | sequence` of the last id; a full sequence borrows from the
    /// next millisecond, so 4,096,000 ids a second are made without waiting.
    last: AtomicI64,
}

impl IdSource {
    /// A source for `node` (0 to 1023) that continues after `largest`, the largest id in the store.
    #[must_use]
    pub fn new(node: u16, largest: i64) -> Self {
        let ticks = (largest >> (NODE_BITS + SEQUENCE_BITS)) << SEQUENCE_BITS;
        let last = ticks | (largest & SEQUENCE_MASK);
        Self { node: i64::from(node & 0x3ff), last: AtomicI64::new(last) }
    }

    /// The next id, made at `now`.
    pub fn next<K>(&self, now: Timestamp) -> Id<K> {
        let floor = (now.as_millis() - EPOCH_MS).max(0) << SEQUENCE_BITS;
        let step = |last: i64| Some(floor.max(last + 1));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
            .expect("the step always yields a value");
        let ticks = floor.max(last + 1);
        let millis = ticks >> SEQUENCE_BITS;
        Id::from_i64(
            (millis << (NODE_BITS + SEQUENCE_BITS))
                | (self.node << SEQUENCE_BITS)
                | (ticks & SEQUENCE_MASK),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_keeps_order() {
        let source = IdSource::new(3, 0);
        let now = Timestamp::from_millis(1_795_362_000_123);
        let first: WebhookId = source.next(now);
        let second: WebhookId = source.next(now);
        assert_eq!(first.to_string().parse::<WebhookId>(), Ok(first));
        assert!(first < second && first.to_string() < second.to_string());
        assert_eq!(first.created_at(), now);
        assert_eq!(first.node(), 3);
        assert!(WebhookId::floor(now) <= first);
        assert!(WebhookId::floor(Timestamp::from_millis(i64::MIN)) < first);
        for late in [4_102_444_800_000, 253_402_300_799_999, i64::MAX] {
            assert!(WebhookId::floor(Timestamp::from_millis(late)) > first, "{late}");
        }
    }

    #[test]
    fn refuses_other_kinds_and_nonsense() {
        let id: EventId = IdSource::new(0, 0).next(Timestamp::from_millis(1_795_362_000_123));
        assert!(id.to_string().parse::<WebhookId>().is_err());
        for text in ["", "evt_", "evt_0000000000000!", "evt_zzzzzzzzzzzzz", "EVT_0000000000000"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    #[test]
    fn never_repeats_when_the_clock_steps_back_or_the_process_restarts() {
        let source = IdSource::new(1, 0);
        let late: EventId = source.next(Timestamp::from_millis(1_795_362_000_000));
        let after: EventId = source.next(Timestamp::from_millis(1_795_361_000_000));
        assert!(after > late);
        let restarted = IdSource::new(1, after.as_i64());
        let next: EventId = restarted.next(Timestamp::from_millis(1_795_361_000_000));
        assert!(next > after);
    }
}
