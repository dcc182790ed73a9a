//! A listener that does not read is dropped with a reason, and nobody else notices.

use serde_json::json;

use crate::harness::{Receiver, Tidings, eventually};
use crate::publish;

/// Data of one event, bytes.
const BYTES: usize = 256 << 10;
/// More than the sockets and the history hold together.
const EVENTS: usize = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_listener_is_dropped_and_a_fast_one_hears_everything() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let webhook = json!({"url": receiver.url(), "events": ["*"]});
    tidings.post("/api/webhooks", webhook).await.expect(201);
    let mut slow = tidings.listen("/api/live").await;
    let mut slow_socket = tidings.socket("/api/live/ws").await.expect("a socket");
    let mut fast = tidings.listen("/api/live").await;
    let mut fast_socket = tidings.socket("/api/live/ws").await.expect("a socket");
    let data = json!("x".repeat(BYTES));
    for _ in 0..EVENTS {
        // Each is answered, delivered and heard before the next: nobody waits for the slow ones.
        let id = publish(&tidings, "a.b", data.clone()).await;
        assert_eq!(fast.event().await["id"], id.as_str());
        assert_eq!(fast_socket.next().await.expect("open")["id"], id.as_str());
        assert_eq!(receiver.next().await.header("webhook-id"), id);
    }
    let mut heard = 0;
    let end = loop {
        let told = slow.told().await.expect("an end");
        if !told.name.is_empty() {
            break told;
        }
        heard += 1;
    };
    assert_eq!(end.name, "end");
    assert!(end.data["detail"].as_str().expect("a reason").contains("too slow"), "{end:?}");
    assert!(slow.told().await.is_none());
    assert!(heard > 0 && heard < EVENTS, "it heard {heard}");
    let closed = loop {
        if let Err(closed) = slow_socket.next().await {
            break closed;
        }
    };
    assert_eq!((closed.code, closed.reason.contains("too slow")), (1008, true));
    eventually("both are gone", async || (tidings.app().live.listeners() == 2).then_some(())).await;
    let figures = tidings.get("/metrics").await;
    let figures = String::from_utf8_lossy(&figures.body).into_owned();
    assert!(figures.contains("tidings_live_dropped_total 2"), "{figures}");
    assert!(figures.contains("tidings_live_listeners 2"), "{figures}");
    tidings.stop().await;
}
