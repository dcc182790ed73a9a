//! One lane's queue: the least few of its rows in memory, the rest in the store.

use std::collections::{HashSet, VecDeque};

use super::Held;
use crate::delivery::{Owed, Payload};
use crate::id::DeliveryId;
use crate::time::Timestamp;

/// Rows in order of `(ready_at, id)`.
///
/// Invariant: while the lane is not *dirty*, every row of it is here, in flight, or on its way in a
/// signal. While it is dirty, the store has rows that are not here, all of them after the last row
/// that is; so rows can be given out from the front without reading first.
#[derive(Debug, Default)]
pub(super) struct LaneQueue {
    rows: VecDeque<Owed>,
    dirty: bool,
    /// While dirty: no row in the store is ready before this moment.
    next_in_store: Timestamp,
    paging: Option<Paging>,
    /// An ordered lane's row that was given out and is not settled, and since when its delivery has
    /// been at the head.
    pub(super) head: Option<Head>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) id: DeliveryId,
    pub(super) since: Timestamp,
    /// Given out and not settled: the next must wait.
    pub(super) busy: bool,
}

/// A page is being read.
#[derive(Debug, Default)]
struct Paging {
    /// What settled meanwhile: the page may still show its old row.
    settled: HashSet<DeliveryId>,
    /// The least row that was left out meanwhile, which the page may not have: nothing of the page
    /// beyond it may be taken, or it would be overtaken.
    left_out: Option<(Timestamp, DeliveryId)>,
}

/// A page to be read: the least `limit` rows of the store, `known` of which may be in memory already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) limit: usize,
    pub(super) known: usize,
}

/// A lane may hold so many rows even when memory is short: those of hung webhooks must not keep a
/// healthy one from having any.
const LANE_ROWS_MIN: usize = 16;
/// A dirty lane is paged when it has no more rows than this share of a page left, or of what it may take
/// in when memory is short: what is read in vain would be asked for again at once.
const LOW_WATER_SHARE: usize = 4;

impl LaneQueue {
    pub(super) fn front(&self) -> Option<&Owed> {
        self.rows.front()
    }

    pub(super) fn pop(&mut self, held: &mut Held) -> Option<Owed> {
        let owed = self.rows.pop_front()?;
        held.let_go(&owed);
        Some(owed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && !self.dirty
    }

    /// Takes in a row that is not in flight. Idempotent.
    pub(super) fn admit(&mut self, mut owed: Owed, held: &mut Held) {
        let place = match self.rows.back() {
            Some(last) if last.key() < owed.key() => {
                if self.dirty {
                    return self.leave_out(owed.key());
                }
                self.rows.len()
            }
            Some(_) => match self.rows.binary_search_by_key(&owed.key(), Owed::key) {
                Ok(_) => return,
                Err(place) => place,
            },
            None if self.dirty => return self.leave_out(owed.key()),
            None => 0,
        };
        let at_the_end = place == self.rows.len();
        if held.rows >= held.rows_max && at_the_end && place >= LANE_ROWS_MIN {
            return self.leave_out(owed.key());
        }
        if held.bytes + owed.held_bytes() > held.bytes_max {
            owed.payload = Payload::Stored;
        }
        held.take_in(&owed);
        self.rows.insert(place, owed);
        if self.rows.len() > held.lane_rows_max {
            self.drop_last(held);
        }
    }

    /// Forgets a row that left the queue.
    pub(super) fn remove(&mut self, id: DeliveryId, held: &mut Held) {
        if let Some(place) = self.rows.iter().position(|row| row.id == id)
            && let Some(owed) = self.rows.remove(place)
        {
            held.let_go(&owed);
        }
    }

    /// The store has rows of this lane that are not here, none ready before `next`.
    pub(super) fn waits_in_store(&mut self, next: Timestamp, held: &mut Held) {
        while self.rows.back().is_some_and(|last| last.ready_at >= next) {
            self.drop_last(held);
        }
        self.leave_out((next, DeliveryId::from_i64(0)));
    }

    /// Forgets all but what is given out: another node works this lane off.
    pub(super) fn forget(&mut self, held: &mut Held) {
        while let Some(last) = self.rows.pop_back() {
            held.let_go(&last);
        }
        (self.dirty, self.paging) = (false, None);
    }

    /// A row is only in the store from now on.
    pub(super) fn leave_out(&mut self, key: (Timestamp, DeliveryId)) {
        let ready_at = key.0;
        self.next_in_store = if self.dirty { self.next_in_store.min(ready_at) } else { ready_at };
        self.dirty = true;
        if let Some(paging) = &mut self.paging {
            paging.left_out = Some(paging.left_out.map_or(key, |least| least.min(key)));
        }
    }

    fn drop_last(&mut self, held: &mut Held) {
        if let Some(last) = self.rows.pop_back() {
            held.let_go(&last);
            self.leave_out(last.key());
        }
    }

    /// Gives the lane's memory back: all its rows can be read again.
    pub(super) fn release(&mut self, held: &mut Held) {
        while !self.rows.is_empty() {
            self.drop_last(held);
        }
    }

    /// How many rows to read now, if any, besides the `elsewhere` that are given out or at a gate.
    pub(super) fn wanted_page(
        &mut self,
        page_rows: usize,
        elsewhere: usize,
        now: Timestamp,
        held: &Held,
    ) -> Option<Wanted> {
        let room = held.rows_max.saturating_sub(held.rows).max(LANE_ROWS_MIN).min(page_rows);
        let low = self.rows.len() <= room / LOW_WATER_SHARE;
        if !self.dirty || self.paging.is_some() || !low || self.next_in_store > now {
            return None;
        }
        self.paging = Some(Paging::default());
        let known = self.rows.len() + elsewhere;
        Some(Wanted { limit: known + room, known })
    }

    /// When the lane should be looked at for rows that are only in the store.
    pub(super) fn store_due(&self) -> Option<Timestamp> {
        (self.dirty && self.paging.is_none() && self.rows.is_empty()).then_some(self.next_in_store)
    }

    pub(super) fn page_failed(&mut self) {
        self.paging = None;
    }

    /// Takes in a page: the least rows of the store as of some moment since it was asked for. `all`:
    /// the lane had no others.
    pub(super) fn page_arrived(
        &mut self,
        rows: impl Iterator<Item = Owed>,
        all: bool,
        held: &mut Held,
    ) {
        let Some(paging) = self.paging.take() else { return };
        // Everything up to the page's end is in it; what lies beyond stays in the store.
        self.dirty = false;
        let mut rest = if all { None } else { Some((self.next_in_store, DeliveryId::from_i64(0))) };
        for row in rows {
            if paging.left_out.is_some_and(|left_out| left_out < row.key()) {
                // It is the first that is not here.
                rest = None;
                break;
            }
            rest = rest.map(|_| row.key());
            if !paging.settled.contains(&row.id) {
                self.admit(row, held);
            }
        }
        // A row of later that was left out says nothing of what lies behind the page.
        if let Some(key) = paging.left_out.into_iter().chain(rest).min() {
            self.leave_out(key);
        }
    }

    pub(super) fn settled_while_paging(&mut self, id: DeliveryId) {
        if let Some(paging) = &mut self.paging {
            paging.settled.insert(id);
        }
    }
}
