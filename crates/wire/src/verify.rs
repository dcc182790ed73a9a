//! Verification, for receivers.
//!
//! A [`Verifier`] is made once, from the [`Scheme`] in which the sender signs and the secrets that are
//! shared with it, several while they rotate. Then it judges requests:
//!
//! ```
//! use tidings_wire::verify::{Scheme, Verifier};
//!
//! let verifier = Verifier::new(Scheme::Standard, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])?;
//!
//! let headers = vec![
//!     ("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
//!     ("Webhook-Timestamp", "1614265330"),
//!     ("Webhook-Signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
//! ];
//! let body = br#"{"test": 2432232314}"#;
//! let now_s = 1_614_265_400;
//! let verified = verifier.verify(&headers, body, now_s)?;
//! assert_eq!(verified.id, Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
//!
//! let refused = verifier.verify(&headers, b"{}", now_s).unwrap_err();
//! assert_eq!(refused.to_string(), "not verified"); // for the sender
//! assert_eq!(refused.why.to_string(), "no signature matches"); // for the log
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Hand in the raw bytes of the body, before anything has parsed them: JSON that was parsed and
//! printed again is other bytes. Nothing here panics, whatever comes in; MACs are decoded to their
//! 32 bytes first and compared in constant time; what is written differently from how senders write
//! it is refused, not repaired.
//!
//! # Again and again
//!
//! Senders repeat a request when its answer was lost, and whoever recorded one can send it again: in
//! the schemes that sign a time, as long as the tolerance lasts; in the others, for ever. So remember
//! the ids of what was processed, for as long as the sender retries, and answer 2xx to those that come
//! again: see [`Verifier::seen`].

mod body;
mod headers;
mod key;
mod read;
mod refused;
mod scheme;
mod slack;
mod standard;
mod stripe;

use std::fmt;
use std::sync::Arc;

use crate::profile::Profile;

pub use headers::{Found, Headers};
pub use key::{Key, SetupError};
pub use refused::{Refused, Why};
pub use scheme::Scheme;

use headers::Incoming;
use scheme::Layout;

/// How far the clocks of sender and receiver may be apart: five minutes, as in the libraries of
/// Standard Webhooks, Stripe and Slack.
pub const DEFAULT_TOLERANCE_S: u64 = 300;

/// How many signatures a header may hold. A sender needs one per key of a rotation.
pub const MAX_SIGNATURES: usize = 16;

/// Judges the requests of one sender.
#[derive(Clone)]
pub struct Verifier {
    layout: Layout,
    /// Never empty.
    keys: Vec<Key>,
    tolerance_s: u64,
    seen: Option<Arc<Seen>>,
}

type Seen = dyn Fn(&str) -> bool + Send + Sync;

/// What a verified request says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified<'h> {
    /// Its id, the same when it is repeated, if the scheme has one: see [`Scheme::id_header`]. In
    /// Standard Webhooks it is signed. Elsewhere it is not: it tells honest repetitions, and whoever
    /// recorded a request can change it.
    pub id: Option<&'h str>,
    /// When it was signed, in Unix seconds, if the scheme signs a time.
    pub timestamp_s: Option<i64>,
    /// Whether the hook of [`Verifier::seen`] knew the id.
    pub seen: bool,
}

impl Verifier {
    /// A verifier for a sender's scheme, with one secret or, while they rotate, several.
    ///
    /// What a text means as a key depends on the scheme, as its senders have it: see [`Scheme`].
    pub fn new<S: AsRef<str>>(scheme: Scheme, secrets: &[S]) -> Result<Self, SetupError> {
        let mut keys = Vec::new();
        for text in secrets {
            scheme.read_keys(text.as_ref(), &mut keys)?;
        }
        Self::of(scheme.layout(), keys)
    }

    /// The same with keys that are at hand as such: for senders whose keys have unusual lengths.
    pub fn with_keys(scheme: Scheme, keys: Vec<Key>) -> Result<Self, SetupError> {
        Self::of(scheme.layout(), keys)
    }

    /// A verifier for what is sent in a profile, one of your own perhaps.
    ///
    /// ```
    /// use tidings_wire::{profile::Profile, verify::Verifier};
    /// let emp = Profile::builtin("emp").expect("comes with the crate");
    /// let verifier = Verifier::of_profile(emp, &["your-secret-key"])?;
    /// # Ok::<(), tidings_wire::verify::SetupError>(())
    /// ```
    pub fn of_profile<S: AsRef<str>>(profile: &Profile, secrets: &[S]) -> Result<Self, SetupError> {
        let mut keys = Vec::new();
        for text in secrets {
            key::read_ours(text.as_ref(), &mut keys)?;
        }
        Self::of(Layout::of_profile(profile).ok_or(SetupError::Unsigned)?, keys)
    }

    fn of(layout: Layout, keys: Vec<Key>) -> Result<Self, SetupError> {
        if keys.is_empty() {
            return Err(SetupError::NoSecret);
        }
        if !layout.takes_ed25519() && keys.iter().any(|key| matches!(key, Key::Ed25519(_))) {
            return Err(SetupError::Ed25519);
        }
        Ok(Self { layout, keys, tolerance_s: DEFAULT_TOLERANCE_S, seen: None })
    }

    /// How far the clocks may be apart, in seconds and to both sides, where the scheme signs a time.
    /// Without this it is [`DEFAULT_TOLERANCE_S`].
    #[must_use]
    pub fn tolerance_s(mut self, tolerance_s: u64) -> Self {
        self.tolerance_s = tolerance_s;
        self
    }

    /// A hook that knows which ids were processed before. It is asked once a request has been
    /// verified, and only looks: remember the id yourself, when the work is done, or an id whose
    /// work failed would never be taken again.
    ///
    /// ```
    /// use std::{collections::HashSet, sync::{Arc, Mutex}};
    /// use tidings_wire::verify::{Scheme, Verifier};
    ///
    /// let processed = Arc::new(Mutex::new(HashSet::<String>::new()));
    /// let known = Arc::clone(&processed);
    /// let verifier = Verifier::new(Scheme::GitHub, &["It's a Secret to Everybody"])?
    ///     .seen(move |id| known.lock().is_ok_and(|known| known.contains(id)));
    ///
    /// let headers = vec![
    ///     ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
    ///     ("X-Hub-Signature-256",
    ///      "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
    /// ];
    /// let first = verifier.verify(&headers, b"Hello, World!", 0)?;
    /// assert!(!first.seen);
    /// processed.lock().unwrap().extend(first.id.map(str::to_owned));
    /// assert!(verifier.verify(&headers, b"Hello, World!", 0)?.seen);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn seen(mut self, hook: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.seen = Some(Arc::new(hook));
        self
    }

    /// Judges a request: its headers, the raw bytes of its body, and the time in Unix seconds.
    ///
    /// One right signature with one of the keys is enough.
    pub fn verify<'h>(
        &self,
        headers: &'h dyn Headers,
        body: &[u8],
        now_s: i64,
    ) -> Result<Verified<'h>, Refused> {
        let incoming = Incoming { headers, body, now_s, tolerance_s: self.tolerance_s };
        let verified = match &self.layout {
            Layout::Standard(names) => standard::verify(names, &self.keys, &incoming),
            Layout::Body(place) => body::verify(place, &self.keys, &incoming),
            Layout::Stripe => stripe::verify(&self.keys, &incoming),
            Layout::Slack => slack::verify(&self.keys, &incoming),
        };
        let mut verified = verified.map_err(|why| Refused { why })?;
        verified.seen = match (&self.seen, verified.id) {
            (Some(hook), Some(id)) => hook(id),
            _ => false,
        };
        Ok(verified)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("layout", &self.layout)
            .field("keys", &self.keys)
            .field("tolerance_s", &self.tolerance_s)
            .finish_non_exhaustive()
    }
}
