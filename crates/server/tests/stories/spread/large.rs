//! Large requests, and writes that take long.

use serde_json::json;
use tempfile::tempdir;

use super::{RedisServer, Worker, counts_on, owner};
use crate::harness::line::{SLOW, SlowLine};
use crate::harness::{Receiver, eventually};
use crate::{register, settled_totals};

/// More of them than a slow line carries in the time of a write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_go_through_a_slow_line() {
    let redis = RedisServer::start();
    let line = SlowLine::to(redis.port(), SLOW).await;
    let worker = Worker::start(&line.url()).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &line.url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    for _ in 0..64 {
        register(&server, &receiver.url(), json!({})).await;
    }
    for round in 1..=2 {
        let event = json!({"type": "all.hands", "data": {"padding": "x".repeat(450 << 10)}});
        server.post("/api/events", event).await.expect(202);
        let totals = settled_totals(&server).await;
        assert_eq!(totals["success"], 64 * round, "{totals:#}");
    }
    assert_eq!(receiver.take().await.len(), 128, "each once");
    assert_eq!(server.figure("tidings_releases_lost_total").await, 0.0);
    let released = server.figure("tidings_releases_total").await;
    assert!((16.0..128.0).contains(&released), "{released}: what has no room is sent by the owner");
    assert!(worker.taken().await > 0.0);
    for log in [server.log(), worker.log()] {
        assert!(!log.contains("gets through Redis"), "{log}");
    }
}

/// The owner gives up what is on its way still, and arrives: whether it was written is not known, and so it
/// is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_too_late_is_not_sent_twice() {
    let redis = RedisServer::start();
    let line = SlowLine::to(redis.port(), SLOW).await;
    let worker = Worker::start(&redis.url()).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &line.url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    register(&server, &receiver.url(), json!({})).await;
    line.hold_pushes();
    server.post("/api/events", json!({"type": "just.one", "data": {}})).await.expect(202);
    // The first; and one more after it, when whoever takes the first for unwritten has sent it already.
    eventually("writes are given up", || async { (line.given_up() >= 2).then_some(()) }).await;
    line.let_go_on();
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], 1, "{totals:#}");
    assert_eq!(server.figure("tidings_releases_total").await, 1.0);
    // Whoever has taken it has sent it by now.
    let taken = || async {
        let taken = worker.taken().await + server.figure("tidings_worker_requests_total").await;
        (taken == 1.0).then_some(())
    };
    eventually("it is taken", taken).await;
    eventually("it is sent", || async {
        let of = [&*worker, &server];
        let [one, other] = of.map(|it| it.figure("tidings_worker_requests_in_flight"));
        (one.await + other.await == 0.0).then_some(())
    })
    .await;
    assert_eq!(receiver.take().await.len(), 1);
}

/// An owner holds all that workers have of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_workers_have_is_bounded_in_bytes() {
    const WEBHOOKS: usize = 90;
    const BYTES: usize = 900 << 10;
    let redis = RedisServer::start();
    let worker = Worker::start(&redis.url()).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    for n in 0..WEBHOOKS {
        register(&server, &receiver.url(), json!({"events": [format!("to{n}.*")]})).await;
    }
    receiver.hold();
    for n in 0..WEBHOOKS {
        let data = json!({"padding": "x".repeat(BYTES)});
        server.post("/api/events", json!({"type": format!("to{n}.it"), "data": data})).await;
        receiver.next().await;
    }
    let released = server.figure("tidings_releases_total").await as usize;
    let room = (64 << 20) / BYTES;
    assert!((room / 2..=room).contains(&released), "{released} of {room}");
    receiver.release();
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], WEBHOOKS, "{totals:#}");
    assert!(receiver.is_quiet().await, "each was sent once");
    // They have come back, and there is room again.
    server.post("/api/events", json!({"type": "to0.again", "data": {}})).await.expect(202);
    receiver.next().await;
    assert_eq!(server.figure("tidings_releases_total").await as usize, released + 1);
    worker.binary.stop().await;
}
