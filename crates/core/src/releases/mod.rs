//! Releases: attempts that were handed to workers, and what has become of each.
//!
//! The owner of a shard *releases* a complete request. A worker says that it has *taken* it, goes on saying
//! so for as long as it is at it, and *replies* with the outcome. What is between them may be emptied,
//! stopped or gone at any moment, what was said with it, and a worker may die. So nothing here trusts that
//! a reply comes: a release that nobody has taken in time, or of which nothing more is heard, is *lost*,
//! and its delivery goes back to the dispatcher. A worker starts nothing that has waited for longer than
//! [`RELEASE_WAIT_MS`], so what was never taken was never sent.
//!
//! A reply that nobody waits for is kept for a while. The owner that released it may be gone, and the new
//! one is about to make the same attempt: it finds the reply, and the receiver is spared a duplicate.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::id::DeliveryId;
use crate::limits::{
    RELEASE_BYTES_MAX, RELEASE_GRACE_MS, RELEASE_REST_MS, RELEASE_WAIT_MS, REPLIES_KEPT_MAX,
    REPLY_KEPT_MS, TAKEN_MS_MAX, WORKER_SILENT_MS,
};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// One request of an attempt; the same for every release of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ticket {
    pub delivery: DeliveryId,
    /// Its shard: whoever takes that over wants to know what became of this.
    pub shard: u8,
    /// From 1 on.
    pub attempt: u16,
    /// Of a hand-off, which makes several; from 0 on.
    pub call: u8,
}

/// What lies between owner and workers, and has not answered for so long, is away: what nobody has taken
/// is lost.
pub const AWAY_MS: i64 = 1_500;
/// And after so long what was taken is, too: a restart takes less, and then the words of workers come.
const AWAY_TAKEN_MS: i64 = 4_000;

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

/// The releases of one owner into one list. `W` is whoever waits for a reply `R`.
#[derive(Debug)]
pub struct Releases<W, R> {
    entries: HashMap<Ticket, Entry<W, R>>,
    /// Entries that nobody waits for.
    unawaited: usize,
    /// Of the requests that wait for a worker.
    waiting_bytes: usize,
    /// When a worker said something last.
    heard_at: Timestamp,
    /// When a release was lost last.
    lost_at: Timestamp,
    /// Nobody takes what is released; until then nothing is.
    rests_until: Timestamp,
}

#[derive(Debug)]
struct Entry<W, R> {
    waiter: Option<W>,
    state: State<R>,
}

#[derive(Debug)]
enum State<R> {
    /// For a worker.
    Waiting { since: Timestamp, bytes: usize },
    /// Until more is to be heard.
    Taken { since: Timestamp, until: Timestamp },
    /// And nobody waits for it.
    Replied { reply: R, until: Timestamp },
}

impl<W, R> Default for Releases<W, R> {
    fn default() -> Self {
        let never = Timestamp::default();
        Self {
            entries: HashMap::new(),
            unawaited: 0,
            waiting_bytes: 0,
            heard_at: never,
            lost_at: never,
            rests_until: never,
        }
    }
}

impl<W, R> Releases<W, R> {
    /// Whether a request of so many bytes may be released now: more would lie there than can be written,
    /// and taken, in time. The first has room, however large; and no other until a worker has said something,
    /// when one was lost: else all would wait for nothing once more.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let is_in_doubt = self.heard_at < self.lost_at;
        self.waiting_bytes == 0 || !is_in_doubt && self.waiting_bytes + bytes <= RELEASE_BYTES_MAX
    }

    /// A request of so many bytes is to be sent.
    pub fn begin(&mut self, ticket: Ticket, bytes: usize, who: W, now: Timestamp) -> Begun<W, R> {
        let (begun, state) = match self.remove(ticket).map(|entry| entry.state) {
            Some(State::Replied { reply, .. }) => return Begun::Replied(who, reply),
            Some(taken @ State::Taken { .. }) => (Begun::UnderWay, taken),
            Some(State::Waiting { .. }) | None => {
                (Begun::Release, State::Waiting { since: now, bytes })
            }
        };
        self.insert(ticket, Entry { waiter: Some(who), state });
        begun
    }

    /// It could not be released. Whoever waits, if anyone does.
    pub fn withdraw(&mut self, ticket: Ticket) -> Option<W> {
        self.remove(ticket)?.waiter
    }

    /// A worker has taken it, or is at it still.
    pub fn taken(&mut self, ticket: Ticket, now: Timestamp) {
        self.heard_at = now;
        let taken = |since| {
            let until = (now + WORKER_SILENT_MS).min(since + TAKEN_MS_MAX);
            State::Taken { since, until }
        };
        match self.remove(ticket) {
            Some(Entry { waiter, state }) => {
                let state = match state {
                    replied @ State::Replied { .. } => replied,
                    State::Taken { since, .. } => taken(since),
                    State::Waiting { .. } => taken(now),
                };
                self.insert(ticket, Entry { waiter, state });
            }
            None => self.keep(ticket, taken(now)),
        }
    }

    /// A worker has replied. Whoever waits, if anyone does; else the reply is kept.
    pub fn replied(&mut self, ticket: Ticket, reply: R, now: Timestamp) -> Option<(W, R)> {
        self.heard_at = now;
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
            self.insert(ticket, Entry { waiter: None, state });
        }
    }

    fn insert(&mut self, ticket: Ticket, entry: Entry<W, R>) {
        self.unawaited += usize::from(entry.waiter.is_none());
        self.waiting_bytes += entry.state.waiting_bytes();
        self.entries.insert(ticket, entry);
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Entry<W, R>> {
        let entry = self.entries.remove(&ticket)?;
        self.forget(&entry);
        Some(entry)
    }

    fn forget(&mut self, entry: &Entry<W, R>) {
        self.unawaited -= usize::from(entry.waiter.is_none());
        self.waiting_bytes -= entry.state.waiting_bytes();
    }

    /// Forgets what is old, when what lies between has answered last so long ago. Those whose release is
    /// lost.
    pub fn sweep(&mut self, now: Timestamp, silent_ms: i64) -> Vec<W> {
        let gone = self.entries.extract_if(|_, entry| entry.state.is_over(now, silent_ms));
        let gone: Vec<_> = gone.map(|(_, entry)| entry).collect();
        gone.iter().for_each(|entry| self.forget(entry));
        let is_ignored = |entry: &Entry<W, R>| match entry.state {
            State::Waiting { since, .. } => self.heard_at < since,
            _ => false,
        };
        if silent_ms < AWAY_MS && gone.iter().any(is_ignored) {
            self.rests_until = now + RELEASE_REST_MS;
        }
        let lost: Vec<_> = gone.into_iter().filter_map(|entry| entry.waiter).collect();
        if !lost.is_empty() {
            self.lost_at = now;
        }
        lost
    }

    /// Something was released, and no worker has taken that or anything since: they cannot, or somebody
    /// else takes it away. It is tried again later.
    #[must_use]
    pub fn rests(&self, now: Timestamp) -> bool {
        now < self.rests_until
    }

    /// Whether there is a reply that nobody has waited for yet, or will be one.
    #[must_use]
    pub fn knows(&self, ticket: Ticket) -> bool {
        let is_more = |entry: &Entry<W, R>| !matches!(entry.state, State::Waiting { .. });
        self.entries.get(&ticket).is_some_and(is_more)
    }

    /// Releases that somebody waits for.
    #[must_use]
    pub fn awaited(&self) -> usize {
        self.entries.len() - self.unawaited
    }
}

impl<R> State<R> {
    const fn waiting_bytes(&self) -> usize {
        match self {
            Self::Waiting { bytes, .. } => *bytes,
            _ => 0,
        }
    }

    fn is_over(&mut self, now: Timestamp, silent_ms: i64) -> bool {
        let is_away = silent_ms >= AWAY_MS;
        match self {
            Self::Waiting { since, .. } => {
                is_away || now.since(*since) >= RELEASE_WAIT_MS + RELEASE_GRACE_MS
            }
            Self::Taken { until, .. } if is_away => {
                // No word can come. When one can again, it has a moment.
                *until = (*until).max(now + AWAY_MS);
                silent_ms >= AWAY_TAKEN_MS
            }
            Self::Taken { until, .. } | Self::Replied { until, .. } => now >= *until,
        }
    }
}
