//! An execution as answers show it.

use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::delivery::Status;
use tidings_core::executions::{JobStatus, Outcome};
use tidings_core::time::Timestamp;
use tidings_store::sources::executions::ExecutionRecord;

/// A graph of jobs, and the webhook that tells when all of it is over.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionView {
    #[schema(example = "exec_05n3q0c8g0001")]
    pub execution_id: String,
    /// `running`; `delivering` while its webhook is owed; then how it ended: `completed`, `failed` or
    /// `partial`; or `undelivered` when the webhook was given up.
    pub status: &'static str,
    /// How it ended, delivered or not: `completed`, `failed`, `partial`.
    pub outcome: Option<&'static str>,
    /// In the order of the plan.
    pub jobs: Vec<ExecutionJobView>,
    /// The result of the first job that waits for no other. Only in the answer to
    /// `GET /api/executions/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<RawValue>>,
    pub webhook_url: Option<String>,
    /// The delivery of its webhook, once it is owed.
    #[schema(example = "dlv_05n3q0c8g0001")]
    pub webhook_delivery_id: Option<String>,
    /// Unix milliseconds: what has not ended by then is cancelled.
    pub deadline_at: i64,
    pub created_at: i64,
    pub updated_at: i64,
    /// When the last of its jobs ended.
    pub settled_at: Option<i64>,
    /// When all was over: with a webhook, when that was delivered.
    pub completed_at: Option<i64>,
}

/// A job of an execution.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionJobView {
    pub job_id: String,
    pub operation: String,
    pub dependencies: Vec<String>,
    /// `waiting`, `runnable`, `running`, `completed`, `failed` or `cancelled`.
    pub status: &'static str,
    pub error: Option<String>,
    /// Any JSON. Only in the answer to `GET /api/executions/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<RawValue>>,
}

impl From<ExecutionRecord> for ExecutionView {
    fn from(record: ExecutionRecord) -> Self {
        let ended = record.webhook.and_then(|webhook| webhook.ended);
        let execution = record.execution;
        let outcome = execution.outcome.map(Outcome::as_str);
        let (status, completed_at) = match (outcome, &execution.webhook_url, ended) {
            (None, ..) => ("running", None),
            (Some(outcome), None, _) => (outcome, execution.settled_at),
            (Some(_), Some(_), None) => ("delivering", None),
            (Some(outcome), Some(_), Some((Status::Success, at))) => (outcome, Some(at)),
            (Some(_), Some(_), Some(_)) => ("undelivered", None),
        };
        let names: Vec<&str> = execution.jobs.iter().map(|job| job.job_id.as_str()).collect();
        let jobs = execution.jobs.iter().map(|job| ExecutionJobView {
            job_id: job.job_id.clone(),
            operation: job.operation.clone(),
            dependencies: job.waits_for.iter().map(|&at| names[at as usize].to_owned()).collect(),
            status: job.status.as_str(),
            error: job.error.clone(),
            result: None,
        });
        Self {
            execution_id: execution.id.to_string(),
            status,
            outcome,
            jobs: jobs.collect(),
            result: None,
            webhook_delivery_id: record.webhook.map(|webhook| webhook.delivery.to_string()),
            deadline_at: execution.deadline.as_millis(),
            created_at: execution.created_at.as_millis(),
            updated_at: execution.updated_at.as_millis(),
            settled_at: execution.settled_at.map(Timestamp::as_millis),
            completed_at: completed_at.map(Timestamp::as_millis),
            webhook_url: execution.webhook_url,
        }
    }
}

impl ExecutionView {
    /// Adds the results of its jobs, by their places in the plan.
    pub fn add_results(&mut self, results: Vec<(usize, String)>, root: Option<usize>) {
        for (place, json) in results {
            let Ok(result) = RawValue::from_string(json) else { continue };
            if root == Some(place) {
                self.result = Some(result.clone());
            }
            if let Some(job) = self.jobs.get_mut(place) {
                job.result = Some(result);
            }
        }
    }

    /// The names of the jobs that may be run now.
    pub fn runnable(&self) -> Vec<String> {
        let runnable = |job: &&ExecutionJobView| job.status == JobStatus::Runnable.as_str();
        self.jobs.iter().filter(runnable).map(|job| job.job_id.clone()).collect()
    }
}
