//! SIGTERM: no new work, what is under way ends or is given back, and the next start goes on from there.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;
use tokio::net::TcpListener;

use crate::harness::{Binary, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{publish, register, settled_totals};

const DEADLINE: Duration = Duration::from_secs(4);
/// For all that a stop does beside waiting for the network, with two busy cores.
const MARGIN: Duration = Duration::from_secs(2);

async fn start(dir: &std::path::Path) -> Binary {
    Binary::start_with(dir, &[("TIDINGS_STOP_DEADLINE_S", "4")]).await
}

async fn stopped_in_time(server: Binary, since: Instant) {
    let status = server.ended().await;
    assert!(status.success(), "{status}");
    assert!(since.elapsed() < DEADLINE + MARGIN, "{:?}", since.elapsed());
}

/// The listener is gone while the process still works.
async fn refuses_connections(server: &mut Binary) {
    let client = server.client.clone();
    // One that was waiting to be accepted when the listener went is reset, the next is refused.
    eventually("new connections are refused", || async {
        let error = client.connect().await.err()?;
        (error.kind() == std::io::ErrorKind::ConnectionRefused).then_some(())
    })
    .await;
    assert!(server.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_under_load_it_loses_nothing_and_repeats_nothing() {
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let server = start(dir.path()).await;
    register(&server, &receiver.url(), json!({})).await;
    let ledger = Ledger::new();
    let load = Load::start(&ledger, &server.client, 6, 100);
    eventually("the load is under way", || async { (ledger.count() > 300).then_some(()) }).await;

    let since = Instant::now();
    server.terminate();
    stopped_in_time(server, since).await;
    load.broken().await;

    let server = start(dir.path()).await;
    let totals = settled_totals(&server).await;
    server.stop().await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    ledger.assert_all_in(&seen);
    let again: Vec<_> = seen.again().map(|(_, second)| second.header("webhook-id")).collect();
    assert!(again.is_empty(), "every attempt had finished, and yet came twice: {again:?}");
    // In an orderly stop even the publishers hear of everything.
    assert_eq!(totals["accepted"], ledger.count());
    let refused = ledger.take_refusals();
    refused.iter().for_each(|reply| assert_eq!(reply.problem(503)["code"], "stopping"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_under_way_is_finished_before_the_end() {
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut server = start(dir.path()).await;
    register(&server, &receiver.url(), json!({"max_concurrency": 2})).await;
    receiver.hold();
    for id in ["one", "two", "three"] {
        publish(&server, id).await;
    }
    receiver.next().await;
    receiver.next().await;

    let since = Instant::now();
    server.terminate();
    refuses_connections(&mut server).await;
    receiver.release();
    stopped_in_time(server, since).await;

    // The third was never tried: it is the only one that is left.
    let server = start(dir.path()).await;
    assert_eq!(receiver.next().await.header("webhook-id"), "three");
    let totals = settled_totals(&server).await;
    assert_eq!((&totals["success"], &totals["attempts"]), (&json!(3), &json!(3)), "{totals:#}");
    assert!(receiver.is_quiet().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_does_not_end_is_given_back_at_the_deadline() {
    let dir = tempdir().unwrap();
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", hanging.local_addr().unwrap());
    let mut server = start(dir.path()).await;
    register(&server, &url, json!({"timeout_ms": 60_000})).await;
    publish(&server, "hung").await;
    let (_held, _) = hanging.accept().await.unwrap();

    let since = Instant::now();
    server.terminate();
    refuses_connections(&mut server).await;
    stopped_in_time(server, since).await;
    assert!(since.elapsed() >= DEADLINE, "it gave up early: {:?}", since.elapsed());

    // It is owed as if it had not been tried: no attempt is used up, and it is tried at once.
    let server = start(dir.path()).await;
    let (_held_again, _) = hanging.accept().await.unwrap();
    let totals = server.get("/api/stats").await.expect(200)["totals"].take();
    assert_eq!((&totals["pending"], &totals["attempts"]), (&json!(1), &json!(0)), "{totals:#}");
    server.kill();
}
