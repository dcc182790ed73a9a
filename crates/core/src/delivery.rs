//! A delivery: one event owed to one webhook, or to one direct URL; the unit of retry.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::direct::{Direct, is_lane};
use crate::event::Event;
use crate::gate::Gate;
use crate::id::{DeliveryId, EventId, TenantId, WebhookId};
use crate::retry::mix;
use crate::time::Timestamp;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Owed, not tried yet.
    Pending,
    /// Owed, tried without success.
    Retrying,
    Success,
    /// Given up: a dead letter, until it is sent again by hand.
    Failed,
    Cancelled,
    /// `expires_at` came first.
    Expired,
}

impl Status {
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Retrying,
        Self::Success,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// As the API and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Retrying => 1,
            Self::Success => 2,
            Self::Failed => 3,
            Self::Cancelled => 4,
            Self::Expired => 5,
        }
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing more is owed.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Retrying)
    }
}

/// The queue of one webhook, or of direct deliveries to one origin ([`crate::direct::lane`]): its own
/// concurrency, rate and breaker. An ordered one has 64 of them that share its limits; any other has
/// slot 0 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    pub webhook: WebhookId,
    pub slot: u8,
}

impl Lane {
    /// The lane of an event on a webhook; events with one ordering key share a lane.
    #[must_use]
    pub fn of(webhook: WebhookId, ordered: bool, ordering_key: Option<&str>) -> Self {
        let slot = if ordered {
            let hash = ordering_key.unwrap_or_default().bytes().fold(0_u64, |hash, byte| {
                mix(hash.wrapping_add(u64::from(byte)).wrapping_add(0x9e37_79b9_7f4a_7c15))
            });
            (hash % u64::from(crate::limits::ORDERED_LANES)) as u8
        } else {
            0
        };
        Self { webhook, slot }
    }
}

/// What an owed delivery carries: at hand, or to be read from the store before the attempt.
#[derive(Debug, Clone)]
pub enum Payload {
    Held {
        event: Arc<Event>,
        /// Of a direct delivery: where it goes.
        direct: Option<Arc<Direct>>,
    },
    Stored,
}

impl Payload {
    /// The event, if it is at hand.
    #[must_use]
    pub fn event(&self) -> Option<&Arc<Event>> {
        match self {
            Self::Held { event, .. } => Some(event),
            Self::Stored => None,
        }
    }

    /// Where a direct delivery goes, if that is at hand.
    #[must_use]
    pub fn direct(&self) -> Option<&Arc<Direct>> {
        match self {
            Self::Held { direct, .. } => direct.as_ref(),
            Self::Stored => None,
        }
    }
}

impl From<Arc<Event>> for Payload {
    fn from(event: Arc<Event>) -> Self {
        Self::Held { event, direct: None }
    }
}

/// One row of the queue: a delivery that is still owed.
#[derive(Debug, Clone)]
pub struct Owed {
    pub id: DeliveryId,
    pub tenant: TenantId,
    pub lane: Lane,
    pub event: EventId,
    /// The webhook's revision that shapes the body; 0 of a direct delivery.
    pub revision: u32,
    /// Place in the lane: rows are given out by `(ready_at, id)`. A retry moves it, except in an
    /// ordered lane, whose rows keep their place and wait at its head.
    pub ready_at: Timestamp,
    /// No attempt before this moment. Equals `ready_at` but for retries in an ordered lane.
    pub not_before: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Attempts made.
    pub attempts: u16,
    /// Attempts allowed when a person asked for more than the policy gives; 0: the policy's.
    pub attempts_granted: u16,
    /// Of what tells of a job: which others it may not meet on its way.
    pub gate: Option<Gate>,
    pub payload: Payload,
}

impl Owed {
    /// Whether no webhook is behind it.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        is_lane(self.lane.webhook)
    }

    /// The place in its lane.
    #[must_use]
    pub fn key(&self) -> (Timestamp, DeliveryId) {
        (self.ready_at, self.id)
    }

    /// Bytes of payload that the row keeps in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        match &self.payload {
            Payload::Held { event, direct } => {
                event.data.len() + direct.as_ref().map_or(0, |direct| direct.held_bytes())
            }
            Payload::Stored => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_round_trip() {
        for status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(status));
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }

    /// 100,000 of them may be in memory: see [`crate::limits::LANE_ROWS_MAX`].
    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Owed>() <= 112, "{}", size_of::<Owed>());
    }

    #[test]
    fn ordering_keys_choose_lanes() {
        let webhook = WebhookId::from_i64(9);
        assert_eq!(Lane::of(webhook, false, Some("a")).slot, 0);
        assert_eq!(Lane::of(webhook, true, Some("a")), Lane::of(webhook, true, Some("a")));
        let slots: std::collections::BTreeSet<u8> =
            (0..500).map(|n| Lane::of(webhook, true, Some(&format!("key-{n}"))).slot).collect();
        assert_eq!(slots.len(), 64);
    }
}
