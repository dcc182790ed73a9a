//! What the receivers saw: the other side of the books.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Result, anyhow};
use http::StatusCode;
use tidings_core::time::Timestamp;
use tidings_wire::secret::Secret;
use tidings_wire::verify::DEFAULT_TOLERANCE_S;

use crate::cli::receiver::Received;
use crate::cli::signature::Scheme;

/// Verifies, counts, and fails at first when it is told to.
#[derive(Debug)]
pub(super) struct Tally {
    secrets: OnceLock<Vec<Secret>>,
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
        Self { secrets: OnceLock::new(), fails, counts: Mutex::default() }
    }

    pub(super) fn verify_with(&self, secret: &str) -> Result<()> {
        let secret = Secret::parse(secret)?;
        self.secrets.set(vec![secret]).map_err(|_| anyhow!("there is one already"))
    }

    /// Answers a request as a careful receiver does: 401 for what is not signed right.
    pub(super) fn judge(&self, request: &Received, now: Timestamp) -> StatusCode {
        let (headers, body, now) = (&request.headers, &request.body, now.as_secs());
        let secrets = self.secrets.get().map(Vec::as_slice).unwrap_or_default();
        let verified =
            Scheme::Standard.verify(secrets, headers, body, now, DEFAULT_TOLERANCE_S).is_ok();
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        if !verified {
            counts.signatures_wrong += 1;
            return StatusCode::UNAUTHORIZED;
        }
        if counts.requests <= self.fails {
            counts.failed_on_purpose += 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        *counts.taken.entry(id.to_owned()).or_default() += 1;
        StatusCode::OK
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
