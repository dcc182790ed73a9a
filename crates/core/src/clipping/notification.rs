//! What the owner of a job is told, in the words that its clients know.

use serde::Serialize;
use serde_json::Number;

use crate::id::JobId;
use crate::jobs::Job;

/// A notification. Its JSON is all that is sent: `{"type": "clipping.progress", "jobId": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Notification {
    #[serde(rename = "clipping.started")]
    Started { job_id: JobId, message: &'static str },
    #[serde(rename = "clipping.progress")]
    Progress { job_id: JobId, progress_percent: Number, current_step: String },
    #[serde(rename = "clipping.completed")]
    Completed { job_id: JobId, clip_count: u64, message: String },
    #[serde(rename = "clipping.failed")]
    Failed {
        job_id: JobId,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        message: &'static str,
    },
}

impl Notification {
    pub(super) const fn started(job_id: JobId) -> Self {
        Self::Started { job_id, message: "Your video is being processed" }
    }

    pub(super) fn progress(job: &Job) -> Self {
        Self::Progress {
            job_id: job.id,
            progress_percent: job.progress_percent.clone(),
            current_step: job.current_step.clone(),
        }
    }

    pub(super) fn completed(job: &Job) -> Self {
        let message = match job.total_clips {
            1 => "Your 1 clip is ready!".to_owned(),
            count => format!("Your {count} clips are ready!"),
        };
        Self::Completed { job_id: job.id, clip_count: job.total_clips, message }
    }

    pub(super) fn failed(job: &Job) -> Self {
        Self::Failed {
            job_id: job.id,
            error: job.error.clone(),
            message: "Video processing failed. Please try again.",
        }
    }

    /// The type of the event that carries it.
    #[must_use]
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::Started { .. } => "notification.clipping.started",
            Self::Progress { .. } => "notification.clipping.progress",
            Self::Completed { .. } => "notification.clipping.completed",
            Self::Failed { .. } => "notification.clipping.failed",
        }
    }
}
