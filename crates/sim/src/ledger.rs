//! The reference model: what was promised, kept outside, and what was seen of it.

use std::collections::{BTreeMap, HashMap};

use tidings_core::delivery::{Lane, Owed, Status};
use tidings_core::id::{DeliveryId, WebhookId};
use tidings_core::time::Timestamp;

/// What is known of one accepted delivery.
#[derive(Debug, Clone)]
pub struct Entry {
    pub lane: Lane,
    pub accepted_at: Timestamp,
    /// Place in its lane: what an ordered webhook keeps to.
    pub place: (Timestamp, DeliveryId),
    /// It is to be attempted from then on.
    pub due: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub attempts_started: u32,
    /// An attempt is on the network now.
    pub running: bool,
    /// The receiver has answered 2xx.
    pub received: bool,
    pub ended: Option<Status>,
    /// Something newer took its place.
    pub superseded: bool,
}

/// All accepted deliveries.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<DeliveryId, Entry>,
    /// Attempts on the network by webhook lane, for the limits.
    running: HashMap<i64, u32>,
    /// Attempts whose outcome a crash made unknown: each may be repeated once.
    pub unknown: u64,
}

impl Ledger {
    /// A publish was answered with success.
    pub fn accepted(&mut self, owed: &Owed, now: Timestamp) {
        let entry = Entry {
            lane: owed.lane,
            accepted_at: now,
            place: owed.key(),
            due: owed.not_before,
            expires_at: owed.expires_at,
            attempts_started: 0,
            running: false,
            received: false,
            ended: None,
            superseded: false,
        };
        self.entries.insert(owed.id, entry);
    }

    /// An attempt starts; `ordered` and `concurrency` are its webhook's.
    pub fn started(
        &mut self,
        id: DeliveryId,
        ordered: bool,
        concurrency: u32,
    ) -> Result<(), String> {
        let entry =
            self.entries.get(&id).ok_or(format!("{id} was attempted and never accepted"))?;
        if entry.running {
            return Err(format!("{id} has two attempts at once"));
        }
        if let Some(status) = entry.ended {
            return Err(format!("{id} was attempted after it ended as {}", status.as_str()));
        }
        if ordered {
            self.check_order(id)?;
        }
        let running = self.running.entry(entry.lane.webhook.as_i64()).or_default();
        *running += 1;
        if *running > concurrency {
            return Err(format!("{running} attempts at once, {concurrency} are allowed"));
        }
        let entry = self.entries.get_mut(&id).expect("just looked up");
        entry.running = true;
        entry.attempts_started += 1;
        Ok(())
    }

    /// In an ordered lane everything with an earlier place must have ended.
    fn check_order(&self, id: DeliveryId) -> Result<(), String> {
        let entry = &self.entries[&id];
        let earlier = self.entries.iter().find(|(_, other)| {
            other.lane == entry.lane && other.place < entry.place && other.ended.is_none()
        });
        match earlier {
            Some((other, _)) => Err(format!("{id} overtook {other} in an ordered lane")),
            None => Ok(()),
        }
    }

    /// An attempt is over.
    pub fn finished(&mut self, id: DeliveryId, success: bool) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.running
        {
            entry.running = false;
            entry.received |= success;
            *self.running.entry(entry.lane.webhook.as_i64()).or_default() -= 1;
        }
    }

    /// It is committed that a delivery has ended.
    pub fn ended(&mut self, id: DeliveryId, status: Status) -> Result<(), String> {
        let entry =
            self.entries.get_mut(&id).ok_or(format!("{id} ended and was never accepted"))?;
        if let Some(before) = entry.ended {
            return Err(format!("{id} ended as {} and as {}", before.as_str(), status.as_str()));
        }
        if status == Status::Success && !entry.received {
            return Err(format!("{id} ended as success and was never received"));
        }
        entry.ended = Some(status);
        Ok(())
    }

    /// Something newer took its place. What is on the network at that moment may still arrive.
    pub fn superseded(&mut self, id: DeliveryId) -> Result<(), String> {
        self.ended(id, Status::Cancelled)?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.superseded = true;
        }
        Ok(())
    }

    /// It has another place in its lane.
    pub fn moved(&mut self, owed: &Owed) {
        if let Some(entry) = self.entries.get_mut(&owed.id) {
            entry.place = owed.key();
        }
        self.due(owed);
    }

    /// It is still owed, and due at another time.
    pub fn due(&mut self, owed: &Owed) {
        if let Some(entry) = self.entries.get_mut(&owed.id) {
            entry.due = owed.not_before;
        }
    }

    /// Of each lane what is due next; of an ordered one, its head.
    pub fn due_by_lane(
        &self,
        is_ordered: impl Fn(WebhookId) -> bool,
    ) -> BTreeMap<Lane, (DeliveryId, Timestamp)> {
        let mut next = BTreeMap::new();
        for (&id, entry) in self.entries.iter().filter(|(_, entry)| entry.ended.is_none()) {
            let ordered = is_ordered(entry.lane.webhook);
            let turn = if ordered { entry.place } else { (entry.due, id) };
            let least = next.entry(entry.lane).or_insert((turn, id, entry.due));
            *least = (*least).min((turn, id, entry.due));
        }
        next.into_iter().map(|(lane, (_, id, due))| (lane, (id, due))).collect()
    }

    /// Whether an attempt of this lane is on the network.
    #[must_use]
    pub fn is_running(&self, lane: Lane) -> bool {
        self.entries.values().any(|entry| entry.running && entry.lane == lane)
    }

    /// The receiver's 2xx was settled after its webhook had gone, or something newer had its place: it
    /// counts.
    pub fn delivered_late(&mut self, id: DeliveryId) {
        if let Some(entry) = self.entries.get_mut(&id)
            && (entry.ended == Some(Status::Failed) || entry.superseded)
        {
            entry.ended = Some(Status::Success);
        }
    }

    /// A person sends it again: it is owed once more, behind everything else.
    pub fn sent_again(&mut self, id: DeliveryId, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&id) {
            (entry.ended, entry.due) = (None, now);
        }
    }

    /// A crash: what is on the network goes nowhere that we hear of.
    pub fn crashed(&mut self) {
        self.running.clear();
        for entry in self.entries.values_mut().filter(|entry| entry.running) {
            entry.running = false;
            // Whether it arrived is unknown; that it may have is all that matters here.
            entry.received = true;
            self.unknown += 1;
        }
    }

    /// A delivery that has ended in this way, if any.
    #[must_use]
    pub fn some_ended(&self, status: Status, nth: usize) -> Option<DeliveryId> {
        let mut of_status = self.entries.iter().filter(|(_, entry)| entry.ended == Some(status));
        of_status.nth(nth).map(|(id, _)| *id)
    }

    /// A delivery that is owed, if any.
    #[must_use]
    pub fn some_owed(&self, nth: usize) -> Option<DeliveryId> {
        self.entries.iter().filter(|(_, entry)| entry.ended.is_none()).nth(nth).map(|(id, _)| *id)
    }

    /// A delivery that is owed to one of these webhooks, if any.
    pub fn some_owed_to(&self, of: impl Fn(WebhookId) -> bool) -> Option<DeliveryId> {
        let mut owed = self.entries.iter().filter(|(_, entry)| entry.ended.is_none());
        owed.find(|(_, entry)| of(entry.lane.webhook)).map(|(id, _)| *id)
    }

    #[must_use]
    pub fn get(&self, id: DeliveryId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&DeliveryId, &Entry)> {
        self.entries.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
