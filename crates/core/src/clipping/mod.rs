//! Clipping: what a worker that cuts clips out of videos reports by webhook, of a job that is known here.
//!
//! A [`ClippingReport`] is judged on the job as it stands, like every report ([`crate::jobs`]). It leads
//! to the job's next state, to the events that tell of it, and to [`Notification`]s for the job's owner;
//! or it is [idle](Idle), for what is late or comes out of order has no effect.

pub mod media;
mod notification;

#[cfg(test)]
mod tests;

use serde_json::Number;
use serde_json::value::RawValue;

use crate::jobs::{Job, JobEvent, Refusal, Report, Reported, Stage, Status};
use crate::limits::{JOB_ERROR_CHARS_MAX, JOB_STEP_CHARS_MAX};
use crate::time::Timestamp;

pub use notification::Notification;

/// What a report tells of: the four that workers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Started,
    Progress,
    Completed,
    Failed,
}

impl Told {
    /// `None` for an event that workers do not send.
    #[must_use]
    pub fn parse(event: &str) -> Option<Self> {
        match event {
            "job.started" => Some(Self::Started),
            "job.progress" => Some(Self::Progress),
            "job.completed" => Some(Self::Completed),
            "job.failed" => Some(Self::Failed),
            _ => None,
        }
    }

    const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// A report as it came, its fields found to be of the right types.
#[derive(Debug, Clone)]
pub struct ClippingReport {
    /// `None`: an event that is not known, which has no effect.
    pub told: Option<Told>,
    /// When it was made, by its sender's clock; `None` when it cannot be read.
    pub timestamp: Option<Timestamp>,
    /// The job's id with the worker.
    pub job_id: String,
    /// The job's id with whoever had submitted it to the worker: here.
    pub external_job_id: Option<String>,
    pub owner_user_id: Option<String>,
    /// The stage of a running job; any other word says no more than the event does.
    pub status: String,
    /// 0 to 100.
    pub progress_percent: Number,
    pub current_step: String,
    pub clips_completed: Option<u64>,
    pub total_clips: Option<u64>,
    pub error: Option<String>,
    pub output: Option<Output>,
}

/// What the worker made.
#[derive(Debug, Clone)]
pub struct Output {
    /// All of it, as it came but for the addresses of the clips ([`media::move_clips`]).
    pub json: Box<RawValue>,
    pub total_clips: u64,
}

/// What becomes of a job that is reported on.
#[derive(Debug, Clone)]
pub struct Taken {
    pub job: Job,
    pub events: Vec<JobEvent>,
    pub notifications: Vec<Notification>,
}

/// Why a report has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Idle {
    #[error("it tells of nothing that is known")]
    Unknown,
    #[error("a later report has been taken")]
    Overtaken,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl ClippingReport {
    /// The name under which the job is known here: what the worker was given, else the worker's own.
    #[must_use]
    pub fn job_name(&self) -> &str {
        let given = self.external_job_id.as_deref().filter(|id| !id.is_empty());
        given.unwrap_or(&self.job_id)
    }

    /// Whom the job belongs to: as it says itself, else as the worker was told.
    #[must_use]
    pub fn owner<'a>(&'a self, job: &'a Job) -> Option<&'a str> {
        let owner = job.owner_user_id.as_deref().or(self.owner_user_id.as_deref());
        owner.filter(|owner| !owner.is_empty())
    }

    /// Takes the report: the job as it is from now on, one version later, and what is told of it.
    pub fn take(&self, job: &Job, now: Timestamp) -> Result<Taken, Idle> {
        let told = self.told.ok_or(Idle::Unknown)?;
        // Clocks may differ a little where a job moves from one worker to another. An end counts in any
        // case: nothing comes after it.
        if !told.is_end() && self.timestamp < job.reported_at && self.timestamp.is_some() {
            return Err(Idle::Overtaken);
        }
        let (mut after, events) = job.report(self.report(told), now)?;
        after.reported_at = self.timestamp.max(job.reported_at);
        if !self.job_id.is_empty() {
            after.worker_job_id = Some(self.job_id.clone());
        }
        let notifications = self.notifications(told, job, &after);
        Ok(Taken { job: after, events, notifications })
    }

    fn report(&self, told: Told) -> Report {
        let stage = Stage::parse(&self.status).map(Reported::Stage);
        let running = stage.unwrap_or(Reported::Status(Status::Running));
        let output = self.output.as_ref();
        let common = Report {
            progress_percent: Some(self.progress_percent.clone()),
            current_step: cut(&self.current_step, JOB_STEP_CHARS_MAX),
            clips_completed: self.clips_completed,
            total_clips: output.map(|output| output.total_clips).or(self.total_clips),
            ..Report::default()
        };
        match told {
            Told::Started | Told::Progress => Report { status: Some(running), ..common },
            Told::Completed => Report {
                status: Some(Reported::Status(Status::Completed)),
                progress_percent: Some(100.into()),
                output: output.map(|output| output.json.clone()),
                ..common
            },
            Told::Failed => Report {
                status: Some(Reported::Status(Status::Failed)),
                error: self.error.as_deref().and_then(|error| cut(error, JOB_ERROR_CHARS_MAX)),
                ..common
            },
        }
    }

    fn notifications(&self, told: Told, before: &Job, after: &Job) -> Vec<Notification> {
        let started = (before.started_at.is_none() && after.started_at.is_some())
            .then(|| Notification::started(after.id));
        let passed = tenth(&after.progress_percent) > tenth(&before.progress_percent);
        let told = match told {
            Told::Started => None,
            Told::Progress => passed.then(|| Notification::progress(after)),
            Told::Completed => Some(Notification::completed(after)),
            Told::Failed => Some(Notification::failed(after)),
        };
        started.into_iter().chain(told).collect()
    }
}

/// How often 10 % have been passed.
fn tenth(percent: &Number) -> i64 {
    percent.as_f64().map_or(0, |percent| (percent / 10.0).floor() as i64)
}

/// As much of a text as is kept of it; nothing of an empty one.
fn cut(text: &str, chars: usize) -> Option<String> {
    (!text.is_empty()).then(|| text.chars().take(chars).collect())
}
