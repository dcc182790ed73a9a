//! Live streams: the latest events of a tenant, in the order in which they were committed.
//!
//! A [`History`] is one bounded ring that all listeners of a tenant read, each from a place of its own.
//! Nothing is kept for a listener, so a slow one costs nothing: it falls out of the ring and is told so.

mod entry;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

pub use entry::Entry;

use crate::event::Event;
use crate::id::EventId;
use crate::limits::{LIVE_BYTES_MAX, LIVE_EVENTS_MAX, LIVE_OVERLAP_MS, PATTERNS_MAX};
use crate::pattern::{ParsePatternError, Pattern};
use crate::time::Timestamp;

/// Which events a listener wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    patterns: Vec<Pattern>,
    /// Only those with this ordering key.
    ordering_key: Option<Box<str>>,
}

impl Wanted {
    /// Those that match one of these patterns; without any, what `*` matches.
    pub fn parse<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ParsePatternError> {
        let patterns: Vec<Pattern> =
            patterns.into_iter().map(|text| text.trim().parse()).collect::<Result<_, _>>()?;
        let patterns = match patterns.len() {
            0 => vec![Pattern::Any],
            1..=PATTERNS_MAX => patterns,
            _ => return Err(ParsePatternError),
        };
        Ok(Self { patterns, ordering_key: None })
    }

    /// Of these, only those with this ordering key.
    #[must_use]
    pub fn under(self, ordering_key: &str) -> Self {
        Self { ordering_key: Some(ordering_key.into()), ..self }
    }

    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let is_under = self.ordering_key.is_none() || self.ordering_key == event.ordering_key;
        is_under && self.patterns.iter().any(|pattern| pattern.matches(&event.event_type))
    }

    /// The patterns as they are written.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.patterns.iter().map(ToString::to_string)
    }
}

/// A place in a history: before the event that is heard next.
pub type Place = u64;

/// Where what was told as committed begins. What lies before was read from the store, and is in the
/// order of its ids.
const MIDDLE: Place = 1 << 32;

/// Where a listener goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    pub at: Place,
    /// Events in between may be missing.
    pub gap: bool,
}

/// The latest events of one tenant.
#[derive(Debug)]
pub struct History {
    entries: VecDeque<Arc<Entry>>,
    first: Place,
    bytes: usize,
    is_primed: bool,
    /// Nothing is older than what is here.
    is_whole: bool,
    /// The ids of what was read from the store: it may be told as committed a moment later.
    read: HashSet<EventId>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            first: MIDDLE,
            bytes: 0,
            is_primed: false,
            is_whole: false,
            read: HashSet::new(),
        }
    }
}

impl History {
    /// Where a new listener begins, and the id that it can resume after before it has heard anything:
    /// that of the latest event, else one before those of `now`.
    #[must_use]
    pub fn join(&self, now: Timestamp) -> (Place, EventId) {
        let latest = self.entries.back().map(|entry| entry.event.id);
        let before = || EventId::from_i64(EventId::floor(now).as_i64() - 1);
        (self.end(), latest.unwrap_or_else(before))
    }

    /// Behind the last event.
    fn end(&self) -> Place {
        self.first + self.entries.len() as Place
    }

    /// What it takes in memory, bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends an event that was committed; the oldest make room.
    pub fn push(&mut self, event: Arc<Event>) {
        if self.read.contains(&event.id) {
            return;
        }
        let entry = Entry::new(event);
        self.bytes += entry.bytes();
        self.entries.push_back(Arc::new(entry));
        while self.entries.len() > LIVE_EVENTS_MAX {
            self.forget_first();
        }
        self.shrink(LIVE_BYTES_MAX);
    }

    /// Forgets the oldest until it takes at most so many bytes. The newest always stays.
    pub fn shrink(&mut self, bytes: usize) {
        while self.bytes > bytes && self.entries.len() > 1 {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.first += 1;
            self.is_whole = false;
            self.bytes -= entry.bytes();
            self.read.remove(&entry.event.id);
        }
    }

    /// The events from a place on; `None` when the next of them has been forgotten.
    pub fn from(&self, place: Place) -> Option<impl Iterator<Item = &Arc<Entry>>> {
        let skip = place.checked_sub(self.first)?;
        Some(self.entries.iter().skip(usize::try_from(skip).ok()?))
    }

    /// Where a listener goes on that has heard `last` and what was committed before it. `None`: that
    /// is not known here; read the store and [`Self::prime`] first.
    #[must_use]
    pub fn resume(&self, last: EventId) -> Option<Resumed> {
        let found = self.entries.iter().position(|entry| entry.event.id == last);
        let place = found.map(|n| self.first + n as Place);
        match place {
            Some(place) if place >= MIDDLE => Some(Resumed { at: place + 1, gap: false }),
            _ if self.is_primed => Some(self.resume_by_id(last, found.is_some())),
            _ => None,
        }
    }

    /// By id alone it is not known what was committed after `last`, so what is about as old comes again.
    fn resume_by_id(&self, last: EventId, found: bool) -> Resumed {
        let since = last.created_at() - LIVE_OVERLAP_MS;
        let younger = |entry: &Arc<Entry>| entry.event.id.created_at() >= since;
        let n = self.entries.iter().position(younger).unwrap_or(self.entries.len());
        Resumed { at: self.first + n as Place, gap: n == 0 && !found && !self.is_whole }
    }

    /// Whether the store has been read.
    #[must_use]
    pub const fn is_primed(&self) -> bool {
        self.is_primed
    }

    /// Puts in front what the store has, newest first, as far as there is room and as it is not here.
    /// `is_all`: the store has nothing older.
    pub fn prime(&mut self, newest_first: impl IntoIterator<Item = Arc<Event>>, is_all: bool) {
        // What has been forgotten already cannot come back in its place.
        let has_all = self.first == MIDDLE;
        (self.is_primed, self.is_whole) = (true, is_all && has_all);
        let here: HashSet<EventId> = self.entries.iter().map(|entry| entry.event.id).collect();
        for event in newest_first {
            if here.contains(&event.id) {
                continue;
            }
            let entry = Entry::new(event);
            let is_full = self.entries.len() >= LIVE_EVENTS_MAX
                || self.bytes + entry.bytes() > LIVE_BYTES_MAX;
            if is_full {
                self.is_whole = false;
                break;
            }
            self.bytes += entry.bytes();
            self.read.insert(entry.event.id);
            self.entries.push_front(Arc::new(entry));
            self.first -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
