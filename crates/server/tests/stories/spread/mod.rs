//! Sending spread over workers through Redis: they send what an owner releases, and nothing depends on
//! them, nor on Redis.

mod cluster;
mod large;
mod refused;
mod replayed;
mod restarted;
mod sending;
mod trouble;

use std::path::Path;

use tempfile::{TempDir, tempdir};

use crate::harness::redis::RedisServer;
use crate::harness::store::SECRET_KEY;
use crate::harness::{Binary, eventually};

/// A worker that has no store, and its directory.
struct Worker {
    binary: Binary,
    _dir: TempDir,
}

impl std::ops::Deref for Worker {
    type Target = Binary;

    fn deref(&self) -> &Binary {
        &self.binary
    }
}

impl Worker {
    async fn start(redis: &str) -> Self {
        Self::start_with(redis, &[]).await
    }

    async fn start_with(redis: &str, more: &[(&str, &str)]) -> Self {
        let dir = tempdir().unwrap();
        let mut variables =
            vec![("REDIS_URL", redis), ("TIDINGS_SECRET_KEY", SECRET_KEY), ("DATABASE_URL", "")];
        variables.extend(more);
        let binary = Binary::start_as(dir.path(), &["--worker"], &variables).await;
        Self { binary, _dir: dir }
    }

    async fn taken(&self) -> f64 {
        self.figure("tidings_worker_requests_total").await
    }
}

/// A server with a store, which releases.
async fn owner(dir: &Path, redis: &str) -> Binary {
    let variables = [("REDIS_URL", redis), ("TIDINGS_SECRET_KEY", SECRET_KEY)];
    Binary::start_with(dir, &variables).await
}

/// Until an owner counts on so many workers, itself among them.
async fn counts_on(owner: &Binary, workers: usize) {
    eventually("it counts on its workers", || async {
        (owner.figure("tidings_workers").await == workers as f64).then_some(())
    })
    .await;
}

/// Until a worker has nothing on the network any more, and its replies lie in Redis: their owner stands
/// still.
async fn replied(worker: &Worker, redis: &RedisServer) {
    eventually("the worker has replied", || async {
        let streams = redis.cli(&["--scan", "--pattern", "*:replies"]);
        let entries = streams.lines().map(|stream| redis.cli(&["XLEN", stream]));
        let is_done = worker.figure("tidings_worker_requests_in_flight").await == 0.0;
        (is_done && entries.into_iter().any(|entries| entries != "0")).then_some(())
    })
    .await;
}
