//! Plans: what may be executed at all.

use std::collections::HashMap;

use super::{Execution, Job, JobStatus};
use crate::id::{ExecutionId, TenantId};
use crate::limits::{
    EXECUTION_DEPENDENCIES_MAX, EXECUTION_JOBS_MAX, PLAN_NAME_BYTES_MAX as NAME_BYTES_MAX,
};
use crate::time::Timestamp;

/// A job as a plan asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedJob {
    pub job_id: String,
    pub operation: String,
    /// The names of those that it waits for.
    pub dependencies: Vec<String>,
}

/// What is wrong with a plan, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// JSON pointer into the list of jobs, as `/3/dependencies/0`; empty for the list.
    pub pointer: String,
    pub detail: String,
}

/// Judges a plan: for each job the places of those that it waits for; or everything that is wrong.
pub fn check_plan(jobs: &[PlannedJob]) -> Result<Vec<Vec<u32>>, Vec<PlanError>> {
    let mut check = Check { jobs, places: HashMap::new(), errors: Vec::new() };
    check.size();
    check.names();
    let waits_for = check.dependencies();
    if check.errors.is_empty() {
        check.cycle(&waits_for);
    }
    if check.errors.is_empty() { Ok(waits_for) } else { Err(check.errors) }
}

struct Check<'p> {
    jobs: &'p [PlannedJob],
    places: HashMap<&'p str, u32>,
    errors: Vec<PlanError>,
}

impl<'p> Check<'p> {
    fn refuse(&mut self, pointer: String, detail: impl Into<String>) {
        self.errors.push(PlanError { pointer, detail: detail.into() });
    }

    fn size(&mut self) {
        if self.jobs.is_empty() || self.jobs.len() > EXECUTION_JOBS_MAX {
            self.refuse(String::new(), format!("must have 1 to {EXECUTION_JOBS_MAX} jobs"));
        }
        let dependencies: usize = self.jobs.iter().map(|job| job.dependencies.len()).sum();
        if dependencies > EXECUTION_DEPENDENCIES_MAX {
            let detail =
                format!("must have at most {EXECUTION_DEPENDENCIES_MAX} dependencies in all");
            self.refuse(String::new(), detail);
        }
    }

    fn names(&mut self) {
        for (place, job) in (0_u32..).zip(self.jobs) {
            for (field, name) in [("jobId", &job.job_id), ("operation", &job.operation)] {
                if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
                    let detail = format!("must have 1 to {NAME_BYTES_MAX} bytes");
                    self.refuse(format!("/{place}/{field}"), detail);
                }
            }
            if let Some(first) = self.places.get(job.job_id.as_str()) {
                let detail = format!("`{}` is the name of job {first} already", job.job_id);
                self.refuse(format!("/{place}/jobId"), detail);
            } else {
                self.places.insert(&job.job_id, place);
            }
        }
    }

    fn dependencies(&mut self) -> Vec<Vec<u32>> {
        let jobs = self.jobs;
        jobs.iter().enumerate().map(|(place, job)| self.dependencies_of(place, job)).collect()
    }

    fn dependencies_of(&mut self, place: usize, job: &'p PlannedJob) -> Vec<u32> {
        let mut waits_for = Vec::with_capacity(job.dependencies.len());
        for (n, name) in job.dependencies.iter().enumerate() {
            let wrong = match self.places.get(name.as_str()) {
                None => "is no job of this plan",
                Some(_) if *name == job.job_id => "is the job itself",
                Some(other) if waits_for.contains(other) => "is given twice",
                Some(other) => {
                    waits_for.push(*other);
                    continue;
                }
            };
            self.refuse(format!("/{place}/dependencies/{n}"), format!("`{name}` {wrong}"));
        }
        waits_for
    }

    /// Names one cycle, if there is any.
    fn cycle(&mut self, waits_for: &[Vec<u32>]) {
        let Some(cycle) = find_cycle(waits_for) else { return };
        let names: Vec<&str> =
            cycle.iter().map(|&place| self.jobs[place as usize].job_id.as_str()).collect();
        let detail = format!("waits for itself: `{}`", names.join("` → `"));
        self.refuse(format!("/{}/dependencies", cycle[0]), detail);
    }
}

/// The places of one cycle, its first again at its end.
fn find_cycle(waits_for: &[Vec<u32>]) -> Option<Vec<u32>> {
    let blocked = never_runnable(waits_for);
    let mut at = blocked.iter().position(|&blocked| blocked)? as u32;
    // Whoever is blocked waits for another that is, so the way comes back to where it was.
    let mut way: Vec<u32> = Vec::new();
    loop {
        if let Some(from) = way.iter().position(|&seen| seen == at) {
            way.drain(..from);
            way.push(at);
            return Some(way);
        }
        way.push(at);
        let blocks = |other: &&u32| blocked[**other as usize];
        at = *waits_for[at as usize].iter().find(blocks)?;
    }
}

/// Which jobs never get their turn when all that can run does.
fn never_runnable(waits_for: &[Vec<u32>]) -> Vec<bool> {
    let mut left: Vec<usize> = waits_for.iter().map(Vec::len).collect();
    let mut followers = vec![Vec::new(); waits_for.len()];
    for (place, others) in waits_for.iter().enumerate() {
        others.iter().for_each(|&other| followers[other as usize].push(place));
    }
    let mut runnable: Vec<usize> = (0..left.len()).filter(|&place| left[place] == 0).collect();
    while let Some(done) = runnable.pop() {
        for &place in &followers[done] {
            left[place] -= 1;
            if left[place] == 0 {
                runnable.push(place);
            }
        }
    }
    left.into_iter().map(|left| left > 0).collect()
}

impl Execution {
    /// An execution of a plan, or what is wrong with the plan.
    pub fn new(
        id: ExecutionId,
        tenant: TenantId,
        plan: Vec<PlannedJob>,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<Self, Vec<PlanError>> {
        let waits_for = check_plan(&plan)?;
        let jobs = plan.into_iter().zip(waits_for).map(|(job, waits_for)| Job {
            job_id: job.job_id,
            operation: job.operation,
            status: if waits_for.is_empty() { JobStatus::Runnable } else { JobStatus::Waiting },
            waits_for,
            url: None,
            error: None,
        });
        Ok(Self {
            id,
            tenant,
            version: 1,
            jobs: jobs.collect(),
            webhook_url: None,
            deadline,
            outcome: None,
            settled_at: None,
            created_at: now,
            updated_at: now,
        })
    }
}
