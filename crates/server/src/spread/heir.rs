//! Which replies to other owners count for this one.
//!
//! It has taken over shards of theirs, or is another process of the same node. Only what is of such shards
//! counts: other owners live, and what they are told would take the room of what is needed.

use std::sync::atomic::{AtomicI64, Ordering};

use tidings_core::limits::REPLY_KEPT_MS;
use tidings_core::shard::SHARDS;
use tidings_core::time::Timestamp;

use super::parcel::Report;

/// Until when, of each shard.
#[derive(Debug)]
pub(super) struct Heir([AtomicI64; SHARDS]);

impl Default for Heir {
    fn default() -> Self {
        Self([const { AtomicI64::new(0) }; SHARDS])
    }
}

impl Heir {
    /// For the time being these count.
    pub(super) fn inherit(&self, shards: impl IntoIterator<Item = u8>, now: Timestamp) {
        let until = (now + REPLY_KEPT_MS).as_millis();
        for shard in shards {
            self.0[usize::from(shard)].store(until, Ordering::Release);
        }
    }

    fn wants(&self, shard: u8, now: Timestamp) -> bool {
        now.as_millis() < self.0[usize::from(shard)].load(Ordering::Acquire)
    }

    /// Whether anything of others counts.
    pub(super) fn is_one(&self, now: Timestamp) -> bool {
        (0..=u8::MAX).any(|shard| self.wants(shard, now))
    }

    /// What counts of what was said to another owner.
    pub(super) fn share(&self, mut reports: Vec<Report>, now: Timestamp) -> Vec<Report> {
        reports.retain_mut(|report| report.only(|shard| self.wants(shard, now)));
        reports
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::id::DeliveryId;
    use tidings_core::outcome::{FailureKind, Outcome};
    use tidings_core::releases::Ticket;

    use super::super::parcel::{Reply, Stub};
    use super::*;

    fn ticket(shard: u8) -> Ticket {
        Ticket { delivery: DeliveryId::from_i64(5), shard, attempt: 1, call: 0 }
    }

    fn reply(shard: u8) -> Report {
        let now = Timestamp::from_millis(1_795_362_000_000);
        let stub = Stub { started_at: now, revision: 1, signature: String::new() };
        let outcome = Outcome::failed(FailureKind::Timeout, "");
        let ticket = ticket(shard);
        Report::Replied(Box::new(Reply { ticket, stub, outcome, duration_ms: 5, body: vec![] }))
    }

    #[test]
    fn only_what_is_of_inherited_shards_counts_and_for_a_while() {
        let (heir, now) = (Heir::default(), Timestamp::from_millis(1_795_362_000_000));
        assert!(!heir.is_one(now));
        heir.inherit([3, 255], now);
        let said =
            || vec![Report::Taken(vec![ticket(2), ticket(3)]), Report::Taken(vec![ticket(4)])];
        let said = || said().into_iter().chain([reply(4), reply(255)]).collect::<Vec<_>>();
        let left = vec![Report::Taken(vec![ticket(3)]), reply(255)];
        assert!(heir.is_one(now));
        assert_eq!(heir.share(said(), now), left);
        assert_eq!(heir.share(said(), now + REPLY_KEPT_MS), []);
        assert!(!heir.is_one(now + REPLY_KEPT_MS));
    }
}
