//! WebSocket: filters by message, and what is no filter.

use serde_json::json;

use crate::harness::Tidings;
use crate::{locked, publish, tenant};

#[tokio::test]
async fn a_message_changes_the_filter() {
    let tidings = Tidings::start().await;
    let mut socket = tidings.socket("/api/live/ws?types=a.*").await.expect("a socket");
    publish(&tidings, "b.one", json!({})).await;
    publish(&tidings, "a.one", json!({"text": "zwölf ☂"})).await;
    let event = socket.next().await.expect("open");
    assert_eq!((&event["type"], &event["data"]["text"]), (&json!("a.one"), &json!("zwölf ☂")));
    socket.send(r#"{"types": ["b.*", "c.one"]}"#).await;
    let answer = socket.next().await.expect("open");
    assert_eq!(answer["control"], "listening");
    assert_eq!(answer["types"], json!(["b.*", "c.one"]));
    for event_type in ["a.two", "b.two", "c.two", "c.one"] {
        publish(&tidings, event_type, json!({})).await;
    }
    assert_eq!(socket.next().await.expect("open")["type"], "b.two");
    assert_eq!(socket.next().await.expect("open")["type"], "c.one");
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_no_filter_closes_with_a_reason() {
    let tidings = Tidings::start().await;
    for message in ["", "hello", "{}", r#"{"types": ["**"]}"#, r#"{"types": [], "typ": 1}"#, "[]"] {
        let mut socket = tidings.socket("/api/live/ws").await.expect("a socket");
        socket.send(message).await;
        let closed = socket.next().await.expect_err("it is closed");
        assert_eq!((closed.code, closed.reason.contains("filter")), (1008, true), "{message}");
    }
    let mut socket = tidings.socket("/api/live/ws").await.expect("a socket");
    socket.send_bytes(b"{}").await;
    assert_eq!(socket.next().await.expect_err("it is closed").code, 1003);
    tidings.stop().await;
}

#[tokio::test]
async fn a_revoked_key_ends_what_it_opened() {
    let (tidings, admin) = locked().await;
    let (_, key, reader) = tenant(&admin, &tidings.client, "one", &["read"]).await;
    let mut socket = reader.socket("/api/live/ws").await.expect("a socket");
    let mut stream = reader.listen("/api/live").await;
    admin.delete(&format!("/api/keys/{}", key.as_str().expect("an id"))).await.expect(204);
    let closed = socket.next().await.expect_err("it is closed");
    assert_eq!((closed.code, closed.reason.contains("key")), (1008, true));
    assert_eq!(stream.told().await.expect("an end").name, "end");
    tidings.stop().await;
}
