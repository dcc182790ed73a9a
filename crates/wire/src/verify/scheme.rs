//! The senders that are known, and where each puts what it signs.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::body::{Encoding, Place};
use super::key::{Key, SetupError, read_ours, read_text};
use super::standard::Names;
use crate::profile::{self, Field, Profile};

/// How a sender signs.
///
/// | scheme | signature | over | secret |
/// |---|---|---|---|
/// | `Standard` | `webhook-signature: v1,<base64>` or `v1a,<base64>`, several | `{id}.{timestamp}.{body}` | see below |
/// | `Svix` | the same in `svix-signature` | the same | see below |
/// | `Emp`, `Lead` | `X-Webhook-Signature: sha256=<hex>` | body | see below |
/// | `Aegisx` | `X-Webhook-Signature-256: sha256=<hex>` | body | see below |
/// | `OpenVideo`, `ViewCreator` | `X-Webhook-Signature: <hex>` | body | see below |
/// | `GitHub` | `X-Hub-Signature-256: sha256=<hex>` | body | its text |
/// | `Stripe` | `Stripe-Signature: t=<seconds>,v1=<hex>`, several `v1` | `{t}.{body}` | its text, `whsec_` included |
/// | `Shopify` | `X-Shopify-Hmac-SHA256: <base64>` | body | the client secret, its text |
/// | `Slack` | `X-Slack-Signature: v0=<hex>`, `X-Slack-Request-Timestamp` | `v0:{timestamp}:{body}` | the signing secret, its text |
///
/// In the schemes of Tidings a secret is what [`Keys`](crate::keys::Keys) reads: text, or `whsec_` and
/// base64. With `Standard` and `Svix` it may also be `whpk_…`, the public key of a sender that signs
/// with Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Standard Webhooks: Tidings by default, and every other sender of it.
    Standard,
    /// Standard Webhooks under the names that Svix used before.
    Svix,
    /// The EMP job queue.
    Emp,
    /// The AegisX platform.
    Aegisx,
    /// OpenVideo.
    OpenVideo,
    /// ViewCreator.
    ViewCreator,
    /// Leads.
    Lead,
    /// GitHub.
    GitHub,
    /// Stripe.
    Stripe,
    /// Shopify.
    Shopify,
    /// Slack.
    Slack,
}

/// A name that no scheme has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not the name of a signature scheme")]
pub struct UnknownScheme;

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Standard,
        Self::Svix,
        Self::Emp,
        Self::Aegisx,
        Self::OpenVideo,
        Self::ViewCreator,
        Self::Lead,
        Self::GitHub,
        Self::Stripe,
        Self::Shopify,
        Self::Slack,
    ];

    /// The name in lower case, as `FromStr` reads it: for profiles that of the profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Svix => "svix",
            Self::Emp => "emp",
            Self::Aegisx => "aegisx",
            Self::OpenVideo => "openvideo",
            Self::ViewCreator => "viewcreator",
            Self::Lead => "lead",
            Self::GitHub => "github",
            Self::Stripe => "stripe",
            Self::Shopify => "shopify",
            Self::Slack => "slack",
        }
    }

    /// The header that holds the signature.
    pub const fn signature_header(self) -> &'static str {
        match self {
            Self::Standard => "webhook-signature",
            Self::Svix => "svix-signature",
            Self::Emp | Self::OpenVideo | Self::ViewCreator | Self::Lead => "X-Webhook-Signature",
            Self::Aegisx => "X-Webhook-Signature-256",
            Self::GitHub => "X-Hub-Signature-256",
            Self::Stripe => "Stripe-Signature",
            Self::Shopify => "X-Shopify-Hmac-SHA256",
            Self::Slack => "X-Slack-Signature",
        }
    }

    /// The header that holds the id to tell repetitions by. `None`: the body has one, or nothing has.
    pub const fn id_header(self) -> Option<&'static str> {
        match self {
            Self::Standard => Some("webhook-id"),
            Self::Svix => Some("svix-id"),
            Self::Emp => Some("X-Event-ID"),
            Self::Aegisx => Some("X-Webhook-Delivery"),
            Self::GitHub => Some("X-GitHub-Delivery"),
            Self::Shopify => Some("X-Shopify-Event-Id"),
            Self::OpenVideo | Self::ViewCreator | Self::Lead | Self::Stripe | Self::Slack => None,
        }
    }

    /// Whether a time is signed, so that a recorded request is worth nothing after the tolerance.
    pub const fn signs_time(self) -> bool {
        matches!(self, Self::Standard | Self::Svix | Self::Stripe | Self::Slack)
    }

    pub(super) fn layout(self) -> Layout {
        let place = |prefix: &'static str, encoding| {
            Layout::Body(Place {
                signature: self.signature_header().into(),
                prefix: prefix.into(),
                encoding,
                id: self.id_header().map(Cow::Borrowed),
            })
        };
        match self {
            Self::Standard => Layout::Standard(Names::with_prefix("webhook")),
            Self::Svix => Layout::Standard(Names::with_prefix("svix")),
            Self::Emp | Self::Aegisx | Self::Lead | Self::GitHub => place("sha256=", Encoding::Hex),
            Self::OpenVideo | Self::ViewCreator => place("", Encoding::Hex),
            Self::Shopify => place("", Encoding::Base64),
            Self::Stripe => Layout::Stripe,
            Self::Slack => Layout::Slack,
        }
    }

    pub(super) fn read_keys(self, text: &str, keys: &mut Vec<Key>) -> Result<(), SetupError> {
        match self {
            Self::GitHub | Self::Stripe | Self::Shopify | Self::Slack => read_text(text, keys),
            _ => read_ours(text, keys),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(name: &str) -> Result<Self, UnknownScheme> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name).ok_or(UnknownScheme)
    }
}

/// Where the parts are, for the code that reads them.
#[derive(Debug, Clone)]
pub(super) enum Layout {
    Standard(Names),
    Body(Place),
    Stripe,
    Slack,
}

impl Layout {
    /// `None`: its requests are not signed.
    pub fn of_profile(profile: &Profile) -> Option<Self> {
        let rule = profile.signature.as_ref()?;
        let sent = |field| {
            let header = profile.headers.iter().find(|header| header.value.is_only(field))?;
            Some(Cow::Owned(header.name.clone()))
        };
        let signature = Cow::Owned(rule.header.clone());
        Some(match &rule.scheme {
            profile::Scheme::StandardV1 => Self::Standard(Names {
                id: sent(Field::EventId)?,
                timestamp: sent(Field::TimestampS)?,
                signature,
            }),
            profile::Scheme::HmacHex { prefix } => Self::Body(Place {
                signature,
                prefix: prefix.clone().into(),
                encoding: Encoding::Hex,
                id: sent(Field::EventId).or_else(|| sent(Field::DeliveryId)),
            }),
        })
    }

    pub fn takes_ed25519(&self) -> bool {
        matches!(self, Self::Standard(_))
    }
}
