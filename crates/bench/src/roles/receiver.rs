//! The receiver: answers 200 with nothing, and keeps account of what came.
//!
//! `POST /hook/<n>` counts; `POST /hang/<n>` is never answered. The account is read at
//! `GET /bench/account` and started anew at `POST /bench/reset?base=<first sequence number>`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::Listen;
use crate::clock;
use crate::histogram::Histogram;
use crate::marker::Marker;
use crate::net;

/// Sequence numbers that one account can tell apart: 8 MiB of bits.
const SEEN_WORDS: usize = 1 << 20;
const PATHS: usize = 4_096;

#[derive(Debug, Args)]
pub struct ReceiverArgs {
    #[command(flatten)]
    pub listen: Listen,
    /// Wait this long before each answer.
    #[arg(long, default_value_t = 0)]
    pub delay_ms: u64,
}

pub fn run(args: &ReceiverArgs) -> Result<()> {
    let listener = args.listen.open("receiver")?;
    let tally = Arc::new(Tally::default());
    let delay = Duration::from_millis(args.delay_ms);
    match net::serve(&listener, net::threads_beside_a_server(args.listen.threads), || {
        let tally = Arc::clone(&tally);
        move |request| receive(Arc::clone(&tally), delay, request)
    })? {}
}

/// What has been received since the last reset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Account {
    /// Different events.
    pub received: u64,
    /// Events that came again.
    pub duplicates: u64,
    /// Events of before the reset.
    pub strays: u64,
    /// POSTs that carried no marker.
    pub unmarked: u64,
    /// POSTs that are being left without an answer.
    pub hung: u64,
    /// Different `/hook/<n>` that were reached.
    pub paths: u64,
    /// When the last event came.
    pub last_ns: u64,
    pub latency_p50_us: f64,
    pub latency_p99_us: f64,
    pub latency_max_us: f64,
}

async fn receive(
    tally: Arc<Tally>,
    delay: Duration,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    match (&head.method, path) {
        (&Method::GET, "/bench/account") => {
            let account = serde_json::to_vec(&tally.account());
            return Response::new(Full::from(account.expect("numbers are JSON")));
        }
        (&Method::POST, "/bench/reset") => {
            let base = head.uri.query().and_then(|query| query.strip_prefix("base="));
            tally.reset(base.and_then(|base| base.parse().ok()).unwrap_or(0));
            return Response::default();
        }
        (&Method::POST, _) => {}
        _ => return refused(),
    }
    let Ok(body) = body.collect().await else { return refused() };
    if path.starts_with("/hang/") {
        tally.hung.fetch_add(1, Relaxed);
        return std::future::pending().await;
    }
    tally.note(path, &body.to_bytes());
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    Response::default()
}

fn refused() -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// The account while it is being written, by all threads at once.
#[derive(Debug)]
struct Tally {
    base: AtomicU64,
    seen: Box<[AtomicU64]>,
    received: AtomicU64,
    duplicates: AtomicU64,
    strays: AtomicU64,
    unmarked: AtomicU64,
    hung: AtomicU64,
    paths: Box<[AtomicU64]>,
    last_ns: AtomicU64,
    latency: Histogram,
}

impl Default for Tally {
    fn default() -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            base: AtomicU64::default(),
            seen: zeros(SEEN_WORDS),
            received: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            strays: AtomicU64::default(),
            unmarked: AtomicU64::default(),
            hung: AtomicU64::default(),
            paths: zeros(PATHS),
            last_ns: AtomicU64::default(),
            latency: Histogram::default(),
        }
    }
}

impl Tally {
    fn note(&self, path: &str, body: &[u8]) {
        let now = clock::now_ns();
        let Some(marker) = Marker::find(body) else {
            self.unmarked.fetch_add(1, Relaxed);
            return;
        };
        let Some(index) = marker.seq.checked_sub(self.base.load(Relaxed)) else {
            self.strays.fetch_add(1, Relaxed);
            return;
        };
        let bit = 1 << (index % 64);
        let Some(word) = self.seen.get((index / 64) as usize) else {
            self.strays.fetch_add(1, Relaxed);
            return;
        };
        if word.fetch_or(bit, Relaxed) & bit != 0 {
            self.duplicates.fetch_add(1, Relaxed);
            return;
        }
        let hook = path.strip_prefix("/hook/").and_then(|number| number.parse::<usize>().ok());
        if let Some(count) = hook.and_then(|number| self.paths.get(number)) {
            count.fetch_add(1, Relaxed);
        }
        self.latency.record(clock::between_ns(marker.sent_ns, now));
        self.last_ns.fetch_max(now, Relaxed);
        self.received.fetch_add(1, Relaxed);
    }

    fn account(&self) -> Account {
        Account {
            received: self.received.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            strays: self.strays.load(Relaxed),
            unmarked: self.unmarked.load(Relaxed),
            hung: self.hung.load(Relaxed),
            paths: self.paths.iter().filter(|count| count.load(Relaxed) > 0).count() as u64,
            last_ns: self.last_ns.load(Relaxed),
            latency_p50_us: self.latency.quantile_us(0.5),
            latency_p99_us: self.latency.quantile_us(0.99),
            latency_max_us: self.latency.quantile_us(1.0),
        }
    }

    /// Nothing may be on its way when an account starts anew; what comes late is a stray.
    fn reset(&self, base: u64) {
        let counts = [
            &self.received,
            &self.duplicates,
            &self.strays,
            &self.unmarked,
            &self.hung,
            &self.last_ns,
        ];
        self.seen.iter().chain(&self.paths).chain(counts).for_each(|count| count.store(0, Relaxed));
        self.latency.clear();
        self.base.store(base, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(seq: u64) -> String {
        format!(r#"{{"seq":{seq},"sent_ns":{}}}"#, clock::now_ns())
    }

    #[test]
    fn the_account_tells_new_from_again_from_stray() {
        let tally = Tally::default();
        tally.reset(100);
        for (path, seq) in [("/hook/0", 100), ("/hook/7", 101), ("/hook/7", 101), ("/hook/0", 99)] {
            tally.note(path, body(seq).as_bytes());
        }
        tally.note("/hook/0", b"{}");
        let account = tally.account();
        assert_eq!((account.received, account.duplicates, account.strays), (2, 1, 1));
        assert_eq!((account.unmarked, account.paths), (1, 2));
        assert!(account.last_ns > 0);
    }

    #[test]
    fn a_reset_forgets() {
        let tally = Tally::default();
        tally.note("/hook/0", body(5).as_bytes());
        tally.reset(0);
        tally.note("/hook/0", body(5).as_bytes());
        let account = tally.account();
        assert_eq!((account.received, account.duplicates), (1, 0));
    }
}
