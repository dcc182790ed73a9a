//! The attempts of a delivery, as sent and as answered.

use tidings_core::id::{DeliveryId, TenantId};
use tidings_core::settlement::Attempt;
use tidings_core::time::Timestamp;

use crate::error::ReadError;
use crate::store::Store;
use crate::value::Fields;

/// An attempt and what followed from it.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    pub attempt: Attempt,
    /// When it was to be tried again; `None`: it was the last.
    pub retry_at: Option<Timestamp>,
}

// A successful first attempt is folded into its delivery's row (one row instead of two); only such a
// row has a duration.
const OF_DELIVERY: &str = "SELECT a.number, a.started_at, a.duration_ms, a.revision, a.signature, \
     a.response_status, a.response_headers, a.response_body, a.error, a.error_type, a.retry_at \
     FROM attempts a WHERE a.delivery = $1 AND (EXISTS (SELECT 1 FROM queue q WHERE q.id = a.delivery \
     AND q.tenant = $2) OR EXISTS (SELECT 1 FROM deliveries d WHERE d.id = a.delivery AND d.tenant = $2)) \
     UNION ALL SELECT 1, d.last_attempt_at, d.duration_ms, d.attempt_revision, d.signature, \
     d.response_status, d.response_headers, d.response_body, '', '', NULL FROM deliveries d \
     WHERE d.id = $1 AND d.tenant = $2 AND d.duration_ms IS NOT NULL ORDER BY 1";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[OF_DELIVERY];

/// The error types that there are: attempts carry them as static text.
const ERROR_TYPES: [&str; 7] = ["", "network", "timeout", "tls", "dns", "blocked", "http"];

pub(crate) fn error_type(text: &str) -> &'static str {
    ERROR_TYPES.into_iter().find(|&known| known == text).unwrap_or("")
}

fn record(mut f: Fields) -> Result<AttemptRecord, ReadError> {
    let attempt = Attempt {
        number: f.take()?,
        started_at: f.take()?,
        duration_ms: f.take()?,
        revision: f.take()?,
        signature: f.take()?,
        response_status: f.take()?,
        response_headers: f.take()?,
        response_body: f.take()?,
        error: f.take()?,
        error_type: error_type(&f.take::<Box<str>>()?),
    };
    Ok(AttemptRecord { attempt, retry_at: f.take()? })
}

impl Store {
    /// The attempts of a tenant's delivery, in order.
    pub async fn attempts(
        &self,
        tenant: TenantId,
        delivery: DeliveryId,
    ) -> Result<Vec<AttemptRecord>, ReadError> {
        let rows = self.rows(OF_DELIVERY, vec![delivery.into(), tenant.into()]).await?;
        rows.into_iter().map(|row| record(row.fields())).collect()
    }
}
