//! When to try again: the retry policy and its arithmetic.
//!
//! Pure leaves: `delay_ms` says how long to wait after the n-th attempt. What an outcome means is
//! decided in [`crate::verdict`].

use serde::{Deserialize, Serialize};
use tidings_wire::profile::RetryDefaults;

use crate::id::DeliveryId;

/// How the waits grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// `initial_delay × multiplier^(n-1)`.
    Exponential,
    /// `initial_delay × n`.
    Linear,
    /// `initial_delay` every time.
    Fixed,
    /// The n-th entry of `schedule_ms`; the last one again when there are more attempts.
    Schedule,
}

/// When and how often a delivery is tried. The settings of a webhook override its profile's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first included: 1 to 20.
    pub max_attempts: u16,
    pub strategy: Strategy,
    /// Milliseconds, from 100.
    pub initial_delay_ms: i64,
    /// At least 1.
    pub backoff_multiplier: f64,
    /// Milliseconds, from 1,000: no wait is longer (before jitter).
    pub max_delay_ms: i64,
    /// Whether up to 20 % are added to each wait, so that what failed together is not retried together.
    pub jitter: bool,
    /// Waits after the first, second, … attempt; only for [`Strategy::Schedule`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule_ms: Vec<i64>,
}

/// A wait is lengthened by at most this part of it.
const JITTER: f64 = 0.2;

/// The limits of a policy are those of a profile's file.
pub const MAX_ATTEMPTS: u16 = *RetryDefaults::MAX_ATTEMPTS.end() as u16;
pub const INITIAL_DELAY_MS_MIN: i64 = *RetryDefaults::INITIAL_DELAY_MS.start() as i64;
pub const MAX_DELAY_MS_MIN: i64 = *RetryDefaults::MAX_DELAY_MS.start() as i64;
/// A wait is at most a week, whatever the policy says.
pub const DELAY_MS_MAX: i64 = *RetryDefaults::WAIT_MS.end() as i64;

impl RetryPolicy {
    /// The wait after attempt `attempt` (from 1) failed, milliseconds, without jitter.
    #[must_use]
    pub fn delay_ms(&self, attempt: u16) -> i64 {
        let nth = attempt.max(1);
        let delay = match self.strategy {
            Strategy::Exponential => {
                let factor = self.backoff_multiplier.powi(i32::from(nth) - 1);
                (self.initial_delay_ms as f64 * factor).min(DELAY_MS_MAX as f64) as i64
            }
            Strategy::Linear => self.initial_delay_ms.saturating_mul(i64::from(nth)),
            Strategy::Fixed => self.initial_delay_ms,
            Strategy::Schedule => {
                let last = self.schedule_ms.len().saturating_sub(1);
                let index = usize::from(nth - 1).min(last);
                self.schedule_ms.get(index).copied().unwrap_or(self.initial_delay_ms)
            }
        };
        // A schedule says exactly what it wants; the cap is for what is computed.
        let cap =
            if self.strategy == Strategy::Schedule { DELAY_MS_MAX } else { self.max_delay_ms };
        delay.clamp(0, cap.min(DELAY_MS_MAX))
    }

    /// The wait with this delivery's jitter: `delay × (1 + U)`, U in 0 to 0.2 from a hash of
    /// (delivery, attempt), so that a retry is spread over receivers and yet repeatable in a test.
    #[must_use]
    pub fn jittered_delay_ms(&self, delivery: DeliveryId, attempt: u16) -> i64 {
        let delay = self.delay_ms(attempt);
        if !self.jitter {
            return delay;
        }
        let hash = mix(delivery.as_i64() as u64 ^ (u64::from(attempt) << 48));
        delay + (delay as f64 * JITTER * (hash >> 11) as f64 / (1_u64 << 53) as f64) as i64
    }

    /// When each attempt is made if all of them fail, in milliseconds from the first: at the earliest,
    /// which without jitter is exactly then.
    #[must_use]
    pub fn attempts_at_ms(&self) -> Vec<i64> {
        self.moments(|delay| delay)
    }

    /// The same at the latest, with all of the jitter.
    #[must_use]
    pub fn attempts_latest_at_ms(&self) -> Vec<i64> {
        self.moments(|delay| delay + if self.jitter { (delay as f64 * JITTER) as i64 } else { 0 })
    }

    fn moments(&self, wait: impl Fn(i64) -> i64) -> Vec<i64> {
        let waits = (1..self.max_attempts).map(|attempt| wait(self.delay_ms(attempt)));
        let mut moments = vec![0];
        moments.extend(waits.scan(0, |at, wait| {
            *at += wait;
            Some(*at)
        }));
        moments
    }
}

impl From<&RetryDefaults> for RetryPolicy {
    fn from(defaults: &RetryDefaults) -> Self {
        use tidings_wire::profile::Strategy as Wire;
        Self {
            max_attempts: u16::from(defaults.max_attempts),
            strategy: match defaults.strategy {
                Wire::Exponential => Strategy::Exponential,
                Wire::Linear => Strategy::Linear,
                Wire::Fixed => Strategy::Fixed,
                Wire::Schedule => Strategy::Schedule,
            },
            initial_delay_ms: i64::try_from(defaults.initial_delay_ms).unwrap_or(DELAY_MS_MAX),
            backoff_multiplier: defaults.multiplier,
            max_delay_ms: i64::try_from(defaults.max_delay_ms).unwrap_or(DELAY_MS_MAX),
            jitter: defaults.jitter,
            schedule_ms: defaults
                .schedule_ms
                .iter()
                .map(|&ms| i64::try_from(ms).unwrap_or(DELAY_MS_MAX))
                .collect(),
        }
    }
}

/// splitmix64's finaliser: spreads neighbouring ids over all 64 bits.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(strategy: Strategy) -> RetryPolicy {
        RetryPolicy {
            max_attempts: 5,
            strategy,
            initial_delay_ms: 1_000,
            backoff_multiplier: 2.0,
            max_delay_ms: 5_000,
            jitter: false,
            schedule_ms: vec![5_000, 300_000],
        }
    }

    #[test]
    fn each_strategy_waits_as_documented() {
        let waits = |strategy| (1..5).map(|n| policy(strategy).delay_ms(n)).collect::<Vec<_>>();
        assert_eq!(waits(Strategy::Exponential), [1_000, 2_000, 4_000, 5_000]);
        assert_eq!(waits(Strategy::Linear), [1_000, 2_000, 3_000, 4_000]);
        assert_eq!(waits(Strategy::Fixed), [1_000; 4]);
        assert_eq!(waits(Strategy::Schedule), [5_000, 300_000, 300_000, 300_000]);
    }

    #[test]
    fn huge_settings_do_not_overflow() {
        let mut huge = policy(Strategy::Exponential);
        huge.backoff_multiplier = 1e300;
        huge.max_delay_ms = i64::MAX;
        assert_eq!(huge.delay_ms(20), DELAY_MS_MAX);
    }

    #[test]
    fn jitter_adds_up_to_a_fifth_and_is_repeatable() {
        let mut jittered = policy(Strategy::Fixed);
        jittered.jitter = true;
        let waits: Vec<i64> =
            (0..1000).map(|id| jittered.jittered_delay_ms(DeliveryId::from_i64(id), 1)).collect();
        assert!(waits.iter().all(|ms| (1_000..=1_200).contains(ms)));
        assert!(waits.iter().max() > waits.iter().min());
        assert_eq!(jittered.jittered_delay_ms(DeliveryId::from_i64(7), 1), waits[7]);
    }
}
