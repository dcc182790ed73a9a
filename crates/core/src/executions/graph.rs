//! How an execution goes on: reports, and the deadline.

use super::{Execution, JobStatus, Outcome};
use crate::time::Timestamp;

/// What whoever runs a job says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// Running, or one of the ends.
    pub status: JobStatus,
    /// The `url` of its result.
    pub url: Option<String>,
    pub error: Option<String>,
}

/// What a report or the deadline led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The execution as it is from now on.
    pub execution: Execution,
    /// The places of the jobs that have become runnable.
    pub runnable: Vec<usize>,
}

impl Progress {
    /// Whether this is what settled it: from now on its webhook is owed.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.execution.outcome.is_some()
    }
}

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the plan has no such job")]
    NoSuchJob,
    #[error("the job is {}; its end is final", .0.as_str())]
    Ended(JobStatus),
    #[error("the job waits for `{0}`, which is not completed")]
    Waits(String),
}

impl Execution {
    /// Takes a report of the job at `place` in the plan. `Ok(None)`: it says what is known already.
    pub fn report(
        &self,
        job_id: &str,
        report: JobReport,
        now: Timestamp,
    ) -> Result<Option<Progress>, Refusal> {
        let place = self.jobs.iter().position(|job| job.job_id == job_id);
        let place = place.ok_or(Refusal::NoSuchJob)?;
        let job = &self.jobs[place];
        if job.status == report.status {
            return Ok(None);
        }
        if job.status.is_final() {
            return Err(Refusal::Ended(job.status));
        }
        // A job that has not been begun may be cancelled, and that is all.
        if job.status == JobStatus::Waiting && report.status != JobStatus::Cancelled {
            let missing = job.waits_for.iter().map(|&other| &self.jobs[other as usize]);
            let missing = missing.filter(|other| other.status != JobStatus::Completed);
            let name = missing.map(|other| other.job_id.clone()).next().unwrap_or_default();
            return Err(Refusal::Waits(name));
        }
        let mut next = self.clone();
        let job = &mut next.jobs[place];
        (job.status, job.url, job.error) = (report.status, report.url, report.error);
        let runnable = match report.status {
            JobStatus::Completed => next.release(),
            JobStatus::Failed | JobStatus::Cancelled => {
                next.cancel_followers(place);
                Vec::new()
            }
            _ => Vec::new(),
        };
        next.changed(now);
        Ok(Some(Progress { execution: next, runnable }))
    }

    /// Ends what is left when its time is over; `None` when it is not, or when it is settled.
    #[must_use]
    pub fn expire(&self, now: Timestamp) -> Option<Progress> {
        if self.outcome.is_some() || self.deadline > now {
            return None;
        }
        let mut next = self.clone();
        for job in next.jobs.iter_mut().filter(|job| !job.status.is_final()) {
            job.status = JobStatus::Cancelled;
            job.error = Some("the execution's deadline passed".to_owned());
        }
        next.changed(now);
        Some(Progress { execution: next, runnable: Vec::new() })
    }

    /// Makes runnable what waits for nothing any more; tells their places.
    fn release(&mut self) -> Vec<usize> {
        let ready = |place: &usize| {
            let job = &self.jobs[*place];
            let done = |other: &u32| self.jobs[*other as usize].status == JobStatus::Completed;
            job.status == JobStatus::Waiting && job.waits_for.iter().all(done)
        };
        let runnable: Vec<usize> = (0..self.jobs.len()).filter(ready).collect();
        runnable.iter().for_each(|&place| self.jobs[place].status = JobStatus::Runnable);
        runnable
    }

    /// Cancels what waits for a job that will not be completed, and what waits for that.
    fn cancel_followers(&mut self, place: usize) {
        let mut lost = vec![place];
        while let Some(cause) = lost.pop() {
            let why =
                format!("`{}` is {}", self.jobs[cause].job_id, self.jobs[cause].status.as_str());
            for (place, job) in self.jobs.iter_mut().enumerate() {
                if job.status == JobStatus::Waiting && job.waits_for.contains(&(cause as u32)) {
                    (job.status, job.error) = (JobStatus::Cancelled, Some(why.clone()));
                    lost.push(place);
                }
            }
        }
    }

    /// One version later, and settled if nothing is left to be done.
    fn changed(&mut self, now: Timestamp) {
        self.version += 1;
        self.updated_at = now;
        if self.jobs.iter().all(|job| job.status.is_final()) {
            self.outcome = Some(self.judge());
            self.settled_at = Some(now);
        }
    }

    fn judge(&self) -> Outcome {
        let is = |status| move |job: &super::Job| job.status == status;
        if self.jobs.iter().any(is(JobStatus::Failed)) {
            Outcome::Failed
        } else if self.jobs.iter().all(is(JobStatus::Completed)) {
            Outcome::Completed
        } else {
            Outcome::Partial
        }
    }
}
