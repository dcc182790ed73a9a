//! Lateness: what is due is attempted soon, unless something holds its lane back.

use std::collections::HashMap;

use tidings_core::delivery::Lane;
use tidings_core::time::{MINUTE_MS, Timestamp};

use super::World;

/// A lane that is free may leave what is due alone for so long. The lanes of a webhook share what it
/// bears: before its breaker opens they may wait for some timeouts of 30 s, one after the other.
const LATE_MS: i64 = 5 * MINUTE_MS;
/// The world is looked at no more often: whatever is late stays so.
const LOOK_MS: i64 = MINUTE_MS;

/// Until when each lane was at work or held back, as far as was seen.
#[derive(Debug, Default)]
pub(super) struct Patience {
    looked_at: Timestamp,
    busy_until: HashMap<Lane, Timestamp>,
}

impl Patience {
    /// An attempt of this lane is over.
    pub(super) fn works(&mut self, lane: Lane, now: Timestamp) {
        self.busy_until.insert(lane, now);
    }
}

impl World {
    /// Nothing happens from now to `until`: may it be so?
    pub(super) fn check_lateness(&mut self, until: Timestamp) -> Result<(), String> {
        if until.since(self.patience.looked_at) < LOOK_MS {
            return Ok(());
        }
        self.patience.looked_at = until;
        let lanes = self.ledger.due_by_lane(|webhook| self.hooks[&webhook].settings.ordered);
        for (lane, (id, due)) in lanes {
            if let Some(held) = self.held_back(lane, until) {
                self.patience.works(lane, held);
                continue;
            }
            let busy_until = self.patience.busy_until.get(&lane).copied().unwrap_or_default();
            if until.since(due.max(busy_until)) > LATE_MS {
                return Err(format!("{id} was due at {due:?}, and at {until:?} waits for nothing"));
            }
        }
        Ok(())
    }

    /// Until when, up to `until`, the lane is at work or has a reason not to be.
    fn held_back(&self, lane: Lane, until: Timestamp) -> Option<Timestamp> {
        let hook = &self.hooks[&lane.webhook];
        if hook.gone || hook.settings.paused || self.ledger.is_running(lane) {
            return Some(until);
        }
        let health = self.dispatcher.health(lane.webhook)?;
        health.held_until(self.now).map(|held| held.min(until))
    }
}
