//! Leads, and the deliveries that hand them over. Ordinary queries, one text for every database.

use tidings_core::id::{DeliveryId, LeadId, TenantId};
use tidings_core::lead::{Captured, Lead, LeadStatus};

use crate::change::Statement;
use crate::error::ReadError;
use crate::history::Query;
use crate::store::Store;
use crate::value::{Field, Fields, Row, Value};

/// Deliveries of leads that are counted at most; a list of more says so much.
const COUNTED_MAX: u32 = 10_000;

const INSERT: &str = "INSERT INTO leads (id, tenant, name, status, data, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const UPDATE: &str =
    "UPDATE leads SET status = $1, data = $2, updated_at = $3 WHERE id = $4 AND tenant = $5";
const INSERT_DELIVERY: &str =
    "INSERT INTO lead_deliveries (delivery, tenant, lead) VALUES ($1, $2, $3)";
const SELECT: &str = "SELECT id, tenant, status, data, updated_at FROM leads";
const BY_ID: &str =
    "SELECT id, tenant, status, data, updated_at FROM leads WHERE tenant = $1 AND id = $2";
const BY_NAME: &str =
    "SELECT id, tenant, status, data, updated_at FROM leads WHERE tenant = $1 AND name = $2";
const DELIVERIES: &str = "SELECT delivery, lead FROM lead_deliveries \
     WHERE tenant = $1 AND delivery < $2 ORDER BY delivery DESC LIMIT $3";
const COUNT: &str = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM lead_deliveries \
     WHERE tenant = $1 LIMIT $2) x";
/// The lead of a direct delivery stands as the delivery does.
pub(crate) const NOTE: &str = "UPDATE leads SET status = $1, updated_at = $2 \
     WHERE id IN (SELECT lead FROM lead_deliveries WHERE delivery = $3)";
pub(crate) const FORGET_DELIVERY: &str = "DELETE FROM lead_deliveries WHERE delivery = $1";
/// Leads that nothing has changed for long, and to which nothing is owed.
pub(crate) const FORGET_OLD: &str = "DELETE FROM leads WHERE id IN (SELECT id FROM leads \
     WHERE tenant = $1 AND id < $2 AND updated_at < $3 AND status <> 1 ORDER BY id LIMIT $4)";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[
    INSERT,
    UPDATE,
    INSERT_DELIVERY,
    BY_ID,
    BY_NAME,
    DELIVERIES,
    COUNT,
    NOTE,
    FORGET_DELIVERY,
    FORGET_OLD,
];

/// A new lead; a name that the tenant has already is a conflict.
#[must_use]
pub fn insert(lead: &Lead) -> Statement {
    let args = vec![
        lead.id.into(),
        lead.tenant.into(),
        lead.captured.lead_id.as_str().into(),
        lead.status.into(),
        lead.captured.to_data().into(),
        lead.updated_at.into(),
    ];
    Statement::expecting(1, INSERT, args)
}

/// What is known of a lead now, and where it stands.
#[must_use]
pub fn update(lead: &Lead) -> Statement {
    let args = vec![
        lead.status.into(),
        lead.captured.to_data().into(),
        lead.updated_at.into(),
        lead.id.into(),
        lead.tenant.into(),
    ];
    Statement::expecting(1, UPDATE, args)
}

/// Says that a delivery hands this lead over: from its end on the lead stands as it does.
#[must_use]
pub fn insert_delivery(lead: &Lead, delivery: DeliveryId) -> Statement {
    let args = vec![delivery.into(), lead.tenant.into(), lead.id.into()];
    Statement::expecting(1, INSERT_DELIVERY, args)
}

impl Store {
    /// A lead of this tenant.
    pub async fn lead(&self, tenant: TenantId, id: LeadId) -> Result<Option<Lead>, ReadError> {
        one(self.rows(BY_ID, vec![tenant.into(), id.into()]).await?)
    }

    /// A lead of this tenant, by the name that the tenant calls it by.
    pub async fn lead_named(
        &self,
        tenant: TenantId,
        name: &str,
    ) -> Result<Option<Lead>, ReadError> {
        one(self.rows(BY_NAME, vec![tenant.into(), name.into()]).await?)
    }

    /// The tenant's leads, newest first: those before `before`, of one status or of any.
    pub async fn leads(
        &self,
        tenant: TenantId,
        status: Option<LeadStatus>,
        before: Option<LeadId>,
        limit: u32,
    ) -> Result<Vec<Lead>, ReadError> {
        let query = list(tenant, status, before, limit);
        self.rows(query.sql, query.args).await?.into_iter().map(|row| lead(row.fields())).collect()
    }

    /// Deliveries that hand over leads of this tenant, with the lead, newest first.
    pub async fn lead_deliveries(
        &self,
        tenant: TenantId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<(DeliveryId, LeadId)>, ReadError> {
        let before = before.unwrap_or(DeliveryId::from_i64(i64::MAX));
        let rows = self.rows(DELIVERIES, vec![tenant.into(), before.into(), limit.into()]).await?;
        rows.into_iter()
            .map(|row| {
                let mut f = row.fields();
                Ok((f.take()?, f.take()?))
            })
            .collect()
    }

    /// How many of them there are, up to 10,000.
    pub async fn lead_deliveries_count(&self, tenant: TenantId) -> Result<u32, ReadError> {
        let rows = self.rows(COUNT, vec![tenant.into(), COUNTED_MAX.into()]).await?;
        rows.into_iter().next().map_or(Ok(0), |row| row.fields().take())
    }
}

fn list(tenant: TenantId, status: Option<LeadStatus>, before: Option<LeadId>, limit: u32) -> Query {
    let mut query = Query::default();
    query.push(SELECT).arg(" WHERE tenant = ", tenant);
    if let Some(status) = status {
        query.arg(" AND status = ", status);
    }
    if let Some(before) = before {
        query.arg(" AND id < ", before);
    }
    query.arg(" ORDER BY id DESC LIMIT ", limit);
    query
}

#[cfg(any(test, feature = "conformance"))]
pub(crate) fn shapes() -> Vec<String> {
    let all = list(TenantId::from_i64(1), None, None, 1);
    let narrow = list(TenantId::from_i64(1), Some(LeadStatus::New), Some(LeadId::from_i64(1)), 1);
    vec![all.sql, narrow.sql]
}

fn one(rows: Vec<Row>) -> Result<Option<Lead>, ReadError> {
    rows.into_iter().next().map(|row| lead(row.fields())).transpose()
}

fn lead(mut f: Fields) -> Result<Lead, ReadError> {
    let (id, tenant, status) = (f.take()?, f.take()?, f.take()?);
    let data: String = f.take()?;
    let captured = Captured::from_data(data.as_bytes());
    let captured = captured.map_err(|_| ReadError::Inconsistent("leads.data"))?;
    Ok(Lead { id, tenant, status, captured, updated_at: f.take()? })
}

impl From<LeadStatus> for Value {
    fn from(status: LeadStatus) -> Self {
        Self::Int(status.code())
    }
}

impl Field for LeadStatus {
    fn read(value: Option<Value>) -> Option<Self> {
        i64::read(value).and_then(Self::from_code)
    }
}
