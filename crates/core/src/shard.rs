//! Shards: slices of all lanes, each owned by one node at a time.
//!
//! All lanes of a webhook are in one shard, so that its concurrency, rate, order and breaker are kept by
//! one node and need no word between nodes for a delivery. What one webhook gets is therefore bounded by
//! what one node sends.

use crate::id::WebhookId;
use crate::retry::mix;

/// How many there are. Enough to spread evenly over some fifty nodes; few enough to be claimed, told
/// and looked at as a whole.
pub const SHARDS: usize = 256;

/// The shard of a webhook, or of the lane of an origin.
#[must_use]
pub fn of(webhook: WebhookId) -> u8 {
    // The low bits of an id are often zero.
    (mix(webhook.as_i64().cast_unsigned()) >> 56) as u8
}

/// Some of the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardSet([u64; SHARDS / 64]);

impl ShardSet {
    /// Every shard: what the only node owns.
    pub const ALL: Self = Self([u64::MAX; SHARDS / 64]);

    #[must_use]
    pub const fn has(&self, shard: u8) -> bool {
        self.0[shard as usize / 64] >> (shard % 64) & 1 == 1
    }

    pub fn insert(&mut self, shard: u8) {
        self.0[usize::from(shard) / 64] |= 1 << (shard % 64);
    }

    pub fn remove(&mut self, shard: u8) {
        self.0[usize::from(shard) / 64] &= !(1 << (shard % 64));
    }

    /// Those that `other` lacks.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|n| self.0[n] & !other.0[n]))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|&shard| self.has(shard))
    }
}

impl FromIterator<u8> for ShardSet {
    fn from_iter<I: IntoIterator<Item = u8>>(shards: I) -> Self {
        let mut set = Self::default();
        shards.into_iter().for_each(|shard| set.insert(shard));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdSource;
    use crate::time::Timestamp;

    #[test]
    fn webhooks_spread_over_all_shards() {
        let ids = IdSource::new(0, 0);
        let mut counts = [0_u32; SHARDS];
        for n in 0..25_600 {
            let webhook = ids.next(Timestamp::from_millis(1_795_362_000_000 + n * 40));
            counts[usize::from(of(webhook))] += 1;
        }
        assert!(counts.iter().all(|&count| (50..200).contains(&count)), "{counts:?}");
    }

    #[test]
    fn sets_are_sets() {
        let some: ShardSet = [0, 63, 64, 255].into_iter().collect();
        assert_eq!(some.iter().collect::<Vec<_>>(), [0, 63, 64, 255]);
        assert_eq!(ShardSet::ALL.without(&some).len(), SHARDS - 4);
        let mut none = some;
        some.iter().for_each(|shard| none.remove(shard));
        assert!(none.is_empty() && !some.is_empty());
    }
}
