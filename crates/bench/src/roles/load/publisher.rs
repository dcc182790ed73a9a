//! One publish: sent, sent again while the server asks for patience, and accounted for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use super::Published;
use crate::clock;
use crate::histogram::Histogram;
use crate::net::{Connection, Target};

/// How long a server may go on asking for patience, or leave a publish without an answer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Publisher {
    targets: Arc<[Target]>,
    /// Of the next connection.
    next: Arc<AtomicUsize>,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    tally: Arc<Tally>,
}

/// A connection, and to which of the targets.
#[derive(Debug)]
pub struct Kept(Connection, usize);

#[derive(Debug, Default)]
pub struct Tally {
    accepted: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    first_failure: OnceLock<String>,
    answer: Histogram,
}

impl Tally {
    pub fn published(&self) -> Published {
        Published {
            accepted: self.accepted.load(Relaxed),
            failed: self.failed.load(Relaxed),
            first_failure: self.first_failure.get().cloned(),
            retried: self.retried.load(Relaxed),
            answer_p50_us: self.answer.quantile_us(0.5),
            answer_p99_us: self.answer.quantile_us(0.99),
            ..Published::default()
        }
    }
}

impl Publisher {
    pub fn new(
        targets: Vec<Target>,
        headers: Vec<(HeaderName, HeaderValue)>,
        tally: Arc<Tally>,
    ) -> Self {
        Self { targets: targets.into(), next: Arc::default(), headers: headers.into(), tally }
    }

    /// Publishes `count` events; gives back the connection if it can be used again.
    pub async fn publish(&self, kept: Option<Kept>, body: Bytes, count: u64) -> Option<Kept> {
        match self.try_publish(kept, body).await {
            Ok(kept) => {
                self.tally.accepted.fetch_add(count, Relaxed);
                Some(kept)
            }
            Err(failure) => {
                self.tally.failed.fetch_add(count, Relaxed);
                let _ = self.tally.first_failure.set(format!("{failure:#}"));
                // A server that is down must not be asked in a busy loop.
                tokio::time::sleep(Duration::from_millis(10)).await;
                None
            }
        }
    }

    async fn try_publish(&self, kept: Option<Kept>, body: Bytes) -> Result<Kept> {
        let Kept(mut connection, nth) = match kept {
            Some(kept) => kept,
            None => {
                let nth = self.next.fetch_add(1, Relaxed) % self.targets.len();
                Kept(Connection::open(self.targets[nth].address).await?, nth)
            }
        };
        let target = &self.targets[nth];
        let started = clock::instant();
        loop {
            let mut request = target.post(body.clone());
            for (name, value) in self.headers.iter() {
                request.headers_mut().insert(name, value.clone());
            }
            let asked = clock::instant();
            let answer =
                timeout(PATIENCE, connection.send(request)).await.context("no answer")??;
            match answer.status() {
                status if status.is_success() => {
                    self.tally.answer.record(asked.elapsed().as_nanos() as u64);
                    return Ok(Kept(connection, nth));
                }
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
                    if started.elapsed() < PATIENCE =>
                {
                    self.tally.retried.fetch_add(1, Relaxed);
                    tokio::time::sleep(retry_after(&answer)).await;
                }
                status => {
                    let start = &answer.body()[..answer.body().len().min(500)];
                    bail!("{status}: {}", String::from_utf8_lossy(start));
                }
            }
            if answer.headers().get("connection").is_some_and(|value| value == "close") {
                connection = Connection::open(target.address).await?;
            }
        }
    }
}

/// Whole seconds, as almost everyone sends; 1 s when it is missing or a date.
fn retry_after(answer: &Response<Bytes>) -> Duration {
    let value = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Duration::from_secs(value.and_then(|value| value.trim().parse().ok()).unwrap_or(1))
}
