//! Jobs: submit, report, cancel, read.

pub mod cancel;
pub mod clips;
pub mod create;
pub(super) mod fields;
pub mod get;
pub mod list;
pub mod report;
pub mod view;

use tidings_core::jobs::Refusal;

use super::problem::Problem;
use crate::sources::Unchanged;

impl From<Unchanged<Refusal>> for Problem {
    fn from(unchanged: Unchanged<Refusal>) -> Self {
        match unchanged {
            Unchanged::NotFound => Self::not_found("the job was"),
            Unchanged::Refused(refusal) => {
                let code = match refusal {
                    Refusal::Ended(_) => "job_ended",
                    Refusal::Backwards { .. } => "illegal_transition",
                };
                Self::conflict(code, refusal.to_string())
            }
            Unchanged::Unread(error) => error.into(),
            Unchanged::Unwritten(error) => error.into(),
        }
    }
}
