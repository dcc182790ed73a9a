//! What publishers named: event ids and idempotency keys, and the answers that were given.
//!
//! The one writer looks before it writes, so a repetition is found even within one batch, and a
//! refused publication has written nothing that would have to be taken back.

use std::collections::HashMap;

use tidings_core::id::{EventId, TenantId};
use tidings_core::publication::{Fingerprint, PlannedEvent, Publication, Published};
use tidings_core::time::Timestamp;

use super::{Applied, Failure};
use crate::error::WriteError;
use crate::queue::table::Table;
use crate::queue::transaction::Transaction;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    ClientId = 0,
    Key = 1,
}

/// What was remembered under a key.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

/// The answer that was given to a key, if the request is the same; a conflict if it is another.
pub(super) fn find(
    db: &mut dyn Transaction,
    tenant: TenantId,
    kind: Kind,
    key: &str,
    fingerprint: &Fingerprint,
) -> Applied<Option<Vec<u8>>> {
    match db.seen(tenant, kind, key)? {
        None => Ok(None),
        Some(found) if found.fingerprint == fingerprint => Ok(Some(found.answer)),
        Some(_) => Err(Failure::Refused(match kind {
            Kind::Key => WriteError::KeyConflict,
            Kind::ClientId => WriteError::EventConflict { client_id: key.into() },
        })),
    }
}

/// A key with the answer that was given to it.
pub(super) struct Seen<'a> {
    pub tenant: TenantId,
    pub kind: Kind,
    pub key: &'a str,
    pub fingerprint: &'a Fingerprint,
    pub event: Option<EventId>,
    pub answer: &'a [u8],
}

/// Remembers an answer.
pub(super) fn remember(db: &mut dyn Transaction, seen: &Seen<'_>, now: Timestamp) -> Applied<()> {
    let row = [
        seen.tenant.into(),
        (seen.kind as i64).into(),
        seen.key.into(),
        seen.fingerprint.as_slice().into(),
        seen.event.into(),
        seen.answer.into(),
        now.into(),
    ];
    Ok(db.insert(Table::Seen, &row)?)
}

/// What is to be answered for each event that was accepted before, in this publication or an earlier
/// one; `None` for a new one.
pub(super) fn known_events(
    db: &mut dyn Transaction,
    publication: &Publication,
) -> Applied<Vec<Option<Published>>> {
    let mut here: HashMap<&str, &PlannedEvent> = HashMap::new();
    let mut known = Vec::with_capacity(publication.events.len());
    for planned in &publication.events {
        let Some(client_id) = planned.event.client_id.as_deref() else {
            known.push(None);
            continue;
        };
        let earlier = match here.get(client_id) {
            Some(first) if first.fingerprint == planned.fingerprint => Some(published(first, true)),
            Some(_) => {
                let client_id = client_id.into();
                return Err(Failure::Refused(WriteError::EventConflict { client_id }));
            }
            None => find(db, publication.tenant, Kind::ClientId, client_id, &planned.fingerprint)?
                .and_then(|answer| decode(&answer).pop())
                .map(|answer| Published { duplicate: true, ..answer }),
        };
        here.entry(client_id).or_insert(planned);
        known.push(earlier);
    }
    Ok(known)
}

pub(super) fn published(planned: &PlannedEvent, duplicate: bool) -> Published {
    Published { id: planned.event.id, deliveries: planned.deliveries.len() as u32, duplicate }
}

const DUPLICATE: u32 = 1 << 31;

/// An answer as it is kept: for each event its id, and its deliveries with the mark of a duplicate.
pub(super) fn encode(events: &[Published]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(events.len() * 12);
    for event in events {
        bytes.extend_from_slice(&event.id.as_i64().to_le_bytes());
        let mark = if event.duplicate { DUPLICATE } else { 0 };
        bytes.extend_from_slice(&(event.deliveries | mark).to_le_bytes());
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Vec<Published> {
    let (events, _) = bytes.as_chunks::<12>();
    events
        .iter()
        .map(|&[a, b, c, d, e, f, g, h, i, j, k, l]| {
            let count = u32::from_le_bytes([i, j, k, l]);
            Published {
                id: EventId::from_i64(i64::from_le_bytes([a, b, c, d, e, f, g, h])),
                deliveries: count & !DUPLICATE,
                duplicate: count & DUPLICATE != 0,
            }
        })
        .collect()
}

/// The ids that a change made, as they are kept.
pub(super) fn encode_ids(ids: &[i64]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

pub(super) fn decode_ids(bytes: &[u8]) -> Vec<i64> {
    bytes.as_chunks::<8>().0.iter().map(|&id| i64::from_le_bytes(id)).collect()
}
