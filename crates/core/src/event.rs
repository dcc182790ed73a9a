//! An event: something that happened, accepted once.

use bytes::Bytes;

use crate::id::{EventId, TenantId};
use crate::limits::{CLIENT_ID_BYTES_MAX, EVENT_TYPE_BYTES_MAX};
use crate::time::Timestamp;

/// An accepted event. Its `data` are the bytes that the publisher sent, never re-serialised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub tenant: TenantId,
    /// The publisher's own id, when it gave one; receivers see it instead of ours.
    pub client_id: Option<Box<str>>,
    pub event_type: Box<str>,
    /// When it happened, as the publisher says; else when it was accepted.
    pub timestamp: Timestamp,
    pub ordering_key: Option<Box<str>>,
    /// Not before this moment.
    pub deliver_at: Option<Timestamp>,
    /// A delivery that has not succeeded by then ends as `expired`.
    pub expires_at: Option<Timestamp>,
    pub data: Bytes,
}

impl Event {
    /// The id that receivers and API clients see: the publisher's, else ours.
    #[must_use]
    pub fn public_id(&self) -> std::borrow::Cow<'_, str> {
        match &self.client_id {
            Some(id) => id.as_ref().into(),
            None => self.id.to_string().into(),
        }
    }
}

/// Whether `text` is an event type: `[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*`, at most 128 bytes.
#[must_use]
pub fn is_event_type(text: &str) -> bool {
    text.len() <= EVENT_TYPE_BYTES_MAX
        && text.split(['.', '-']).all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
}

/// Whether `text` may be a publisher's id: visible ASCII without `.` (it is part of the signed
/// string of Standard Webhooks, which splits at dots), 1 to 128 bytes.
#[must_use]
pub fn is_client_id(text: &str) -> bool {
    (1..=CLIENT_ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types_follow_the_grammar() {
        for good in ["job.completed", "a", "job-done.v2", "A_1.b"] {
            assert!(is_event_type(good), "{good}");
        }
        for bad in ["", ".", "job.", ".job", "job..x", "job.*", "jöb", "a b", "a\r\nX: y"] {
            assert!(!is_event_type(bad), "{bad}");
        }
        assert!(is_event_type(&"a".repeat(128)) && !is_event_type(&"a".repeat(129)));
    }

    #[test]
    fn client_ids_are_visible_ascii_without_dots() {
        assert!(is_client_id("order-42/paid"));
        for bad in ["", "a.b", "a b", "é", "a\n"] {
            assert!(!is_client_id(bad), "{bad}");
        }
    }
}
