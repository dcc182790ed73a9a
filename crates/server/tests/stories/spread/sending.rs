//! Without trouble.

use std::collections::BTreeSet;

use serde_json::json;
use tempfile::tempdir;

use super::{RedisServer, Worker, counts_on, owner};
use crate::harness::store::SECRET_KEY;
use crate::harness::{Binary, Receiver, eventually};
use crate::{hold, path, publish, register, retry_every, settled_totals};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_send_what_is_owed_and_the_owner_writes_it_down() {
    let redis = RedisServer::start();
    let url = redis.url();
    let (one, other) = tokio::join!(Worker::start(&url), Worker::start(&url));
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    counts_on(&server, 3).await;
    let receiver = Receiver::start().await;
    receiver.answers((201, "thank you"));
    for n in 0..8 {
        let events = json!({"events": [format!("to{n}.*")], "headers": {"X-Token": "hunter2"}});
        register(&server, &receiver.url(), events).await;
    }
    for n in 0..200 {
        let event = json!({"type": format!("to{}.it", n % 8), "data": {"n": n, "x": 1.0}});
        server.post("/api/events", event).await.expect(202);
    }
    let mut arrived = BTreeSet::new();
    for _ in 0..200 {
        let request = receiver.next().await;
        assert_eq!(request.header("x-token"), "hunter2");
        arrived.insert(request.header("webhook-id").to_owned());
    }
    assert_eq!(arrived.len(), 200, "each once");
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], 200, "{totals:#}");
    let shares = [one.taken().await, other.taken().await, server_taken(&server).await];
    assert_eq!(shares.iter().sum::<f64>(), 200.0, "{shares:?}");
    assert!(shares.iter().all(|&taken| taken > 0.0), "{shares:?}");
    // Written down as if it had been sent here.
    let list = server.get("/api/deliveries?limit=1").await.expect(200);
    let delivery = list[0]["id"].as_str().expect("an id");
    let attempts = server.get(&format!("/api/deliveries/{delivery}/attempts")).await.expect(200);
    assert_eq!(attempts[0]["response_status"], 201);
    assert_eq!(attempts[0]["response_body"], "thank you");
    let signature = attempts[0]["request"]["headers"]["webhook-signature"].as_str();
    assert!(signature.is_some_and(|it| it.starts_with("v1,")), "{attempts:#}");
    for worker in [one, other] {
        worker.binary.stop().await;
    }
    server.stop().await;
}

async fn server_taken(server: &Binary) -> f64 {
    server.figure("tidings_worker_requests_total").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_retries_and_hand_offs_are_the_same_through_workers() {
    let redis = RedisServer::start();
    let worker = Worker::start(&redis.url()).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    receiver.answers_once((500, "not now"));
    let webhook =
        register(&server, &receiver.url(), json!({"retry_config": retry_every(100)})).await;
    publish(&server, "e1").await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.body, second.body);
    settled_totals(&server).await;
    // Nobody listens there.
    let gone = Receiver::start().await.url();
    let closed = gone.replace(gone.rsplit_once(':').expect("a port").1, "1/hook");
    let delivery = json!({"url": closed, "type": "direct.one", "data": {}, "secret": "direct-secret",
        "retry_config": {"max_attempts": 1}});
    server.post("/api/deliveries", delivery).await.expect(202);
    let totals = settled_totals(&server).await;
    assert_eq!((&totals["success"], &totals["failed"]), (&json!(1), &json!(1)), "{totals:#}");
    // Several calls, each going on from the answer to the one before.
    receiver.decides(|request| {
        Some(
            if request.path.contains("/forms/") {
                (200, "{}")
            } else {
                (201, r#"{"subscriber":{"id":7}}"#)
            }
            .into(),
        )
    });
    let lead = json!({"leadId": "ada", "webhookUrl": receiver.origin(), "format": "convertkit",
        "lead": {"email": "ada@example.com"}, "options": {"api_key": "kit_key", "form_id": 217}});
    assert_eq!(server.post("/api/webhook-delivery", lead).await.status, 202);
    eventually("it is handed over", || async {
        let lead = server.get("/api/leads/ada").await.expect(200);
        (lead["status"] == "webhook_sent").then_some(())
    })
    .await;
    assert!(receiver.take().await.len() >= 2, "several calls");
    // A 410 switches it off, whoever met it.
    receiver.decides(|_| Some(410.into()));
    publish(&server, "e2").await;
    eventually("it is switched off", || async {
        let webhook = server.get(&path(&webhook)).await.expect(200);
        (webhook["disabled_reason"] == "gone").then_some(())
    })
    .await;
    assert!(worker.taken().await > 0.0);
    worker.binary.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_judges_addresses_by_its_own_policy() {
    let redis = RedisServer::start();
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    // Two, so that one of them gets some, and a directory for its own sake.
    let strict = [("TIDINGS_EGRESS_ALLOW", "")];
    let worker = Worker::start_with(&redis.url(), &strict).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    register(&server, &receiver.url(), json!({"retry_config": {"max_attempts": 1}})).await;
    for n in 0..50 {
        publish(&server, &format!("e{n}")).await;
    }
    settled_totals(&server).await;
    let taken = worker.taken().await;
    assert!(taken > 0.0);
    let failed = server.get("/api/dead-letters?limit=250").await.expect(200);
    let failed = failed.as_array().expect("a list");
    assert_eq!(failed.len() as f64, taken, "what it took, it did not send");
    assert!(failed.iter().all(|one| one["error_message"] == "address not allowed"), "{failed:#?}");
    assert_eq!(receiver.take().await.len() as f64, 50.0 - taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_finishes_what_it_has() {
    let redis = RedisServer::start();
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    let worker = Worker::start(&redis.url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    hold(&server, &receiver, 40).await;
    assert!(worker.figure("tidings_worker_requests_in_flight").await > 0.0);
    worker.terminate();
    eventually("it takes nothing more", || async {
        (server.figure("tidings_workers").await == 0.0).then_some(())
    })
    .await;
    // It goes on meanwhile, without that worker.
    let other = Receiver::start().await;
    register(&server, &other.url(), json!({"events": ["just.now"]})).await;
    server.post("/api/events", json!({"type": "just.now", "data": {}})).await.expect(202);
    other.next().await;
    receiver.release();
    let status = worker.binary.ended().await;
    assert!(status.success(), "{status}");
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], 41, "{totals:#}");
    assert!(receiver.is_quiet().await, "nothing was sent twice");
}

#[tokio::test]
async fn what_is_missing_is_named_at_the_start() {
    let dir = tempdir().unwrap();
    let key = ("TIDINGS_SECRET_KEY", SECRET_KEY);
    let nowhere = ("REDIS_URL", "redis://:hunter2@127.0.0.1:1");
    let (status, told) = Binary::refused_with(dir.path(), &[nowhere, key]).await;
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("Could not connect to Redis at 127.0.0.1:1"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let (_, told) = Binary::refused_with(dir.path(), &[nowhere, ("TIDINGS_SECRET_KEY", "")]).await;
    assert!(told.contains("Missing required settings: TIDINGS_SECRET_KEY"), "{told}");
}
