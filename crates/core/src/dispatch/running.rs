//! A webhook's attempts on the network, and whether one of them has been there for long.

use std::collections::VecDeque;

use crate::id::DeliveryId;
use crate::limits::SLOW_ATTEMPT_MS;
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Running {
    /// With their starts, oldest first; ended ones leave when they are first.
    attempts: VecDeque<(DeliveryId, Timestamp, bool)>,
    count: u32,
}

impl Running {
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn started(&mut self, id: DeliveryId, now: Timestamp) {
        self.count += 1;
        self.attempts.push_back((id, now, true));
    }

    /// An attempt left the network.
    pub(super) fn ended(&mut self, id: DeliveryId) {
        self.count = self.count.saturating_sub(1);
        if let Some(entry) = self.attempts.iter_mut().find(|entry| entry.0 == id) {
            entry.2 = false;
        }
        self.forget_ended();
    }

    /// Whether an attempt has been on the network for long.
    pub(super) fn is_slow(&mut self, now: Timestamp) -> bool {
        self.forget_ended();
        self.attempts.front().is_some_and(|(_, since, _)| now.since(*since) > SLOW_ATTEMPT_MS)
    }

    fn forget_ended(&mut self) {
        while self.attempts.front().is_some_and(|(_, _, running)| !running) {
            self.attempts.pop_front();
        }
    }
}
