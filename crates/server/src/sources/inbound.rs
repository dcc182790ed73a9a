//! What was received: taken down, each once, with the event that it is.

use std::sync::Arc;

use tidings_core::event::Event;
use tidings_core::publication::{PlannedEvent, Publication};
use tidings_core::time::Timestamp;
use tidings_store::history::inbound::{ReceivedRecord, insert};
use tidings_store::{Change, ReadError, WriteError};

use super::{TRIES, count};
use crate::engine::Parts;

/// A webhook that was received and verified.
#[derive(Debug)]
pub struct Received {
    pub record: ReceivedRecord,
    /// It, as an event of ours.
    pub event: Arc<Event>,
}

/// Why it was not taken: nothing was written, and it may come again.
#[derive(Debug)]
pub enum Untaken {
    Unread(ReadError),
    Unwritten(WriteError),
}

impl From<ReadError> for Untaken {
    fn from(error: ReadError) -> Self {
        Self::Unread(error)
    }
}

impl From<WriteError> for Untaken {
    fn from(error: WriteError) -> Self {
        Self::Unwritten(error)
    }
}

impl Received {
    /// What takes it down. It is a conflict when it has been received before.
    pub(super) fn change(&self, parts: &Parts, now: Timestamp) -> Change {
        let tenant = self.record.tenant;
        let events = vec![planned(parts, &self.event, now)];
        Change {
            statements: vec![insert(&self.record)],
            publications: vec![Publication { tenant, key: None, events }],
            ..Change::default()
        }
    }

    /// Whether it was received before, or a moment ago.
    pub(super) async fn is_known(&self, parts: &Parts) -> Result<bool, ReadError> {
        let ReceivedRecord { tenant, source, mark, .. } = &self.record;
        parts.store.was_received(*tenant, source, mark).await
    }
}

/// An event of ours, with the deliveries that are owed for it.
pub(super) fn planned(parts: &Parts, event: &Arc<Event>, now: Timestamp) -> PlannedEvent {
    let deliveries = parts.registry.index(event.tenant).plan(event, &parts.ids, now);
    PlannedEvent { event: Arc::clone(event), fingerprint: [0; 16], deliveries }
}

/// Commits it.
pub async fn take(parts: &Parts, received: &Received) -> Result<(), Untaken> {
    for _ in 0..TRIES {
        let planned_at = parts.catalogue.known();
        let change = received.change(parts, parts.clock.now());
        match parts.change_planned(change, planned_at).await {
            Ok(answer) => {
                count(&parts.metrics, &answer);
                return Ok(());
            }
            // The same came twice at once, and the other was faster.
            Err(WriteError::Conflict) => return Ok(()),
            Err(WriteError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(WriteError::Stale.into())
}
