//! As many listeners as there may be, and no more.

use serde_json::json;
use tidings_core::limits::LISTENERS_MAX;

use crate::harness::{Tidings, eventually};
use crate::publish;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_of_listeners_hear_an_event_and_there_is_a_limit() {
    let _ = rlimit::increase_nofile_limit(16_384);
    let tidings = Tidings::start().await;
    let mut streams = Vec::new();
    let mut sockets = Vec::new();
    for n in 0..LISTENERS_MAX {
        match n % 10 {
            0 => sockets.push(tidings.socket("/api/live/ws").await.expect("a socket")),
            _ => streams.push(tidings.listen("/api/live").await),
        }
    }
    let refused = tidings.get("/api/live").await;
    assert_eq!(refused.problem(429)["code"], "too_many_listeners");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(tidings.socket("/api/live/ws").await.err(), Some(429));
    let ids =
        [publish(&tidings, "a.b", json!({})).await, publish(&tidings, "a.b", json!({})).await];
    for id in &ids {
        for stream in &mut streams {
            assert_eq!(stream.event().await["id"], id.as_str());
        }
        for socket in &mut sockets {
            assert_eq!(socket.next().await.expect("open")["id"], id.as_str());
        }
    }
    drop((streams, sockets));
    eventually("all have gone", async || (tidings.app().live.listeners() == 0).then_some(())).await;
    assert_eq!(tidings.listen("/api/live").await.status, 200);
    tidings.stop().await;
}
