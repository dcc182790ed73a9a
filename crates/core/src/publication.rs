//! What a publish writes: events with their planned deliveries and the key that makes it idempotent.

use std::sync::Arc;

use crate::delivery::Owed;
use crate::event::Event;
use crate::id::{EventId, TenantId};

/// A fingerprint of a request's body (SHA-256, shortened): tells a repetition from a conflict.
pub type Fingerprint = [u8; 16];

/// Events to be committed in one transaction, from one request of one tenant.
#[derive(Debug, Clone)]
pub struct Publication {
    pub tenant: TenantId,
    /// `Idempotency-Key` of the request.
    pub key: Option<IdempotencyKey>,
    pub events: Vec<PlannedEvent>,
}

/// The same key and body again gets the same answer; another body is a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Route and key: keys of different routes do not meet.
    pub key: Box<str>,
    pub fingerprint: Fingerprint,
}

/// An event and the deliveries that are owed for it.
#[derive(Debug, Clone)]
pub struct PlannedEvent {
    pub event: Arc<Event>,
    /// Of the event as published; compared when its client id was seen before.
    pub fingerprint: Fingerprint,
    pub deliveries: Vec<Owed>,
}

/// What a publisher is told about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub id: EventId,
    /// Deliveries that are owed for it. 0 is fine.
    pub deliveries: u32,
    /// It had been accepted before: this publish changed nothing.
    pub duplicate: bool,
}

impl Publication {
    /// Rows that it writes, roughly: the measure of a transaction's size.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.events.iter().map(|planned| 1 + planned.deliveries.len()).sum()
    }

    /// Bytes that it takes in memory, and roughly those that it writes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let brought = |owed: &Owed| owed.payload.direct().map_or(0, |direct| direct.held_bytes());
        let of = |planned: &PlannedEvent| {
            let deliveries =
                planned.deliveries.iter().map(|owed| size_of::<Owed>() + brought(owed));
            let event = size_of::<PlannedEvent>() + size_of::<Event>() + planned.event.data.len();
            event + deliveries.sum::<usize>()
        };
        self.events.iter().map(of).sum()
    }
}
