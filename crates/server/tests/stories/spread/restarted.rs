//! An owner is killed and started again, and workers have what it has released.

use std::path::Path;

use serde_json::json;
use tempfile::tempdir;

use super::{RedisServer, Worker, counts_on, replied};
use crate::harness::store::SECRET_KEY;
use crate::harness::{Binary, Receiver, eventually};
use crate::{hold, settled_totals};

/// An owner that takes nothing itself: all it releases is with workers.
async fn only_owner(dir: &Path, redis: &RedisServer) -> Binary {
    redis.cli(&["ACL", "SETUSER", "owner", "on", ">secret", "~*", "&*", "+@all", "-blmpop"]);
    let url = redis.url().replace("//", "//owner:secret@");
    Binary::start_with(dir, &[("REDIS_URL", &url), ("TIDINGS_SECRET_KEY", SECRET_KEY)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_replied_to_a_killed_owner_is_not_sent_again() {
    let redis = RedisServer::start();
    let worker = Worker::start(&redis.url()).await;
    let dir = tempdir().unwrap();
    let server = only_owner(dir.path(), &redis).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    hold(&server, &receiver, 40).await;
    assert_eq!(worker.figure("tidings_worker_requests_in_flight").await, 40.0);
    server.pause();
    receiver.release();
    replied(&worker, &redis).await;
    server.kill();
    let server = only_owner(dir.path(), &redis).await;
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], 40, "{totals:#}");
    assert!(receiver.is_quiet().await, "nothing was sent twice");
    // And what comes after it goes its way.
    server.post("/api/events", json!({"type": "held0.here", "data": {}})).await.expect(202);
    receiver.next().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_workers_are_at_is_waited_for_by_the_next_owner() {
    let redis = RedisServer::start();
    let worker = Worker::start(&redis.url()).await;
    let dir = tempdir().unwrap();
    let server = only_owner(dir.path(), &redis).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    hold(&server, &receiver, 40).await;
    server.kill();
    let server = only_owner(dir.path(), &redis).await;
    eventually("it has all of them under way", || async {
        (server.figure("tidings_attempts_in_flight").await == 40.0).then_some(())
    })
    .await;
    receiver.release();
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], 40, "{totals:#}");
    assert!(receiver.is_quiet().await, "nothing was sent twice");
    assert_eq!(server.figure("tidings_releases_total").await, 0.0);
    worker.binary.stop().await;
}
