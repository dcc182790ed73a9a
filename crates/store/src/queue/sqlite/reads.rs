//! Reads of the queue.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tidings_core::delivery::{Lane, Owed, Payload};
use tidings_core::event::Event;
use tidings_core::id::{DeliveryId, EventId, TenantId, WebhookId};
use tidings_core::limits::PAGE_PAYLOAD_BYTES_MAX;
use tidings_core::time::Timestamp;

use crate::committed::LaneSummary;

/// Columns of the queue, in the order in which [`owed_row`] reads them.
pub(super) const OWED: &str = "q.id, q.tenant, q.webhook, q.slot, q.event, q.revision, q.ready_at, \
     q.not_before, q.expires_at, q.attempts, q.granted";

/// Every lane, from its index alone (0.3 s for a million rows: examples/commit_cost.rs).
pub(super) fn lanes(conn: &Connection) -> rusqlite::Result<Vec<LaneSummary>> {
    conn.prepare_cached(
        "SELECT webhook, slot, COUNT(*), MIN(ready_at) FROM queue INDEXED BY queue_by_lane \
         GROUP BY webhook, slot",
    )?
    .query_map([], |row| {
        Ok(LaneSummary {
            lane: Lane { webhook: WebhookId::from_i64(row.get(0)?), slot: row.get(1)? },
            rows: row.get::<_, i64>(2)?.unsigned_abs(),
            next: Timestamp::from_millis(row.get(3)?),
        })
    })?
    .collect()
}

/// The first rows of a lane. A large payload is left where it is; rows of a fan-out that is not
/// finished are not there yet.
pub(super) fn page(conn: &Connection, lane: Lane, limit: usize) -> rusqlite::Result<Vec<Owed>> {
    let sql = format!(
        "SELECT {OWED}, e.client_id, e.type, e.timestamp, e.ordering_key, e.deliver_at, \
         e.expires_at, CASE WHEN LENGTH(e.data) <= ? THEN e.data END \
         FROM queue q LEFT JOIN events e ON e.id = q.event WHERE q.webhook = ? AND q.slot = ? \
         AND NOT EXISTS (SELECT 1 FROM unfinished u WHERE u.event = q.event) \
         ORDER BY q.ready_at, q.id LIMIT ?"
    );
    let limits =
        params![PAGE_PAYLOAD_BYTES_MAX as i64, lane.webhook.as_i64(), lane.slot, limit as i64];
    conn.prepare_cached(&sql)?
        .query_map(limits, |row| {
            let mut owed = owed_row(row)?;
            if let Some(data) = row.get::<_, Option<Vec<u8>>>(17)? {
                owed.payload = Payload::Held(Arc::new(event_row(row, &owed, data)?));
            }
            Ok(owed)
        })?
        .collect()
}

/// The event of a page's row, which begins at column 11.
fn event_row(row: &Row<'_>, owed: &Owed, data: Vec<u8>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: owed.event,
        tenant: owed.tenant,
        client_id: row.get(11)?,
        event_type: row.get(12)?,
        timestamp: Timestamp::from_millis(row.get(13)?),
        ordering_key: row.get(14)?,
        deliver_at: row.get::<_, Option<i64>>(15)?.map(Timestamp::from_millis),
        expires_at: row.get::<_, Option<i64>>(16)?.map(Timestamp::from_millis),
        data: data.into(),
    })
}

pub(super) fn event(conn: &Connection, id: EventId) -> rusqlite::Result<Option<Arc<Event>>> {
    conn.prepare_cached(
        "SELECT tenant, client_id, type, timestamp, ordering_key, deliver_at, expires_at, data \
         FROM events WHERE id = ?",
    )?
    .query_row([id.as_i64()], |row| {
        Ok(Arc::new(Event {
            id,
            tenant: TenantId::from_i64(row.get(0)?),
            client_id: row.get(1)?,
            event_type: row.get(2)?,
            timestamp: Timestamp::from_millis(row.get(3)?),
            ordering_key: row.get(4)?,
            deliver_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
            expires_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
            data: row.get::<_, Vec<u8>>(7)?.into(),
        }))
    })
    .optional()
}

/// One row of the queue.
pub(super) fn owed(conn: &Connection, id: DeliveryId) -> rusqlite::Result<Option<Owed>> {
    conn.prepare_cached(&format!("SELECT {OWED} FROM queue q WHERE q.id = ?"))?
        .query_row([id.as_i64()], owed_row)
        .optional()
}

/// Reads the columns of [`OWED`].
pub(super) fn owed_row(row: &Row<'_>) -> rusqlite::Result<Owed> {
    Ok(Owed {
        id: DeliveryId::from_i64(row.get(0)?),
        tenant: TenantId::from_i64(row.get(1)?),
        lane: Lane { webhook: WebhookId::from_i64(row.get(2)?), slot: row.get(3)? },
        event: EventId::from_i64(row.get(4)?),
        revision: row.get(5)?,
        ready_at: Timestamp::from_millis(row.get(6)?),
        not_before: Timestamp::from_millis(row.get(7)?),
        expires_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_millis),
        attempts: row.get(9)?,
        attempts_granted: row.get(10)?,
        payload: Payload::Stored,
    })
}

/// The largest id of anything.
pub(super) fn largest_id(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row(
        "SELECT MAX(COALESCE((SELECT MAX(id) FROM events), 0), \
         COALESCE((SELECT MAX(id) FROM queue), 0), COALESCE((SELECT MAX(id) FROM deliveries), 0), \
         COALESCE((SELECT MAX(id) FROM webhooks), 0), COALESCE((SELECT MAX(id) FROM tenants), 0), \
         COALESCE((SELECT MAX(id) FROM api_keys), 0))",
        [],
        |row| row.get(0),
    )
}
