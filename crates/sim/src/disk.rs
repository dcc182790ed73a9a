//! The real store, driven one step at a time, so that a seed decides when a crash comes.
//!
//! A write is committed when the world says so. What was not committed when the process crashed is
//! gone, what was is there after the restart: that is what a transaction means, and what the store's
//! own tests and the crash tests of the real process check. Here it is the ground that the rest
//! stands on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidings_core::settlement::Settlement;
use tidings_core::time::Timestamp;
use tidings_store::{Committed, Store};
use tokio::runtime::Runtime;

/// A commit that takes longer than this has stalled.
const STALLED: Duration = Duration::from_secs(10);

/// Where a store is kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// The embedded one, in this directory.
    Directory(PathBuf),
    /// In the PostgreSQL database with this URL.
    Database(String),
}

/// A store that stops at every step.
#[derive(Debug)]
pub struct Disk {
    place: Place,
    runtime: Runtime,
    clock: Arc<AtomicI64>,
    store: Store,
    told: Mutex<Receiver<Vec<Committed>>>,
}

impl Disk {
    /// Opens the store in its place.
    #[must_use]
    pub fn open(place: Place, now: Timestamp) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build()
            .expect("a runtime can be built");
        let clock = Arc::new(AtomicI64::new(now.as_millis()));
        let (store, told) = open(&place, &clock);
        Self { place, runtime, clock, store, told: Mutex::new(told) }
    }

    /// The process is gone and a new one opens what is on disk.
    pub fn crash(&mut self) {
        self.runtime.block_on(self.store.close());
        let (store, told) = open(&self.place, &self.clock);
        (self.store, self.told) = (store, Mutex::new(told));
    }

    pub fn set_time(&self, now: Timestamp) {
        self.clock.store(now.as_millis(), Ordering::Relaxed);
    }

    /// Runs one operation of the store to its end.
    pub fn run<T, F: Future<Output = T>>(&self, operation: impl FnOnce(Store) -> F) -> T {
        self.runtime.block_on(operation(self.store.clone()))
    }

    /// Commits a settlement; returns what the sink was told, up to what ends it.
    pub fn settle(&self, settlement: Box<Settlement>) -> Vec<Committed> {
        let id = settlement.owed.id;
        self.store.settle(settlement);
        self.told_until(|change| match change {
            Committed::Settled { id: settled, .. } | Committed::Late { id: settled, .. } => {
                *settled == id
            }
            Committed::Accepted(_)
            | Committed::Owed(_)
            | Committed::Moved(_)
            | Committed::Ended { .. }
            | Committed::Disabled { .. } => false,
        })
    }

    /// What the sink is told until it is told something for which `last` holds.
    pub fn told_until(&self, last: impl Fn(&Committed) -> bool) -> Vec<Committed> {
        let told = self.told.lock().expect("nobody panicked");
        let mut all = Vec::new();
        loop {
            all.extend(told.recv_timeout(STALLED).expect("the store tells of every commit"));
            if all.iter().any(&last) {
                return all;
            }
        }
    }

    /// What the sink is told next, by maintenance; `None` when nothing comes.
    pub fn told_more(&self) -> Option<Vec<Committed>> {
        self.told.lock().expect("nobody panicked").recv_timeout(STALLED).ok()
    }

    /// What else the sink was told meanwhile (maintenance).
    pub fn told_besides(&self) -> Vec<Committed> {
        self.told.lock().expect("nobody panicked").try_iter().flatten().collect()
    }
}

fn open(place: &Place, clock: &Arc<AtomicI64>) -> (Store, Receiver<Vec<Committed>>) {
    let (tell, told) = channel();
    let clock = Arc::clone(clock);
    let now = Arc::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)));
    let sink = Box::new(move |changes| drop(tell.send(changes)));
    let store = match place {
        Place::Directory(dir) => Store::open_sqlite(dir, now, sink),
        Place::Database(url) => Store::open_postgres(url, "sim", now, sink),
    };
    (store.expect("the store opens after every crash"), told)
}
