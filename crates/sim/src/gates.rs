//! The reference model of gates: what may be told of a job, and when.

use std::collections::HashMap;

use tidings_core::delivery::Owed;
use tidings_core::gate::Step;
use tidings_core::id::{DeliveryId, JobId, WebhookId};
use tidings_core::time::Timestamp;

/// A job and where it is told of.
type Key = (WebhookId, JobId);

#[derive(Debug, Default)]
struct Gate {
    /// The delivery on the network.
    running: Option<DeliveryId>,
    /// The end of the job is owed.
    ended: bool,
    /// The last progress that was attempted, and when.
    told: Option<(DeliveryId, Timestamp)>,
    /// That attempt is settled: the store knows of it.
    settled: bool,
    /// The last that supersedes progress.
    newest: Option<DeliveryId>,
}

/// All gates.
#[derive(Debug, Default)]
pub struct Gates {
    gates: HashMap<Key, Gate>,
    of: HashMap<DeliveryId, Key>,
}

fn key(owed: &Owed) -> Option<(Key, Step)> {
    owed.gate.map(|gate| ((owed.lane.webhook, gate.job), gate.step))
}

impl Gates {
    /// It is owed from now on.
    pub fn accepted(&mut self, owed: &Owed) {
        let Some((key, step)) = key(owed) else { return };
        self.of.insert(owed.id, key);
        let gate = self.gates.entry(key).or_default();
        gate.ended |= step == Step::End;
        if step != Step::Change {
            gate.newest = Some(owed.id);
        }
    }

    /// An attempt starts.
    pub fn started(&mut self, owed: &Owed, now: Timestamp) -> Result<(), String> {
        let Some((key, step)) = key(owed) else { return Ok(()) };
        let (id, gate) = (owed.id, self.gates.entry(key).or_default());
        if let Some(other) = gate.running.replace(id) {
            return Err(format!("{id} and {other} tell of one job at once"));
        }
        let Some(interval_ms) = step.interval_ms() else { return Ok(()) };
        if gate.ended {
            return Err(format!("{id} tells of progress after the end"));
        }
        if let Some((other, at)) = gate.told.filter(|(other, _)| *other != id)
            && now < at + i64::from(interval_ms)
        {
            return Err(format!("{id} comes {} ms after {other}", now.since(at)));
        }
        (gate.told, gate.settled) = (Some((id, now)), false);
        Ok(())
    }

    /// An attempt is over.
    pub fn finished(&mut self, id: DeliveryId) {
        if let Some(gate) = self.of.get(&id).and_then(|key| self.gates.get_mut(key))
            && gate.running == Some(id)
        {
            gate.running = None;
        }
    }

    /// What an attempt led to is committed.
    pub fn settled(&mut self, id: DeliveryId) {
        if let Some(gate) = self.of.get(&id).and_then(|key| self.gates.get_mut(key))
            && gate.told.is_some_and(|(told, _)| told == id)
        {
            gate.settled = true;
        }
    }

    /// Something took its place: there must be something newer.
    pub fn superseded(&self, id: DeliveryId) -> Result<(), String> {
        let gate = self.of.get(&id).and_then(|key| self.gates.get(key));
        match gate.and_then(|gate| gate.newest) {
            Some(newest) if newest > id => Ok(()),
            _ => Err(format!("{id} was superseded by nothing")),
        }
    }

    /// What is on the network is not heard of, and of what is not settled nobody knows that it was tried.
    pub fn crashed(&mut self) {
        for gate in self.gates.values_mut() {
            gate.running = None;
            gate.told = gate.told.filter(|_| gate.settled);
        }
    }
}
