//! Signing secrets: read, made up, sealed, shown once.

use serde::Serialize;
use tidings_core::time::Timestamp;
use tidings_core::webhook::{SigningSecret, Webhook};
use tidings_wire::keys::Keys;
use tidings_wire::profile::{Profile, Scheme, SecretRule};
use tidings_wire::secret::Secret;

use crate::clock;

/// Whether a text can be a secret of this profile; if not, why.
pub(super) fn check(text: &str, profile: &Profile) -> Result<(), String> {
    let keys = Keys::parse(text).map_err(|error| error.to_string())?;
    let takes_all = profile.signature.as_ref().is_none_or(|rule| rule.scheme.takes_ed25519());
    match keys.ed25519.is_none() || takes_all {
        true => Ok(()),
        false => Err(format!("the profile `{}` cannot sign with a `whsk_` key", profile.name)),
    }
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
    /// What verifies the signatures of a `whsk_` key. It is no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whpk_…")]
    pub public_key: Option<String>,
}

impl ShownSecret {
    pub(super) fn of(webhook: &Webhook, profile: &Profile) -> Self {
        let text = webhook.secrets.first().map(|secret| secret.text.clone());
        let standard = profile.signature.as_ref().is_some_and(|s| s.scheme == Scheme::StandardV1);
        let keys = text.as_deref().and_then(|text| Keys::parse(text).ok()).unwrap_or_default();
        let plain = keys.shared.filter(|secret| standard && !secret.is_prefixed());
        Self {
            secret: text,
            secret_whsec: plain.map(|secret| secret.to_whsec()),
            public_key: keys.ed25519.map(|key| key.public_key().to_string()),
        }
    }
}
