//! One HTTP attempt: resolve, guard, connect, write, read a bounded answer, all inside one deadline.
//!
//! It knows nothing of tenants, lanes or retries. Three decisions carry it:
//!
//! - The [`guard`] judges every socket address that is about to be dialled, and only what it let
//!   through is dialled. Nothing is followed: no redirect, no proxy, no protocol switch.
//! - A [`connection`] has no task of its own: the attempt that uses it drives it. So a deadline that
//!   drops the attempt closes the socket, nothing can leak, and an answer costs no hop between threads.
//! - Success is decided on the status line. What becomes of the body after it changes only what is kept.

mod answer;
mod buffer;
mod connection;
mod dial;
mod failure;
mod framing;
mod guard;
mod head;
mod lines;
mod message;
mod pool;
mod resolve;
mod stream;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tidings_core::egress::{EgressPolicy, Target};
use tidings_core::outcome::{Failure, Outcome};
use tokio::time::Instant;

use self::answer::Reading;
use self::dial::Dialler;
use self::failure::Stage;
use self::guard::Guard;
pub use self::lines::{Lines, Unwritable};
use self::pool::Pool;
pub use self::resolve::{Resolve, ResolveError, Resolving, SystemResolver};
pub use self::tls::CaError;
pub(crate) use self::tls::client_config;

/// One request to one target.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to.
    pub target: Arc<Target>,
    /// How.
    pub method: Method,
    /// All headers but `Host` and the framing, which are ours.
    pub headers: Lines,
    /// The bytes that were signed.
    pub body: Bytes,
    /// From the name's resolution to the last byte of the answer.
    pub timeout: Duration,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What the attempt met.
    pub outcome: Outcome,
    /// How long it took, milliseconds.
    pub duration_ms: u32,
}

/// How a [`Sender`] is made.
pub struct SenderConfig {
    /// Where requests may go.
    pub egress: Arc<EgressPolicy>,
    /// How names become addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Certificates, in PEM, that are trusted beside the public ones.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Idle connections kept for one destination.
    pub idle_per_destination: usize,
    /// Idle connections kept in all; each is a file descriptor and some 20 KiB.
    pub idle_total: usize,
}

impl SenderConfig {
    /// The defaults, with the resolver of this system.
    pub fn new(egress: Arc<EgressPolicy>) -> Self {
        Self {
            egress,
            resolver: Arc::new(SystemResolver::new()),
            extra_ca_pem: None,
            idle_per_destination: 512,
            idle_total: 2_048,
        }
    }
}

/// Sends requests. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Sender {
    inner: Arc<Inner>,
}

struct Inner {
    dialler: Dialler,
    pool: Arc<Pool>,
}

impl Sender {
    /// A sender under this policy; fails only when the extra certificates cannot be read.
    pub fn new(config: SenderConfig) -> Result<Self, CaError> {
        let guard = Guard::new(config.egress, config.resolver);
        let tls = client_config(config.extra_ca_pem.as_deref())?;
        let pool = Arc::new(Pool::new(config.idle_per_destination, config.idle_total));
        let dialler = Dialler::new(guard, tls, pool.clone());
        Ok(Self { inner: Arc::new(Inner { dialler, pool }) })
    }

    /// Sends a request once and waits for its outcome, never longer than its timeout.
    ///
    /// Dropping the future abandons the attempt and closes its connection.
    pub async fn send(&self, request: &Request) -> Sent {
        self.run(request, &mut Reading::default()).await.0
    }

    /// The same, with the body of the answer as far as it is read: for who goes on with what it says.
    pub async fn send_and_read(&self, request: &Request) -> (Sent, Vec<u8>) {
        self.run(request, &mut Reading::whole()).await
    }

    async fn run(&self, request: &Request, reading: &mut Reading) -> (Sent, Vec<u8>) {
        let started = Instant::now();
        let attempt = self.attempt(request, reading, started);
        // The one timer of an attempt on a kept connection.
        let result = tokio::time::timeout_at(started + request.timeout, attempt).await;
        let (outcome, body) = match result {
            Ok(Err(failure)) => (Outcome::Failed(failure), Vec::new()),
            // Out of time after the status line: the receiver has answered.
            Ok(Ok(())) | Err(_) => match std::mem::take(reading).into_answer() {
                Ok((answer, body)) => (Outcome::Answered(answer), body),
                Err(stage) => (Outcome::Failed(failure::out_of_time(stage)), Vec::new()),
            },
        };
        let duration_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        (Sent { outcome, duration_ms }, body)
    }

    /// Runs the attempt, leaving in `reading` what has been read whenever it is dropped.
    async fn attempt(
        &self,
        request: &Request,
        reading: &mut Reading,
        started: Instant,
    ) -> Result<(), Failure> {
        let target = &*request.target;
        let mut kept = self.inner.pool.take(&target.origin, started);
        loop {
            let was_kept = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                // On the heap: the future of a handshake is large, and most attempts need none.
                None => Box::pin(self.inner.dialler.dial(target, &mut reading.stage)).await?,
            };
            reading.stage = Stage::Waiting;
            match connection.exchange(request, reading).await {
                Ok(()) => {
                    self.inner.pool.put(&target.origin, connection);
                    return Ok(());
                }
                // The receiver closed it while we wrote: again, at once, on a new connection.
                Err(_) if was_kept && connection.heard_nothing() => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("idle", &self.inner.pool.idle()).finish()
    }
}

impl fmt::Debug for SenderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderConfig")
            .field("egress", &self.egress)
            .field("extra_ca_pem", &self.extra_ca_pem.is_some())
            .field("idle_per_destination", &self.idle_per_destination)
            .field("idle_total", &self.idle_total)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
