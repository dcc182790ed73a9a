//! Gates: deliveries of one job to one destination go one at a time, and of its progress only the
//! latest, at most once in an interval.
//!
//! A gate is named by the destination (the id of a lane: a webhook's, or that of an origin) and the job.
//! Three parts keep it, each with what it knows anyway:
//!
//! - the transaction that makes a delivery owed ends progress that it [supersedes](Step::supersedes)
//!   and is not delivered yet, and lets new progress wait for the interval's end, if there is one;
//! - the settlement of an attempt of progress writes the [interval's end](Gate::closed_until), and
//!   moves progress that has become owed meanwhile behind it; so a restart forgets nothing;
//! - the dispatcher gives out no delivery while another one of its gate is on the network.
//!
//! So the end of a job waits for one attempt at most, and nothing older comes after it.

use crate::id::JobId;
use crate::time::Timestamp;

/// What a delivery shares with the others of its job that go to the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    pub job: JobId,
    pub step: Step,
}

/// What it tells of the job, as far as others of its gate are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// How far it is: newer progress takes its place. With an interval of 0 none does, and each is
    /// delivered.
    Progress { interval_ms: u32 },
    /// A change that is told whatever comes after it.
    Change,
    /// Its end: after it no progress is told.
    End,
}

impl Step {
    /// Whether an `older` delivery of the same gate need not be made any more.
    #[must_use]
    pub const fn supersedes(self, older: Self) -> bool {
        match (self, older) {
            (Self::End, Self::Progress { .. }) => true,
            (Self::Progress { .. }, Self::Progress { interval_ms }) => interval_ms > 0,
            _ => false,
        }
    }

    /// The interval that progress keeps to; `None` for anything else. What the store writes down.
    #[must_use]
    pub const fn interval_ms(self) -> Option<u32> {
        match self {
            Self::Progress { interval_ms } => Some(interval_ms),
            Self::Change | Self::End => None,
        }
    }
}

impl Gate {
    /// As the store has it. That a delivery was the end of its job matters only while it becomes owed.
    #[must_use]
    pub const fn stored(job: JobId, interval_ms: Option<u32>) -> Self {
        let step = match interval_ms {
            Some(interval_ms) => Step::Progress { interval_ms },
            None => Step::Change,
        };
        Self { job, step }
    }

    /// Until when no further progress may be told, after an attempt that began at `started_at`.
    #[must_use]
    pub fn closed_until(self, started_at: Timestamp) -> Option<Timestamp> {
        let interval_ms = self.step.interval_ms().filter(|&ms| ms > 0)?;
        Some(started_at + i64::from(interval_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: Step = Step::Progress { interval_ms: 5_000 };
    const EACH: Step = Step::Progress { interval_ms: 0 };

    #[test]
    fn the_latest_progress_wins_and_the_end_over_all() {
        assert!(PROGRESS.supersedes(PROGRESS) && Step::End.supersedes(PROGRESS));
        assert!(!PROGRESS.supersedes(EACH) && !EACH.supersedes(EACH) && Step::End.supersedes(EACH));
        for told in [Step::Change, Step::End] {
            assert!(!PROGRESS.supersedes(told) && !Step::End.supersedes(told));
        }
        assert!(!Step::Change.supersedes(PROGRESS));
    }

    #[test]
    fn only_progress_closes_a_gate() {
        let (job, at) = (JobId::from_i64(1), Timestamp::from_millis(7));
        let closed = |step| Gate { job, step }.closed_until(at);
        assert_eq!(closed(PROGRESS), Some(at + 5_000));
        assert_eq!((closed(EACH), closed(Step::Change), closed(Step::End)), (None, None, None));
        for step in [PROGRESS, EACH, Step::Change] {
            assert_eq!(Gate::stored(job, step.interval_ms()), Gate { job, step });
        }
    }
}
