//! The one place that reads a clock.
//!
//! Send times travel inside payloads, through servers that may read and write JSON numbers as
//! doubles. So a wall-clock nanosecond is kept to 52 bits (it wraps after 52 days) and differences
//! are taken modulo that: exact, and the same clock in every process of this machine.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

const MASK: u64 = (1 << 52) - 1;

/// Nanoseconds of the wall clock, modulo 2^52.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the bench")]
pub fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_nanos() as u64 & MASK
}

/// Nanoseconds from `earlier` to `later`, across a wrap; 0 when the clock was set back between.
pub fn between_ns(earlier: u64, later: u64) -> u64 {
    let distance = later.wrapping_sub(earlier) & MASK;
    if distance > MASK / 2 { 0 } else { distance }
}

/// A point on the monotonic clock, for deadlines and waits inside one process.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the bench")]
pub fn instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_survive_the_wrap_and_a_clock_set_back() {
        assert_eq!(between_ns(10, 25), 15);
        assert_eq!(between_ns(MASK - 4, 5), 10);
        assert_eq!(between_ns(25, 10), 0);
        assert!(now_ns() < 1 << 53, "a JSON double holds it exactly");
    }
}
