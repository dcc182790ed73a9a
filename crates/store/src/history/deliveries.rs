//! Deliveries, owed and ended.

use tidings_core::delivery::Status;
use tidings_core::direct::{Direct, Subject};
use tidings_core::id::{DeliveryId, EventId, TenantId, WebhookId};
use tidings_core::settlement::Reason;
use tidings_core::time::Timestamp;

use crate::error::ReadError;
use crate::history::{Query, attempts};
use crate::queue::reads;
use crate::store::Store;
use crate::value::{Fields, Value};

/// A delivery with what its last attempt met.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryRecord {
    pub id: DeliveryId,
    pub tenant: TenantId,
    /// The lane's id, when it is a direct one.
    pub webhook: WebhookId,
    /// What a direct delivery brought along, without its secrets and its body.
    pub direct: Option<Direct>,
    pub event: EventId,
    /// Empty when the event is gone.
    pub event_type: String,
    pub client_id: Option<String>,
    /// The webhook's revision that shapes the body, and names the retry policy.
    pub revision: u32,
    pub status: Status,
    /// Why it ended.
    pub reason: Option<Reason>,
    pub attempts: u16,
    /// Attempts allowed when a person asked for more than the policy gives; 0: the policy's.
    pub attempts_granted: u16,
    pub last_attempt_at: Option<Timestamp>,
    /// While it is owed.
    pub next_attempt_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub response_status: Option<u16>,
    pub response_body: String,
    /// Empty on success and before the first attempt.
    pub error: String,
    pub error_type: &'static str,
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub webhook: Option<WebhookId>,
    pub event: Option<EventId>,
    /// Empty: any.
    pub statuses: Vec<Status>,
    /// Created at or after.
    pub since: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
    /// The last of the previous page.
    pub before: Option<DeliveryId>,
    pub limit: u32,
}

const COLUMNS: &str = "SELECT k.id, COALESCE(d.tenant, q.tenant), COALESCE(d.webhook, q.webhook), \
     COALESCE(d.event, q.event), e.type, e.client_id, COALESCE(d.revision, q.revision), d.status, \
     d.reason, COALESCE(d.attempts, q.attempts), COALESCE(d.granted, q.granted), \
     COALESCE(d.last_attempt_at, a.started_at), q.not_before, d.completed_at, \
     COALESCE(d.response_status, a.response_status), COALESCE(d.response_body, a.response_body), \
     COALESCE(d.error, a.error), COALESCE(d.error_type, a.error_type), x.doc FROM (";

// In one statement, so that a delivery which ends meanwhile is seen once, here or there.
const JOINS: &str = ") k LEFT JOIN deliveries d ON d.id = k.id LEFT JOIN queue q ON q.id = k.id \
     LEFT JOIN directs x ON x.delivery = k.id LEFT JOIN events e ON e.id = COALESCE(d.event, q.event) \
     LEFT JOIN attempts a ON a.delivery = k.id AND a.number = COALESCE(d.attempts, q.attempts)";

/// Closes a query. The tenant is asked for here again: a webhook or an event that is listed by its id
/// may be another tenant's.
fn join(q: &mut Query, tenant: TenantId) {
    q.push(JOINS).arg(" WHERE COALESCE(d.tenant, q.tenant) = ", tenant).push(" ORDER BY k.id DESC");
}

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[];

fn one(tenant: TenantId, id: DeliveryId) -> Query {
    let mut q = Query::default();
    q.push(COLUMNS).arg("SELECT id FROM deliveries WHERE id = ", id).arg(" AND tenant = ", tenant);
    q.arg(" UNION ALL SELECT id FROM queue WHERE id = ", id).arg(" AND tenant = ", tenant);
    join(&mut q, tenant);
    q
}

fn list(tenant: TenantId, filter: &DeliveryFilter) -> Query {
    let wanted = |status: Status| filter.statuses.is_empty() || filter.statuses.contains(&status);
    let ended: Vec<Status> = filter.statuses.iter().copied().filter(|s| s.is_final()).collect();
    let mut q = Query::default();
    q.push(COLUMNS).push("SELECT id FROM (");
    let mut parts = 0;
    if filter.statuses.is_empty() || !ended.is_empty() {
        history(&mut q, tenant, filter, &ended);
        parts += 1;
    }
    for owed in [Status::Pending, Status::Retrying] {
        if wanted(owed) {
            q.push(if parts > 0 { " UNION ALL " } else { "" });
            queued(&mut q, tenant, filter, owed);
            parts += 1;
        }
    }
    q.push(") u ORDER BY id DESC").arg(" LIMIT ", filter.limit);
    join(&mut q, tenant);
    q
}

fn of_subject(tenant: TenantId, subject: Subject, limit: u32) -> Query {
    let (kind, id) = subject.code();
    let mut q = Query::default();
    q.push(COLUMNS).arg("SELECT delivery AS id FROM directs WHERE subject_kind = ", kind);
    q.arg(" AND subject = ", id).arg(" ORDER BY delivery DESC LIMIT ", limit);
    join(&mut q, tenant);
    q
}

/// The ids of what has ended. An index led by webhook is not written with each settlement (that
/// tripled its cost) but by maintenance, up to a watermark; above it the history itself is read.
/// What did not succeed has an index of its own, complete at any moment.
fn history(q: &mut Query, tenant: TenantId, filter: &DeliveryFilter, ended: &[Status]) {
    let dead_only = !ended.is_empty() && !ended.contains(&Status::Success);
    if dead_only && filter.webhook.is_none() && filter.event.is_none() {
        q.push("SELECT id FROM (SELECT id FROM deliveries WHERE status <> 2");
        q.list(" AND status IN", ended);
        keyed(q, "tenant", &tenant.into(), filter);
        q.push(") x");
        return;
    }
    let (table, column, key): (_, _, Value) = match (filter.event, filter.webhook) {
        (Some(event), _) => ("deliveries_by_event", "event", event.into()),
        (None, Some(webhook)) => ("deliveries_by_webhook", "webhook", webhook.into()),
        (None, None) => ("deliveries_by_tenant", "tenant", tenant.into()),
    };
    q.push("SELECT id FROM (SELECT id FROM ").push(table);
    q.push(" WHERE id <= (SELECT value FROM meta WHERE key = 'deliveries_indexed')");
    q.arg(&format!(" AND {column} = "), key.clone());
    if let (Some(_), Some(webhook)) = (filter.event, filter.webhook) {
        q.arg(" AND webhook = ", webhook);
    }
    bounds(q, filter, ended);
    q.push(
        ") x UNION ALL SELECT id FROM (SELECT id FROM deliveries \
         WHERE id > (SELECT value FROM meta WHERE key = 'deliveries_indexed')",
    );
    q.arg(&format!(" AND {column} = "), key);
    if let (Some(_), Some(webhook)) = (filter.event, filter.webhook) {
        q.arg(" AND webhook = ", webhook);
    }
    bounds(q, filter, ended);
    q.push(") y");
}

/// The ids of what is pending, or retrying. What was retried, and what has waited for some seconds, has
/// indexes (see the eighth migration); what is younger is read by its id.
fn queued(q: &mut Query, tenant: TenantId, filter: &DeliveryFilter, status: Status) {
    let pending = status == Status::Pending;
    if let Some(event) = filter.event {
        // Added to, so that no index is thought of that belongs to a status.
        q.push("SELECT id FROM (SELECT id FROM queue WHERE attempts + 0 ");
        q.push(if pending { "= 0" } else { "> 0" }).arg(" AND tenant = ", tenant);
        if let Some(webhook) = filter.webhook {
            q.arg(" AND webhook = ", webhook);
        }
        keyed(q, "event", &event.into(), filter);
        q.push(") z");
        return;
    }
    q.push("SELECT id FROM (SELECT id FROM queue WHERE attempts ");
    q.push(if pending { "= 0 AND aged = 1" } else { "> 0" });
    match filter.webhook {
        Some(webhook) => {
            q.arg(" AND tenant = ", tenant);
            keyed(q, "webhook", &webhook.into(), filter);
        }
        None => keyed(q, "tenant", &tenant.into(), filter),
    }
    q.push(") z");
    if pending {
        q.push(" UNION ALL SELECT id FROM (SELECT id FROM queue WHERE id > ");
        q.push(
            "(SELECT value FROM meta WHERE key = 'queue_aged') AND attempts = 0 AND aged IS NULL",
        );
        q.arg(" AND tenant = ", tenant);
        if let Some(webhook) = filter.webhook {
            q.arg(" AND webhook = ", webhook);
        }
        bounds(q, filter, &[]);
        q.push(") y");
    }
}

/// Rows with a key, by an index of key and id, newest first.
///
/// The bounds and the order are those of the index. With `tenant = $1` instead the planner may believe
/// that most rows are the tenant's and read the table from its end: past a million rows of others that
/// took 2.1 s on PostgreSQL. That there is a key, which the index by event asks for (see the thirteenth
/// migration), is not concluded from a comparison of rows.
fn keyed(q: &mut Query, column: &str, key: &Value, filter: &DeliveryFilter) {
    let first = filter.since.map_or(DeliveryId::from_i64(0), DeliveryId::floor);
    let end = filter.until.map_or(DeliveryId::from_i64(i64::MAX), DeliveryId::floor);
    let end = filter.before.map_or(end, |before| before.min(end));
    q.push(&format!(" AND {column} IS NOT NULL"));
    q.arg(&format!(" AND ({column}, id) >= ("), key.clone()).arg(", ", first).push(")");
    q.arg(&format!(" AND ({column}, id) < ("), key.clone()).arg(", ", end).push(")");
    q.push(&format!(" ORDER BY {column} DESC, id DESC")).arg(" LIMIT ", filter.limit);
}

fn bounds(q: &mut Query, filter: &DeliveryFilter, statuses: &[Status]) {
    if !statuses.is_empty() {
        q.list(" AND status IN", statuses);
    }
    if let Some(since) = filter.since {
        q.arg(" AND id >= ", DeliveryId::floor(since));
    }
    if let Some(until) = filter.until {
        q.arg(" AND id < ", DeliveryId::floor(until));
    }
    if let Some(before) = filter.before {
        q.arg(" AND id < ", before);
    }
    q.push(" ORDER BY id DESC").arg(" LIMIT ", filter.limit);
}

#[cfg(any(test, feature = "conformance"))]
pub(crate) fn shapes() -> Vec<String> {
    use Status::{Failed, Pending, Retrying, Success};
    use tidings_core::id::Id;
    let tenant = TenantId::from_i64(1);
    let mut all = vec![
        one(tenant, DeliveryId::from_i64(1)).sql,
        of_subject(tenant, Subject::Lead(Id::from_i64(1)), 1).sql,
    ];
    let at = Some(Timestamp::from_millis(1));
    for statuses in [&[][..], &[Failed], &[Success, Pending], &[Retrying], &[Pending, Retrying]] {
        for (webhook, event) in [(None, None), (Some(1), None), (None, Some(1)), (Some(1), Some(1))]
        {
            let filter = DeliveryFilter {
                webhook: webhook.map(WebhookId::from_i64),
                event: event.map(EventId::from_i64),
                statuses: statuses.to_vec(),
                since: at,
                until: at,
                before: Some(DeliveryId::from_i64(1)),
                limit: 1,
            };
            all.push(list(tenant, &filter).sql);
        }
    }
    all
}

/// The lists of a tenant, and of a webhook of it, with their arguments: for a look at what they read.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn lists(tenant: TenantId, webhook: WebhookId) -> Vec<Query> {
    use Status::{Failed, Pending, Retrying, Success};
    let mut all = Vec::new();
    for statuses in [&[][..], &[Pending], &[Retrying], &[Failed], &[Success], &[Failed, Retrying]] {
        for webhook in [None, Some(webhook)] {
            for before in [None, Some(DeliveryId::from_i64(i64::MAX - 1))] {
                let statuses = statuses.to_vec();
                let filter =
                    DeliveryFilter { webhook, statuses, before, limit: 50, ..Default::default() };
                all.push(list(tenant, &filter));
            }
        }
    }
    all
}

fn record(mut f: Fields) -> Result<DeliveryRecord, ReadError> {
    let (id, tenant, webhook, event) = (f.take()?, f.take()?, f.take()?, f.take()?);
    let event_type = f.take::<Option<String>>()?.unwrap_or_default();
    let (client_id, revision) = (f.take()?, f.take()?);
    let ended: Option<Status> = f.take()?;
    let reason: Option<i64> = f.take()?;
    let attempts: u16 = f.take()?;
    let owed = if attempts == 0 { Status::Pending } else { Status::Retrying };
    let record = DeliveryRecord {
        id,
        tenant,
        webhook,
        event,
        event_type,
        client_id,
        revision,
        status: ended.unwrap_or(owed),
        reason: reason.and_then(Reason::from_code),
        attempts,
        direct: None,
        attempts_granted: f.take()?,
        last_attempt_at: f.take()?,
        next_attempt_at: f.take()?,
        completed_at: f.take()?,
        response_status: f.take()?,
        response_body: f.take::<Option<String>>()?.unwrap_or_default(),
        error: f.take::<Option<String>>()?.unwrap_or_default(),
        error_type: attempts::error_type(&f.take::<Option<Box<str>>>()?.unwrap_or_default()),
    };
    let doc: Option<Box<str>> = f.take()?;
    let direct = doc.map(|doc| reads::direct(&doc)).transpose()?;
    Ok(DeliveryRecord { direct, ..record })
}

impl Store {
    /// A delivery of a tenant.
    pub async fn delivery(
        &self,
        tenant: TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, ReadError> {
        let query = one(tenant, id);
        let rows = self.rows(query.sql, query.args).await?;
        rows.into_iter().next().map(|row| record(row.fields())).transpose()
    }

    /// Deliveries of a tenant, newest first.
    pub async fn deliveries(
        &self,
        tenant: TenantId,
        filter: &DeliveryFilter,
    ) -> Result<Vec<DeliveryRecord>, ReadError> {
        let query = list(tenant, filter);
        let rows = self.rows(query.sql, query.args).await?;
        rows.into_iter().map(|row| record(row.fields())).collect()
    }

    /// The direct deliveries that tell of something, newest first.
    pub async fn deliveries_of(
        &self,
        tenant: TenantId,
        subject: Subject,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>, ReadError> {
        let query = of_subject(tenant, subject, limit);
        let rows = self.rows(query.sql, query.args).await?;
        rows.into_iter().map(|row| record(row.fields())).collect()
    }
}
