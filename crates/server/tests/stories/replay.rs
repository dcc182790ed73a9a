//! A receiver was broken for a while: what it did not take is sent again, once, whatever happens to the
//! server meanwhile.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::harness::{Binary, Client, Receiver, eventually};
use crate::ledger::Seen;
use crate::{assert_intact, path, publish, register, settled_totals};

const EVENTS: usize = 300;

/// A webhook that was inactive while so many events were published.
async fn missed(server: &Binary, receiver: &Receiver) -> Value {
    let webhook = register(server, &receiver.url(), json!({"active": false})).await;
    let events =
        (0..EVENTS).map(|n| json!({"id": name(n), "type": "story.told", "data": {"n": n}}));
    server.post("/api/events", events.collect()).await.expect(202);
    webhook
}

fn name(n: usize) -> String {
    format!("e{n:06}")
}

async fn begin(client: &Client, webhook: &Value, body: Value) -> String {
    let begun = client.post(&format!("{}/replay", path(webhook)), body).await.expect(202);
    format!("{}/replays/{}", path(webhook), begun["id"].as_str().expect("an id"))
}

/// The replay, once this holds of it.
async fn when(client: &Client, replay: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually("the replay comes so far", || async {
        Some(client.get(replay).await.expect(200)).filter(|replay| holds(replay))
    })
    .await
}

fn queued(replay: &Value) -> u64 {
    replay["deliveries"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_broken_gets_what_it_did_not_take() {
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let server = Binary::start(dir.path()).await;
    let webhook =
        register(&server, &receiver.url(), json!({"retry_config": {"max_attempts": 1}})).await;
    publish(&server, "good").await;
    receiver.next().await;
    assert_eq!(settled_totals(&server).await["success"], 1);
    receiver.answers(500);
    // Fewer than open the breaker.
    for n in 0..8 {
        publish(&server, &name(n)).await;
    }
    assert_eq!(settled_totals(&server).await["failed"], 8);
    receiver.take().await;
    receiver.answers(200);

    let since = json!({"since": 0, "dry_run": true});
    let would = server.post(&format!("{}/replay", path(&webhook)), since).await.expect(200);
    assert_eq!((&would["deliveries"], &would["failed"]), (&json!(8), &json!(8)));
    assert_eq!(settled_totals(&server).await["accepted"], 9, "a dry run changes nothing");
    let replay = begin(&server, &webhook, json!({"since": 0, "rate": 10_000})).await;
    let done = when(&server, &replay, |replay| replay["status"] == "completed").await;
    assert_eq!(queued(&done), 8);
    let totals = settled_totals(&server).await;
    assert_eq!((&totals["accepted"], &totals["success"]), (&json!(17), &json!(9)));
    server.stop().await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    let expected: BTreeSet<String> = (0..8).map(name).collect();
    assert_eq!(seen.0.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(seen.again().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_it_goes_on_where_it_was() {
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut server = Binary::start(dir.path()).await;
    let webhook = missed(&server, &receiver).await;
    let resumed = server.act(&format!("{}/resume", path(&webhook))).await.expect(200);
    assert_eq!(resumed["missed"]["count"], EVENTS);
    let body = json!({"since": resumed["missed"]["since"], "rate": 100});
    let replay = begin(&server, &webhook, body).await;
    let mut before = 0;
    for _ in 0..3 {
        let now = when(&server, &replay, |replay| queued(replay) > before + 20).await;
        assert!(queued(&now) < EVENTS as u64, "too fast for this story: {now}");
        before = queued(&now);
        server.kill();
        server = Binary::start(dir.path()).await;
        let after = server.get(&replay).await.expect(200);
        assert!(queued(&after) >= before, "{after}");
    }
    let done = when(&server, &replay, |replay| replay["status"] == "completed").await;
    assert_eq!(queued(&done), EVENTS as u64, "each event once");
    let totals = settled_totals(&server).await;
    assert_eq!((&totals["accepted"], &totals["success"]), (&json!(EVENTS), &json!(EVENTS)));
    server.stop().await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    assert_eq!(seen.0.len(), EVENTS);
    // Only what was on the network at one of the kills.
    assert!(seen.again().count() <= 3 * 64, "{}", seen.again().count());
    assert_intact(dir.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_replay_stays_where_it_is_and_its_rate_holds() {
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let server = Binary::start(dir.path()).await;
    let webhook = missed(&server, &receiver).await;
    server.act(&format!("{}/resume", path(&webhook))).await.expect(200);
    let since = std::time::Instant::now();
    let replay = begin(&server, &webhook, json!({"since": 0, "rate": 50})).await;
    let some = when(&server, &replay, |replay| queued(replay) >= 60).await;
    // A step may be ahead by a quarter of a second's worth.
    let allowed = 50.0 * since.elapsed().as_secs_f64() + 2.0 * 50.0 / 4.0;
    assert!((queued(&some) as f64) <= allowed, "{} > {allowed}", queued(&some));
    let cancelled = server.act(&format!("{replay}/cancel")).await.expect(200);
    let count = queued(&cancelled);
    assert_eq!(settled_totals(&server).await["accepted"], count);
    let server = {
        server.stop().await;
        Binary::start(dir.path()).await
    };
    assert_eq!(server.get(&replay).await.expect(200), cancelled);
    assert_eq!(settled_totals(&server).await["accepted"], count, "it does not go on");
    assert_eq!(receiver.take().await.len() as u64, count);
    server.stop().await;
}
