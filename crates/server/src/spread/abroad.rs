//! What workers have of an owner at once, in number and in bytes.

use std::sync::atomic::{AtomicUsize, Ordering};

use tidings_core::limits::{ATTEMPTS_IN_FLIGHT_MAX, RELEASED_BYTES_MAX};

/// Requests that were released and have not come back.
#[derive(Debug, Default)]
pub(super) struct Abroad {
    count: AtomicUsize,
    bytes: AtomicUsize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Away<'a> {
    all: &'a Abroad,
    bytes: usize,
}

impl Abroad {
    /// Its owner holds each until it comes back.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) + bytes <= RELEASED_BYTES_MAX
    }

    pub(super) fn goes(&self, bytes: usize) -> Away<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Away { all: self, bytes }
    }

    /// How many attempts may be given out, when workers take so many. Each that is not with them is sent
    /// here, and of these there are never more than without workers.
    pub(super) fn given_out(&self, share: usize) -> usize {
        share.min(ATTEMPTS_IN_FLIGHT_MAX + self.count.load(Ordering::Relaxed))
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.all.count.fetch_sub(1, Ordering::Relaxed);
        self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_away_is_bounded_in_bytes() {
        let all = Abroad::default();
        let one = all.goes(RELEASED_BYTES_MAX - 1_000);
        assert!(all.has_room(1_000));
        assert!(!all.has_room(1_001));
        drop(one);
        assert!(all.has_room(RELEASED_BYTES_MAX));
    }

    #[test]
    fn more_is_given_out_as_workers_take_it() {
        let all = Abroad::default();
        assert_eq!((all.given_out(16_384), all.given_out(100)), (ATTEMPTS_IN_FLIGHT_MAX, 100));
        let away: Vec<_> = (0..500).map(|_| all.goes(10)).collect();
        assert_eq!(all.given_out(16_384), ATTEMPTS_IN_FLIGHT_MAX + 500);
        drop(away);
        assert_eq!(all.given_out(16_384), ATTEMPTS_IN_FLIGHT_MAX);
    }
}
