//! Profiles: what a receiver expects on the wire, as data.
//!
//! A profile is a TOML file that a person can read. Those that come with the crate are in
//! `crates/wire/profiles`; users bring their own in the same form ([`Profile::parse`]):
//!
//! ```
//! use tidings_wire::profile::Profile;
//!
//! let profile = Profile::parse(r#"
//!     name = "acme"
//!     user_agent = "Acme-Hooks/<version>"
//!     body = "raw"
//!     timeout_ms = 10_000
//!     secret = "required"
//!     headers = [
//!       { name = "X-Acme-Event", value = "{event_type}" },
//!       { name = "X-Acme-Delivery", value = "{delivery_id}" },
//!     ]
//!
//!     [signature]
//!     header = "X-Acme-Signature"
//!     scheme = "hmac_hex"
//!     prefix = "sha256="
//!
//!     [retry]
//!     max_attempts = 5
//!     strategy = "exponential"
//! "#)?;
//! assert_eq!(profile.retry.initial_delay_ms, 1_000);
//! assert!(profile.is_final(410));
//! # Ok::<(), tidings_wire::profile::ProfileErrors>(())
//! ```
//!
//! Header values are templates. They know `{event_type}`, `{event_id}`, `{webhook_id}`,
//! `{delivery_id}`, `{timestamp_s}` (the attempt, Unix seconds) and `{created_iso}` (when the
//! delivery was made, ISO 8601). A header whose value turns out empty is left out.

mod parse;
mod reader;
mod retry;
mod shape;
mod status;
mod template;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

pub use parse::{ProfileError, ProfileErrors};
pub use retry::{RetryDefaults, Strategy};
pub use shape::BodyShape;
pub(crate) use shape::is_cloud_event_header;
pub use status::{ErrorType, StatusSet};
pub(crate) use template::Part;
pub use template::{Field, Template};

/// What one kind of receiver expects, and how it is to be treated by default.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// The name that a webhook refers to.
    pub name: String,
    /// The value of `User-Agent`; `<version>` has been replaced.
    pub user_agent: String,
    /// Further headers, in the order in which they are sent.
    pub headers: Vec<HeaderRule>,
    /// How and where requests are signed; `None`: never.
    pub signature: Option<SignatureRule>,
    /// The shape of the body.
    pub body: BodyShape,
    /// How long an attempt may take, from the look-up of the name to the last byte of the answer.
    pub timeout_ms: u64,
    /// When to try again, for webhooks that say nothing of it.
    pub retry: RetryDefaults,
    /// Answers that end a delivery at once.
    pub final_statuses: StatusSet,
    /// Failures without an answer that end a delivery at once.
    pub final_errors: Vec<ErrorType>,
    /// What has not been delivered so long after it was due is not wanted any more; `None`: it is.
    pub expires_after_ms: Option<u64>,
    /// The kind of events that it can tell of, as `job.`; `None`: all. See [`Profile::tells_of`].
    pub events: Option<String>,
    /// Whether there must be a secret, and where it comes from.
    pub secret: SecretRule,
}

/// One header of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderRule {
    /// The name, spelled as it is sent.
    pub name: String,
    /// The value.
    pub value: Template,
    /// Whether a test delivery carries it too.
    pub in_test: bool,
}

/// Where the signature goes and how it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignatureRule {
    /// The name of the header.
    pub header: String,
    /// How its value is made.
    pub scheme: Scheme,
}

/// How a request is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// `v1,<base64>` over `{event_id}.{timestamp_s}.{body}`, one for each secret, space separated;
    /// `v1a,<base64>` for Ed25519 keys (Standard Webhooks). Such a profile must send id and timestamp.
    StandardV1,
    /// `<prefix><hex>` over the body, one only.
    HmacHex {
        /// What stands before the hex digits, as `sha256=`.
        prefix: String,
    },
}

impl Scheme {
    /// Whether old and new secret can both sign while a rotation overlaps. Where they cannot, the
    /// old one signs until the overlap ends.
    pub fn has_room_for_several(&self) -> bool {
        matches!(self, Self::StandardV1)
    }

    /// Whether an Ed25519 key can sign. Where it cannot, only a shared secret can.
    pub fn takes_ed25519(&self) -> bool {
        matches!(self, Self::StandardV1)
    }
}

/// Whether a webhook of this profile has a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretRule {
    /// One must be given.
    Required,
    /// Signed when one is given, unsigned when none is.
    Optional,
    /// When none is given, make one with [`Secret::generate_hex`](crate::secret::Secret::generate_hex).
    GeneratedHex,
    /// When none is given, make one with
    /// [`Secret::generate_whsec`](crate::secret::Secret::generate_whsec).
    GeneratedWhsec,
}

/// The files of the crate, by the names of their profiles.
const FILES: [(&str, &str); 7] = [
    ("standard", include_str!("../profiles/standard.toml")),
    ("svix", include_str!("../profiles/svix.toml")),
    ("emp", include_str!("../profiles/emp.toml")),
    ("aegisx", include_str!("../profiles/aegisx.toml")),
    ("openvideo", include_str!("../profiles/openvideo.toml")),
    ("viewcreator", include_str!("../profiles/viewcreator.toml")),
    ("lead", include_str!("../profiles/lead.toml")),
];

static BUILTIN: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    FILES
        .map(|(_, file)| Profile::parse(file).expect("a test parses every profile of the crate"))
        .into()
});

impl Profile {
    /// How long an attempt may take, ms.
    pub const TIMEOUT_MS: RangeInclusive<u64> = 100..=120_000;
    /// How long a delivery may be wanted, ms: from a second to a year.
    pub const EXPIRES_AFTER_MS: RangeInclusive<u64> = 1_000..=365 * 86_400_000;

    /// The profiles that come with the crate.
    pub fn builtins() -> &'static [Self] {
        &BUILTIN
    }

    /// A profile that comes with the crate.
    pub fn builtin(name: &str) -> Option<&'static Self> {
        BUILTIN.iter().find(|profile| profile.name == name)
    }

    /// The file of a profile that comes with the crate, to read or to start one's own from.
    pub fn builtin_file(name: &str) -> Option<&'static str> {
        FILES.iter().find(|(of, _)| *of == name).map(|(_, file)| *file)
    }

    /// Whether the profile can tell of an event of this type, or of all that a pattern such as `job.*`
    /// stands for. Its body may be built from data that only one source has.
    pub fn tells_of(&self, pattern: &str) -> bool {
        self.events.as_ref().is_none_or(|kind| pattern.starts_with(kind.as_str()))
    }

    /// Whether an answer with this status ends the delivery at once. (Whether it was a success is
    /// another question: 2xx is, in every profile.)
    pub fn is_final(&self, status: u16) -> bool {
        self.final_statuses.contains(status)
    }

    /// Whether old and new secret can both sign while a rotation overlaps.
    pub fn has_room_for_several_signatures(&self) -> bool {
        self.signature.as_ref().is_some_and(|signature| signature.scheme.has_room_for_several())
    }

    /// Whether requests of this profile own a header, sent or not: a custom header of the name is
    /// ignored. Otherwise an unsigned request could carry a signature that somebody made up.
    pub fn owns_header(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("content-type")
            || name.eq_ignore_ascii_case("user-agent")
            || self.headers.iter().any(|rule| rule.name.eq_ignore_ascii_case(name))
            || self.signature.as_ref().is_some_and(|rule| rule.header.eq_ignore_ascii_case(name))
    }
}

/// `<version>` in a user agent is the version of this crate, which is the version of Tidings.
fn with_version(user_agent: &str) -> Cow<'_, str> {
    match user_agent.contains("<version>") {
        true => user_agent.replace("<version>", env!("CARGO_PKG_VERSION")).into(),
        false => user_agent.into(),
    }
}

#[cfg(test)]
mod tests;
