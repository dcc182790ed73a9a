//! A webhook's attempts on the network, and whether one of them has been there for long.

use std::collections::VecDeque;

use crate::id::DeliveryId;
use crate::limits::SLOW_ATTEMPT_MS;
use crate::time::Timestamp;

/// With their starts, oldest first: as many as the webhook's concurrency at most.
#[derive(Debug, Default)]
pub(super) struct InFlight(VecDeque<(DeliveryId, Timestamp)>);

impl InFlight {
    pub(super) fn count(&self) -> u32 {
        self.0.len() as u32
    }

    pub(super) fn started(&mut self, id: DeliveryId, now: Timestamp) {
        self.0.push_back((id, now));
    }

    /// An attempt left the network, which began then.
    pub(super) fn ended(&mut self, id: DeliveryId) -> Option<Timestamp> {
        let place = self.0.iter().position(|(other, _)| *other == id)?;
        self.0.remove(place).map(|(_, began)| began)
    }

    /// Whether an attempt has been on the network for long.
    pub(super) fn is_slow(&self, now: Timestamp) -> bool {
        self.0.front().is_some_and(|(_, began)| now.since(*began) > SLOW_ATTEMPT_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_forgotten_beside_one_that_hangs() {
        let mut attempts = InFlight::default();
        let at = Timestamp::from_millis;
        attempts.started(DeliveryId::from_i64(0), at(0));
        for id in 1..1_000 {
            attempts.started(DeliveryId::from_i64(id), at(id));
            assert_eq!(attempts.ended(DeliveryId::from_i64(id)), Some(at(id)));
        }
        assert_eq!((attempts.count(), attempts.0.len()), (1, 1));
        assert!(attempts.is_slow(at(SLOW_ATTEMPT_MS + 1)));
    }
}
