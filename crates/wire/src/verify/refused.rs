//! Why a request is refused: all of it for the log, nothing for the sender.

use thiserror::Error;

use super::MAX_SIGNATURES;

/// A request that is not verified. Answer it with 401 and nothing more.
///
/// Its text says nothing, so that it may be sent; [`Refused::why`] is for the log, and the source of
/// this error, so that what prints the whole chain of an error prints it too.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not verified")]
pub struct Refused {
    /// The reason. It would tell a forger how far they got.
    #[source]
    pub why: Why,
}

/// The reason for a refusal, for the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Why {
    /// A header that must be there is not.
    #[error("the header `{0}` is missing")]
    Missing(Box<str>),
    /// A header that may be there once is there more than once.
    #[error("the header `{0}` is there more than once")]
    Repeated(Box<str>),
    /// An id that is not visible ASCII, or, where it is signed, one that has a full stop: since full
    /// stops separate what is signed, parts of the id could be passed off as the timestamp.
    #[error("the id is not visible ASCII without full stops")]
    InvalidId,
    /// A timestamp that is not a plain decimal number of seconds.
    #[error("the timestamp is not a plain decimal number")]
    InvalidTimestamp,
    /// The timestamp is too far in the past.
    #[error("the timestamp is too old")]
    TooOld,
    /// The timestamp is too far in the future.
    #[error("the timestamp is in the future")]
    TooNew,
    /// A signature header without a signature of this scheme in the form that its senders write.
    #[error("the signature header has no well-formed signature of this scheme")]
    InvalidSignature,
    /// More than [`MAX_SIGNATURES`] signatures.
    #[error("the signature header has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// Well-formed, with Ed25519 where there is only a shared secret, or the other way round.
    #[error("the signatures are of a kind for which there is no key")]
    NoKey,
    /// Well-formed, and made with another key or over other bytes.
    #[error("no signature matches")]
    Mismatch,
}
