//! The sources of events at work: what is reported is decided in `core` on what holds now, and written
//! with the events that tell of it, in one transaction.
//!
//! A change names the version that it was made from. When somebody else was faster it is decided again
//! from what holds then, so nobody's report is lost and none is taken twice.

pub mod clipping;
pub mod deadlines;
pub mod executions;
pub mod inbound;
pub mod jobs;

use tidings_core::direct::Subject;
use tidings_core::id::DeliveryId;
use tidings_core::publication::{Publication, Published};
use tidings_core::retry::RetryPolicy;
use tidings_core::webhook::SigningSecret;
use tidings_core::{direct::Direct, id::Id};
use tidings_store::{ChangeAnswer, ReadError, WriteError};

use crate::engine::Parts;
use crate::metrics::Metrics;
use crate::seal::Sealer;

/// So often a change is decided again when someone else was faster. Whoever reports through this
/// process waits for his turn, so only deadlines and other nodes can be.
pub(crate) const TRIES: usize = 5;

/// Why a change was not made.
#[derive(Debug)]
pub enum Unchanged<Refusal> {
    NotFound,
    Refused(Refusal),
    Unread(ReadError),
    Unwritten(WriteError),
}

impl<Refusal> From<ReadError> for Unchanged<Refusal> {
    fn from(error: ReadError) -> Self {
        Self::Unread(error)
    }
}

/// The secret of `owner`'s deliveries as it is stored: sealed, or nothing.
fn seal<K>(sealer: &Sealer, owner: Id<K>, secret: Option<&str>) -> Vec<u8> {
    secret.map_or_else(Vec::new, |secret| sealer.seal(owner.as_i64(), secret.as_bytes()))
}

fn open<K>(sealer: &Sealer, owner: Id<K>, sealed: &[u8]) -> Option<String> {
    if sealed.is_empty() {
        return None;
    }
    let opened = sealer.open(owner.as_i64(), sealed).ok();
    let secret = opened.and_then(|bytes| String::from_utf8(bytes).ok());
    if secret.is_none() {
        tracing::error!("the secret of a callback cannot be opened; it goes unsigned");
    }
    secret
}

/// What a delivery to `url` brings along: all else is its profile's.
fn bring(
    parts: &Parts,
    id: DeliveryId,
    url: &str,
    profile: &str,
    subject: Subject,
    secret: Option<&str>,
) -> Direct {
    let secret = secret.map(|text| SigningSecret { text: text.to_owned(), valid_until: None });
    let mut direct = Direct {
        url: url.to_owned(),
        profile: profile.to_owned(),
        retry: RetryPolicy::from(&parts.registry.profiles().get_or_standard(profile).retry),
        timeout_ms: None,
        headers: Vec::new(),
        subject: Some(subject),
        format: None,
        options: String::new(),
        body: None,
        fixed_body: None,
        secrets: secret.into_iter().collect(),
        sealed: Vec::new(),
    };
    parts.sealer.seal_direct(id, &mut direct);
    direct
}

/// A publication, unless nothing is told.
fn told(publication: Publication) -> Vec<Publication> {
    if publication.events.is_empty() { Vec::new() } else { vec![publication] }
}

fn count(metrics: &Metrics, answer: &ChangeAnswer) {
    let published = || answer.published.iter().flat_map(|one| &one.events);
    metrics.events_accepted.increment(published().count() as u64);
    let deliveries = |published: &Published| u64::from(published.deliveries);
    metrics.deliveries_planned.increment(published().map(deliveries).sum());
}
