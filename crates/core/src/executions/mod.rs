//! Executions: a graph of jobs that are done elsewhere, with one webhook when all of it is over.
//!
//! A [`plan`](check_plan) is a list of jobs and what each waits for. A job becomes runnable when all that
//! it waits for is completed; whoever runs it reports its result. A job that fails takes along what
//! waits for it. When every job has come to an end, or the deadline has passed, the execution is
//! *settled*: its outcome is fixed, and with it the body of the one webhook that it owes.

mod body;
mod graph;
mod plan;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::id::{ExecutionId, TenantId};
use crate::time::Timestamp;

pub use graph::{JobReport, Progress, Refusal};
pub use plan::{PlanError, PlannedJob, check_plan};

/// An execution as the store keeps it. Serialised without what has columns of its own, as the row's
/// document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    #[serde(skip, default = "no_execution")]
    pub id: ExecutionId,
    #[serde(skip, default = "no_tenant")]
    pub tenant: TenantId,
    /// Counts the changes, from 1.
    #[serde(skip)]
    pub version: u32,
    /// In the order of the plan.
    pub jobs: Vec<Job>,
    /// Where its webhook goes, normalised. The secret that goes with it is sealed, and no part of the
    /// document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// What has not come to an end by then is cancelled.
    pub deadline: Timestamp,
    /// How it ended; `None`: it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    #[serde(skip)]
    pub created_at: Timestamp,
    #[serde(skip)]
    pub updated_at: Timestamp,
}

fn no_execution() -> ExecutionId {
    ExecutionId::from_i64(0)
}

fn no_tenant() -> TenantId {
    TenantId::from_i64(0)
}

/// One job of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its name in the plan.
    pub job_id: String,
    /// What it does, for whoever runs it.
    pub operation: String,
    /// The places in the plan of those that it waits for.
    pub waits_for: Vec<u32>,
    pub status: JobStatus,
    /// The `url` of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where a job of an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Something that it waits for is not completed.
    Waiting,
    /// To be run.
    Runnable,
    Running,
    Completed,
    Failed,
    /// By hand, with a job that it waited for, or at the deadline.
    Cancelled,
}

impl JobStatus {
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Runnable,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Runnable => "runnable",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether it has come to an end.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// How an execution ended: failed when any job failed, completed when all are, else partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Completed,
    Failed,
    Partial,
}

impl Outcome {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Partial => "partial",
        }
    }

    /// The type of the event that tells of it.
    #[must_use]
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Completed => "execution.completed",
            Self::Failed => "execution.failed",
            Self::Partial => "execution.partial",
        }
    }
}

impl Execution {
    /// Where the first job that waits for no other is in the plan: its result is the execution's.
    #[must_use]
    pub fn root(&self) -> Option<usize> {
        self.jobs.iter().position(|job| job.waits_for.is_empty())
    }
}
