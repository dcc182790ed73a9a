//! The pace of a webhook with a rate limit: evenly spaced attempts.
//!
//! A generic cell rate algorithm without burst: with `max` per `per_ms`, no window of `per_ms` sees
//! more than `max` attempts (up to the millisecond's grain of the clock).

use crate::time::Timestamp;
use crate::webhook::RateLimit;

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Microseconds between two attempts; 0: no limit.
    interval_us: i64,
    /// The next attempt is due at this moment, microseconds.
    next_us: i64,
}

/// Attempts due within the running millisecond are let through together.
const GRAIN_US: i64 = 999;

impl Pace {
    /// Takes on a limit; what was already spent stays spent. After the last attempt the new interval is
    /// waited for, unless the old one was shorter: a limit that was wrong holds nobody for its day.
    pub(super) fn set(&mut self, limit: Option<RateLimit>) {
        let last_us = self.next_us - self.interval_us;
        self.interval_us = limit.map_or(0, |limit| {
            let spread = i64::from(limit.per_ms) * 1_000;
            let max = i64::from(limit.max.max(1));
            (spread + max - 1) / max
        });
        self.next_us = self.next_us.min(last_us + self.interval_us);
    }

    /// When the next attempt may start, if not at `now`.
    pub(super) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        let now_us = now.as_millis().saturating_mul(1_000);
        let held = self.interval_us > 0 && self.next_us > now_us + GRAIN_US;
        held.then(|| Timestamp::from_millis(self.next_us / 1_000))
    }

    /// Notes an attempt.
    pub(super) fn spend(&mut self, now: Timestamp) {
        if self.interval_us > 0 {
            let now_us = now.as_millis().saturating_mul(1_000);
            self.next_us = self.next_us.max(now_us) + self.interval_us;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(limit: RateLimit, for_ms: i64) -> Vec<i64> {
        let mut pace = Pace::default();
        pace.set(Some(limit));
        let mut at = Vec::new();
        for ms in 0..for_ms {
            let now = Timestamp::from_millis(ms);
            while pace.held_until(now).is_none() {
                pace.spend(now);
                at.push(ms);
            }
        }
        at
    }

    #[test]
    fn no_window_sees_more_than_the_limit() {
        for (max, per_ms) in [(10, 1_000), (7, 1_000), (1, 250), (100, 60_000), (3, 10)] {
            let starts = starts(RateLimit { max, per_ms }, 10_000);
            for (n, first) in starts.iter().enumerate() {
                let within =
                    starts[n..].iter().filter(|at| **at < first + i64::from(per_ms)).count();
                assert!(within <= max as usize, "{max} per {per_ms}: {within} from {first}");
            }
            let expected = 10_000 / i64::from(per_ms) * i64::from(max);
            assert!(starts.len() as i64 >= expected - 1, "{max} per {per_ms}: {}", starts.len());
        }
    }

    #[test]
    fn a_corrected_limit_holds_from_now_on() {
        let now = Timestamp::from_millis(1_795_362_000_000);
        let a_day = Some(RateLimit { max: 1, per_ms: 86_400_000 });
        let a_second = Some(RateLimit { max: 1, per_ms: 1_000 });
        let mut pace = Pace::default();
        pace.set(a_day);
        pace.spend(now);
        pace.set(a_second);
        assert_eq!(pace.held_until(now), Some(now + 1_000), "raised");
        pace.set(a_day);
        assert_eq!(pace.held_until(now), Some(now + 1_000), "lowered: never later than before");
        pace.spend(now + 1_000);
        pace.set(None);
        assert_eq!(pace.held_until(now + 1_001), None);
        pace.set(a_second);
        assert_eq!(pace.held_until(now + 2_000), None, "nor is the old one remembered");
    }

    #[test]
    fn faster_than_the_clock_ticks() {
        let starts = starts(RateLimit { max: 5_000, per_ms: 1_000 }, 1_000);
        assert!((4_990..=5_005).contains(&starts.len()), "{}", starts.len());
    }
}
