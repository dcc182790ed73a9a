//! A job as answers show it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Number;
use serde_json::value::RawValue;
use tidings_core::jobs::Job;
use tidings_core::time::Timestamp;

/// Work that is done elsewhere, and told of here.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JobView {
    #[schema(example = "job_05n3q0c8g0001")]
    pub job_id: String,
    #[schema(example = "comfyui")]
    pub job_type: String,
    /// `pending`, `assigned`, `running`, `completed`, `failed`, `cancelled` or `timeout`.
    pub status: &'static str,
    /// Where a running job is, or where it was when it ended: `downloading`, `transcribing`,
    /// `planning`, `detecting`, `rendering`, `uploading`.
    pub stage: Option<&'static str>,
    pub priority: Option<i64>,
    pub machine_id: Option<String>,
    pub worker_id: Option<String>,
    pub callback_url: Option<String>,
    /// Your own id of it.
    pub external_job_id: Option<String>,
    /// Its id with a worker that reports by webhook.
    pub worker_job_id: Option<String>,
    pub owner_user_id: Option<String>,
    /// 0 to 100.
    #[schema(value_type = f64)]
    pub progress_percent: Number,
    pub current_step: String,
    pub clips_completed: u64,
    pub total_clips: u64,
    pub error: Option<String>,
    /// What it made: any JSON.
    #[schema(value_type = Option<Object>)]
    pub output: Option<Box<RawValue>>,
    /// Further fields of its events.
    #[schema(value_type = Object)]
    pub data: BTreeMap<String, Box<RawValue>>,
    /// What it was given to work on: any JSON. Only in the answer to `GET /api/jobs/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub input: Option<Box<RawValue>>,
    /// From its submission to its end at most.
    pub timeout_ms: Option<i64>,
    /// Between two deliveries of its progress to one place; 0: each is delivered. Null: 5,000.
    pub progress_interval_ms: Option<u32>,
    /// Unix milliseconds.
    pub created_at: i64,
    pub updated_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            job_id: job.id.to_string(),
            status: job.status.as_str(),
            stage: job.stage.map(tidings_core::jobs::Stage::as_str),
            priority: job.priority,
            created_at: job.created_at.as_millis(),
            updated_at: job.updated_at.as_millis(),
            started_at: job.started_at.map(Timestamp::as_millis),
            completed_at: job.completed_at.map(Timestamp::as_millis),
            job_type: job.job_type,
            machine_id: job.machine_id,
            worker_id: job.worker_id,
            callback_url: job.callback_url,
            external_job_id: job.external_job_id,
            worker_job_id: job.worker_job_id,
            owner_user_id: job.owner_user_id,
            progress_percent: job.progress_percent,
            current_step: job.current_step,
            clips_completed: job.clips_completed,
            total_clips: job.total_clips,
            error: job.error,
            output: job.output,
            data: job.data,
            input: None,
            timeout_ms: job.timeout_ms,
            progress_interval_ms: job.progress_interval_ms,
        }
    }
}
