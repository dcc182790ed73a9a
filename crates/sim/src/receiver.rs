//! Receivers: what answers an attempt, and how long it takes.

use tidings_core::outcome::FailureKind;
use tidings_core::retry_after::RetryAfter;
use tidings_core::time::{HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};
use tidings_core::verdict::Met;

use crate::random::Random;

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Healthy,
    /// Answers after some seconds.
    Slow,
    /// Fails every other time or so.
    Flaky,
    /// Never answers until then; healthy afterwards.
    HangsUntil(Timestamp),
    /// Fails until then; healthy afterwards.
    BrokenUntil(Timestamp),
    /// Asks for a pause now and then.
    Overloaded,
    /// Gone from then on: 410.
    GoneFrom(Timestamp),
}

impl Manner {
    /// One of all manners.
    pub fn draw(random: &mut Random, now: Timestamp) -> Self {
        let later = now + random.between(MINUTE_MS, 8 * HOUR_MS);
        match random.between(0, 9) {
            0..=2 => Self::Healthy,
            3 => Self::Slow,
            4 | 5 => Self::Flaky,
            6 => Self::HangsUntil(later),
            7 => Self::BrokenUntil(later),
            8 => Self::Overloaded,
            _ => Self::GoneFrom(later),
        }
    }

    /// What it answers to an attempt at `now`, and after how many milliseconds.
    pub fn answer(self, random: &mut Random, now: Timestamp) -> (Met, i64) {
        let quickly = random.between(1, 50);
        let status = |code| Met::Status { code, retry_after: None };
        match self {
            Self::Slow => (status(200), random.between(SECOND_MS, 20 * SECOND_MS)),
            Self::Flaky if random.once_in(2) => {
                let failures = [status(500), status(404), Met::Failed(FailureKind::Network)];
                (*random.pick(&failures), quickly)
            }
            Self::HangsUntil(until) if now < until => {
                (Met::Failed(FailureKind::Timeout), 30 * SECOND_MS)
            }
            Self::BrokenUntil(until) if now < until => (status(503), quickly),
            Self::Overloaded if random.once_in(4) => {
                let after = RetryAfter::Seconds(random.draw() % 300);
                (Met::Status { code: 429, retry_after: Some(after) }, quickly)
            }
            Self::GoneFrom(from) if now >= from => (status(410), quickly),
            // Now and then our own resolver fails.
            _ if random.once_in(200) => (Met::Failed(FailureKind::DnsOurs), quickly),
            _ => (status(204), quickly),
        }
    }
}
