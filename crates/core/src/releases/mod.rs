//! Releases: attempts that were handed to workers, and what has become of each.
//!
//! The owner of a shard *releases* a complete request. A worker says that it has *taken* it, sends it, and
//! *replies* with the outcome. What is between them may be emptied, stopped or gone at any moment, and a
//! worker may die, so nothing here trusts that a reply comes: a release that nobody has taken in time, or
//! whose worker is gone, is *lost*, and its delivery goes back to the dispatcher. A worker starts nothing
//! that has waited for longer than [`RELEASE_WAIT_MS`], so what was never taken was never sent.
//!
//! A reply that nobody waits for is kept for a while. The owner that released it may be gone, and the new
//! one is about to make the same attempt: it finds the reply, and the receiver is spared a duplicate.

use std::collections::HashMap;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::id::DeliveryId;
use crate::limits::{
    RELEASE_GRACE_MS, RELEASE_WAIT_MS, REPLIES_KEPT_MAX, REPLY_GRACE_MS, REPLY_KEPT_MS,
};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// One request of an attempt; the same for every release of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ticket {
    pub delivery: DeliveryId,
    /// From 1 on.
    pub attempt: u16,
    /// Of a hand-off, which makes several; from 0 on.
    pub call: u8,
}

/// A worker, as it calls itself: another one after each start.
pub type WorkerId = u64;

/// A worker that has been silent for so long is gone, milliseconds.
pub const WORKER_SILENT_MS: i64 = 3_000;
/// What lies between owner and workers, and has not answered for so long, is away: what nobody has taken
/// is lost.
pub const AWAY_MS: i64 = 1_500;
/// And after so long what was taken is, too: a restart takes less, and then the replies come.
const AWAY_TAKEN_MS: i64 = 4_000;

/// What is known of the workers, and of the way to them.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Those that have been heard of within [`WORKER_SILENT_MS`].
    pub workers: &'a [WorkerId],
    /// Since what lies between has answered last.
    pub silent_ms: i64,
}

impl View<'_> {
    fn is_away(&self) -> bool {
        self.silent_ms >= AWAY_MS
    }
}

/// What to do with a request that is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun<W, R> {
    /// Release it. Whoever waits hears by [`Releases::replied`], or is lost.
    Release,
    /// A worker has it already: the same, without another release.
    UnderWay,
    /// It was sent, and this is the reply.
    Replied(W, R),
}

/// All releases of one owner. `W` is whoever waits for a reply `R`.
#[derive(Debug)]
pub struct Releases<W, R> {
    entries: HashMap<Ticket, Entry<W, R>>,
    /// Entries that nobody waits for.
    unawaited: usize,
}

#[derive(Debug)]
struct Entry<W, R> {
    waiter: Option<Waiter<W>>,
    state: State<R>,
}

#[derive(Debug)]
struct Waiter<W> {
    who: W,
    /// How long a worker may take over it.
    timeout_ms: i64,
}

#[derive(Debug)]
enum State<R> {
    /// For a worker.
    Waiting {
        until: Timestamp,
    },
    Taken {
        worker: WorkerId,
        since: Timestamp,
        until: Timestamp,
    },
    /// And nobody waits for it.
    Replied {
        reply: R,
        until: Timestamp,
    },
}

impl<W, R> Default for Releases<W, R> {
    fn default() -> Self {
        Self { entries: HashMap::new(), unawaited: 0 }
    }
}

impl<W, R> Releases<W, R> {
    /// A request is to be sent, which may take a worker so long.
    pub fn begin(
        &mut self,
        ticket: Ticket,
        who: W,
        timeout_ms: i64,
        now: Timestamp,
    ) -> Begun<W, R> {
        let known = self.entries.remove(&ticket);
        self.unawaited -= usize::from(known.as_ref().is_some_and(|entry| entry.waiter.is_none()));
        let waiter = Some(Waiter { who, timeout_ms });
        let (begun, state) = match known.map(|entry| entry.state) {
            Some(State::Replied { reply, .. }) => {
                let who = waiter.map(|waiter| waiter.who).expect("it was made above");
                return Begun::Replied(who, reply);
            }
            Some(State::Taken { worker, since, .. }) => {
                let until = now + timeout_ms + REPLY_GRACE_MS;
                (Begun::UnderWay, State::Taken { worker, since, until })
            }
            Some(State::Waiting { .. }) | None => {
                let until = now + RELEASE_WAIT_MS + RELEASE_GRACE_MS;
                (Begun::Release, State::Waiting { until })
            }
        };
        self.entries.insert(ticket, Entry { waiter, state });
        begun
    }

    /// It could not be released. Whoever waits, if anyone does.
    pub fn withdraw(&mut self, ticket: Ticket) -> Option<W> {
        let entry = self.entries.remove(&ticket)?;
        self.unawaited -= usize::from(entry.waiter.is_none());
        entry.waiter.map(|waiter| waiter.who)
    }

    /// A worker has taken it.
    pub fn taken(&mut self, ticket: Ticket, worker: WorkerId, now: Timestamp) {
        let taken = |ms: i64| State::Taken { worker, since: now, until: now + ms };
        match self.entries.get_mut(&ticket) {
            Some(Entry { state: State::Replied { .. }, .. }) => {}
            Some(Entry { waiter, state }) => {
                let timeout_ms = waiter.as_ref().map(|waiter| waiter.timeout_ms);
                *state = taken(timeout_ms.map_or(REPLY_KEPT_MS, |ms| ms + REPLY_GRACE_MS));
            }
            None => self.keep(ticket, taken(REPLY_KEPT_MS)),
        }
    }

    /// A worker has replied. Whoever waits, if anyone does; else the reply is kept.
    pub fn replied(&mut self, ticket: Ticket, reply: R, now: Timestamp) -> Option<(W, R)> {
        match self.withdraw(ticket) {
            Some(who) => Some((who, reply)),
            None => {
                self.keep(ticket, State::Replied { reply, until: now + REPLY_KEPT_MS });
                None
            }
        }
    }

    fn keep(&mut self, ticket: Ticket, state: State<R>) {
        if self.unawaited < REPLIES_KEPT_MAX {
            self.unawaited += 1;
            self.entries.insert(ticket, Entry { waiter: None, state });
        }
    }

    /// Forgets what is old. Those whose release is lost.
    pub fn sweep(&mut self, now: Timestamp, view: View<'_>) -> Vec<W> {
        let gone = self.entries.extract_if(|_, entry| entry.state.is_over(now, view));
        let gone: Vec<_> = gone.map(|(_, entry)| entry.waiter).collect();
        self.unawaited -= gone.iter().filter(|waiter| waiter.is_none()).count();
        gone.into_iter().flatten().map(|waiter| waiter.who).collect()
    }

    /// Releases that somebody waits for.
    #[must_use]
    pub fn awaited(&self) -> usize {
        self.entries.len() - self.unawaited
    }
}

impl<R> State<R> {
    fn is_over(&self, now: Timestamp, view: View<'_>) -> bool {
        match *self {
            Self::Waiting { until } => now >= until || view.is_away(),
            Self::Taken { worker, since, until } => {
                // One that has just come may not have been heard of in another way.
                let is_gone = !view.is_away()
                    && now.since(since) >= WORKER_SILENT_MS
                    && !view.workers.contains(&worker);
                now >= until || is_gone || view.silent_ms >= AWAY_TAKEN_MS
            }
            Self::Replied { until, .. } => now >= until,
        }
    }
}
