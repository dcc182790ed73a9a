//! Tenants: the owners of everything else.

use tidings_core::id::TenantId;
use tidings_core::time::Timestamp;

use crate::catalogue::moved::{Part, moved};
use crate::change::Statement;
use crate::error::ReadError;
use crate::sources::{executions, jobs};
use crate::store::Store;

/// The tenant `default`, which exists from the first start.
pub const DEFAULT: TenantId = TenantId::from_i64(1);

/// A tenant as the catalogue keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRecord {
    pub id: TenantId,
    pub name: String,
    /// Days that history is kept; `None`: the default.
    pub retention_days: Option<u32>,
    pub created_at: Timestamp,
}

const INSERT: &str =
    "INSERT INTO tenants (id, name, retention_days, created_at) VALUES ($1, $2, $3, $4)";
const UPDATE: &str = "UPDATE tenants SET name = $1, retention_days = $2 WHERE id = $3";
const DELETE: &str = "DELETE FROM tenants WHERE id = $1";
// What its webhooks are owed ends with them.
const END_DIRECT: &str = "INSERT INTO ending (webhook, upto) SELECT x.webhook, MAX(x.id) FROM \
     (SELECT q.webhook, q.id FROM queue q \
     WHERE q.tenant = $1 AND q.revision = 0 AND q.attempts = 0 AND q.aged = 1 \
     UNION ALL SELECT q.webhook, q.id FROM queue q \
     WHERE q.tenant = $1 AND q.revision = 0 AND q.attempts > 0 \
     UNION ALL SELECT q.webhook, q.id FROM queue q \
     WHERE q.id > (SELECT value FROM meta WHERE key = 'queue_aged') AND q.tenant = $1 \
     AND q.revision = 0 AND q.attempts = 0) x WHERE x.id > 0 GROUP BY x.webhook \
     ON CONFLICT (webhook) DO UPDATE SET upto = excluded.upto";
const ALL: &str = "SELECT id, name, retention_days, created_at FROM tenants ORDER BY id";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[INSERT, UPDATE, DELETE, END_DIRECT, ALL];

/// A new tenant; a name that exists is a conflict.
#[must_use]
pub fn insert(tenant: &TenantRecord) -> Vec<Statement> {
    let args = vec![
        tenant.id.into(),
        tenant.name.as_str().into(),
        tenant.retention_days.into(),
        tenant.created_at.into(),
    ];
    std::iter::once(Statement::expecting(1, INSERT, args)).chain(moved(Part::Callers)).collect()
}

/// Another name or retention.
#[must_use]
pub fn update(tenant: &TenantRecord) -> Vec<Statement> {
    let args = vec![tenant.name.as_str().into(), tenant.retention_days.into(), tenant.id.into()];
    vec![Statement::expecting(1, UPDATE, args)]
}

/// Takes the tenant away and ends, in maintenance steps, its direct deliveries; no deadline of its jobs
/// and executions passes any more. Its webhooks and keys are deleted by statements of their own.
#[must_use]
pub fn delete(id: TenantId) -> Vec<Statement> {
    let statements = [
        Statement::expecting(1, DELETE, vec![id.into()]),
        Statement::new(END_DIRECT, vec![id.into()]),
        Statement::new(jobs::FORGET_DEADLINES, vec![id.into()]),
        Statement::new(executions::FORGET_DEADLINES, vec![id.into()]),
    ];
    statements.into_iter().chain(moved(Part::Callers)).collect()
}

impl Store {
    /// Every tenant.
    pub async fn tenants(&self) -> Result<Vec<TenantRecord>, ReadError> {
        let rows = self.rows(ALL, Vec::new()).await?;
        rows.into_iter()
            .map(|row| {
                let mut f = row.fields();
                Ok(TenantRecord {
                    id: f.take()?,
                    name: f.take()?,
                    retention_days: f.take()?,
                    created_at: f.take()?,
                })
            })
            .collect()
    }
}
