//! Jobs: work that is done elsewhere, and told of here.
//!
//! Somebody submits a job, whoever works on it reports. A [`Report`] is taken, and then leads to the
//! job's next state and to the [`JobEvent`]s that tell of it; or it is [refused](Refusal), for what has
//! happened is not undone and the end is final. The events go to every webhook that wants them, and
//! those that a caller waits for to the job's own callback as well ([`publish`]).

mod data;
pub mod publish;
mod report;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::id::{JobId, TenantId};
use crate::time::Timestamp;

pub use data::is_own_field;
pub use report::{Refusal, Report, Reported};
pub use state::{JobEvent, Stage, Status};

/// A job as the store keeps it. Serialised without what has columns of its own, as the row's document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    #[serde(skip, default = "no_job")]
    pub id: JobId,
    #[serde(skip, default = "no_tenant")]
    pub tenant: TenantId,
    /// Counts the changes, from 1.
    #[serde(skip)]
    pub version: u32,
    pub job_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Normalised. The secret that goes with it is sealed, and no part of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// Its id with whoever submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_job_id: Option<String>,
    /// Its id with the worker, when that reports by webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_job_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_user_id: Option<String>,
    /// From its submission to its end at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
    /// Between two deliveries of its progress to one place; 0: each is delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_interval_ms: Option<u32>,
    pub status: Status,
    /// Where a running job is, or where it was when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// 0 to 100, as it was reported.
    pub progress_percent: Number,
    /// For people.
    pub current_step: String,
    #[serde(default)]
    pub clips_completed: u64,
    #[serde(default)]
    pub total_clips: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<RawValue>>,
    /// Further fields of its events.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Box<RawValue>>,
    #[serde(skip)]
    pub created_at: Timestamp,
    #[serde(skip)]
    pub updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// When the latest report that came by webhook was made, by its sender's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Timestamp>,
}

fn no_job() -> JobId {
    JobId::from_i64(0)
}

fn no_tenant() -> TenantId {
    TenantId::from_i64(0)
}

impl Job {
    /// A job that is submitted at `now`, of which nothing but its type is said yet.
    #[must_use]
    pub fn new(id: JobId, tenant: TenantId, job_type: String, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            version: 1,
            job_type,
            priority: None,
            machine_id: None,
            worker_id: None,
            callback_url: None,
            external_job_id: None,
            worker_job_id: None,
            owner_user_id: None,
            timeout_ms: None,
            progress_interval_ms: None,
            status: Status::Pending,
            stage: None,
            progress_percent: 0.into(),
            current_step: Status::Pending.step().into(),
            clips_completed: 0,
            total_clips: 0,
            error: None,
            output: None,
            data: BTreeMap::new(),
            created_at: now,
            updated_at: now,
            started_at: None,
            completed_at: None,
            reported_at: None,
        }
    }

    /// When it times out, unless it has ended.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let timeout_ms = self.timeout_ms.filter(|_| !self.status.is_final())?;
        Some(self.created_at + timeout_ms)
    }

    /// What people are told when nobody says what it is doing.
    fn step(&self) -> &'static str {
        match self.stage {
            Some(stage) if self.status == Status::Running => stage.step(),
            _ => self.status.step(),
        }
    }

    /// The stage of a running job, the status of any other; its callback calls it the status.
    #[must_use]
    pub fn place(&self) -> &'static str {
        match self.stage {
            Some(stage) if self.status == Status::Running => stage.as_str(),
            _ => self.status.as_str(),
        }
    }
}
