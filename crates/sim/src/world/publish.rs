//! Publications: events for whoever wants them.

use std::sync::Arc;

use bytes::Bytes;
use tidings_core::event::Event;
use tidings_core::publication::{PlannedEvent, Publication};
use tidings_core::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use tidings_store::catalogue::tenants::DEFAULT;

use super::agenda::Happening;
use super::{TROUBLED_MS, World, Write};
use crate::random::Random;

impl World {
    /// So that a lane has several pages, which are read while more comes in.
    pub(super) fn plan_floods(&mut self, random: &mut Random) {
        for _ in 0..random.between(1, 6) {
            let begins = self.now + random.between(0, TROUBLED_MS);
            for _ in 0..random.between(5, 20) {
                self.plan(begins + random.between(0, SECOND_MS), Happening::Publish);
            }
        }
    }

    pub(super) fn publish(&mut self) {
        for _ in 0..self.random.between(1, 6) {
            let key = self.random.once_in(2).then(|| format!("key-{}", self.random.between(1, 3)));
            let delay = if self.random.once_in(10) { self.random.between(0, HOUR_MS) } else { 0 };
            let expires = self.random.once_in(10).then(|| self.now + delay + 30 * MINUTE_MS);
            let event = Arc::new(Event {
                id: self.ids.next(self.now),
                tenant: DEFAULT,
                client_id: None,
                event_type: "sim.event".into(),
                timestamp: self.now,
                ordering_key: key.map(Into::into),
                deliver_at: (delay > 0).then(|| self.now + delay),
                expires_at: expires,
                data: Bytes::from_static(b"{\"a\":1}"),
            });
            let mut deliveries = self.index.plan(&event, &self.ids, self.now);
            deliveries.extend(self.owe_directly(&event));
            let planned = PlannedEvent { event, fingerprint: [0; 16], deliveries };
            let publication = Publication { tenant: DEFAULT, key: None, events: vec![planned] };
            self.write(Write::Publish(publication));
        }
    }
}
