//! Notifications: the user whose they are hears them, and nobody else.

use serde_json::{Value, json};

use crate::harness::{Client, Tidings, eventually};
use crate::start;

/// A notification of the application's own.
async fn notify(client: &Client, owner: &str, data: Value) {
    let event = json!({"type": "notification.billing", "data": data, "ordering_key": owner});
    client.post("/api/events", event).await.expect(202);
}

#[tokio::test]
async fn each_user_hears_what_is_theirs_and_the_data_alone() {
    let tidings = start().await;
    let mut ada = tidings.notifications("ada").await.expect("a socket");
    let mut eve = tidings.notifications("eve").await.expect("a socket");
    // What clients say is not looked at.
    ada.send("hello").await;
    ada.send_bytes(b"\xff").await;
    notify(&tidings, "ada", json!({"type": "billing", "n": 1})).await;
    let other = json!({"type": "job.noted", "data": {}, "ordering_key": "ada"});
    tidings.post("/api/events", other).await.expect(202);
    notify(&tidings, "eve", json!({"type": "billing", "n": 2})).await;
    notify(&tidings, "ada", json!({"type": "billing", "n": 3})).await;
    assert_eq!(ada.next().await, Ok(json!({"type": "billing", "n": 1})));
    assert_eq!(ada.next().await, Ok(json!({"type": "billing", "n": 3})));
    assert_eq!(eve.next().await, Ok(json!({"type": "billing", "n": 2})));
    tidings.stop().await;
}

#[tokio::test]
async fn who_asks_for_nobody_or_without_a_key_is_refused() {
    let tidings =
        Tidings::start_with(|settings| settings.admin_key = Some("the-admin-key".into())).await;
    assert_eq!(tidings.notifications("ada").await.err(), Some(401));
    let admin = tidings.client.with_header("authorization", "Bearer the-admin-key");
    let key = json!({"name": "writer", "tenant_id": "default", "scopes": ["events:write"]});
    let key = admin.post("/api/keys", key).await.expect(201);
    let bearer = format!("Bearer {}", key["key"].as_str().expect("a key"));
    let writer = tidings.client.with_header("authorization", bearer);
    assert_eq!(writer.notifications("ada").await.err(), Some(403));
    for query in ["", "?owner_user_id=", "?user=ada", "?owner_user_id=ada&types=*"] {
        let path = format!("/api/notifications/ws{query}");
        assert_eq!(admin.open_socket(&path).await.err(), Some(422), "{query}");
    }
    let plain = admin.get("/api/notifications/ws?owner_user_id=ada").await;
    assert_eq!(plain.problem(426)["code"], "upgrade_required");
    tidings.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_who_does_not_read_is_dropped() {
    let tidings = start().await;
    let mut slow = tidings.notifications("slow").await.expect("a socket");
    let mut fast = tidings.notifications("fast").await.expect("a socket");
    let text = "x".repeat(256 << 10);
    for n in 0..60 {
        notify(&tidings, "slow", json!({"text": text})).await;
        notify(&tidings, "fast", json!({"n": n})).await;
        assert_eq!(fast.next().await, Ok(json!({"n": n})));
    }
    let closed = loop {
        if let Err(closed) = slow.next().await {
            break closed;
        }
    };
    assert_eq!((closed.code, closed.reason.contains("too slow")), (1008, true));
    eventually("it is gone", async || (tidings.app().live.listeners() == 1).then_some(())).await;
    tidings.stop().await;
}

/// Told to whoever names them, and to nobody who wants everything.
#[tokio::test]
async fn a_star_does_not_hear_the_notifications_of_others() {
    let tidings = start().await;
    let mut named = tidings.listen("/api/live?types=notification.*").await;
    let mut all = tidings.listen("/api/live").await;
    let job = json!({"job_type": "clipping", "external_job_id": "x", "owner_user_id": "ada"});
    tidings.post("/api/jobs", job).await.expect(202);
    let body = json!({"event": "job.started", "timestamp": "", "job_id": "x", "status": "downloading",
        "progress_percent": 0, "current_step": ""});
    crate::report(&tidings, body.to_string()).await;
    tidings.post("/api/events", json!({"type": "the.last", "data": {}})).await.expect(202);
    let told = named.event().await;
    assert_eq!(told["type"], "notification.clipping.started");
    assert_eq!(told["ordering_key"], "ada");
    loop {
        let event = all.event().await;
        let name = event["type"].as_str().expect("a type").to_owned();
        assert!(!name.starts_with("notification."), "{event:#}");
        if name == "the.last" {
            break;
        }
    }
    tidings.stop().await;
}
