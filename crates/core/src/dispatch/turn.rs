//! Webhooks take turns, and each gives out one attempt in its turn at most.

use crate::delivery::Owed;
use crate::time::Timestamp;

/// What a webhook does with its turn.
#[derive(Debug)]
pub(super) enum Turn {
    Attempt(Owed),
    /// Its time has passed: it ends without an attempt.
    Expired(Owed),
    /// Its first row waits at a gate now: there may be others.
    Again,
    Wait(Timestamp),
    /// It is slow, and only slots for the others are left.
    Refused,
    /// Nothing until a signal comes.
    Idle,
}
