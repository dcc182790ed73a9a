//! Every byte that a webhook sender puts on the wire, and its verification.
//!
//! Tidings sends webhooks in the forms that receivers already expect. This
//! crate is those forms: which headers, which body, which signature. It is pure. It does no I/O, has
//! no clock and draws no randomness; what it needs of them is handed in. So it serves senders and
//! receivers alike, and every byte can be tested.
//!
//! | to | read |
//! |---|---|
//! | verify what you receive | [`verify`]; with axum `extract` |
//! | know what a kind of receiver expects | [`profile`] and the files beside it |
//! | send | [`body::build`], then [`request::compose`] |
//! | hand a lead to an e-mail or automation service | [`lead`] |
//! | sign by hand | [`sign`], with keys of [`secret`] and [`ed25519`]; [`keys`] reads both |
//! | print JSON as JavaScript does | [`canonical`] |
//!
//! # Receiving
//!
//! ```
//! use tidings_wire::verify::{Scheme, Verifier, Why};
//!
//! let verifier = Verifier::new(Scheme::Slack, &["8f742231b10e8888abcd99yyyzzz85a5"])?;
//! let headers = [("X-Slack-Request-Timestamp", "1531420618"), ("X-Slack-Signature", "v0=a2114d")];
//! let refused = verifier.verify(&headers, b"token=xyzz0", 1_531_420_618).unwrap_err();
//! assert_eq!(refused.why, Why::InvalidSignature); // for the log; the sender gets 401 alone
//! # Ok::<(), tidings_wire::verify::SetupError>(())
//! ```
//!
//! Headers come from lists of names and values, from anything that implements
//! [`Headers`](verify::Headers), and with the feature `http` from its `HeaderMap`. With the feature
//! `axum` there are extractors, and `examples/receiver.rs` is a receiver in thirty lines.
//!
//! # One request, from end to end
//!
//! ```
//! use tidings_wire::body::{self, EventView, WebhookView};
//! use tidings_wire::profile::Profile;
//! use tidings_wire::request::{self, Attempt, DeliveryView};
//! use tidings_wire::secret::Secret;
//! use tidings_wire::sign::Signer;
//! use tidings_wire::verify::{Scheme, Verifier};
//!
//! let secret = Secret::generate_whsec([7; 32]); // 32 bytes from your source of randomness
//! let signers = [Signer::new(&secret)]; // once per webhook, not once per request
//! let profile = Profile::builtin("standard").expect("comes with the crate");
//!
//! let event = EventView {
//!     id: "evt_1",
//!     event_type: "job.completed",
//!     timestamp_ms: 1_705_228_256_789,
//!     data: br#"{"job_id":"job_1"}"#,
//! };
//! let body = body::build(profile.body, &event, &WebhookView { id: "wh_1", name: None }, 1)?;
//! let headers = request::compose(&Attempt {
//!     profile,
//!     shape: profile.body,
//!     delivery: DeliveryView {
//!         event_type: event.event_type,
//!         event_id: event.id,
//!         event_ms: event.timestamp_ms,
//!         webhook_id: "wh_1",
//!         delivery_id: "dlv_1",
//!         created_ms: event.timestamp_ms,
//!         is_test: false,
//!     },
//!     body: &body,
//!     custom: &[],
//!     signers: &signers,
//!     timestamp_s: 1_705_228_257,
//! })?;
//!
//! // … and at the other end, over the bytes as they arrived:
//! let arrived: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
//! let verifier = Verifier::new(Scheme::Standard, &[secret.expose()])?;
//! let verified = verifier.verify(&arrived, &body, 1_705_228_258)?;
//! assert_eq!(verified.id, Some("evt_1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]

/// The examples of the README, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod body;
pub mod canonical;
pub mod ed25519;
#[cfg(feature = "axum")]
pub mod extract;
pub mod keys;
pub mod lead;
pub mod profile;
pub mod request;
pub mod sample;
pub mod secret;
pub mod sign;
pub mod time;
pub mod verify;
