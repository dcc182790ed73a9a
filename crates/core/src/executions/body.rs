//! What is told of a settled execution.

use tidings_wire::body::openvideo::{ExecutionView, JobView, report};

use super::Execution;

impl Execution {
    /// The report of a settled execution: the body of its webhook, and the data of its event.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let jobs: Vec<JobView<'_>> = self
            .jobs
            .iter()
            .map(|job| JobView {
                id: &job.job_id,
                operation: &job.operation,
                status: job.status.as_str(),
                is_root: job.waits_for.is_empty(),
                url: job.url.as_deref(),
            })
            .collect();
        report(&ExecutionView {
            id: &self.id.to_string(),
            jobs: &jobs,
            created_ms: self.created_at.as_millis(),
            completed_ms: self.settled_at.unwrap_or(self.updated_at).as_millis(),
        })
    }
}
