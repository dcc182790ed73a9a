//! A webhook: a registered URL with what it wants to know and how it wants to be told.

use serde::{Deserialize, Serialize};
pub use tidings_wire::profile::BodyShape;

use crate::filter::Filters;
use crate::id::{TenantId, WebhookId};
use crate::pattern::Pattern;
use crate::retry::RetryPolicy;
use crate::time::Timestamp;

/// A webhook as the catalogue keeps it. Serialised whole, without its secrets, as the row's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    #[serde(skip, default = "no_webhook")]
    pub id: WebhookId,
    #[serde(skip, default = "no_tenant")]
    pub tenant: TenantId,
    /// Counts the changes, from 1. A delivery names the revision whose profile, body and name shape
    /// its body; an attempt names the one whose URL and headers it used.
    #[serde(skip)]
    pub revision: u32,
    /// The revision at which profile, body or name changed last: deliveries planned since then are
    /// shaped as the webhook stands now.
    pub shape_revision: u32,
    pub name: Option<String>,
    pub url: String,
    pub events: Vec<Pattern>,
    #[serde(default)]
    pub filters: Filters,
    /// Custom headers, in the order given. Values are secret: shown masked, and no part of the
    /// document, which holds the names alone; they are sealed with the signing secrets.
    #[serde(default, with = "names_only")]
    pub headers: Vec<(String, String)>,
    pub profile: String,
    /// The body shape, when it is not the profile's own: one that is not built.
    pub body: Option<BodyShape>,
    /// Settings that override the profile's.
    pub retry: Option<RetryPolicy>,
    pub rate_limit: Option<RateLimit>,
    pub max_concurrency: Option<u32>,
    pub timeout_ms: Option<u32>,
    #[serde(default)]
    pub ordered: bool,
    /// Between two deliveries of the progress of one job; 0: each is delivered. `None`: as the job says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_interval_ms: Option<u32>,
    /// `false`: plans no deliveries, and ends what is queued.
    pub active: bool,
    /// `true`: deliveries are planned and wait.
    #[serde(default)]
    pub paused: bool,
    /// Why Tidings set `active` to false.
    pub disabled_reason: Option<String>,
    /// Since when `active` is false.
    #[serde(default)]
    pub inactive_since: Option<Timestamp>,
    #[serde(skip)]
    pub created_at: Timestamp,
    #[serde(skip)]
    pub updated_at: Timestamp,
    #[serde(skip)]
    pub secrets: Vec<SigningSecret>,
}

/// Custom headers without their values.
pub(crate) mod names_only {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        headers: &[(String, String)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(headers.iter().map(|(name, _)| name))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, String)>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names.into_iter().map(|name| (name, String::new())).collect())
    }
}

fn no_webhook() -> WebhookId {
    WebhookId::from_i64(0)
}
fn no_tenant() -> TenantId {
    TenantId::from_i64(0)
}

/// At most `max` attempts in any `per_ms` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    pub max: u32,
    pub per_ms: u32,
}

/// A secret as its owner wrote it, and until when it signs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningSecret {
    pub text: String,
    /// `None`: the current one. Otherwise the end of a rotation's overlap.
    pub valid_until: Option<Timestamp>,
}

/// Shows no secret.
impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningSecret")
            .field("valid_until", &self.valid_until)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// A webhook of which nothing is set yet.
    #[must_use]
    pub fn new(id: WebhookId, tenant: TenantId, profile: &str, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            revision: 1,
            shape_revision: 1,
            name: None,
            url: String::new(),
            events: Vec::new(),
            filters: Filters::default(),
            headers: Vec::new(),
            profile: profile.to_owned(),
            body: None,
            retry: None,
            rate_limit: None,
            max_concurrency: None,
            timeout_ms: None,
            ordered: false,
            progress_interval_ms: None,
            active: true,
            paused: false,
            disabled_reason: None,
            inactive_since: None,
            created_at: now,
            updated_at: now,
            secrets: Vec::new(),
        }
    }

    /// Whether it plans deliveries.
    #[must_use]
    pub fn wants(&self, event_type: &str) -> bool {
        self.active && self.events.iter().any(|pattern| pattern.matches(event_type))
    }

    /// Custom headers as an API answer shows them: names whole, values masked.
    #[must_use]
    pub fn masked_headers(&self) -> Vec<(&str, String)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), mask(value))).collect()
    }
}

/// What stands for a header value that is not shown. A masked value sent back keeps the old one.
#[must_use]
pub fn mask(value: &str) -> String {
    let tail: String = match value.char_indices().nth_back(3) {
        Some((at, _)) if value.chars().count() >= 12 => value[at..].to_owned(),
        _ => String::new(),
    };
    format!("••••{tail}")
}

#[cfg(test)]
impl Webhook {
    /// A webhook that wants everything, for tests to change.
    pub(crate) fn for_tests() -> Self {
        let at = Timestamp::from_millis(1_795_362_000_000);
        Self {
            url: "https://example.com/hook".into(),
            events: vec![Pattern::Any],
            ..Self::new(no_webhook(), no_tenant(), "standard", at)
        }
    }
}
