//! Reports: what a worker says of its job, and what becomes of the job.

use std::collections::BTreeMap;

use serde_json::Number;
use serde_json::value::RawValue;

use super::{Job, JobEvent, Stage, Status};
use crate::time::Timestamp;

/// What is said of a job. What is left out stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub status: Option<Reported>,
    pub progress_percent: Option<Number>,
    pub current_step: Option<String>,
    pub clips_completed: Option<u64>,
    pub total_clips: Option<u64>,
    pub worker_id: Option<String>,
    pub machine_id: Option<String>,
    pub error: Option<String>,
    pub output: Option<Box<RawValue>>,
    /// Further fields for this event and those that follow.
    pub data: BTreeMap<String, Box<RawValue>>,
}

/// A status as it is reported: the name of a stage says that the job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    Status(Status),
    Stage(Stage),
}

impl Reported {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Status::parse(text).map(Self::Status).or_else(|| Stage::parse(text).map(Self::Stage))
    }
}

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the job has ended as {}; its end is final", .0.as_str())]
    Ended(Status),
    #[error("the job is {from}; it cannot become {to} any more")]
    Backwards { from: &'static str, to: &'static str },
}

impl Report {
    /// One that says nothing but where the job stands.
    #[must_use]
    pub fn of(status: Status) -> Self {
        Self { status: Some(Reported::Status(status)), ..Self::default() }
    }

    fn tells_of_progress(&self) -> bool {
        self.progress_percent.is_some()
            || self.current_step.is_some()
            || self.clips_completed.is_some()
            || self.total_clips.is_some()
    }

    fn names_a_worker(&self) -> bool {
        self.worker_id.is_some() || self.machine_id.is_some()
    }
}

impl Job {
    /// Takes a report: the job as it is from now on, one version later, and what is told of it.
    pub fn report(&self, report: Report, now: Timestamp) -> Result<(Self, Vec<JobEvent>), Refusal> {
        if self.status.is_final() {
            return Err(Refusal::Ended(self.status));
        }
        let (status, stage) = self.reached(&report)?;
        let mut job = self.clone();
        (job.status, job.stage) = (status, stage);
        let events = job.events_since(self, &report);
        job.note(report, self.place());
        if job.status != self.status {
            job.enter(now);
        }
        job.version += 1;
        job.updated_at = now;
        Ok((job, events))
    }

    /// Ends it when its time is over; `None` when it is not, or when it has ended already.
    #[must_use]
    pub fn time_out(&self, now: Timestamp) -> Option<(Self, Vec<JobEvent>)> {
        self.deadline().filter(|&deadline| deadline <= now)?;
        self.report(Report::of(Status::Timeout), now).ok()
    }

    /// Where a report says that it is. Whoever reports progress runs it; whoever names a worker for a
    /// job that waits has taken it.
    fn reached(&self, report: &Report) -> Result<(Status, Option<Stage>), Refusal> {
        let (status, stage) = match report.status {
            Some(Reported::Status(status)) => (status, self.stage),
            Some(Reported::Stage(stage)) => (Status::Running, Some(stage)),
            None if report.tells_of_progress() => (Status::Running, self.stage),
            None if report.names_a_worker() && self.status == Status::Pending => {
                (Status::Assigned, self.stage)
            }
            None => (self.status, self.stage),
        };
        if status.rank() < self.status.rank() || stage < self.stage {
            let to = match report.status {
                Some(Reported::Stage(stage)) => stage.as_str(),
                _ => status.as_str(),
            };
            return Err(Refusal::Backwards { from: self.place(), to });
        }
        Ok((status, stage))
    }

    /// What is told of a job that was `before`.
    fn events_since(&self, before: &Self, report: &Report) -> Vec<JobEvent> {
        if self.status != before.status {
            return vec![self.status.event(), JobEvent::StatusChanged];
        }
        match self.status {
            Status::Running => vec![JobEvent::Progress],
            // Another worker has taken it.
            Status::Assigned if report.names_a_worker() => vec![JobEvent::Assigned],
            _ => Vec::new(),
        }
    }

    fn note(&mut self, report: Report, place_before: &str) {
        fn set<T>(place: &mut T, given: Option<T>) {
            if let Some(value) = given {
                *place = value;
            }
        }
        let arrived = report.status == Some(Reported::Status(Status::Completed));
        let progress = report.progress_percent.or_else(|| arrived.then(|| 100.into()));
        set(&mut self.progress_percent, progress);
        set(&mut self.clips_completed, report.clips_completed);
        set(&mut self.total_clips, report.total_clips);
        self.worker_id = report.worker_id.or(self.worker_id.take());
        self.machine_id = report.machine_id.or(self.machine_id.take());
        self.error = report.error.or(self.error.take());
        self.output = report.output.or(self.output.take());
        self.data.extend(report.data);
        // What was said of another place does not hold any more.
        let moved = (self.place() != place_before).then(|| self.step().to_owned());
        set(&mut self.current_step, report.current_step.or(moved));
    }

    /// What a new status brings with it.
    fn enter(&mut self, now: Timestamp) {
        match self.status {
            Status::Running => self.started_at = Some(now),
            Status::Cancelled | Status::Timeout if self.error.is_none() => {
                self.error = Some(self.status.step().to_owned());
            }
            _ => {}
        }
        if self.status.is_final() {
            self.completed_at = Some(now);
        }
    }
}
