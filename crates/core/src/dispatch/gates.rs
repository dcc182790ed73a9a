//! Gates of one destination: deliveries of a job that wait because another one is on the network, or
//! because an interval is not over.
//!
//! The store keeps intervals; see [`crate::gate`]. Here one is kept as well, among nodes: progress that is
//! in memory may have been superseded through another node, and the store moves only what it has.

use std::collections::{BTreeSet, HashMap};

use super::Held;
use crate::delivery::Owed;
use crate::id::{DeliveryId, JobId};
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Gates {
    closed: HashMap<JobId, Closed>,
    /// When those open by themselves that nobody holds. Every turn asks, and among nodes there is one for
    /// each job that was told of within its interval.
    opening: BTreeSet<(Timestamp, JobId)>,
    /// Rows that wait at all gates, and at which.
    waiting: HashMap<DeliveryId, JobId>,
}

#[derive(Debug)]
struct Closed {
    /// Given out, and not settled.
    by: Option<DeliveryId>,
    /// For progress.
    until: Timestamp,
    /// What came to the front of its lane meanwhile.
    waiting: Vec<Owed>,
}

impl Closed {
    fn lets_through(&self, owed: &Owed, now: Timestamp) -> bool {
        self.by.is_none() && (self.until <= now || !is_spaced(owed))
    }
}

impl Gates {
    /// Rows that wait: they are in the store, and neither in their lanes nor given out.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn holds(&self, id: DeliveryId) -> bool {
        self.waiting.contains_key(&id)
    }

    /// Takes the row's gate and gives the row back; or keeps the row until the gate is open.
    pub(super) fn enter(&mut self, owed: Owed, now: Timestamp, held: &mut Held) -> Option<Owed> {
        let Some(gate) = owed.gate else { return Some(owed) };
        let closed = self.closed.entry(gate.job).or_insert_with(|| Closed {
            by: None,
            until: Timestamp::default(),
            waiting: Vec::new(),
        });
        if !closed.lets_through(&owed, now) {
            held.take_in(&owed);
            self.waiting.insert(owed.id, gate.job);
            closed.waiting.push(owed);
            return None;
        }
        if closed.by.replace(owed.id).is_none() {
            self.opening.remove(&(closed.until, gate.job));
        }
        if let Some(until) = gate.closed_until(now) {
            closed.until = until;
        }
        Some(owed)
    }

    /// What was given out has landed; those that its gate lets through now go back to their lanes. With
    /// `keeps_intervals` progress waits for the end of one.
    pub(super) fn leave(
        &mut self,
        id: DeliveryId,
        job: JobId,
        (now, keeps_intervals): (Timestamp, bool),
        held: &mut Held,
    ) -> Vec<Owed> {
        let Some(closed) = self.closed.get_mut(&job).filter(|closed| closed.by == Some(id)) else {
            return Vec::new();
        };
        closed.by = None;
        if !keeps_intervals {
            closed.until = Timestamp::default();
        }
        let (through, stay) = std::mem::take(&mut closed.waiting)
            .into_iter()
            .partition(|owed| closed.lets_through(owed, now));
        closed.waiting = stay;
        if closed.until <= now {
            self.closed.remove(&job);
        } else {
            self.opening.insert((closed.until, job));
        }
        self.let_go(&through, held);
        through
    }

    /// Intervals are over: who waited for them goes back to the lanes.
    pub(super) fn open(&mut self, now: Timestamp, held: &mut Held) -> Vec<Owed> {
        let mut through = Vec::new();
        while let Some(&(until, job)) = self.opening.first().filter(|(until, _)| *until <= now) {
            self.opening.remove(&(until, job));
            through.extend(self.closed.remove(&job).into_iter().flat_map(|closed| closed.waiting));
        }
        self.let_go(&through, held);
        through
    }

    /// When to look for those that wait for the end of an interval, if there may be some. For a gate where
    /// nobody waits this is once too often.
    pub(super) fn opens_at(&self) -> Option<Timestamp> {
        let first = self.opening.first().map(|(until, _)| *until);
        first.filter(|_| !self.waiting.is_empty())
    }

    /// Forgets a row that left the queue, or its place in it.
    pub(super) fn remove(&mut self, id: DeliveryId, held: &mut Held) {
        let Some(job) = self.waiting.get(&id) else { return };
        let gone = self.closed.get_mut(job).and_then(|closed| {
            let place = closed.waiting.iter().position(|owed| owed.id == id)?;
            Some(closed.waiting.swap_remove(place))
        });
        self.let_go(gone.as_slice(), held);
    }

    /// Gives back the memory of those that wait: they can be read again.
    pub(super) fn release(&mut self, held: &mut Held) -> Vec<Owed> {
        let all: Vec<Owed> =
            self.closed.values_mut().flat_map(|closed| closed.waiting.drain(..)).collect();
        self.let_go(&all, held);
        all
    }

    fn let_go(&mut self, rows: &[Owed], held: &mut Held) {
        for owed in rows {
            self.waiting.remove(&owed.id);
            held.let_go(owed);
        }
    }
}

/// Whether an interval lies between it and others of its gate.
fn is_spaced(owed: &Owed) -> bool {
    owed.gate.is_some_and(|gate| gate.step.interval_ms().is_some_and(|ms| ms > 0))
}
