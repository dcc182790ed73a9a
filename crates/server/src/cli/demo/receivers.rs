//! What the receivers saw: the other side of the books.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Result, anyhow};
use http::StatusCode;
use tidings_core::time::Timestamp;
use tidings_wire::verify::{Scheme, Verifier};

use crate::cli::receiver::Received;

/// Verifies, counts, and fails at first when it is told to.
#[derive(Debug)]
pub(super) struct Tally {
    verifier: OnceLock<Verifier>,
    fails: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    pub requests: u64,
    pub failed_on_purpose: u64,
    pub signatures_wrong: u64,
    /// How often each event was taken.
    pub taken: HashMap<String, u64>,
}

impl Tally {
    pub(super) fn new(fails: u64) -> Self {
        Self { verifier: OnceLock::new(), fails, counts: Mutex::default() }
    }

    pub(super) fn verify_with(&self, secret: &str) -> Result<()> {
        let verifier = Verifier::new(Scheme::Standard, &[secret])?;
        self.verifier.set(verifier).map_err(|_| anyhow!("there is one already"))
    }

    /// Answers a request as a careful receiver does: 401 for what is not signed right.
    pub(super) fn judge(&self, request: &Received, now: Timestamp) -> StatusCode {
        let (headers, body, now) = (&request.headers, &request.body, now.as_secs());
        let verified = self.verifier.get().and_then(|it| it.verify(headers, body, now).ok());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        let Some(verified) = verified else {
            counts.signatures_wrong += 1;
            return StatusCode::UNAUTHORIZED;
        };
        if counts.requests <= self.fails {
            counts.failed_on_purpose += 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        *counts.taken.entry(verified.id.unwrap_or_default().to_owned()).or_default() += 1;
        StatusCode::OK
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
