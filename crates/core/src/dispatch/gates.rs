//! Gates of one destination: deliveries of a job that wait because another one is on the network.
//!
//! A gate exists only while it is taken; see [`crate::gate`] for what it is good for.

use std::collections::HashMap;

use super::Held;
use crate::delivery::Owed;
use crate::id::{DeliveryId, JobId};

#[derive(Debug, Default)]
pub(super) struct Gates {
    taken: HashMap<JobId, Taken>,
    /// Rows that wait at all gates.
    waiting: usize,
}

#[derive(Debug)]
struct Taken {
    /// Given out, and not settled.
    by: DeliveryId,
    /// What came to the front of its lane meanwhile.
    waiting: Vec<Owed>,
}

impl Gates {
    /// Rows that wait: they are in the store, and neither in their lanes nor given out.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn holds(&self, id: DeliveryId) -> bool {
        self.waiting > 0 && self.taken.values().any(|taken| has(taken, id).is_some())
    }

    /// Takes the row's gate and gives the row back; or keeps the row until the gate is free.
    pub(super) fn enter(&mut self, owed: Owed, held: &mut Held) -> Option<Owed> {
        let Some(gate) = owed.gate else { return Some(owed) };
        match self.taken.get_mut(&gate.job) {
            Some(taken) => {
                held.take_in(&owed);
                self.waiting += 1;
                taken.waiting.push(owed);
                None
            }
            None => {
                self.taken.insert(gate.job, Taken { by: owed.id, waiting: Vec::new() });
                Some(owed)
            }
        }
    }

    /// What was given out has landed: its gate is free, and who waited there goes back to its lane.
    pub(super) fn leave(&mut self, id: DeliveryId, job: JobId, held: &mut Held) -> Vec<Owed> {
        if self.taken.get(&job).is_none_or(|taken| taken.by != id) {
            return Vec::new();
        }
        let waiting = self.taken.remove(&job).map(|taken| taken.waiting).unwrap_or_default();
        self.let_go(&waiting, held);
        waiting
    }

    /// Forgets a row that left the queue, or its place in it.
    pub(super) fn remove(&mut self, id: DeliveryId, held: &mut Held) {
        if self.waiting == 0 {
            return;
        }
        let gone = self.taken.values_mut().find_map(|taken| {
            let place = has(taken, id)?;
            Some(taken.waiting.swap_remove(place))
        });
        self.let_go(gone.as_slice(), held);
    }

    /// Gives back the memory of those that wait: they can be read again.
    pub(super) fn release(&mut self, held: &mut Held) -> Vec<Owed> {
        let all: Vec<Owed> =
            self.taken.values_mut().flat_map(|taken| taken.waiting.drain(..)).collect();
        self.let_go(&all, held);
        all
    }

    fn let_go(&mut self, rows: &[Owed], held: &mut Held) {
        self.waiting -= rows.len();
        rows.iter().for_each(|owed| held.let_go(owed));
    }
}

fn has(taken: &Taken, id: DeliveryId) -> Option<usize> {
    taken.waiting.iter().position(|owed| owed.id == id)
}
