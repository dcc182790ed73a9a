//! What the secret of one webhook may hold: a shared secret, an Ed25519 key, or one of each.

use thiserror::Error;

use crate::ed25519::{KeyError, SigningKey};
use crate::secret::{Secret, SecretError};
use crate::sign::Signer;

/// The keys that sign for one webhook.
///
/// * any text, or `whsec_…`: a [`Secret`], for HMAC.
/// * `whsk_…`: a [`SigningKey`], for Ed25519.
/// * `whsec_… whsk_…`, in either order and with one space between: both sign, so that each receiver
///   can verify what it is able to. Only Standard Webhooks has room for that.
///
/// ```
/// use tidings_wire::keys::Keys;
/// let keys = Keys::parse("whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")?;
/// assert!(keys.shared.is_none());
/// let public = keys.ed25519.expect("it is one").public_key();
/// assert_eq!(public.to_string(), "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=");
/// # Ok::<(), tidings_wire::keys::KeysError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Signs with HMAC-SHA-256.
    pub shared: Option<Secret>,
    /// Signs with Ed25519.
    pub ed25519: Option<SigningKey>,
}

/// Why a text cannot be the secret of a webhook. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// One of them is meant as a shared secret and is none.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// One of them is meant as an Ed25519 key and is none.
    #[error(transparent)]
    Ed25519(#[from] KeyError),
    /// A key that only verifies.
    #[error("`whpk_` marks a public key, which cannot sign")]
    Public,
    /// Two keys of the same kind, or more than two.
    #[error("a secret holds at most one `whsec_` and one `whsk_` key, with a space between")]
    TooMany,
}

impl Keys {
    /// Reads a secret as a person typed it. The prefix decides what it is, never the content.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys = Self::default();
        if !(text.starts_with("whsec_") || text.starts_with("whsk_")) {
            if text.starts_with("whpk_") {
                return Err(KeysError::Public);
            }
            keys.shared = Some(Secret::parse(text)?);
            return Ok(keys);
        }
        for one in text.split(' ') {
            let twice = if one.starts_with("whsec_") {
                keys.shared.replace(Secret::parse(one)?).is_some()
            } else {
                keys.ed25519.replace(SigningKey::parse(one)?).is_some()
            };
            if twice {
                return Err(KeysError::TooMany);
            }
        }
        Ok(keys)
    }

    /// One signer for each key, the shared secret first.
    pub fn signers(&self) -> impl Iterator<Item = Signer> {
        let shared = self.shared.as_ref().map(Signer::new);
        shared.into_iter().chain(self.ed25519.clone().map(Signer::Ed25519))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ED25519: &str = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    #[test]
    fn one_or_both() {
        let shared = Some(Secret::parse(SHARED).unwrap());
        let ed25519 = Some(SigningKey::parse(ED25519).unwrap());
        let both = Keys { shared: shared.clone(), ed25519: ed25519.clone() };
        assert_eq!(Keys::parse(SHARED).unwrap(), Keys { shared, ed25519: None });
        assert_eq!(Keys::parse(ED25519).unwrap(), Keys { shared: None, ed25519 });
        assert_eq!(Keys::parse(&format!("{SHARED} {ED25519}")).unwrap(), both);
        assert_eq!(Keys::parse(&format!("{ED25519} {SHARED}")).unwrap(), both);
        assert!(matches!(
            both.signers().collect::<Vec<_>>()[..],
            [Signer::Mac(_), Signer::Ed25519(_)]
        ));
        // Text is text, whatever it holds.
        let text = format!("x {SHARED}");
        assert_eq!(Keys::parse(&text).unwrap().shared, Some(Secret::parse(&text).unwrap()));
    }

    #[test]
    fn what_cannot_be_a_secret() {
        for (text, error) in [
            (String::new(), SecretError::TextLength(0).into()),
            ("whsec_AAAA".into(), SecretError::KeyLength(3).into()),
            ("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=".into(), KeysError::Public),
            ("whsk_AAAA".into(), KeyError::SecretLength(3).into()),
            (format!("{SHARED} {SHARED}"), KeysError::TooMany),
            (format!("{ED25519} {SHARED} {ED25519}"), KeysError::TooMany),
            (format!("{SHARED}  {ED25519}"), KeyError::Prefix("whsk_").into()),
            (format!("{SHARED} "), KeyError::Prefix("whsk_").into()),
            (format!("{SHARED} text"), KeyError::Prefix("whsk_").into()),
            (format!("{SHARED},{ED25519}"), SecretError::Base64.into()),
        ] {
            assert_eq!(Keys::parse(&text).unwrap_err(), error, "{text}");
        }
    }
}
