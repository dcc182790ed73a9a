//! The HTTP API: one operation, one file.
//!
//! [`router`] shows every route on one screen. A handler checks the scope, reads its [`form`],
//! changes the store, and answers with an [`envelope`] or a [`problem`].

pub mod auth;
pub mod body;
pub mod deliveries;
pub mod envelope;
pub mod events;
pub mod executions;
pub mod form;
pub mod home;
pub mod html;
pub mod idempotency;
pub mod inbound;
pub mod jobs;
pub mod keys;
pub mod leads;
pub mod live;
pub mod no_fields;
pub mod nodes;
pub mod openapi;
pub mod ops;
pub mod outer;
pub mod page;
pub mod path;
pub mod problem;
pub mod profiles;
pub mod replays;
pub mod router;
pub mod stats;
mod task;
pub mod tenants;
pub mod webhook_delivery;
pub mod webhooks;
pub mod webhooks_keys;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tidings_core::id::IdSource;
use tidings_store::Store;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Settings;
use crate::engine::{EngineState, Inbox, Parts};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::replayer::Replayer;
use crate::seal::Sealer;
use crate::turns::Turns;

/// What handlers work with.
#[derive(Debug)]
pub struct App {
    pub settings: Settings,
    pub store: Store,
    pub registry: Arc<Registry>,
    pub keyring: Arc<auth::Keyring>,
    /// Writers of one webhook, job or execution take turns.
    pub turns: Turns,
    pub sealer: Sealer,
    pub ids: Arc<IdSource>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub inbox: Inbox,
    pub live: Arc<Live>,
    /// For test deliveries, which bypass the queue.
    pub parts: Arc<Parts>,
    pub engine: watch::Receiver<EngineState>,
    pub replayer: Replayer,
    /// True once the server has begun to stop: `/readyz` says so.
    pub stopping: watch::Receiver<bool>,
    /// Counts the requests: their ids.
    pub requests: AtomicU64,
}

impl App {
    #[must_use]
    pub fn new(
        settings: Settings,
        parts: &Arc<Parts>,
        engine: watch::Receiver<EngineState>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            settings,
            store: parts.store.clone(),
            registry: Arc::clone(&parts.registry),
            keyring: Arc::clone(&parts.keyring),
            turns: Turns::default(),
            sealer: parts.sealer.clone(),
            ids: Arc::clone(&parts.ids),
            clock: parts.clock.clone(),
            metrics: Arc::clone(&parts.metrics),
            inbox: parts.inbox.clone(),
            live: Arc::clone(&parts.live),
            parts: Arc::clone(parts),
            engine,
            replayer: Replayer::start(Arc::clone(parts), stopping.clone()),
            stopping,
            requests: AtomicU64::new(0),
        }
    }
}
