//! What waits to be committed, shared between those who submit and the one thread that writes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_core::batch::{Batcher, Class, Weight};
use tidings_core::limits::FANOUT_SLICE;
use tidings_core::publication::Publication;
use tokio::sync::watch;

use crate::error::WriteError;
use crate::queue::Job;
use crate::store::Now;

pub(crate) struct Committer {
    state: Mutex<State>,
    wake: Condvar,
    pub(crate) now: Now,
    /// Why nothing more can be written, once that is so.
    lost: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct State {
    batcher: Batcher<Job>,
    /// The writer sleeps: only then does a submission have to wake it.
    writer_sleeps: bool,
    closing: bool,
}

impl Committer {
    pub(crate) fn new(now: Now) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), now, lost: watch::Sender::default() }
    }

    /// Nothing under this lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job, or answers why not.
    pub(crate) fn submit(&self, mut job: Job) {
        let (class, weight) = measure(&job);
        let now = (self.now)();
        let mut state = self.lock();
        if state.closing {
            drop(state);
            return job.refuse(WriteError::Closed);
        }
        if let Err((mut job, overloaded)) = state.batcher.push(class, weight, now, job) {
            drop(state);
            let retry_after_s = overloaded.retry_after_s;
            return job.refuse(WriteError::Overloaded { retry_after_s });
        }
        if std::mem::take(&mut state.writer_sleeps) {
            self.wake.notify_one();
        }
    }

    /// The next batch, at once when something waits, else after at most `patience`; and whether the
    /// store is closing.
    pub(crate) fn take(&self, patience: Duration) -> (Vec<Job>, bool) {
        let mut state = self.lock();
        if state.batcher.is_empty() && !state.closing && !patience.is_zero() {
            state.writer_sleeps = true;
            state = self
                .wake
                .wait_timeout_while(state, patience, |state| state.writer_sleeps && !state.closing)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.writer_sleeps = false;
        }
        (state.batcher.take(), state.closing)
    }

    /// Takes nothing more, and what waits is refused: the disk has lost what it was told to keep.
    pub(crate) fn lose(&self, text: String) {
        self.lost.send_replace(Some(text));
        self.abandon();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Waits until [`Self::lose`].
    pub(crate) fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.subscribe()
    }

    /// Takes nothing more; what waits is still committed.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_all();
    }

    /// The writer is gone: what waits is answered.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closing = true;
        let jobs = state.batcher.drain();
        drop(state);
        jobs.into_iter().for_each(|mut job| job.refuse(WriteError::Closed));
    }
}

/// A large fan-out takes its room slice by slice.
fn publication(publication: &Publication) -> Weight {
    Weight { rows: publication.rows().min(FANOUT_SLICE), bytes: publication.bytes() }
}

/// The class of a job and what it takes of a batch.
fn measure(job: &Job) -> (Class, Weight) {
    match job {
        Job::Publish { publication: it, .. } => (Class::Publication(it.tenant), publication(it)),
        Job::Settle(settlement) => {
            let attempt = settlement.attempt.as_ref();
            let bytes = attempt.map_or(0, |a| a.response_body.len() + a.response_headers.len());
            (Class::Settlement, Weight { rows: 2, bytes: 300 + bytes })
        }
        Job::Change { change, .. } => {
            let rows = 1 + change.statements.len() + change.owed.len();
            let mut weight = Weight { rows, bytes: 500 + 100 * change.owed.len() };
            for one in change.publications.iter().map(publication) {
                weight.rows += one.rows;
                weight.bytes += one.bytes;
            }
            (Class::Change, weight)
        }
        Job::Control { .. } => (Class::Change, Weight { rows: 3, bytes: 500 }),
        Job::Maintain { .. } => (Class::Maintenance, Weight { rows: 50, bytes: 0 }),
    }
}
