//! Live streams: events as they are committed, for whoever listens now.
//!
//! The committer tells what it committed and goes on; one task puts it into the [`History`] of its
//! tenant and wakes the listeners, who read there each at its own pace. So a listener can hold up
//! nobody, and with none there is nothing to do.

mod listener;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tidings_core::event::Event;
use tidings_core::id::{EventId, TenantId};
use tidings_core::limits::{
    LISTENERS_ALL_MAX, LISTENERS_MAX, LIVE_BYTES_ALL_MAX, LIVE_BYTES_MAX, LIVE_EVENTS_MAX,
};
use tidings_core::live::{History, Resumed};
use tidings_store::history::events::EventFilter;
use tidings_store::{Committed, ReadError, Store};
use tokio::sync::{mpsc, watch};

pub use listener::{End, Heard, Listener};

/// Told batches taken at once: a burst wakes the listeners once.
const BATCHES_AT_ONCE: usize = 256;
/// A history without listeners is forgotten after one to two of these. Until then whoever comes back
/// goes on exactly where it was.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Events read from the store at once: with the largest data there are, some 50 MiB.
const PAGE: u32 = 50;

/// See the module's documentation.
#[derive(Debug)]
pub struct Live {
    feeds: RwLock<HashMap<TenantId, Arc<Feed>>>,
    /// Whether there is any feed: all that is looked at while nobody listens.
    is_on: AtomicBool,
    told: mpsc::UnboundedSender<Vec<Arc<Event>>>,
    listeners: watch::Sender<usize>,
    /// What all histories take, bytes.
    bytes: AtomicUsize,
}

/// What waits for [`Live::run`].
pub type Told = mpsc::UnboundedReceiver<Vec<Arc<Event>>>;

/// The events of one tenant.
#[derive(Debug)]
struct Feed {
    history: Mutex<History>,
    /// Changes when there is something new.
    moved: watch::Sender<()>,
    listeners: AtomicUsize,
    /// Nobody listened at the last sweep.
    was_quiet: AtomicBool,
    /// One at a time reads the store.
    priming: tokio::sync::Mutex<()>,
}

/// Why a listener was not taken.
#[derive(Debug)]
pub enum Refused {
    /// The tenant, or everyone together, listens often enough.
    TooMany,
    /// Its key has just been revoked.
    Revoked,
    Store(ReadError),
}

impl Live {
    #[must_use]
    pub fn new() -> (Arc<Self>, Told) {
        let (tell, told) = mpsc::unbounded_channel();
        let live = Self {
            feeds: RwLock::default(),
            is_on: AtomicBool::new(false),
            told: tell,
            listeners: watch::Sender::new(0),
            bytes: AtomicUsize::new(0),
        };
        (Arc::new(live), told)
    }

    /// Tells what was committed, in commit order. Never blocks.
    pub fn tell(&self, changes: &[Committed]) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        let accepted = changes.iter().filter_map(|change| match change {
            Committed::Accepted(event) => Some(Arc::clone(event)),
            _ => None,
        });
        let accepted: Vec<Arc<Event>> = accepted.collect();
        if !accepted.is_empty() {
            let _ = self.told.send(accepted);
        }
    }

    /// Whether anybody listens to this tenant's events, or has just done so.
    #[must_use]
    pub fn has_listeners(&self, tenant: TenantId) -> bool {
        self.is_on.load(Ordering::Acquire) && self.feed(tenant).is_some()
    }

    /// Hands out what is told, until the server stops.
    pub async fn run(self: Arc<Self>, mut told: Told, mut stopping: watch::Receiver<bool>) {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        let mut batches = Vec::new();
        while !*stopping.borrow() {
            tokio::select! {
                _ = told.recv_many(&mut batches, BATCHES_AT_ONCE) => {
                    self.hand_out(batches.drain(..).flatten());
                }
                _ = sweep.tick() => self.sweep(),
                changed = stopping.changed() => if changed.is_err() { return },
            }
        }
    }

    fn hand_out(&self, events: impl Iterator<Item = Arc<Event>>) {
        let mut touched: Vec<Arc<Feed>> = Vec::new();
        for event in events {
            let Some(feed) = self.feed(event.tenant) else { continue };
            self.measured(&feed, |history| {
                history.push(event);
                if self.bytes.load(Ordering::Relaxed) > LIVE_BYTES_ALL_MAX {
                    history.shrink(0);
                }
            });
            if !touched.iter().any(|other| Arc::ptr_eq(other, &feed)) {
                touched.push(feed);
            }
        }
        touched.iter().for_each(|feed| feed.moved.send_modify(|()| {}));
    }

    /// Changes a history and keeps count of what all of them take.
    fn measured(&self, feed: &Feed, change: impl FnOnce(&mut History)) {
        let mut history = feed.history();
        let before = history.bytes();
        change(&mut history);
        self.bytes.fetch_add(history.bytes(), Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    fn feed(&self, tenant: TenantId) -> Option<Arc<Feed>> {
        self.feeds.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    /// Forgets the histories that nobody has listened to for a while.
    fn sweep(&self) {
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        feeds.retain(|_, feed| {
            let is_quiet = feed.listeners.load(Ordering::Acquire) == 0;
            let stays = !(is_quiet && feed.was_quiet.swap(is_quiet, Ordering::AcqRel));
            if !stays {
                self.bytes.fetch_sub(feed.history().bytes(), Ordering::Relaxed);
            }
            stays
        });
        self.is_on.store(!feeds.is_empty(), Ordering::Release);
    }

    /// Where a listener goes on that has heard `last`.
    async fn resume(
        &self,
        feed: &Feed,
        store: &Store,
        tenant: TenantId,
        last: EventId,
    ) -> Result<Resumed, ReadError> {
        loop {
            let resumed = feed.history().resume(last);
            match resumed {
                Some(resumed) => return Ok(resumed),
                None => self.prime(feed, store, tenant).await?,
            }
        }
    }

    fn seat(self: &Arc<Self>, tenant: TenantId) -> Result<Seat, Refused> {
        // Held while the listener is counted, so that no sweep comes between.
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        let feed = feeds.entry(tenant).or_insert_with(|| Arc::new(Feed::new()));
        let count = feed.listeners.load(Ordering::Acquire);
        if count >= LISTENERS_MAX || *self.listeners.borrow() >= LISTENERS_ALL_MAX {
            return Err(Refused::TooMany);
        }
        feed.listeners.fetch_add(1, Ordering::AcqRel);
        feed.was_quiet.store(false, Ordering::Release);
        self.is_on.store(true, Ordering::Release);
        self.listeners.send_modify(|all| *all += 1);
        Ok(Seat { live: Arc::clone(self), feed: Arc::clone(feed) })
    }

    /// Reads the latest events from the store, unless another has done so meanwhile.
    async fn prime(&self, feed: &Feed, store: &Store, tenant: TenantId) -> Result<(), ReadError> {
        let _turn = feed.priming.lock().await;
        if !feed.history().is_primed() {
            let (events, is_all) = latest(store, tenant).await?;
            self.measured(feed, |history| history.prime(events, is_all));
        }
        Ok(())
    }

    /// Open streams.
    #[must_use]
    pub fn listeners(&self) -> usize {
        *self.listeners.borrow()
    }

    /// Until the last stream has ended.
    pub async fn ended(&self) {
        let _ = self.listeners.subscribe().wait_for(|&all| all == 0).await;
    }
}

/// The latest events of a tenant, newest first: as many as a history holds; and whether it is all.
async fn latest(store: &Store, tenant: TenantId) -> Result<(Vec<Arc<Event>>, bool), ReadError> {
    let (mut events, mut bytes): (Vec<Arc<Event>>, usize) = (Vec::new(), 0);
    while events.len() < LIVE_EVENTS_MAX && bytes < LIVE_BYTES_MAX {
        let before = events.last().map(|event| event.id);
        let filter = EventFilter { before, limit: PAGE, ..EventFilter::default() };
        let page = store.events(tenant, &filter).await?;
        let is_last = page.len() < PAGE as usize;
        bytes += page.iter().map(|event| event.data.len()).sum::<usize>();
        events.extend(page.into_iter().map(Arc::new));
        if is_last {
            return Ok((events, true));
        }
    }
    Ok((events, false))
}

impl Feed {
    fn new() -> Self {
        Self {
            history: Mutex::default(),
            moved: watch::Sender::new(()),
            listeners: AtomicUsize::new(0),
            was_quiet: AtomicBool::new(false),
            priming: tokio::sync::Mutex::default(),
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener's place among all; given back when it is dropped.
#[derive(Debug)]
struct Seat {
    live: Arc<Live>,
    feed: Arc<Feed>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.feed.listeners.fetch_sub(1, Ordering::AcqRel);
        self.live.listeners.send_modify(|all| *all -= 1);
    }
}
