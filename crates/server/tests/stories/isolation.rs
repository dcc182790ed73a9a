//! One receiver's trouble is its own, and what a webhook was promised about pace, number and order
//! holds as its receiver sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::harness::{Binary, Line, Receiver, Tidings, eventually};
use crate::{register, retry_every, settled_totals};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_receiver_does_not_delay_a_healthy_one() {
    const EVENTS: u32 = 1_000;
    const PER_SECOND: u32 = 200;
    let dir = tempdir().unwrap();
    let server = Binary::start(dir.path()).await;
    // It was quick until now, so it is trusted with much; then it hangs for longer than the test lasts.
    let hanging = Receiver::start().await;
    let greedy = json!({"events": ["bulk.*"], "timeout_ms": 60_000, "max_concurrency": 400});
    register(&server, &hanging.url(), greedy).await;
    publish_bulk(&server).await;
    settled_totals(&server).await;
    hanging.hold();
    for _ in 0..5 {
        publish_bulk(&server).await;
    }
    eventually("it hangs", || async { (hanging.most_at_once() >= 60).then_some(()) }).await;
    let healthy = Receiver::start().await;
    register(&server, &healthy.url(), json!({"events": ["fresh.*"]})).await;

    let answered = publish_at(&server, EVENTS, Duration::from_secs(1) / PER_SECOND).await;
    let mut waits = Vec::new();
    for _ in 0..EVENTS {
        let request = healthy.next().await;
        let n = request.json()["data"].as_u64().unwrap() as usize;
        waits.push(request.at.saturating_duration_since(answered[n]));
    }
    waits.sort();
    let p99 = waits[waits.len() * 99 / 100];
    assert!(p99 < Duration::from_millis(250), "p99 from the answer to the receipt: {p99:?}");
    // The last receipt is a moment before its settlement.
    eventually("only what hangs is owed", || async {
        let totals = server.get("/api/stats").await.expect(200)["totals"].take();
        assert_eq!(totals["failed"], json!(0), "{totals:#}");
        (totals["pending"] == json!(5_000)).then_some(())
    })
    .await;
    server.kill();
}

/// A thousand events for the one that will hang.
async fn publish_bulk(server: &Binary) {
    let bulk: Vec<Value> = (0..1_000).map(|n| json!({"type": "bulk.item", "data": n})).collect();
    server.post("/api/events", bulk.into()).await.expect(202);
}

/// Publishes one event per `interval` over several connections; when each was answered.
async fn publish_at(server: &Binary, events: u32, interval: Duration) -> Vec<Instant> {
    const PUBLISHERS: u32 = 8;
    let start = Instant::now();
    let publishers = (0..PUBLISHERS).map(|first| {
        let client = server.client.clone();
        tokio::spawn(async move {
            let mut line = client.connect().await.unwrap();
            let mut answered = Vec::new();
            for n in (first..events).step_by(PUBLISHERS as usize) {
                tokio::time::sleep_until((start + interval * n).into()).await;
                answered.push((n, publish_number(&mut line, n).await));
            }
            answered
        })
    });
    let mut all = BTreeMap::new();
    for publisher in publishers.collect::<Vec<_>>() {
        all.extend(publisher.await.unwrap());
    }
    all.into_values().collect()
}

async fn publish_number(line: &mut Line, n: u32) -> Instant {
    let reply = line.post("/api/events", &json!({"type": "fresh.item", "data": n})).await.unwrap();
    assert_eq!(reply.status, 202);
    Instant::now()
}

/// Publishes so many events in one list.
async fn publish_many(tidings: &Tidings, events: usize) {
    let list: Vec<Value> = (0..events).map(|n| json!({"type": "item.made", "data": n})).collect();
    tidings.post("/api/events", list.into()).await.expect(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_holds_in_any_window() {
    const MAX: usize = 5;
    const PER: Duration = Duration::from_millis(500);
    const EVENTS: usize = 30;
    /// Of an arrival, with two busy cores. Attempts are spaced evenly, 100 ms apart, so a window
    /// shorter by this can never hold more than the limit.
    const JITTER: Duration = Duration::from_millis(90);
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let limit = json!({"rate_limit": {"max": MAX, "per_ms": PER.as_millis() as u64}});
    register(&tidings, &receiver.url(), limit).await;
    publish_many(&tidings, EVENTS).await;

    let mut at = Vec::new();
    for _ in 0..EVENTS {
        at.push(receiver.next().await.at);
    }
    for window in at.windows(MAX + 1) {
        let took = window[MAX] - window[0];
        assert!(took > PER - JITTER, "{} arrivals within {took:?}", MAX + 1);
    }
    // And it is used: the whole takes hardly longer than it must.
    let took = at[EVENTS - 1] - at[0];
    assert!(took < Duration::from_millis(2_900 + 1_500), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_requests_at_once_than_agreed() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    register(&tidings, &receiver.url(), json!({"max_concurrency": 3})).await;
    receiver.hold();
    publish_many(&tidings, 200).await;
    for _ in 0..3 {
        receiver.next().await;
    }
    receiver.release();
    for _ in 3..200 {
        receiver.next().await;
    }
    assert_eq!(receiver.most_at_once(), 3, "all of them are used, and no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_for_each_key_through_failures() {
    const KEYS: u64 = 4;
    const EVENTS: u64 = 15;
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let more = json!({"ordered": true, "retry_config": retry_every(100)});
    register(&tidings, &receiver.url(), more).await;
    // Every third request fails, whichever it is, so some events fail more than once.
    let (mut requests, delivered) = (0, std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
    let noted = std::sync::Arc::clone(&delivered);
    receiver.decides(move |request| {
        requests += 1;
        if requests % 3 == 0 {
            return Some(500.into());
        }
        let data = request.json()["data"].take();
        let pair = |name: &str| data[name].as_u64().unwrap();
        noted.lock().unwrap().push((pair("key"), pair("n")));
        None
    });
    let events: Vec<Value> = (0..EVENTS * KEYS)
        .map(|at| json!({"key": at % KEYS, "n": at / KEYS}))
        .map(|data| {
            let key = data["key"].to_string();
            json!({"type": "item.made", "data": data, "ordering_key": key})
        })
        .collect();
    tidings.post("/api/events", events.into()).await.expect(202);

    let totals = settled_totals(&tidings).await;
    assert_eq!(totals["success"], EVENTS * KEYS, "{totals:#}");
    let failed = totals["attempts_failed"].as_u64().unwrap();
    assert!(failed >= EVENTS * KEYS / 3, "nothing failed: {failed}");
    let delivered = delivered.lock().unwrap();
    for key in 0..KEYS {
        let of_key: Vec<u64> = delivered.iter().filter(|it| it.0 == key).map(|it| it.1).collect();
        assert_eq!(of_key, (0..EVENTS).collect::<Vec<_>>(), "key {key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_head_holds_only_its_own_key() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let more = json!({"ordered": true, "retry_config": retry_every(3_600_000)});
    register(&tidings, &receiver.url(), more).await;
    receiver.decides(|request| (request.header("webhook-id") == "a1").then(|| 500.into()));
    for (id, key) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")] {
        let event = json!({"id": id, "type": "item.made", "data": 0, "ordering_key": key});
        tidings.post("/api/events", event).await.expect(202);
    }
    let totals = eventually("b is delivered", || async {
        let totals = tidings.get("/api/stats").await.expect(200)["totals"].take();
        Some(totals).filter(|totals| totals["success"] == 2)
    })
    .await;
    assert_eq!((&totals["retrying"], &totals["pending"]), (&json!(1), &json!(1)), "{totals:#}");
    let mut ids: Vec<String> =
        receiver.take().await.iter().map(|it| it.header("webhook-id").to_owned()).collect();
    ids.sort();
    assert_eq!(ids, ["a1", "b1", "b2"], "a2 waits for a1");
}
