//! Jobs.

use tidings_core::id::{JobId, TenantId};
use tidings_core::jobs::{Job, Status};
use tidings_core::time::Timestamp;

use crate::change::Statement;
use crate::error::ReadError;
use crate::history::Query;
use crate::store::Store;
use crate::value::Fields;

/// A job as the store keeps it.
#[derive(Debug, Clone)]
pub struct JobRecord {
    pub job: Job,
    /// The secret of its callback, sealed; empty when it has none.
    pub secret: Vec<u8>,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub status: Option<Status>,
    pub job_type: Option<String>,
    pub external_id: Option<String>,
    /// The last of the previous page.
    pub before: Option<JobId>,
    pub limit: u32,
}

const INSERT: &str = "INSERT INTO jobs (id, tenant, version, status, job_type, external_id, doc, \
     input, secret, deadline, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const UPDATE: &str = "UPDATE jobs SET version = $1, status = $2, doc = $3, deadline = $4, \
     updated_at = $5 WHERE id = $6 AND version = $7";
const ONE: &str = "SELECT id, tenant, version, doc, created_at, updated_at, secret FROM jobs \
     WHERE id = $1 AND tenant = $2";
/// Its own id goes before the id that others have for it; of several with that the newest.
const NAMED: &str = "SELECT id FROM (SELECT id, 0 AS place FROM jobs WHERE id = $1 AND tenant = $2 \
     UNION ALL SELECT MAX(id), 1 FROM jobs WHERE tenant = $2 AND external_id = $3) x \
     WHERE id IS NOT NULL ORDER BY place LIMIT 1";
const INPUT: &str = "SELECT input FROM jobs WHERE id = $1 AND tenant = $2";
const DUE: &str = "SELECT id, tenant, version, doc, created_at, updated_at, secret FROM jobs \
     WHERE deadline <= $1 ORDER BY deadline LIMIT $2";
const NEXT: &str = "SELECT MIN(deadline) FROM jobs WHERE deadline IS NOT NULL";
pub(crate) const FORGET_DEADLINES: &str =
    "UPDATE jobs SET deadline = NULL WHERE tenant = $1 AND deadline IS NOT NULL";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[INSERT, UPDATE, ONE, NAMED, INPUT, DUE, NEXT, FORGET_DEADLINES];

fn document(job: &Job) -> String {
    serde_json::to_string(job).expect("a job has string keys only")
}

/// A new job. `input`: JSON, as it was given.
#[must_use]
pub fn insert(job: &Job, input: Option<&str>, secret: Vec<u8>) -> Statement {
    let row = vec![
        job.id.into(),
        job.tenant.into(),
        job.version.into(),
        job.status.as_str().into(),
        job.job_type.as_str().into(),
        job.external_job_id.as_deref().into(),
        document(job).into(),
        input.into(),
        secret.into(),
        job.deadline().into(),
        job.created_at.into(),
        job.updated_at.into(),
    ];
    Statement::expecting(1, INSERT, row)
}

/// A changed job, whose `version` is one more than the one it was changed from.
#[must_use]
pub fn update(job: &Job) -> Statement {
    let row = vec![
        job.version.into(),
        job.status.as_str().into(),
        document(job).into(),
        job.deadline().into(),
        job.updated_at.into(),
        job.id.into(),
        (job.version - 1).into(),
    ];
    Statement::expecting(1, UPDATE, row)
}

/// Reads `id, tenant, version, doc, created_at, updated_at`.
fn job(f: &mut Fields) -> Result<Job, ReadError> {
    let (id, tenant, version) = (f.take()?, f.take()?, f.take()?);
    let doc: Box<str> = f.take()?;
    let mut job: Job =
        serde_json::from_str(&doc).map_err(|_| ReadError::Inconsistent("jobs.doc"))?;
    (job.id, job.tenant, job.version) = (id, tenant, version);
    (job.created_at, job.updated_at) = (f.take()?, f.take()?);
    Ok(job)
}

fn record(mut f: Fields) -> Result<JobRecord, ReadError> {
    Ok(JobRecord { job: job(&mut f)?, secret: f.take()? })
}

fn list(tenant: TenantId, filter: &JobFilter) -> Query {
    let mut q = Query::default();
    q.push("SELECT id, tenant, version, doc, created_at, updated_at FROM jobs");
    q.arg(" WHERE tenant = ", tenant);
    if let Some(status) = filter.status {
        q.arg(" AND status = ", status.as_str());
    }
    if let Some(job_type) = &filter.job_type {
        q.arg(" AND job_type = ", job_type.as_str());
    }
    if let Some(external_id) = &filter.external_id {
        q.arg(" AND external_id = ", external_id.as_str());
    }
    if let Some(before) = filter.before {
        q.arg(" AND id < ", before);
    }
    q.arg(" ORDER BY id DESC LIMIT ", filter.limit);
    q
}

#[cfg(any(test, feature = "conformance"))]
pub(crate) fn shapes() -> Vec<String> {
    let everything = JobFilter {
        status: Some(Status::Running),
        job_type: Some("x".into()),
        external_id: Some("x".into()),
        before: Some(JobId::from_i64(1)),
        limit: 1,
    };
    let tenant = TenantId::from_i64(1);
    [JobFilter::default(), everything].map(|filter| list(tenant, &filter).sql).into()
}

impl Store {
    /// A job of this tenant.
    pub async fn job(&self, tenant: TenantId, id: JobId) -> Result<Option<JobRecord>, ReadError> {
        let rows = self.rows(ONE, vec![id.into(), tenant.into()]).await?;
        rows.into_iter().next().map(|row| record(row.fields())).transpose()
    }

    /// The job of this tenant that somebody calls so: by its id, else by its `external_job_id`.
    pub async fn job_named(
        &self,
        tenant: TenantId,
        name: &str,
    ) -> Result<Option<JobId>, ReadError> {
        let id: Option<JobId> = name.parse().ok();
        let rows = self.rows(NAMED, vec![id.into(), tenant.into(), name.into()]).await?;
        rows.into_iter().next().map(|row| row.fields().take()).transpose()
    }

    /// What a job was given to work on: JSON.
    pub async fn job_input(
        &self,
        tenant: TenantId,
        id: JobId,
    ) -> Result<Option<String>, ReadError> {
        let rows = self.rows(INPUT, vec![id.into(), tenant.into()]).await?;
        Ok(rows.into_iter().next().map(|row| row.fields().take()).transpose()?.flatten())
    }

    /// Jobs of this tenant, newest first.
    pub async fn jobs(&self, tenant: TenantId, filter: &JobFilter) -> Result<Vec<Job>, ReadError> {
        let Query { sql, args } = list(tenant, filter);
        let rows = self.rows(sql, args).await?;
        rows.into_iter().map(|row| job(&mut row.fields())).collect()
    }

    /// Jobs of all tenants whose time is over, the longest overdue first.
    pub async fn jobs_due(&self, now: Timestamp, limit: u32) -> Result<Vec<JobRecord>, ReadError> {
        let rows = self.rows(DUE, vec![now.into(), limit.into()]).await?;
        rows.into_iter().map(|row| record(row.fields())).collect()
    }

    /// When the time of the next job is over.
    pub async fn next_job_deadline(&self) -> Result<Option<Timestamp>, ReadError> {
        let rows = self.rows(NEXT, Vec::new()).await?;
        Ok(rows.into_iter().next().map(|row| row.fields().take()).transpose()?.flatten())
    }
}
