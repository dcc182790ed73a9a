//! A lead: somebody who left their address, and whether the service that is to have it has it.

pub use tidings_wire::lead::{Captured, EVENT_TYPE, Format, Lead as Person};

use crate::id::{LeadId, TenantId};
use crate::time::Timestamp;

/// Where a lead stands. With several deliveries it is told by the one that changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeadStatus {
    /// Captured; nobody asked for it to be sent anywhere.
    New,
    /// A delivery of it is owed.
    WebhookPending,
    /// A delivery of it has succeeded.
    WebhookSent,
    /// A delivery of it has ended without success.
    WebhookFailed,
}

impl LeadStatus {
    pub const ALL: [Self; 4] =
        [Self::New, Self::WebhookPending, Self::WebhookSent, Self::WebhookFailed];

    /// As the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::WebhookPending => "webhook_pending",
            Self::WebhookSent => "webhook_sent",
            Self::WebhookFailed => "webhook_failed",
        }
    }

    /// The number that the store keeps: the place in [`Self::ALL`].
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|index| Self::ALL.get(index)).copied()
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A [`Person`] with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    pub id: LeadId,
    pub tenant: TenantId,
    pub status: LeadStatus,
    /// Who it is. Its `lead_id` is the name that the tenant calls it by, unique among its leads.
    pub captured: Captured,
    pub updated_at: Timestamp,
}

/// How a direct delivery hands its lead over, when no body is built out of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeadFormat(pub Format);

impl serde::Serialize for LeadFormat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> serde::Deserialize<'de> for LeadFormat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let known = Format::named(&name).map(Self);
        known.ok_or_else(|| serde::de::Error::custom("not a lead format"))
    }
}

#[cfg(test)]
mod tests {
    use super::LeadStatus;

    #[test]
    fn codes_and_names_round_trip() {
        for status in LeadStatus::ALL {
            assert_eq!(LeadStatus::from_code(status.code()), Some(status));
            assert_eq!(LeadStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(LeadStatus::from_code(4), None);
    }
}
