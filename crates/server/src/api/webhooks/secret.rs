//! Signing secrets: read, made up, sealed, shown once.

use serde::Serialize;
use tidings_core::time::Timestamp;
use tidings_core::webhook::{SigningSecret, Webhook};
use tidings_wire::profile::{Profile, Scheme, SecretRule};
use tidings_wire::secret::Secret;

use crate::clock;

/// Whether a text can be a secret; if not, why.
pub(super) fn parse(text: &str) -> Result<(), String> {
    Secret::parse(text).map(drop).map_err(|error| error.to_string())
}

/// A new secret in the spelling that receivers of the profile know.
pub(super) fn generate(profile: &Profile) -> String {
    let random = clock::random::<32>();
    let standard = profile.signature.as_ref().is_none_or(|s| s.scheme == Scheme::StandardV1);
    let secret = match profile.secret {
        SecretRule::GeneratedHex => Secret::generate_hex(random),
        SecretRule::GeneratedWhsec => Secret::generate_whsec(random),
        _ if standard => Secret::generate_whsec(random),
        _ => Secret::generate_hex(random),
    };
    secret.expose()
}

/// Drops secrets that sign no more.
pub(super) fn forget_old(secrets: &mut Vec<SigningSecret>, now: Timestamp) {
    secrets.retain(|secret| secret.valid_until.is_none_or(|until| until > now));
}

/// The current secret, shown on creation and rotation only.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ShownSecret {
    /// Null when requests are not signed. It is shown this once.
    pub secret: Option<String>,
    /// The same secret as the official Standard Webhooks libraries take it, for secrets that were
    /// given as plain text to a profile of that scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_whsec: Option<String>,
}

impl ShownSecret {
    pub(super) fn of(webhook: &Webhook, profile: &Profile) -> Self {
        let text = webhook.secrets.first().map(|secret| secret.text.clone());
        let standard = profile.signature.as_ref().is_some_and(|s| s.scheme == Scheme::StandardV1);
        let plain = text.as_deref().filter(|text| standard && !text.starts_with("whsec_"));
        let secret_whsec =
            plain.and_then(|text| Secret::parse(text).ok()).map(|secret| secret.to_whsec());
        Self { secret: text, secret_whsec }
    }
}
