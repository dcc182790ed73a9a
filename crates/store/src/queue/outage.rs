//! A time in which the database takes nothing, told at its beginning and at its end: what lies between
//! is the same again and again, and would bury everything else in the log.

use tidings_core::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Outage {
    /// While there is one.
    since: Option<Timestamp>,
    /// Batches that were not taken.
    batches: u64,
}

impl Outage {
    /// A batch was not taken.
    pub(super) fn note(&mut self, why: &str, now: Timestamp) {
        self.batches += 1;
        if self.since.is_some() {
            return tracing::debug!(error = why, "another batch could not be committed");
        }
        self.since = Some(now);
        tracing::error!(
            error = why,
            "the database takes nothing: publishers are told to come back, settlements wait"
        );
    }

    /// The database has answered properly.
    pub(super) fn end(&mut self, now: Timestamp) {
        let Self { since: Some(since), batches } = std::mem::take(self) else { return };
        tracing::info!(after_ms = now.since(since), batches, "the database takes what is written");
    }
}
