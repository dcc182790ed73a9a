//! Several nodes on one database: who owns what, and what the others have written.
//!
//! A node *exchanges* its heartbeat for the standing of all shards, *reads the journal* of what others
//! committed, and *hints* at what it has committed itself. The embedded store has one node, and none of
//! this.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tidings_core::delivery::Lane;
use tidings_core::id::{DeliveryId, EventId, TenantId};
use tidings_core::leases::{Exchange, Standing};
use tidings_core::shard::SHARDS;
use tidings_core::time::Timestamp;
use tokio::sync::Notify;

use crate::error::ReadError;
use crate::store::Store;

/// How a process joins the nodes of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// That of its data directory: nobody else has it.
    pub name: String,
    /// It owns shards; else it only serves the API.
    pub owns: bool,
}

impl From<&str> for Member {
    /// One that owns shards.
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), owns: true }
    }
}

/// What this node believes to own, as whoever writes needs it: a settlement is written only if the
/// database says the same.
#[derive(Debug)]
pub struct Tenure {
    /// By shard; 0 for one that is not held.
    epochs: [AtomicI64; SHARDS],
    is_shared: AtomicBool,
    /// There is something to hint at.
    wanted: Notify,
}

impl Default for Tenure {
    fn default() -> Self {
        Self {
            epochs: std::array::from_fn(|_| AtomicI64::new(0)),
            is_shared: false.into(),
            wanted: Notify::new(),
        }
    }
}

impl Tenure {
    /// The shard is held since this epoch; 0: no more.
    pub fn set(&self, shard: u8, epoch: i64) {
        self.epochs[usize::from(shard)].store(epoch, Ordering::Release);
    }

    /// The epoch since which a shard is held; 0 when it is not.
    #[must_use]
    pub fn epoch(&self, shard: u8) -> i64 {
        self.epochs[usize::from(shard)].load(Ordering::Acquire)
    }

    #[must_use]
    pub fn holds(&self, shard: u8) -> bool {
        self.epoch(shard) > 0
    }

    /// Whether this node does what one node does for all: maintenance, retention, deadlines, replays. It
    /// is the owner of the first shard; two would do no harm, but everything twice.
    #[must_use]
    pub fn keeps_house(&self) -> bool {
        self.holds(0)
    }

    /// There are other nodes, or there are none.
    pub fn share(&self, is_shared: bool) {
        self.is_shared.store(is_shared, Ordering::Release);
    }

    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Acquire)
    }

    /// Something was committed that others should look at soon.
    pub(crate) fn hint(&self) {
        self.wanted.notify_one();
    }

    pub(crate) async fn wants_hint(&self) {
        self.wanted.notified().await;
    }
}

/// How far a node has read the journal.
#[derive(Debug, Default)]
pub struct Mark {
    /// Every transaction before it has been seen; `None`: nothing has been read.
    pub(crate) from: Option<i64>,
    /// Seen from there on.
    pub(crate) seen: HashSet<i64>,
}

/// What other nodes have committed since a mark.
#[derive(Debug, Default)]
pub struct Journal {
    /// The version of the catalogue.
    pub catalogue: i64,
    pub news: Vec<News>,
}

/// One thing that another node committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Rows came into a lane, the first of them ready at `next`.
    Waiting { lane: Lane, next: Timestamp },
    /// A delivery ended without a settlement.
    Ended { lane: Lane, id: DeliveryId },
    /// An event was accepted.
    Accepted { tenant: TenantId, event: EventId },
    /// A source or a replay changed: there may be another deadline.
    Changed,
}

/// A node, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    pub id: u16,
    pub name: String,
    /// By the database's time.
    pub heartbeat: Timestamp,
    pub is_live: bool,
    pub shards: u32,
    /// It takes a share of the shards; else it only serves the API.
    pub owns: bool,
}

impl Store {
    /// This node's number, which is part of the ids that it makes; 0 with the embedded store.
    #[must_use]
    pub fn node(&self) -> u16 {
        self.side().map_or(0, |side| side.node())
    }

    /// What this node owns; `None` with the embedded store, whose one node owns everything for ever.
    #[must_use]
    pub fn tenure(&self) -> Option<Arc<Tenure>> {
        self.side().map(|side| side.tenure())
    }

    /// Renews the heartbeat, claims, gives back, and tells how everything stands, in one transaction.
    pub async fn exchange(&self, asked: &Exchange, lease_ms: i64) -> Result<Standing, ReadError> {
        match self.side() {
            Some(side) => side.exchange(asked, lease_ms).await,
            None => Err(ReadError::Closed),
        }
    }

    /// What others have committed since the mark, which moves on.
    pub async fn journal(&self, mark: &mut Mark) -> Result<Journal, ReadError> {
        match self.side() {
            Some(side) => side.journal(self, mark).await,
            None => Ok(Journal::default()),
        }
    }

    /// Forgets what every node has read by now: all that is older than `mark` was.
    pub async fn trim_journal(&self, mark: i64) -> Result<(), ReadError> {
        match self.side() {
            Some(side) => side.trim(self, mark).await,
            None => Ok(()),
        }
    }

    /// Returns when another node hints at something, at once if one has since the last call.
    pub async fn hinted(&self) {
        match self.side() {
            Some(side) => side.hinted().await,
            None => std::future::pending().await,
        }
    }

    /// Hints, after commits of this node that concern others, for as long as it is polled.
    pub async fn keep_hinting(&self) {
        match self.side() {
            Some(side) => side.keep_hinting().await,
            None => std::future::pending().await,
        }
    }

    /// Hints that shards are to be had, or that there is another node.
    pub async fn hint_leases(&self) {
        if let Some(side) = self.side() {
            side.hint_leases().await;
        }
    }

    /// Returns when a node has hinted so.
    pub async fn leases_hinted(&self) {
        match self.side() {
            Some(side) => side.leases_hinted().await,
            None => std::future::pending().await,
        }
    }

    /// Every node that there has been, for people; none with the embedded store.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, ReadError> {
        match self.side() {
            Some(side) => side.nodes(self).await,
            None => Ok(Vec::new()),
        }
    }
}

impl Mark {
    /// The transaction before which everything has been seen.
    #[must_use]
    pub fn from(&self) -> Option<i64> {
        self.from
    }
}
