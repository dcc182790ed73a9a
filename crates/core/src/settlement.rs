//! What is written after an attempt: the attempt, the verdict and the webhook's health, in one
//! transaction.

use crate::delivery::{Owed, Status};
use crate::health::Health;
use crate::publication::Publication;
use crate::time::Timestamp;

/// One HTTP try, as sent and as answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// From 1, over the whole life of the delivery.
    pub number: u16,
    pub started_at: Timestamp,
    pub duration_ms: u32,
    /// The webhook's revision whose URL and headers were used.
    pub revision: u32,
    /// The signature header's value, empty when unsigned: with the revision and the body, all that
    /// is needed to show the request as it was sent. Of a hand-off in several calls, which is not
    /// signed, the mark of the last one made.
    pub signature: String,
    pub response_status: Option<u16>,
    /// `name: value` lines, bounded.
    pub response_headers: String,
    /// At most 1,000 characters.
    pub response_body: String,
    /// Empty on success.
    pub error: String,
    /// `network`, `timeout`, `tls`, `dns`, `blocked`, `http` or empty.
    pub error_type: &'static str,
}

/// What we decided from an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more is owed.
    End { status: Status, reason: Reason },
    /// Still owed: the row's new place in its lane, the moment before which it is not tried, and the
    /// attempts it is allowed (see [`Owed`]). An ordered lane's row keeps its place.
    Retry { ready_at: Timestamp, not_before: Timestamp, attempts_granted: u16 },
}

/// Why a delivery ended, or why its last attempt is not its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    Delivered,
    /// The last attempt of its policy failed.
    Exhausted,
    /// The receiver's answer ends it at once (410, 413, …).
    Refused,
    /// The body cannot be built for this profile.
    Unrepresentable,
    /// The webhook is gone or inactive.
    Inactive,
    /// A person cancelled it.
    Cancelled,
    Expired,
    /// The head of an ordered lane held the others for too long.
    OrderHold,
    /// Something newer of the same job took its place.
    Superseded,
}

impl Reason {
    pub const ALL: [Self; 9] = [
        Self::Delivered,
        Self::Exhausted,
        Self::Refused,
        Self::Unrepresentable,
        Self::Inactive,
        Self::Cancelled,
        Self::Expired,
        Self::OrderHold,
        Self::Superseded,
    ];

    /// As the API and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Refused => "refused",
            Self::Unrepresentable => "unrepresentable",
            Self::Inactive => "inactive",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::OrderHold => "order_hold",
            Self::Superseded => "superseded",
        }
    }

    /// The number that the store keeps: the place in [`Self::ALL`].
    #[must_use]
    pub fn code(self) -> i64 {
        self as i64
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|index| Self::ALL.get(index)).copied()
    }
}

/// Why an ended delivery had no attempt at its end; kept as its error message.
pub const INACTIVE_MESSAGE: &str = "Endpoint not found or inactive";

/// Everything that changes when an attempt is over (or when a delivery ends without one).
#[derive(Debug)]
pub struct Settlement {
    /// The queue row as it was given out: names the row to delete or to move.
    pub owed: Owed,
    /// `None`: it ended without an attempt (expired, inactive).
    pub attempt: Option<Attempt>,
    pub verdict: Verdict,
    pub settled_at: Timestamp,
    /// The webhook's health, when this outcome changed it.
    pub health: Option<Health>,
    /// The webhook is to be switched off, with this reason.
    pub disable: Option<&'static str>,
    /// Operational events that tell of it.
    pub announcements: Vec<Publication>,
}
