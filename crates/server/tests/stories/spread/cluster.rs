//! On a Redis cluster of three.

use serde_json::json;
use tempfile::tempdir;

use super::{Worker, counts_on, owner};
use crate::harness::redis::{cluster, cluster_with_replicas};
use crate::harness::{Receiver, eventually};
use crate::{register, settled_totals};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_shares_the_work_and_may_lose_a_node() {
    let mut nodes = cluster(3);
    // Known by one of them, which has no more to do with it than the others.
    let (url, other) = (nodes[0].url(), nodes[1].url());
    let worker = Worker::start(&format!("{url},{other}")).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &url).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    for n in 0..64 {
        register(&server, &receiver.url(), json!({"events": [format!("to{n}.*"), "all.*"]})).await;
    }
    let all = async |count: usize| {
        server.post("/api/events", json!({"type": "all.hands", "data": {}})).await.expect(202);
        for _ in 0..64 {
            receiver.next().await;
        }
        let totals = settled_totals(&server).await;
        assert_eq!(totals["success"], count, "{totals:#}");
    };
    all(64).await;
    let commands = |node: &crate::harness::redis::RedisServer| {
        let stats = node.cli(&["INFO", "commandstats"]);
        ["cmdstat_rpush", "cmdstat_xadd"].iter().all(|name| stats.contains(name))
    };
    assert!(nodes.iter().all(commands), "each had requests and replies");
    assert!(worker.taken().await > 0.0);

    // What was on that node goes another way, and the rest goes on. Which one knows the workers?
    let keeper = nodes.iter().position(|node| node.cli(&["--scan"]).contains(":workers"));
    let victim = (keeper.expect("one of them") + 1) % 3;
    nodes[victim].kill();
    all(128).await;
    all(192).await;
    assert!(server.figure("tidings_workers").await > 0.0, "workers are still counted on");
    nodes[victim].resume();
    eventually("the cluster is whole again", || async {
        nodes
            .iter()
            .all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_slots_ok:16384"))
            .then_some(())
    })
    .await;
    all(256).await;
}

/// The one node that is named goes for good, and its replica takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_may_go_after_the_start() {
    let mut nodes = cluster_with_replicas(3);
    let worker = Worker::start(&nodes[0].url()).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &nodes[0].url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    for _ in 0..64 {
        register(&server, &receiver.url(), json!({})).await;
    }
    nodes[0].kill();
    eventually("all of it goes through Redis again", || async {
        let before = server.figure("tidings_releases_total").await;
        server.post("/api/events", json!({"type": "all.hands", "data": {}})).await.expect(202);
        for _ in 0..64 {
            receiver.next().await;
        }
        (server.figure("tidings_releases_total").await == before + 64.0).then_some(())
    })
    .await;
    server.stop().await;
    worker.binary.stop().await;
}
