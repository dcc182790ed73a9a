//! Idle connections, by destination.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

/// A connection is used again within this time; receivers commonly close after a minute or so.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// And not after this, so that the name is looked up, and the address judged, anew.
const AGE_MAX: Duration = Duration::from_secs(60);
const SWEEP_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Pool {
    idle: Mutex<Idle>,
    per_destination: usize,
    total: usize,
    sweeping: AtomicBool,
}

#[derive(Default)]
struct Idle {
    /// By origin. The last one in is the first one out, so that what is not needed grows old.
    by_origin: HashMap<Box<str>, Vec<Entry>>,
    count: usize,
}

struct Entry {
    connection: Box<Connection>,
    since: Instant,
}

impl Entry {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < IDLE_MAX
            && now.saturating_duration_since(self.connection.opened) < AGE_MAX
    }
}

impl Pool {
    pub(super) fn new(per_destination: usize, total: usize) -> Self {
        Self { idle: Mutex::default(), per_destination, total, sweeping: AtomicBool::new(false) }
    }

    /// A connection that can take a request. The lock is held for the pop alone.
    pub(super) fn take(&self, origin: &str, now: Instant) -> Option<Box<Connection>> {
        loop {
            let mut entry = self.pop(origin)?;
            if entry.is_fresh(now) && entry.connection.is_ready() {
                return Some(entry.connection);
            }
        }
    }

    fn pop(&self, origin: &str) -> Option<Entry> {
        let mut idle = self.lock();
        let entry = idle.by_origin.get_mut(origin)?.pop()?;
        idle.count -= 1;
        Some(entry)
    }

    /// Keeps a connection whose answer has ended, if it can be used again and there is room.
    pub(super) fn put(self: &Arc<Self>, origin: &str, mut connection: Box<Connection>) {
        if !connection.is_ready() {
            return;
        }
        connection.rest();
        let entry = Entry { connection, since: Instant::now() };
        let refused = self.push(origin, entry);
        drop(refused); // Closed after the lock is free.
        if !self.sweeping.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweep_now_and_then(Arc::downgrade(self)));
        }
    }

    fn push(&self, origin: &str, entry: Entry) -> Option<Entry> {
        let mut idle = self.lock();
        if idle.count >= self.total {
            return Some(entry);
        }
        match idle.by_origin.get_mut(origin) {
            Some(entries) if entries.len() < self.per_destination => entries.push(entry),
            Some(_) => return Some(entry),
            None if self.per_destination == 0 => return Some(entry),
            None => drop(idle.by_origin.insert(origin.into(), vec![entry])),
        }
        idle.count += 1;
        None
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        let all = mem::take(&mut *self.lock());
        drop(all);
    }

    /// How many there are.
    pub(super) fn idle(&self) -> usize {
        self.lock().count
    }

    /// Closes what has grown old, and forgets destinations that have nothing left.
    fn sweep(&self, now: Instant) {
        let mut old = Vec::new();
        let mut idle = self.lock();
        idle.by_origin.retain(|_, entries| {
            let (fresh, rest) =
                mem::take(entries).into_iter().partition(|entry: &Entry| entry.is_fresh(now));
            *entries = fresh;
            old.extend::<Vec<_>>(rest);
            !entries.is_empty()
        });
        idle.count -= old.len();
        drop(idle);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing in a critical section leaves the map half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lives as long as the pool.
async fn sweep_now_and_then(pool: std::sync::Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        match pool.upgrade() {
            Some(pool) => pool.sweep(Instant::now()),
            None => return,
        }
    }
}
