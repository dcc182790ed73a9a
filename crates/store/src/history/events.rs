//! Events, read back.

use std::collections::BTreeSet;

use tidings_core::event::Event;
use tidings_core::id::{EventId, TenantId};
use tidings_core::time::Timestamp;

use crate::error::ReadError;
use crate::history::Query;
use crate::store::Store;
use crate::value::Fields;

/// Which events are listed.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub event_type: Option<String>,
    /// Accepted at or after.
    pub since: Option<Timestamp>,
    /// Accepted before.
    pub until: Option<Timestamp>,
    /// The last of the previous page.
    pub before: Option<EventId>,
    pub limit: u32,
}

const ONE: &str = "SELECT id, tenant, client_id, type, timestamp, ordering_key, deliver_at, \
     expires_at, data FROM events WHERE id = $1 AND tenant = $2";
// A publisher's ids are kept among the seen keys (kind 0), which are forgotten after a week.
const BY_CLIENT_ID: &str = "SELECT e.id, e.tenant, e.client_id, e.type, e.timestamp, \
     e.ordering_key, e.deliver_at, e.expires_at, e.data FROM seen s JOIN events e ON e.id = s.event \
     WHERE s.tenant = $1 AND s.kind = 0 AND s.key = $2";
const KEY: &str = "SELECT 1 FROM seen WHERE tenant = $1 AND kind = 1 AND key = $2";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[ONE, BY_CLIENT_ID, KEY];

/// Reads `id, tenant, client_id, type, timestamp, ordering_key, deliver_at, expires_at, data`.
pub(crate) fn event(mut f: Fields) -> Result<Event, ReadError> {
    Ok(Event {
        id: f.take()?,
        tenant: f.take()?,
        client_id: f.take()?,
        event_type: f.take()?,
        timestamp: f.take()?,
        ordering_key: f.take()?,
        deliver_at: f.take()?,
        expires_at: f.take()?,
        data: f.take::<Vec<u8>>()?.into(),
    })
}

/// New events are in the index by tenant only after a maintenance run: below its watermark the index
/// is read, above it the events themselves.
fn list(tenant: TenantId, filter: &EventFilter) -> Query {
    let mut q = Query::default();
    q.push(
        "SELECT e.id, e.tenant, e.client_id, e.type, e.timestamp, e.ordering_key, e.deliver_at, \
         e.expires_at, e.data FROM (SELECT id FROM (SELECT i.id FROM events_by_tenant i \
         JOIN events t ON t.id = i.id WHERE i.id <= \
         (SELECT value FROM meta WHERE key = 'events_indexed')",
    );
    conditions(&mut q, "i", "t", tenant, filter);
    q.push(
        ") a UNION ALL SELECT id FROM (SELECT t.id FROM events t WHERE t.id > \
         (SELECT value FROM meta WHERE key = 'events_indexed')",
    );
    conditions(&mut q, "t", "t", tenant, filter);
    q.push(") b ORDER BY id DESC").arg(" LIMIT ", filter.limit);
    q.push(") k JOIN events e ON e.id = k.id ORDER BY e.id DESC");
    q
}

fn conditions(q: &mut Query, key: &str, row: &str, tenant: TenantId, filter: &EventFilter) {
    q.arg(&format!(" AND {key}.tenant = "), tenant);
    if let Some(event_type) = &filter.event_type {
        q.arg(&format!(" AND {row}.type = "), event_type.as_str());
    }
    if let Some(since) = filter.since {
        q.arg(&format!(" AND {key}.id >= "), EventId::floor(since));
    }
    if let Some(until) = filter.until {
        q.arg(&format!(" AND {key}.id < "), EventId::floor(until));
    }
    if let Some(before) = filter.before {
        q.arg(&format!(" AND {key}.id < "), before);
    }
    q.push(&format!(" ORDER BY {key}.id DESC")).arg(" LIMIT ", filter.limit);
}

fn client_ids(tenant: TenantId, ids: &BTreeSet<&str>) -> Query {
    let mut q = Query::default();
    q.arg("SELECT key FROM seen WHERE kind = 0 AND tenant = ", tenant);
    let ids: Vec<&str> = ids.iter().copied().collect();
    q.list(" AND key IN", &ids);
    q
}

#[cfg(any(test, feature = "conformance"))]
pub(crate) fn shapes() -> Vec<String> {
    let at = Some(Timestamp::from_millis(1));
    let all = EventFilter {
        event_type: Some("a".into()),
        since: at,
        until: at,
        before: Some(EventId::from_i64(1)),
        limit: 1,
    };
    let tenant = TenantId::from_i64(1);
    let ids = client_ids(tenant, &BTreeSet::from(["a", "b"]));
    vec![list(tenant, &all).sql, list(tenant, &EventFilter::default()).sql, ids.sql]
}

impl Store {
    /// An event of a tenant.
    pub async fn event_of(
        &self,
        tenant: TenantId,
        id: EventId,
    ) -> Result<Option<Event>, ReadError> {
        let rows = self.rows(ONE, vec![id.into(), tenant.into()]).await?;
        rows.into_iter().next().map(|row| event(row.fields())).transpose()
    }

    /// An event of a tenant by the id that its publisher gave it.
    pub async fn event_by_client_id(
        &self,
        tenant: TenantId,
        client_id: &str,
    ) -> Result<Option<Event>, ReadError> {
        let rows = self.rows(BY_CLIENT_ID, vec![tenant.into(), client_id.into()]).await?;
        rows.into_iter().next().map(|row| event(row.fields())).transpose()
    }

    /// Whether an idempotency key of a tenant is remembered; `key` is what publications have it as.
    pub async fn knows_key(&self, tenant: TenantId, key: &str) -> Result<bool, ReadError> {
        let rows = self.rows(KEY, vec![tenant.into(), key.into()]).await?;
        Ok(!rows.is_empty())
    }

    /// Whether all these ids that publishers gave are remembered.
    pub async fn knows_client_ids(
        &self,
        tenant: TenantId,
        ids: &BTreeSet<&str>,
    ) -> Result<bool, ReadError> {
        if ids.is_empty() {
            return Ok(true);
        }
        let query = client_ids(tenant, ids);
        Ok(self.rows(query.sql, query.args).await?.len() == ids.len())
    }

    /// Events of a tenant, newest first.
    pub async fn events(
        &self,
        tenant: TenantId,
        filter: &EventFilter,
    ) -> Result<Vec<Event>, ReadError> {
        let query = list(tenant, filter);
        let rows = self.rows(query.sql, query.args).await?;
        rows.into_iter().map(|row| event(row.fields())).collect()
    }
}
