//! Executions, with the results of their jobs.

use tidings_core::delivery::Status;
use tidings_core::direct::Subject;
use tidings_core::executions::{Execution, Outcome};
use tidings_core::id::{DeliveryId, ExecutionId, TenantId};
use tidings_core::time::Timestamp;

use crate::change::Statement;
use crate::error::ReadError;
use crate::history::Query;
use crate::store::Store;
use crate::value::Fields;

/// An execution as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionRecord {
    pub execution: Execution,
    /// The secret of its webhook, sealed; empty when it has none.
    pub secret: Vec<u8>,
    /// The delivery of its webhook, once it is owed.
    pub webhook: Option<OwedWebhook>,
}

/// How the webhook of an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedWebhook {
    pub delivery: DeliveryId,
    /// How its delivery ended, and when; `None`: it is still owed.
    pub ended: Option<(Status, Timestamp)>,
}

/// Which executions are listed.
#[derive(Debug, Clone, Default)]
pub struct ExecutionFilter {
    /// `Some(None)`: those that are under way.
    pub outcome: Option<Option<Outcome>>,
    /// The last of the previous page.
    pub before: Option<ExecutionId>,
    pub limit: u32,
}

const INSERT: &str = "INSERT INTO executions (id, tenant, version, outcome, doc, secret, deadline, \
     created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const UPDATE: &str = "UPDATE executions SET version = $1, outcome = $2, doc = $3, deadline = $4, \
     updated_at = $5 WHERE id = $6 AND version = $7";
const INSERT_RESULT: &str =
    "INSERT INTO execution_results (execution, place, result) VALUES ($1, $2, $3)";
const RESULTS: &str =
    "SELECT place, result FROM execution_results WHERE execution = $1 ORDER BY place";
const DUE: &str = "SELECT id, tenant, version, doc, created_at, updated_at, secret FROM executions \
     WHERE deadline <= $1 ORDER BY deadline LIMIT $2";
const NEXT: &str = "SELECT MIN(deadline) FROM executions WHERE deadline IS NOT NULL";
pub(crate) const FORGET_DEADLINES: &str =
    "UPDATE executions SET deadline = NULL WHERE tenant = $1 AND deadline IS NOT NULL";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] =
    &[INSERT, UPDATE, INSERT_RESULT, RESULTS, DUE, NEXT, FORGET_DEADLINES];

fn document(execution: &Execution) -> String {
    serde_json::to_string(execution).expect("an execution has string keys only")
}

/// Until when it must come to its end; `None` when it has.
fn deadline(execution: &Execution) -> Option<Timestamp> {
    execution.outcome.is_none().then_some(execution.deadline)
}

/// A new execution.
#[must_use]
pub fn insert(execution: &Execution, secret: Vec<u8>) -> Statement {
    let row = vec![
        execution.id.into(),
        execution.tenant.into(),
        execution.version.into(),
        execution.outcome.map(Outcome::as_str).into(),
        document(execution).into(),
        secret.into(),
        deadline(execution).into(),
        execution.created_at.into(),
        execution.updated_at.into(),
    ];
    Statement::expecting(1, INSERT, row)
}

/// A changed execution, whose `version` is one more than the one it was changed from; and the result
/// (JSON) of the job at this place in the plan, if that is what changed it.
#[must_use]
pub fn update(execution: &Execution, result: Option<(usize, &str)>) -> Vec<Statement> {
    let row = vec![
        execution.version.into(),
        execution.outcome.map(Outcome::as_str).into(),
        document(execution).into(),
        deadline(execution).into(),
        execution.updated_at.into(),
        execution.id.into(),
        (execution.version - 1).into(),
    ];
    let mut statements = vec![Statement::expecting(1, UPDATE, row)];
    if let Some((place, result)) = result {
        let row = vec![execution.id.into(), (place as u32).into(), result.into()];
        statements.push(Statement::expecting(1, INSERT_RESULT, row));
    }
    statements
}

/// Reads `id, tenant, version, doc, created_at, updated_at, secret`.
fn read(f: &mut Fields) -> Result<ExecutionRecord, ReadError> {
    let (id, tenant, version) = (f.take()?, f.take()?, f.take()?);
    let doc: Box<str> = f.take()?;
    let mut execution: Execution =
        serde_json::from_str(&doc).map_err(|_| ReadError::Inconsistent("executions.doc"))?;
    (execution.id, execution.tenant, execution.version) = (id, tenant, version);
    (execution.created_at, execution.updated_at) = (f.take()?, f.take()?);
    Ok(ExecutionRecord { execution, secret: f.take()?, webhook: None })
}

/// The same, and how its webhook stands.
fn record(mut f: Fields) -> Result<ExecutionRecord, ReadError> {
    let record = read(&mut f)?;
    let delivery: Option<DeliveryId> = f.take()?;
    let ended: (Option<Status>, Option<Timestamp>) = (f.take()?, f.take()?);
    let webhook = delivery.map(|delivery| OwedWebhook { delivery, ended: ended.0.zip(ended.1) });
    Ok(ExecutionRecord { webhook, ..record })
}

fn select(tenant: TenantId) -> Query {
    let mut q = Query::default();
    q.push(
        "SELECT e.id, e.tenant, e.version, e.doc, e.created_at, e.updated_at, e.secret, w.delivery, \
         d.status, d.completed_at FROM executions e \
         LEFT JOIN directs w ON w.subject = e.id AND w.subject_kind = ",
    );
    let (kind, _) = Subject::Execution(ExecutionId::from_i64(0)).code();
    q.arg("", kind).push(" LEFT JOIN deliveries d ON d.id = w.delivery");
    q.arg(" WHERE e.tenant = ", tenant);
    q
}

fn one(tenant: TenantId, id: ExecutionId) -> Query {
    let mut q = select(tenant);
    q.arg(" AND e.id = ", id);
    q
}

fn list(tenant: TenantId, filter: &ExecutionFilter) -> Query {
    let mut q = select(tenant);
    match filter.outcome {
        None => {}
        Some(None) => {
            q.push(" AND e.outcome IS NULL");
        }
        Some(Some(outcome)) => {
            q.arg(" AND e.outcome = ", outcome.as_str());
        }
    }
    if let Some(before) = filter.before {
        q.arg(" AND e.id < ", before);
    }
    q.arg(" ORDER BY e.id DESC LIMIT ", filter.limit);
    q
}

#[cfg(any(test, feature = "conformance"))]
pub(crate) fn shapes() -> Vec<String> {
    let (tenant, id) = (TenantId::from_i64(1), ExecutionId::from_i64(1));
    let everything =
        ExecutionFilter { outcome: Some(Some(Outcome::Failed)), before: Some(id), limit: 1 };
    let running = ExecutionFilter { outcome: Some(None), ..ExecutionFilter::default() };
    let lists = [ExecutionFilter::default(), running, everything];
    let mut shapes: Vec<String> = lists.iter().map(|filter| list(tenant, filter).sql).collect();
    shapes.push(one(tenant, id).sql);
    shapes
}

impl Store {
    /// An execution of this tenant.
    pub async fn execution(
        &self,
        tenant: TenantId,
        id: ExecutionId,
    ) -> Result<Option<ExecutionRecord>, ReadError> {
        let Query { sql, args } = one(tenant, id);
        let rows = self.rows(sql, args).await?;
        rows.into_iter().next().map(|row| record(row.fields())).transpose()
    }

    /// Executions of this tenant, newest first.
    pub async fn executions(
        &self,
        tenant: TenantId,
        filter: &ExecutionFilter,
    ) -> Result<Vec<ExecutionRecord>, ReadError> {
        let Query { sql, args } = list(tenant, filter);
        let rows = self.rows(sql, args).await?;
        rows.into_iter().map(|row| record(row.fields())).collect()
    }

    /// The results (JSON) of an execution's jobs, by their place in the plan.
    pub async fn execution_results(
        &self,
        id: ExecutionId,
    ) -> Result<Vec<(usize, String)>, ReadError> {
        let rows = self.rows(RESULTS, vec![id.into()]).await?;
        rows.into_iter()
            .map(|row| {
                let mut f = row.fields();
                Ok((f.take::<u32>()? as usize, f.take()?))
            })
            .collect()
    }

    /// Executions of all tenants whose deadline has passed, the longest overdue first. How their
    /// webhooks stand is not read: none is owed yet.
    pub async fn executions_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, ReadError> {
        let rows = self.rows(DUE, vec![now.into(), limit.into()]).await?;
        rows.into_iter().map(|row| read(&mut row.fields())).collect()
    }

    /// The next deadline of an execution.
    pub async fn next_execution_deadline(&self) -> Result<Option<Timestamp>, ReadError> {
        let rows = self.rows(NEXT, Vec::new()).await?;
        Ok(rows.into_iter().next().map(|row| row.fields().take()).transpose()?.flatten())
    }
}
