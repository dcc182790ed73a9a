//! Where a job stands, and the events that tell of it.

use serde::{Deserialize, Serialize};

/// Where a job stands. It only ever goes on, and may skip what lies between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Submitted; nobody works on it yet.
    Pending,
    /// A worker has taken it.
    Assigned,
    Running,
    Completed,
    Failed,
    Cancelled,
    /// It was not finished in its time.
    Timeout,
}

impl Status {
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Assigned,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Timeout,
    ];

    /// As the API, the events and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.rank() == END
    }

    /// The ends are equals.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Assigned => 1,
            Self::Running => 2,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Timeout => END,
        }
    }

    pub(super) const fn step(self) -> &'static str {
        match self {
            Self::Pending => "Waiting for a worker",
            Self::Assigned => "Assigned to a worker",
            Self::Running => "Starting job processing",
            Self::Completed => "Processing complete!",
            Self::Failed => "Processing failed",
            Self::Cancelled => "Job cancelled",
            Self::Timeout => "Job timed out",
        }
    }

    /// The event that tells that a job has come to be so.
    #[must_use]
    pub const fn event(self) -> JobEvent {
        match self {
            Self::Pending => JobEvent::Submitted,
            Self::Assigned => JobEvent::Assigned,
            Self::Running => JobEvent::Started,
            Self::Completed => JobEvent::Completed,
            Self::Failed => JobEvent::Failed,
            Self::Cancelled => JobEvent::Cancelled,
            Self::Timeout => JobEvent::Timeout,
        }
    }
}

const END: u8 = 3;

/// Where a running job is. The later the stage, the further it is; any may be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Downloading,
    Transcribing,
    Planning,
    Detecting,
    Rendering,
    Uploading,
}

impl Stage {
    pub const ALL: [Self; 6] = [
        Self::Downloading,
        Self::Transcribing,
        Self::Planning,
        Self::Detecting,
        Self::Rendering,
        Self::Uploading,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downloading => "downloading",
            Self::Transcribing => "transcribing",
            Self::Planning => "planning",
            Self::Detecting => "detecting",
            Self::Rendering => "rendering",
            Self::Uploading => "uploading",
        }
    }

    pub(super) const fn step(self) -> &'static str {
        match self {
            Self::Downloading => "Downloading",
            Self::Transcribing => "Transcribing",
            Self::Planning => "Planning",
            Self::Detecting => "Detecting",
            Self::Rendering => "Rendering",
            Self::Uploading => "Uploading",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

/// What is told of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobEvent {
    Submitted,
    Assigned,
    Started,
    Progress,
    Completed,
    Failed,
    Cancelled,
    Timeout,
    /// Beside each of the others that tells of another status.
    StatusChanged,
}

impl JobEvent {
    /// The type of the event.
    #[must_use]
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Submitted => "job.submitted",
            Self::Assigned => "job.assigned",
            Self::Started => "job.started",
            Self::Progress => "job.progress",
            Self::Completed => "job.completed",
            Self::Failed => "job.failed",
            Self::Cancelled => "job.cancelled",
            Self::Timeout => "job.timeout",
            Self::StatusChanged => "job.status_changed",
        }
    }

    /// Whether the job's own callback hears of it: from its start to its end.
    #[must_use]
    pub const fn is_called_back(self) -> bool {
        !matches!(self, Self::Submitted | Self::Assigned | Self::StatusChanged)
    }
}
