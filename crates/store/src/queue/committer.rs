//! What waits to be committed, shared between those who submit and the one thread that writes.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_core::batch::{Batcher, Class, Weight};
use tidings_core::id::TenantId;
use tidings_core::limits::{COMMIT_QUEUE_MS_MAX, FANOUT_SLICE};
use tidings_core::publication::Publication;
use tidings_core::time::Timestamp;
use tokio::sync::watch;

use crate::error::WriteError;
use crate::queue::Job;
use crate::queue::batch::fanout::is_large;
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
    /// Large fan-outs that are being written: whose, and since when.
    fanouts: Vec<(TenantId, Timestamp)>,
    /// The writer sleeps: only then does a submission have to wake it.
    writer_sleeps: bool,
    closing: bool,
}

impl State {
    /// Whether it is another large fan-out of a tenant while an older one of its own still waits for slices.
    /// What fits into a batch does not wait for those.
    fn is_behind(&self, job: &Job, now: Timestamp) -> bool {
        let Job::Publish { publication, .. } = job else { return false };
        let is_late = |&(of, since): &(TenantId, Timestamp)| {
            of == publication.tenant && now.since(since) > COMMIT_QUEUE_MS_MAX
        };
        self.fanouts.iter().any(is_late) && is_large(publication)
    }
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
        if state.is_behind(&job, now) {
            drop(state);
            return job.refuse(WriteError::Overloaded { retry_after_s: 1 });
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

    /// What a large fan-out that was taken goes on to take of what may wait.
    pub(crate) fn keep(self: &Arc<Self>, publication: &Publication) -> Room {
        let (bytes, of) = (publication.bytes(), (publication.tenant, (self.now)()));
        let mut state = self.lock();
        state.batcher.keep(bytes);
        state.fanouts.push(of);
        Room { committer: Arc::clone(self), bytes, of }
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

/// Given back when it is dropped.
pub(crate) struct Room {
    committer: Arc<Committer>,
    bytes: usize,
    of: (TenantId, Timestamp),
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = self.committer.lock();
        state.batcher.release(self.bytes);
        let at = state.fanouts.iter().position(|of| *of == self.of);
        at.map(|at| state.fanouts.swap_remove(at));
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("bytes", &self.bytes).finish_non_exhaustive()
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
