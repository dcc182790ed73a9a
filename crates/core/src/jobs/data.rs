//! The data of a job's events.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Job, JobEvent, Status};
use crate::id::JobId;

/// Its fields, in this order; what is not known is left out. The job's further data come behind them.
#[derive(Serialize)]
struct Data<'a> {
    job_id: JobId,
    job_type: &'a str,
    job_status: Status,
    /// The stage of a running job.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_id: Option<&'a str>,
    progress: &'a serde_json::Number,
    current_step: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    clips_completed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_clips: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_job_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_user_id: Option<&'a str>,
    #[serde(flatten)]
    data: &'a std::collections::BTreeMap<String, Box<RawValue>>,
}

/// Names that further data may not have: those of the fields above, and those under which receivers of
/// the `viewcreator` profile know them.
const OWN: [&str; 18] = [
    "job_id",
    "job_type",
    "job_status",
    "status",
    "previous_status",
    "worker_id",
    "machine_id",
    "progress",
    "progress_percent",
    "current_step",
    "clips_completed",
    "total_clips",
    "result",
    "output",
    "error",
    "priority",
    "external_job_id",
    "owner_user_id",
];

/// Whether events of jobs have a field of this name, which further data cannot have then.
#[must_use]
pub fn is_own_field(name: &str) -> bool {
    OWN.contains(&name)
}

impl Job {
    /// The data of an event that tells of this job, which was `before` until now.
    pub(super) fn data(&self, event: JobEvent, before: Status) -> Bytes {
        let clips = self.clips_completed > 0 || self.total_clips > 0;
        let data = Data {
            job_id: self.id,
            job_type: &self.job_type,
            job_status: self.status,
            status: Some(self.place()).filter(|&place| place != self.status.as_str()),
            previous_status: (event == JobEvent::StatusChanged).then_some(before),
            worker_id: self.worker_id.as_deref(),
            machine_id: self.machine_id.as_deref(),
            progress: &self.progress_percent,
            current_step: &self.current_step,
            clips_completed: clips.then_some(self.clips_completed),
            total_clips: clips.then_some(self.total_clips),
            result: self.output.as_deref(),
            error: self.error.as_deref(),
            priority: self.priority,
            external_job_id: self.external_job_id.as_deref(),
            owner_user_id: self.owner_user_id.as_deref(),
            data: &self.data,
        };
        serde_json::to_vec(&data).expect("its keys are strings").into()
    }
}
