//! One listener: where it is in the history, what it wants, and when it ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::id::EventId;
use tidings_core::live::{Entry, Place, Resumed, Wanted};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use super::{Refused, Seat};
use crate::api::App;
use crate::api::auth::Caller;

/// A sign of life so often: below the 30 to 60 s after which proxies take a quiet connection for dead.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// Events looked at in one go, so that no listener holds the lock for long.
const EVENTS_AT_ONCE: usize = 32;

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It read so slowly that events it had not heard were forgotten.
    TooSlow,
    /// Its key was revoked, or its tenant deleted.
    Revoked,
    /// The server stops.
    Stopping,
}

impl End {
    /// For people, and short enough for the reason of a WebSocket's close (123 bytes).
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooSlow => "too slow: events were passed over; resume after the last one heard",
            Self::Revoked => "the key is not valid any more",
            Self::Stopping => "the server stops; resume after the last event heard",
        }
    }
}

/// What a listener hears.
#[derive(Debug)]
pub enum Heard {
    /// Events after the one it named may be missing: they are no longer kept for live streams.
    Gap,
    Event(Arc<Entry>),
    /// Nothing, and that the stream lives.
    Beat,
    End(End),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Listener {
    app: Arc<App>,
    caller: Caller,
    seat: Seat,
    pub wanted: Wanted,
    /// What it has heard before it heard anything here: it is not told again.
    pub since: EventId,
    place: Place,
    /// To be told first: the gap.
    gap: bool,
    ready: VecDeque<Arc<Entry>>,
    moved: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
    keys: watch::Receiver<()>,
    beat: Interval,
}

impl Listener {
    /// Listens from now on, or from after `last`.
    pub async fn start(
        app: Arc<App>,
        caller: Caller,
        wanted: Wanted,
        last: Option<EventId>,
    ) -> Result<Self, Refused> {
        let seat = app.live.seat(caller.tenant)?;
        let (since, resumed) = match last {
            None => {
                let (at, since) = seat.feed.history().join(app.clock.now());
                (since, Resumed { at, gap: false })
            }
            Some(last) => {
                let resumed = app.live.resume(&seat.feed, &app.store, caller.tenant, last).await;
                (last, resumed.map_err(Refused::Store)?)
            }
        };
        let moved = seat.feed.moved.subscribe();
        let (stopping, keys) = (app.stopping.clone(), app.keyring.changes());
        // Subscribed first, so that a key that goes in between is noticed.
        if !app.keyring.admits(&caller) {
            return Err(Refused::Revoked);
        }
        let mut beat = tokio::time::interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        Ok(Self {
            app,
            caller,
            seat,
            wanted,
            since,
            place: resumed.at,
            gap: resumed.gap,
            ready: VecDeque::new(),
            moved,
            stopping,
            keys,
            beat,
        })
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some(end) = self.must_end() {
                return Heard::End(end);
            }
            if std::mem::take(&mut self.gap) {
                return Heard::Gap;
            }
            if let Some(entry) = self.ready.pop_front() {
                return Heard::Event(entry);
            }
            match self.look() {
                Some(0) => {}
                Some(_) => continue,
                None => {
                    self.app.metrics.live_dropped.increment(1);
                    return Heard::End(End::TooSlow);
                }
            }
            tokio::select! {
                _ = self.moved.changed() => {}
                _ = self.stopping.changed() => {}
                _ = self.keys.changed() => self.keys.mark_changed(),
                _ = self.beat.tick() => return Heard::Beat,
            }
        }
    }

    /// Also while there is always more to hear.
    fn must_end(&mut self) -> Option<End> {
        if *self.stopping.borrow() {
            return Some(End::Stopping);
        }
        let is_news = self.keys.has_changed().unwrap_or(true);
        self.keys.mark_unchanged();
        (is_news && !self.app.keyring.admits(&self.caller)).then_some(End::Revoked)
    }

    /// Looks at the next events and keeps those that it wants; how many there were. `None`: it is too
    /// late for the next one.
    fn look(&mut self) -> Option<usize> {
        self.moved.mark_unchanged();
        let history = self.seat.feed.history();
        let mut looked = 0;
        for entry in history.from(self.place)?.take(EVENTS_AT_ONCE) {
            looked += 1;
            if self.wanted.wants(&entry.event) && self.since != entry.event.id {
                self.ready.push_back(Arc::clone(entry));
            }
        }
        self.place += looked as Place;
        Some(looked)
    }
}
