//! Direct deliveries under trouble: killed, refused, and beside an origin that hangs.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::harness::{Binary, Client, Receiver, Tidings, eventually, store};
use crate::{assert_intact, register, retry_every, settled_totals};

async fn send(client: &Client, url: &str, n: usize, more: Value) {
    let mut body = json!({"url": url, "type": "story.told", "data": n, "secret": "shared-secret"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post("/api/deliveries", body).await.expect(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_it_knows_where_they_go_and_how_they_are_signed() {
    const DELIVERIES: usize = 40;
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    receiver.hold();
    let server = Binary::start(dir.path()).await;
    for n in 0..DELIVERIES {
        let more = json!({"headers": {"X-Key": "secret-value"}, "retry_config": retry_every(100)});
        send(&server, &receiver.url(), n, more).await;
    }
    receiver.next().await;
    server.kill();
    receiver.take().await;
    receiver.release();

    let server = Binary::start(dir.path()).await;
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], DELIVERIES, "{totals:#}");
    server.stop().await;
    let mut seen = std::collections::BTreeSet::new();
    for request in receiver.take().await {
        assert_eq!(request.header("x-key"), "secret-value");
        let verifier = standardwebhooks::Webhook::from_bytes(b"shared-secret".to_vec()).unwrap();
        verifier.verify(&request.body, &request.headers).unwrap();
        seen.insert(request.json()["data"].as_u64().unwrap());
    }
    assert_eq!(seen.len(), DELIVERIES);
    assert_intact(dir.path());
    // What is secret lies nowhere open.
    for file in store::files(dir.path()) {
        let bytes = std::fs::read(file).unwrap();
        for secret in ["shared-secret", "secret-value"] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_hangs_is_slow_for_itself_alone() {
    let tidings = Tidings::start().await;
    let (hanging, healthy, registered) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    register(&tidings, &registered.url(), json!({})).await;
    hanging.hold();
    for n in 0..200 {
        send(&tidings, &hanging.url(), n, json!({"timeout_ms": 60_000})).await;
    }
    eventually("it hangs", || async { (hanging.most_at_once() >= 4).then_some(()) }).await;
    for n in 0..100 {
        send(&tidings, &healthy.url(), n, json!({})).await;
        tidings.post("/api/events", json!({"type": "story.told", "data": n})).await.expect(202);
        for receiver in [&healthy, &registered] {
            let received = tokio::time::timeout(Duration::from_secs(2), receiver.next()).await;
            assert_eq!(received.expect("at once").json()["data"], n);
        }
    }
    assert_eq!(hanging.most_at_once(), 4, "it has not shown that it can bear more");
    let totals = eventually("the others are settled", || async {
        let totals = tidings.get("/api/stats").await.expect(200)["totals"].take();
        Some(totals).filter(|totals| totals["success"] == 200)
    })
    .await;
    assert_eq!(totals["pending"], 200, "{totals:#}");
    hanging.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_name_leads_to_is_judged_at_the_attempt() {
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let allowed = [("TIDINGS_EGRESS_ALLOW", "127.0.0.0/8:1")];
    let server = Binary::start_with(dir.path(), &allowed).await;
    let url = receiver.url().replace("127.0.0.1", "localhost");
    send(&server, &url, 1, json!({"retry_config": {"max_attempts": 1}})).await;
    let refused = eventually("it is given up", || async {
        let list = server.get("/api/dead-letters").await.expect(200);
        list.as_array().and_then(|list| list.first().cloned())
    })
    .await;
    assert_eq!((&refused["webhook_id"], &refused["error_type"]), (&Value::Null, &json!("blocked")));
    assert!(receiver.is_quiet().await, "a packet left for a blocked address");
    server.stop().await;
}
