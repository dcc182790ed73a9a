//! The process is killed at any moment: nothing that was acknowledged is lost, and only what was under
//! way is sent twice.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;
use tokio::net::TcpListener;

use crate::harness::store::{is_postgres, leaves_out};
use crate::harness::{Binary, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{assert_intact, path, register, settled_totals};

const KILLS: u32 = 12;
/// From an answer of a receiver to the commit of the settlement, with two busy cores in a debug build.
const SETTLED_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_under_load_it_loses_nothing() {
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut server = Binary::start(dir.path()).await;
    register(&server, &receiver.url(), json!({"max_concurrency": 16})).await;
    let ledger = Ledger::new();
    let mut kills = Vec::new();
    for round in 1..=KILLS {
        let load = Load::start(&ledger, &server.client, 6, 100);
        let enough = ledger.count() + moment(round);
        eventually("the load is under way", || async { (ledger.count() >= enough).then_some(()) })
            .await;
        server.kill();
        load.broken().await;
        assert_copy_is_intact(dir.path());
        // By now the receiver has read what the killed one had sent; the next one has sent nothing yet.
        kills.push(Instant::now());
        server = Binary::start(dir.path()).await;
    }

    let totals = settled_totals(&server).await;
    server.stop().await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    ledger.assert_all_in(&seen);
    assert_only_what_was_under_way_came_twice(&seen, &kills);
    // Committed but not answered before a kill: at most one for each publisher and kill.
    assert_eq!(totals["accepted"], seen.0.len());
    assert_eq!(totals["success"], seen.0.len());
    assert!(seen.0.len() - ledger.count() <= 6 * KILLS as usize);
    assert_intact(dir.path());
}

/// After so many events of this round it is killed: any number, and the rounds differ.
fn moment(round: u32) -> usize {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), round);
    20 + (random % 400) as usize
}

/// A second request for an event means that the kill came between the first and its settlement.
fn assert_only_what_was_under_way_came_twice(seen: &Seen, kills: &[Instant]) {
    for (first, second) in seen.again() {
        let killed = kills
            .iter()
            .any(|&kill| first.at < kill && kill < second.at && kill - first.at < SETTLED_WITHIN);
        assert!(killed, "{} came twice without need", first.header("webhook-id"));
    }
}

/// What the kill left behind, looked at without touching it: a look at the file itself would recover
/// it, and the restart would have nothing to do.
fn assert_copy_is_intact(dir: &Path) {
    if is_postgres() {
        return;
    }
    let copy = tempdir().unwrap();
    for name in ["tidings.db", "tidings.db-wal"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    assert_intact(copy.path());
}

/// What is owed is paged in as it is sent: the start does not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_with_a_million_pending_it_listens_again_within_two_seconds() {
    const WEBHOOKS: usize = 50;
    let dir = tempdir().unwrap();
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = format!("http://{}/hook", hanging.local_addr().unwrap());
    let server = Binary::start(dir.path()).await;
    for n in 0..WEBHOOKS {
        let webhook = register(&server, &hangs, json!({"timeout_ms": 60_000})).await;
        // Half of them wait by order, half of them hang.
        if n % 2 == 0 {
            server.act(&format!("{}/pause", path(&webhook))).await.expect(200);
        }
    }
    for _ in 0..1_000_000 / WEBHOOKS / 1_000 {
        let events: Vec<_> =
            (0..1_000).map(|n| json!({"type": "story.told", "data": {"n": n}})).collect();
        server.post("/api/events", events.into()).await.expect(202);
    }
    server.kill();

    let server = Binary::start(dir.path()).await;
    assert!(server.started_in < Duration::from_secs(2), "{:?}", server.started_in);
    let totals = server.get("/api/stats").await.expect(200)["totals"].take();
    assert_eq!(totals["pending"], 1_000_000, "{totals:#}");
    // And it is not only there, it works.
    let receiver = Receiver::start().await;
    register(&server, &receiver.url(), json!({"events": ["fresh.*"]})).await;
    server.post("/api/events", json!({"type": "fresh.air", "data": {}})).await.expect(202);
    receiver.next().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_in_use_is_refused_by_its_name() {
    if leaves_out("the lock of the directory") {
        return;
    }
    let dir = tempdir().unwrap();
    let first = Binary::start(dir.path()).await;
    let (status, told) = Binary::refused(dir.path()).await;
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("another tidings process uses"), "{told}");
    assert!(told.contains(dir.path().to_str().unwrap()), "{told}");
    // The first has not noticed; killed, it leaves no lock behind.
    assert_eq!(first.get("/livez").await.status, 200);
    first.kill();
    Binary::start(dir.path()).await.stop().await;
}
