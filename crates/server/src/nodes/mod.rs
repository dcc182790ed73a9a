//! Several nodes on one database, seen from one of them.
//!
//! [`keep`] renews this node's lease and takes and gives back shards, as [`tidings_core::leases`] decides.
//! [`follow`] hears what other nodes have committed: rows for the lanes that are this node's, deliveries
//! that people ended, events for listeners. [`catalogue`] brings what is kept in memory up to what the
//! database has. [`days`] keeps the history in days. [`name`] is who this node is. With the embedded store
//! none of it runs: its one node owns every shard for ever.

pub mod catalogue;
pub mod days;
pub mod follow;
pub mod keep;
pub mod name;
mod takeover;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tidings_core::time::Timestamp;
use tidings_store::nodes::Tenure;
use tokio::sync::mpsc;

use crate::clock::Clock;

/// What the parts of a node need to know of its being one of several.
#[derive(Debug)]
pub struct Membership {
    /// Attempts may start before this moment of [`Clock::awake`].
    until: AtomicI64,
    tenure: Option<Arc<Tenure>>,
    /// Where shards are told of in which nothing is given out any more.
    drained: mpsc::UnboundedSender<u8>,
    /// Shards in which attempts start here, and nodes whose lease runs.
    shards: AtomicUsize,
    live: AtomicUsize,
}

impl Membership {
    /// Of a store's node; and the other end of what is drained.
    #[must_use]
    pub fn new(tenure: Option<Arc<Tenure>>) -> (Self, mpsc::UnboundedReceiver<u8>) {
        let (drained, told) = mpsc::unbounded_channel();
        // Alone it may start attempts for ever; among others, once the database has said so.
        let until = if tenure.is_some() { 0 } else { i64::MAX };
        let shards = if tenure.is_some() { 0 } else { tidings_core::shard::SHARDS };
        let membership =
            Self { until: until.into(), tenure, drained, shards: shards.into(), live: 1.into() };
        (membership, told)
    }

    /// Whether the lease is over: no attempt may start.
    #[must_use]
    pub fn is_over(&self, clock: &Clock) -> bool {
        let until = self.until.load(Ordering::Acquire);
        until != i64::MAX && clock.awake().as_millis() >= until
    }

    fn renew(&self, until: Timestamp) {
        self.until.store(until.as_millis(), Ordering::Release);
    }

    /// Whether this node does what is done once for all of them.
    #[must_use]
    pub fn keeps_house(&self) -> bool {
        self.tenure.as_ref().is_none_or(|tenure| tenure.keeps_house())
    }

    /// Nothing is given out any more in a shard that was taken away.
    pub fn drained(&self, shard: u8) {
        let _ = self.drained.send(shard);
    }

    fn note(&self, shards: usize, live: usize) {
        self.shards.store(shards, Ordering::Relaxed);
        self.live.store(live, Ordering::Relaxed);
    }

    /// Shards in which attempts start here, and nodes whose lease runs.
    #[must_use]
    pub fn figures(&self) -> (usize, usize) {
        (self.shards.load(Ordering::Relaxed), self.live.load(Ordering::Relaxed))
    }
}
