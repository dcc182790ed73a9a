//! When a profile's deliveries are tried again, unless a webhook says otherwise.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

const WEEK_MS: u64 = 7 * 86_400_000;

/// When a failed delivery is tried again. Settings of a webhook override these one by one, so every
/// field has a value, also those that the strategy does not use.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RetryDefaults {
    /// How often a delivery is tried in all, the first time included.
    pub max_attempts: u8,
    /// How the waits grow.
    pub strategy: Strategy,
    /// The wait before the second attempt.
    pub initial_delay_ms: u64,
    /// By what an exponential wait grows.
    pub multiplier: f64,
    /// No exponential or linear wait is longer.
    pub max_delay_ms: u64,
    /// With [`Strategy::Schedule`]: the waits after the first, the second, … attempt. When attempts
    /// outnumber the waits, the last one repeats. Never empty with that strategy.
    pub schedule_ms: Vec<u64>,
    /// Whether each wait is lengthened by up to a fifth, so that what failed together is not retried
    /// together.
    pub jitter: bool,
}

impl RetryDefaults {
    /// How often a delivery may be tried in all.
    pub const MAX_ATTEMPTS: RangeInclusive<u64> = 1..=20;
    /// The wait before the second attempt, ms.
    pub const INITIAL_DELAY_MS: RangeInclusive<u64> = 100..=WEEK_MS;
    /// The longest exponential or linear wait, ms.
    pub const MAX_DELAY_MS: RangeInclusive<u64> = 1_000..=WEEK_MS;
    /// The multiplier. Beyond it every second wait is the longest one.
    pub const MULTIPLIER: RangeInclusive<f64> = 1.0..=1_000.0;
    /// A wait of a schedule, ms.
    pub const WAIT_MS: RangeInclusive<u64> = 0..=WEEK_MS;
    /// The waits of a schedule: one less than there can be attempts.
    pub const WAITS: RangeInclusive<usize> = 1..=19;
}

/// How the waits between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// `initial × multiplier^(n − 1)` after the n-th attempt.
    Exponential,
    /// `initial × n` after the n-th attempt.
    Linear,
    /// `initial` after every attempt.
    Fixed,
    /// As the schedule says.
    Schedule,
}
