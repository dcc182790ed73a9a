//! Redis and workers come and go under load: nothing is lost, and sending goes on.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;

use super::{RedisServer, Worker, counts_on, owner, replied};
use crate::harness::{Binary, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{hold, register, settled_totals};

const PUBLISHERS: usize = 4;
/// Sending goes on after so long, whatever happens.
pub(super) const GOES_ON: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Flushed,
    Killed,
    StandsStill,
    WorkerKilled,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_under_load_loses_nothing_and_sending_goes_on() {
    let mut redis = RedisServer::start();
    let mut worker = Some(Worker::start(&redis.url()).await);
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    let receiver = Receiver::start().await;
    register(&server, &receiver.url(), json!({"max_concurrency": 100})).await;
    let ledger = Ledger::new();
    let load = Load::start(&ledger, &server.client, PUBLISHERS, 100);
    let mut seen = Seen::default();
    let troubles = [Trouble::Flushed, Trouble::Killed, Trouble::WorkerKilled, Trouble::StandsStill];
    for trouble in troubles {
        counts_on(&server, 2).await;
        goes_through_redis(&server).await;
        match trouble {
            Trouble::Flushed => drop(redis.cli(&["FLUSHALL"])),
            Trouble::Killed => redis.kill(),
            Trouble::StandsStill => redis.pause(),
            Trouble::WorkerKilled => worker.take().expect("it runs").binary.kill(),
        }
        let since = Instant::now();
        let last = ledger.count();
        // Everything up to here, and something after it.
        eventually("sending goes on", || async { seen_all(&server, last).await.then_some(()) })
            .await;
        assert!(
            since.elapsed() < GOES_ON + Duration::from_secs(2),
            "{trouble:?}: {:?}",
            since.elapsed()
        );
        match trouble {
            Trouble::Killed => redis.resume(),
            Trouble::StandsStill => redis.go_on(),
            Trouble::WorkerKilled => worker = Some(Worker::start(&redis.url()).await),
            Trouble::Flushed => {}
        }
        seen.note(receiver.take().await);
    }
    counts_on(&server, 2).await;
    goes_through_redis(&server).await;
    load.stop().await;
    let totals = settled_totals(&server).await;
    seen.note(receiver.take().await);
    ledger.assert_all_in(&seen);
    assert_eq!(totals["success"], ledger.count(), "{totals:#}");
    // Only of what was under way in a moment of trouble is it unknown whether it was sent.
    let again = seen.again().count();
    assert!(again <= 100 * troubles.len(), "{again}");
    server.stop().await;
    worker.expect("it runs").binary.stop().await;
}

/// Whether so many deliveries have ended.
pub(super) async fn seen_all(server: &Binary, accepted: usize) -> bool {
    let totals = server.get("/api/stats").await.expect(200)["totals"].take();
    totals["success"].as_u64().expect("a number") as usize > accepted
}

/// Until more is released, and replied to.
pub(super) async fn goes_through_redis(server: &Binary) {
    let before = server.figure("tidings_releases_total").await;
    eventually("it goes through Redis", || async {
        (server.figure("tidings_releases_total").await > before + 50.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_had_is_sent_by_others() {
    let redis = RedisServer::start();
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    let worker = Worker::start(&redis.url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    hold(&server, &receiver, 40).await;
    let had = worker.figure("tidings_worker_requests_in_flight").await as usize;
    assert!(had > 0);
    worker.binary.kill();
    receiver.release();
    let since = Instant::now();
    let totals = settled_totals(&server).await;
    // As long as it takes to know that a worker is gone, and a moment until it is tried again.
    assert!(since.elapsed() < Duration::from_secs(7), "{:?}", since.elapsed());
    assert_eq!(totals["success"], 40, "{totals:#}");
    assert_eq!(receiver.take().await.len(), had, "what it had, and nothing else, came twice");
}

/// What a worker has replied is gone with Redis, before the owner could read it: the owner does not wait for
/// a word that was said already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_are_lost_are_not_waited_for() {
    let mut redis = RedisServer::start();
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    let worker = Worker::start(&redis.url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    hold(&server, &receiver, 40).await;
    let had = worker.figure("tidings_worker_requests_in_flight").await;
    assert!(had > 0.0);
    server.pause();
    receiver.release();
    replied(&worker, &redis).await;
    redis.kill();
    redis.resume();
    server.go_on();
    let since = Instant::now();
    let totals = settled_totals(&server).await;
    assert!(since.elapsed() < Duration::from_secs(9), "{:?}", since.elapsed());
    assert_eq!(totals["success"], 40, "{totals:#}");
}
