//! Which signature a request carries, and whether it is right: for `verify`, `listen` and `demo`.

use clap::ValueEnum;
use http::HeaderMap;
use tidings_wire::secret::Secret;
use tidings_wire::verify::{StandardHeaders, VerifyError, verify_hmac_hex, verify_standard};

/// How requests are signed. The names are those of the profiles that sign so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scheme {
    /// Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature
    Standard,
    /// X-Webhook-Signature: sha256=<hex of the body>
    Emp,
    /// X-Webhook-Signature-256: sha256=<hex of the body>
    Aegisx,
}

/// What stands before the hex digits.
pub(super) const HEX_PREFIX: &str = "sha256=";

impl Scheme {
    const ALL: [Self; 3] = [Self::Standard, Self::Emp, Self::Aegisx];

    /// The header that holds the signature.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Standard => "webhook-signature",
            Self::Emp => "X-Webhook-Signature",
            Self::Aegisx => "X-Webhook-Signature-256",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Emp => "emp",
            Self::Aegisx => "aegisx",
        }
    }

    /// The scheme of the signature header that is there.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| headers.contains_key(scheme.header()))
    }

    /// Verifies the raw bytes of a request.
    pub(super) fn verify(
        self,
        secrets: &[Secret],
        headers: &HeaderMap,
        body: &[u8],
        now_s: i64,
        tolerance_s: u64,
    ) -> Result<(), VerifyError> {
        match self {
            Self::Standard => {
                let all = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                let found = StandardHeaders::find(all)?;
                verify_standard(secrets, &found, body, now_s, tolerance_s).map(drop)
            }
            Self::Emp | Self::Aegisx => {
                let mut values = headers.get_all(self.header()).iter();
                let value = values.next().map(http::HeaderValue::as_bytes);
                if value.is_none() {
                    return Err(VerifyError::Missing(self.header()));
                }
                if values.next().is_some() {
                    return Err(VerifyError::Repeated(self.header()));
                }
                verify_hmac_hex(secrets, HEX_PREFIX, value, body)
            }
        }
    }
}
