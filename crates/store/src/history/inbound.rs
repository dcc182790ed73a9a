//! Webhooks that were received.

use tidings_core::id::{EventId, InboundId, TenantId};

use crate::change::Statement;
use crate::error::ReadError;
use crate::history::Query;
use crate::store::Store;
use crate::value::Fields;

/// What was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRecord {
    pub id: InboundId,
    pub tenant: TenantId,
    pub source: String,
    pub mark: Mark,
    /// The type of the event that it became.
    pub event_type: String,
    pub event: EventId,
}

/// What it is known again by: either is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its sender's name for it.
    pub name: Option<String>,
    /// Of its bytes.
    pub hash: Option<Vec<u8>>,
}

/// What is listed.
#[derive(Debug, Clone, Default)]
pub struct ReceivedFilter {
    pub source: Option<String>,
    /// The last of the previous page.
    pub before: Option<InboundId>,
    pub limit: u32,
}

const INSERT: &str = "INSERT INTO inbound (id, tenant, source, name, hash, type, event) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const SEEN: &str = "SELECT id FROM inbound WHERE tenant = $1 AND source = $2 AND name = $3 \
     UNION ALL SELECT id FROM inbound WHERE tenant = $1 AND source = $2 AND hash = $4 LIMIT 1";
pub(crate) const FORGET_OLD: &str = "DELETE FROM inbound WHERE id IN (SELECT id FROM inbound \
     WHERE tenant = $1 AND id < $2 ORDER BY id LIMIT $3)";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[INSERT, SEEN, FORGET_OLD];

/// Takes it down, unless it has been received before: that is a conflict.
#[must_use]
pub fn insert(received: &ReceivedRecord) -> Statement {
    let row = vec![
        received.id.into(),
        received.tenant.into(),
        received.source.as_str().into(),
        received.mark.name.as_deref().into(),
        received.mark.hash.as_deref().into(),
        received.event_type.as_str().into(),
        received.event.into(),
    ];
    Statement::expecting(1, INSERT, row)
}

fn list(tenant: TenantId, filter: &ReceivedFilter) -> Query {
    let mut q = Query::default();
    q.push("SELECT id, tenant, source, name, hash, type, event FROM inbound");
    q.arg(" WHERE tenant = ", tenant);
    if let Some(source) = &filter.source {
        q.arg(" AND source = ", source.as_str());
    }
    if let Some(before) = filter.before {
        q.arg(" AND id < ", before);
    }
    q.arg(" ORDER BY id DESC LIMIT ", filter.limit);
    q
}

#[cfg(any(test, feature = "conformance"))]
pub(crate) fn shapes() -> Vec<String> {
    let tenant = TenantId::from_i64(1);
    let before = Some(InboundId::from_i64(1));
    let all = ReceivedFilter { source: Some("a".into()), before, limit: 1 };
    vec![list(tenant, &all).sql, list(tenant, &ReceivedFilter::default()).sql]
}

fn record(mut f: Fields) -> Result<ReceivedRecord, ReadError> {
    Ok(ReceivedRecord {
        id: f.take()?,
        tenant: f.take()?,
        source: f.take()?,
        mark: Mark { name: f.take()?, hash: f.take()? },
        event_type: f.take()?,
        event: f.take()?,
    })
}

impl Store {
    /// Whether it has been received before.
    pub async fn was_received(
        &self,
        tenant: TenantId,
        source: &str,
        mark: &Mark,
    ) -> Result<bool, ReadError> {
        let (name, hash) = (mark.name.as_deref().into(), mark.hash.as_deref().into());
        let rows = self.rows(SEEN, vec![tenant.into(), source.into(), name, hash]).await?;
        Ok(!rows.is_empty())
    }

    /// What a tenant has received, newest first.
    pub async fn received(
        &self,
        tenant: TenantId,
        filter: &ReceivedFilter,
    ) -> Result<Vec<ReceivedRecord>, ReadError> {
        let query = list(tenant, filter);
        let rows = self.rows(query.sql, query.args).await?;
        rows.into_iter().map(|row| record(row.fields())).collect()
    }
}
