//! What the committer tells: the queue as it changed, in commit order.

use std::sync::Arc;

use tidings_core::delivery::{Lane, Owed};
use tidings_core::event::Event;
use tidings_core::id::{DeliveryId, WebhookId};
use tidings_core::time::Timestamp;

/// One thing that was committed. Admission by the dispatcher is idempotent, so a delivery may be told
/// more than once.
#[derive(Debug, Clone)]
pub enum Committed {
    /// An event was accepted, whoever wants it; told once, before its deliveries.
    Accepted(Arc<Event>),
    /// A delivery became owed (published, or sent again by hand).
    Owed(Owed),
    /// A delivery that has not been tried has another place in its lane.
    Moved(Owed),
    /// A settlement was written; `again` is the row when it is still owed.
    Settled { lane: Lane, id: DeliveryId, again: Option<Owed> },
    /// A settlement found that its delivery had ended.
    Late { lane: Lane, id: DeliveryId },
    /// A delivery ended without a settlement: cancelled, superseded, or its webhook is gone.
    Ended { lane: Lane, id: DeliveryId },
    /// A settlement switched off this webhook.
    Disabled { webhook: WebhookId, revision: u32, reason: &'static str },
}

/// What waits in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneSummary {
    pub lane: Lane,
    /// The least `ready_at`.
    pub next: Timestamp,
}
