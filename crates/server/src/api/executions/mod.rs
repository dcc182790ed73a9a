//! Executions: run a plan, report its jobs, read.

pub mod create;
mod fields;
pub mod get;
pub mod list;
pub mod report;
pub mod view;

use tidings_core::executions::Refusal;

use super::problem::Problem;
use crate::sources::Unchanged;

impl From<Unchanged<Refusal>> for Problem {
    fn from(unchanged: Unchanged<Refusal>) -> Self {
        match unchanged {
            Unchanged::NotFound => Self::not_found("the execution was"),
            Unchanged::Refused(refusal) => {
                let code = match refusal {
                    Refusal::NoSuchJob => return Self::not_found("a job of this name was"),
                    Refusal::Ended(_) => "job_ended",
                    Refusal::Waits(_) => "job_waits",
                };
                Self::conflict(code, refusal.to_string())
            }
            Unchanged::Unread(error) => error.into(),
            Unchanged::Unwritten(error) => error.into(),
        }
    }
}
