//! The shards of this node: what comes of them going and coming. With one node it has all of them, and
//! nothing here ever happens.

use super::{Command, Dispatcher, FORGET_IDLE_MS, Flight};
use crate::delivery::Lane;
use crate::id::{DeliveryId, WebhookId};
use crate::shard::{self, ShardSet};
use crate::time::Timestamp;

/// Which shards are this node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards {
    /// Their rows are admitted; those of others are left in the store.
    pub held: ShardSet,
    /// In these of them, attempts start.
    pub open: ShardSet,
    /// There are other nodes, who commit rows as well. Those of ordered lanes are then read in their
    /// order from the store instead of being admitted as they come.
    pub is_shared: bool,
}

impl Default for Shards {
    fn default() -> Self {
        Self { held: ShardSet::ALL, open: ShardSet::ALL, is_shared: false }
    }
}

impl Dispatcher {
    /// Nothing starts from now on, or again: what is under way is not affected.
    pub fn suspend(&mut self, suspended: bool) {
        self.suspended = suspended;
    }

    pub(super) fn set_shards(&mut self, shards: Shards, now: Timestamp) {
        let gone = self.shards.held.without(&shards.held);
        let opened = shards.open.without(&self.shards.open);
        self.shards = shards;
        let of = |set: ShardSet, webhooks: &std::collections::HashMap<WebhookId, _>| {
            let of_set = webhooks.keys().filter(|id| set.has(shard::of(**id)));
            of_set.copied().collect::<Vec<_>>()
        };
        if !gone.is_empty() {
            for id in of(gone, &self.webhooks) {
                let Some(lanes) = self.webhooks.get_mut(&id) else { continue };
                lanes.forget(&mut self.held);
                if lanes.is_forgettable() {
                    self.wake_later(id, now + FORGET_IDLE_MS);
                }
            }
            let idle = gone.iter().filter(|&shard| self.busy[usize::from(shard)] == 0);
            self.outbox.extend(idle.map(|shard| Command::Drained { shard }));
        }
        if !opened.is_empty() {
            of(opened, &self.webhooks).into_iter().for_each(|id| self.ring_up(id));
        }
    }

    /// A delivery is no longer given out.
    pub(super) fn landed(&mut self, lane: Lane, id: DeliveryId) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        let shard = shard::of(lane.webhook);
        let busy = &mut self.busy[usize::from(shard)];
        *busy -= 1;
        if *busy == 0 && !self.shards.held.has(shard) {
            self.outbox.push_back(Command::Drained { shard });
        }
        Some(flight)
    }
}
