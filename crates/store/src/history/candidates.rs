//! What a replay reads: the events of a range, and what became of each at one webhook.

use std::collections::HashMap;
use std::sync::Arc;

use tidings_core::delivery::Status;
use tidings_core::event::Event;
use tidings_core::id::{EventId, TenantId, WebhookId};
use tidings_core::limits::PAGE_PAYLOAD_BYTES_MAX;
use tidings_core::replay::{Candidate, Standing};
use tidings_core::settlement::Reason;
use tidings_core::time::{DAY_MS, Timestamp};

use crate::error::ReadError;
use crate::history::Query;
use crate::store::Store;
use crate::value::Fields;

/// Deliveries that were queued when their webhook was switched off are looked for so far back: longer
/// than a policy usually retries.
const ENDED_LOOK_BACK_MS: i64 = 7 * DAY_MS;

/// Events of a tenant, after one and up to another, oldest first.
#[derive(Debug, Clone, Copy)]
struct Range {
    tenant: TenantId,
    after: EventId,
    upto: EventId,
    limit: u32,
}

impl Range {
    /// Its ids as a table. Below a watermark the index by tenant is read, above it the events.
    fn push(&self, q: &mut Query) {
        q.push("(SELECT id FROM (SELECT i.id FROM events_by_tenant i WHERE i.id <= ");
        q.push("(SELECT value FROM meta WHERE key = 'events_indexed')");
        self.bounds(q, "i");
        q.push(") a UNION ALL SELECT id FROM (SELECT t.id FROM events t WHERE t.id > ");
        q.push("(SELECT value FROM meta WHERE key = 'events_indexed')");
        self.bounds(q, "t");
        q.push(") b ORDER BY id").arg(" LIMIT ", self.limit).push(")");
    }

    fn bounds(&self, q: &mut Query, table: &str) {
        q.arg(&format!(" AND {table}.tenant = "), self.tenant);
        q.arg(&format!(" AND {table}.id > "), self.after);
        q.arg(&format!(" AND {table}.id <= "), self.upto);
        q.push(&format!(" ORDER BY {table}.id")).arg(" LIMIT ", self.limit);
    }

    fn ids(&self) -> Query {
        let mut q = Query::default();
        q.push("SELECT p.id FROM ");
        self.push(&mut q);
        q.push(" p ORDER BY p.id");
        q
    }

    /// Small data come along. An event whose fan-out is still being written counts as owed.
    fn events(&self) -> Query {
        let mut q = Query::default();
        q.push("SELECT e.id, e.tenant, e.client_id, e.type, e.timestamp, e.ordering_key, ");
        q.push("e.deliver_at, e.expires_at, CASE WHEN LENGTH(e.data)");
        q.arg(" <= ", PAGE_PAYLOAD_BYTES_MAX as i64).push(" THEN e.data END, ");
        q.push("CASE WHEN EXISTS (SELECT 1 FROM unfinished u WHERE u.event = e.id) ");
        q.push("THEN 1 ELSE 0 END FROM ");
        self.push(&mut q);
        q.push(" p JOIN events e ON e.id = p.id ORDER BY e.id");
        q
    }

    /// The status of every delivery of its events to a webhook, in one statement: one that ends
    /// meanwhile is seen here or there.
    fn statuses(&self, webhook: WebhookId) -> Query {
        let mut q = Query::default();
        q.push("SELECT s.event, s.status FROM (SELECT b.event, b.id, b.status FROM ");
        self.push(&mut q);
        q.push(" p JOIN deliveries_by_event b ON b.event = p.id").arg(" AND b.webhook = ", webhook);
        q.push(" UNION ALL SELECT w.event, w.id, 0 FROM ");
        self.push(&mut q);
        q.push(" p JOIN queue w ON w.event = p.id").arg(" AND w.webhook = ", webhook);
        q.push(" UNION ALL SELECT d.event, d.id, d.status FROM deliveries d WHERE d.id > ");
        q.push("(SELECT value FROM meta WHERE key = 'deliveries_indexed')");
        q.arg(" AND d.webhook = ", webhook);
        q.arg(" AND d.event > ", self.after).arg(" AND d.event <= ", self.upto);
        q.push(") s ORDER BY s.event, s.id");
        q
    }
}

/// The first event whose delivery ended because its webhook was switched off at `at` or later.
fn ended_with(webhook: WebhookId, at: Timestamp) -> Query {
    let mut q = Query::default();
    q.push("SELECT MIN(d.event) FROM (SELECT b.id FROM deliveries_by_webhook b");
    q.arg(" WHERE b.webhook = ", webhook).arg(" AND b.status = ", Status::Failed);
    q.arg(" AND b.id >= ", EventId::floor(at - ENDED_LOOK_BACK_MS));
    q.push(" UNION ALL SELECT t.id FROM deliveries t WHERE t.id > ");
    q.push("(SELECT value FROM meta WHERE key = 'deliveries_indexed')");
    q.arg(" AND t.webhook = ", webhook).push(") x JOIN deliveries d ON d.id = x.id");
    q.arg(" WHERE d.reason = ", Reason::Inactive.code()).arg(" AND d.completed_at >= ", at);
    q
}

#[cfg(any(test, feature = "conformance"))]
pub(crate) fn shapes() -> Vec<String> {
    let (after, upto) = (EventId::from_i64(0), EventId::from_i64(1));
    let range = Range { tenant: TenantId::from_i64(1), after, upto, limit: 1 };
    let webhook = WebhookId::from_i64(1);
    let ended = ended_with(webhook, Timestamp::from_millis(1));
    vec![range.ids().sql, range.events().sql, range.statuses(webhook).sql, ended.sql]
}

/// Reads what [`Range::events`] selects: an event, whether it is whole, whether it is unfinished.
fn event(mut f: Fields) -> Result<(Event, bool, bool), ReadError> {
    let mut event = Event {
        id: f.take()?,
        tenant: f.take()?,
        client_id: f.take()?,
        event_type: f.take()?,
        timestamp: f.take()?,
        ordering_key: f.take()?,
        deliver_at: f.take()?,
        expires_at: f.take()?,
        data: bytes::Bytes::new(),
    };
    let data: Option<Vec<u8>> = f.take()?;
    let whole = data.is_some();
    event.data = data.unwrap_or_default().into();
    Ok((event, whole, f.take::<i64>()? != 0))
}

impl Store {
    /// The first event of a tenant after one and up to another.
    pub async fn oldest_event(
        &self,
        tenant: TenantId,
        after: EventId,
        upto: EventId,
    ) -> Result<Option<EventId>, ReadError> {
        let query = Range { tenant, after, upto, limit: 1 }.ids();
        let rows = self.rows(query.sql, query.args).await?;
        rows.into_iter().next().map(|row| row.fields().take()).transpose()
    }

    /// The next events of a tenant after one and up to another, oldest first, at most `limit`, with
    /// where each stands with a webhook.
    pub async fn candidates(
        &self,
        tenant: TenantId,
        webhook: WebhookId,
        after: EventId,
        upto: EventId,
        limit: usize,
    ) -> Result<Vec<Candidate>, ReadError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let range = Range { tenant, after, upto, limit };
        let query = range.events();
        let rows = self.rows(query.sql, query.args).await?;
        let events: Vec<_> =
            rows.into_iter().map(|row| event(row.fields())).collect::<Result<_, _>>()?;
        let Some((last, ..)) = events.last() else { return Ok(Vec::new()) };
        // Read after the events: each has its deliveries by then, for they are committed together.
        let query = Range { upto: last.id, limit: u32::MAX, ..range }.statuses(webhook);
        let mut statuses: HashMap<EventId, Vec<Status>> = HashMap::new();
        for row in self.rows(query.sql, query.args).await? {
            let mut f = row.fields();
            statuses.entry(f.take()?).or_default().push(f.take()?);
        }
        let candidate = |(event, whole, unfinished): (Event, bool, bool)| {
            let statuses = statuses.remove(&event.id).unwrap_or_default();
            let standing = if unfinished { Standing::Owed } else { Standing::of(statuses) };
            Candidate { event: Arc::new(event), whole, standing }
        };
        Ok(events.into_iter().map(candidate).collect())
    }

    /// The first event whose delivery to a webhook ended because that was switched off at `at` or
    /// later.
    pub async fn first_ended_with(
        &self,
        webhook: WebhookId,
        at: Timestamp,
    ) -> Result<Option<EventId>, ReadError> {
        let query = ended_with(webhook, at);
        let rows = self.rows(query.sql, query.args).await?;
        let first = rows.into_iter().next().map(|row| row.fields().take::<Option<EventId>>());
        Ok(first.transpose()?.flatten())
    }
}
