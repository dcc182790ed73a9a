//! Says what does not get through, when it begins and when it is over, and not for each of the groups.
//!
//! A connection that breaks once is made again and is no news. That Redis does not answer at all is said by
//! [`super::presence`].

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

/// What is done in each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Work {
    Write,
    Read,
    Take,
    Report,
    /// What is released comes to a worker.
    Arrive,
    /// A worker shows itself; in no group.
    Announce,
}

type Which = (Work, u8);

/// What is in trouble in one process.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles(Arc<Mutex<HashSet<Which>>>);

/// One work in one group.
#[derive(Debug)]
pub(super) struct Trouble {
    all: Troubles,
    which: Which,
    has_failed: bool,
}

impl Troubles {
    pub(super) fn of(&self, work: Work, group: u8) -> Trouble {
        Trouble { all: self.clone(), which: (work, group), has_failed: false }
    }
}

impl Trouble {
    /// It failed. The second time without a success between is trouble.
    pub(super) fn failed(&mut self, error: &dyn Display) {
        if std::mem::replace(&mut self.has_failed, true) {
            self.begins(error);
        }
    }

    pub(super) fn begins(&self, error: &dyn Display) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.insert(self.which) && all.len() == 1 {
            let (work, group) = self.which;
            tracing::warn!(?work, group, %error, "not everything gets through Redis");
        }
    }

    pub(super) fn works(&mut self) {
        self.has_failed = false;
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.remove(&self.which) && all.is_empty() {
            tracing::info!("everything gets through Redis again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_lasts_from_the_second_failure_in_one_group_to_the_last_success() {
        let all = Troubles::default();
        let is_there = || !all.0.lock().unwrap().is_empty();
        let (mut one, mut other) = (all.of(Work::Take, 0), all.of(Work::Report, 15));
        one.failed(&"no");
        one.works();
        one.failed(&"no");
        assert!(!is_there(), "a connection broke, and was made again");
        one.failed(&"no");
        other.failed(&"no");
        other.failed(&"no");
        one.works();
        assert!(is_there());
        other.works();
        assert!(!is_there());
    }
}
