//! What happens next, and in which order.

use tidings_core::delivery::{Lane, Owed};
use tidings_core::dispatch::Finished;
use tidings_core::time::Timestamp;

/// What happens next.
#[derive(Debug)]
pub(super) enum Happening {
    Publish,
    AttemptDone(Box<Finished>),
    /// The oldest waiting write is committed.
    Commit,
    ReadPage {
        lane: Lane,
        limit: usize,
    },
    PageArrives {
        lane: Lane,
        rows: Vec<Owed>,
        all: bool,
    },
    /// A worker reports on the job at this place.
    Report(usize),
    /// A person does something.
    Person,
    Crash,
}

/// A happening at its moment; of two at one moment the earlier planned comes first.
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) sequence: u64,
    pub(super) what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}
