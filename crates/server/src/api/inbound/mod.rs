//! Webhooks that we receive: `POST /webhooks/{source}`, and what came.

mod clipping;
pub mod list;
pub mod receive;

use tidings_store::WriteError;

use super::problem::Problem;
use crate::sources::inbound::Untaken;

impl From<Untaken> for Problem {
    fn from(untaken: Untaken) -> Self {
        match untaken {
            Untaken::Unread(error) => error.into(),
            // Nothing that its sender could change: it may come again as it is.
            Untaken::Unwritten(WriteError::Conflict) => {
                Self::unavailable("job_moving", "its job is changing too fast", 1)
            }
            Untaken::Unwritten(error) => error.into(),
        }
    }
}
