//! Nodes that only serve the API, and nodes that only send, on one PostgreSQL database.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::sync::OnceCell;

use crate::harness::postgres::PostgresServer;
use crate::harness::redis::RedisServer;
use crate::harness::store::{SECRET_KEY, leaves_out};
use crate::harness::{Binary, Receiver, eventually};
use crate::{hold, publish, register, settled_totals};

/// One for all of these stories.
static SERVER: OnceCell<PostgresServer> = OnceCell::const_new();

async fn database() -> String {
    SERVER.get_or_init(|| async { PostgresServer::quick() }).await.database()
}

async fn start(dir: &Path, flags: &[&str], url: &str, more: &[(&str, &str)]) -> Binary {
    let mut variables = vec![("DATABASE_URL", url), ("TIDINGS_SECRET_KEY", SECRET_KEY)];
    variables.extend(more);
    Binary::start_as(dir, flags, &variables).await
}

async fn shards(node: &Binary) -> f64 {
    node.figure("tidings_shards").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_serves_and_another_sends() {
    if leaves_out("a story with a database of its own") {
        return;
    }
    let url = database().await;
    let dirs = [tempdir().unwrap(), tempdir().unwrap()];
    let api = start(dirs[0].path(), &["--api"], &url, &[]).await;
    let receiver = Receiver::start().await;
    register(&api, &receiver.url(), json!({})).await;
    publish(&api, "early").await;
    assert_eq!(shards(&api).await, 0.0);
    let worker = start(dirs[1].path(), &["--worker"], &url, &[]).await;
    assert_eq!(receiver.next().await.header("webhook-id"), "early", "it has waited in the store");
    eventually("it has all shards", || async { (shards(&worker).await == 256.0).then_some(()) })
        .await;
    let since = Instant::now();
    publish(&api, "late").await;
    receiver.next().await;
    assert!(since.elapsed() < Duration::from_secs(1), "a hint is enough: {:?}", since.elapsed());
    settled_totals(&api).await;
    // The worker is for operators only.
    assert_eq!(worker.get("/api/webhooks").await.status, 404);
    assert_eq!(worker.get("/").await.status, 404);
    assert_eq!(worker.get("/readyz").await.status, 200);
    let nodes = api.get("/api/nodes").await.expect(200);
    let mut roles: Vec<(&Value, &Value)> = nodes
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| (&node["owns"], &node["live"]))
        .collect();
    roles.sort_by_key(|(owns, _)| owns.as_bool());
    assert_eq!(roles, [(&json!(false), &json!(true)), (&json!(true), &json!(true))]);
    // Another takes over as ever, and the one that serves takes no part.
    worker.stop().await;
    let other = tempdir().unwrap();
    let both = start(other.path(), &[], &url, &[]).await;
    publish(&both, "third").await;
    receiver.next().await;
    eventually("it has all shards", || async { (shards(&both).await == 256.0).then_some(()) })
        .await;
    assert_eq!(shards(&api).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_started_in_another_role_gives_back_what_it_had() {
    if leaves_out("a story with a database of its own") {
        return;
    }
    let url = database().await;
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let node = start(dir.path(), &[], &url, &[]).await;
    assert_eq!(shards(&node).await, 256.0);
    node.kill();
    let api = start(dir.path(), &["--api"], &url, &[]).await;
    let worker = start(other.path(), &["--worker"], &url, &[]).await;
    eventually("it has all shards", || async { (shards(&worker).await == 256.0).then_some(()) })
        .await;
    assert_eq!(shards(&api).await, 0.0);
}

/// A receiver that takes its time sees each event once, though the owner that released it is killed
/// meanwhile: the next owner finds the reply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_owner_reads_the_replies_to_the_old_one() {
    if leaves_out("a story with a database of its own") {
        return;
    }
    let (url, redis) = (database().await, RedisServer::start());
    let more = [("REDIS_URL", &redis.url()[..]), ("TIDINGS_LEASE_S", "2")];
    let dirs = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let first = start(dirs[0].path(), &[], &url, &more).await;
    let sender = [("DATABASE_URL", ""), more[0]];
    let worker = start(dirs[1].path(), &["--worker"], "", &sender).await;
    eventually("it counts on the worker", || async {
        (first.figure("tidings_workers").await == 2.0).then_some(())
    })
    .await;
    let receiver = Receiver::start().await;
    hold(&first, &receiver, 40).await;
    let taken = worker.figure("tidings_worker_requests_in_flight").await as usize;
    assert!(taken > 0);
    first.kill();
    let next = start(dirs[2].path(), &[], &url, &more).await;
    receiver.release();
    let totals = settled_totals(&next).await;
    assert_eq!(totals["success"], 40, "{totals:#}");
    let again = receiver.take().await.len();
    assert_eq!(again, 40 - taken, "only what the killed one was sending itself came twice");
}
