//! A tenant as it is shown.

use serde::Serialize;
use tidings_store::catalogue::tenants::TenantRecord;

/// A tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TenantView {
    #[schema(example = "ten_05n3q0c8g0001")]
    id: String,
    name: String,
    /// Null: what the server keeps.
    retention_days: Option<u32>,
    /// Unix milliseconds.
    created_at: i64,
}

impl From<TenantRecord> for TenantView {
    fn from(tenant: TenantRecord) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name,
            retention_days: tenant.retention_days,
            created_at: tenant.created_at.as_millis(),
        }
    }
}
