//! Sending spread over workers through Redis: a second sender, and nothing else.
//!
//! The owner of a shard [releases](release) a complete request into the list of its group. A [worker](work)
//! takes it, sends it, and replies in the group's stream; the owner settles it as its own. What lies in
//! Redis is [sealed](parcel), and nothing of it is needed: emptied, killed, failed over or away, what was
//! released goes back to the dispatcher, as [`tidings_core::releases`] decides, and the owner sends by
//! itself. [`presence`] knows which workers there are.
//!
//! Requests are in lists and not in streams, for whoever pops has it and nobody else, memory is free at
//! once, and there is no group of consumers that a restart would lose. Replies are in streams, since a new
//! owner reads those to the former one.

mod abroad;
mod heir;
mod line;
mod parcel;
mod place;
mod presence;
mod release;
mod reply;
mod report;
mod trouble;
mod work;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tidings_core::id::WebhookId;
use tidings_core::limits::WORKER_CAPACITY;
use tidings_core::releases::AWAY_MS;
use tidings_core::shard;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::{self, Clock};
use crate::engine::Inbox;
use line::Line;
use parcel::Postbox;
use presence::{Announced, Presence, Sight};
use release::Around;
use trouble::{Troubles, Work};
use work::WorkerId;

pub use parcel::{Reply, Stub};
pub use place::Redis;
pub use release::{Lost, Order, Spread};
pub(crate) use work::Means;
pub use work::Worker;

/// Lists and streams, each on one node of a Redis cluster. Enough to spread over a large one.
pub const GROUPS: u8 = 16;

/// A connection is there, or a command answered, within this time, or Redis has trouble.
const PATIENCE: Duration = Duration::from_secs(1);
/// After whatever failed, so that no loop is busy with a Redis that refuses at once.
const AGAIN: Duration = Duration::from_millis(300);
/// What waits for something to come asks again after so long, so that it notices a stop.
const LOOK_S: u64 = 1;
/// Lists and streams that nobody writes to are gone after so long.
const FORGOTTEN_S: u64 = 300;

/// The group of a webhook, or of the lane of an origin.
#[must_use]
pub fn group(webhook: WebhookId) -> u8 {
    shard::of(webhook) % GROUPS
}

/// A process at Redis: a worker, and an owner if it has a store.
#[derive(Debug)]
pub struct Ends {
    pub owner: Option<Arc<Spread>>,
    /// Until it has stopped.
    worker: Option<Worker>,
    presence: JoinHandle<()>,
    ready: Ready,
}

/// Whether Redis answers.
#[derive(Debug, Clone)]
pub struct Ready {
    sight: watch::Receiver<Sight>,
    clock: Clock,
}

impl Ready {
    #[must_use]
    pub fn answers(&self) -> bool {
        self.sight.borrow().silent_ms(self.clock.now()) < AWAY_MS
    }
}

impl Ends {
    /// Begins to take requests, and to release those of the engine with this inbox.
    pub(crate) async fn open(
        redis: Redis,
        secret_key: [u8; 32],
        means: Means,
        engine: Option<Inbox>,
    ) -> Self {
        let postbox = Postbox::new(secret_key);
        let clock = means.clock.clone();
        let (shown, announced) = watch::channel(None);
        let (troubles, line) = (Troubles::default(), Line::default());
        let trouble = troubles.of(Work::Announce, 0);
        let (presence, mut sight) =
            Presence::new(redis.clone(), &postbox, clock.clone(), announced, trouble);
        let presence = tokio::spawn(presence.run());
        // Before it a worker would not know what has waited for too long.
        let _ = tokio::time::timeout(2 * PATIENCE, sight.changed()).await;
        let id = WorkerId::from_le_bytes(clock::random());
        let at = At { redis, postbox, sight: sight.clone(), troubles, line };
        let metrics = Arc::clone(&means.metrics);
        let owner = engine.map(|inbox| {
            Spread::start(at.clone(), id, Around { clock: clock.clone(), metrics, inbox })
        });
        let announced = Announced { worker: id, capacity: WORKER_CAPACITY };
        let worker = Some(Worker::start(at, announced, shown, means));
        Self { owner, worker, presence, ready: Ready { sight, clock } }
    }

    #[must_use]
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// Takes nothing more, and finishes what it has taken within the deadline.
    pub async fn stop_taking(&mut self, deadline: Duration) {
        if let Some(worker) = self.worker.take() {
            worker.stop(deadline).await;
        }
    }

    /// From now on nothing is released or heard any more.
    pub async fn close(self) {
        if let Some(owner) = self.owner {
            owner.stop().await;
        }
        self.presence.abort();
    }
}

/// A place at Redis.
#[derive(Debug, Clone)]
struct At {
    redis: Redis,
    postbox: Postbox,
    sight: watch::Receiver<Sight>,
    troubles: Troubles,
    line: Line,
}
