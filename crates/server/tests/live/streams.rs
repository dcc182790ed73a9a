//! Server-sent events: form, filters, tenants, refusals, ends.

use serde_json::json;

use crate::harness::{Receiver, Tidings};
use crate::{locked, publish, tenant};

#[tokio::test]
async fn events_are_told_as_they_are_committed() {
    let tidings = Tidings::start().await;
    let mut stream = tidings.listen("/api/live").await;
    assert_eq!(stream.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(stream.headers[name], value);
    }
    let body =
        "{\"type\":\"a.b\",\"id\":\"order-7\",\"ordering_key\":\"k\",\"data\":{\r\n\"n\": 1.50\n}}";
    let published = tidings.send(http::Method::POST, "/api/events", body).await.expect(202);
    let event = stream.event().await;
    assert_eq!((&event["id"], &event["type"]), (&published["id"], &json!("a.b")));
    assert_eq!((&event["ordering_key"], &event["data"]), (&json!("k"), &json!({"n": 1.5})));
    // Told after the commit: it can be read back.
    let event_id = event["event_id"].as_str().expect("an id");
    let stored = tidings.get(&format!("/api/events/{event_id}")).await.expect(200);
    assert_eq!(stored["created_at"], event["created_at"]);
    // The same again is no event.
    tidings.send(http::Method::POST, "/api/events", body).await.expect(202);
    let next = publish(&tidings, "a.c", json!(null)).await;
    assert_eq!(stream.event().await["id"], next.as_str());
    tidings.stop().await;
}

#[tokio::test]
async fn filters_are_patterns_and_operational_events_have_to_be_named() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    receiver.answers(410);
    let webhook = json!({"url": receiver.url(), "events": ["gone.soon"]});
    tidings.post("/api/webhooks", webhook).await.expect(201);
    let mut all = tidings.listen("/api/live").await;
    let mut some = tidings.listen("/api/live?types=job.*,lead.captured").await;
    let mut operational = tidings.listen("/api/live?types=webhook.*").await;
    for event_type in ["gone.soon", "job.done", "leads.x", "lead.captured"] {
        publish(&tidings, event_type, json!({})).await;
    }
    assert_eq!(operational.event().await["type"], "webhook.disabled");
    publish(&tidings, "job.a.b", json!({})).await;
    for event_type in ["job.done", "lead.captured", "job.a.b"] {
        assert_eq!(some.event().await["type"], event_type);
    }
    for event_type in ["gone.soon", "job.done", "leads.x", "lead.captured", "job.a.b"] {
        assert_eq!(all.event().await["type"], event_type);
    }
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let tidings = Tidings::start().await;
    for (query, pointer) in [
        ("types=job*", "types"),
        ("types=a,,b", "types"),
        ("last_event_id=7", "last_event_id"),
        ("last_event_id=wh_0000000000000", "last_event_id"),
        ("type=a.b", "type"),
        ("limit=5", "limit"),
    ] {
        let reply = tidings.get(&format!("/api/live?{query}")).await;
        assert_eq!(reply.pointers(), [pointer], "{query}");
        assert_eq!(tidings.socket(&format!("/api/live/ws?{query}")).await.err(), Some(422));
    }
    let bad = tidings.with_header("last-event-id", "\u{e9}");
    assert_eq!(bad.get("/api/live").await.pointers(), ["last_event_id"]);
    tidings.get("/api/live/ws").await.problem(426);
    let foreign = tidings.with_header("origin", "http://evil.example");
    foreign.get("/api/live").await.problem(403);
    assert_eq!(foreign.socket("/api/live/ws").await.err(), Some(403));
    assert_eq!(tidings.app().live.listeners(), 0);
    tidings.stop().await;
}

#[tokio::test]
async fn tenants_do_not_hear_each_other() {
    let (tidings, admin) = locked().await;
    let open = &tidings.client;
    let (_, _, one) = tenant(&admin, open, "one", &["read", "events:write"]).await;
    let (two_id, _, two) = tenant(&admin, open, "two", &["read", "events:write"]).await;
    let (_, _, writer) = tenant(&admin, open, "three", &["events:write"]).await;
    open.get("/api/live").await.problem(401);
    writer.get("/api/live").await.problem(403);
    assert_eq!(open.socket("/api/live/ws").await.err(), Some(401));
    assert_eq!(writer.socket("/api/live/ws").await.err(), Some(403));
    let mut of_one = one.listen("/api/live").await;
    let mut of_two = two.listen("/api/live").await;
    let mut as_two = admin.with_header("x-tenant-id", two_id).listen("/api/live").await;
    let first = publish(&one, "a.b", json!(1)).await;
    let second = publish(&two, "a.b", json!(2)).await;
    assert_eq!(of_one.event().await["id"], first.as_str());
    assert_eq!(of_two.event().await["id"], second.as_str());
    assert_eq!(as_two.event().await["id"], second.as_str());
    // An event of one is none of two.
    let mut resumed = two.listen(&format!("/api/live?last_event_id={first}")).await;
    assert_eq!(resumed.event().await["id"], second.as_str());
    tidings.stop().await;
}

#[tokio::test]
async fn a_stop_ends_streams_with_a_reason() {
    let tidings = Tidings::start().await;
    let mut stream = tidings.listen("/api/live").await;
    let mut socket = tidings.socket("/api/live/ws").await.expect("a socket");
    tidings.stop().await;
    let told = stream.told().await.expect("an end");
    assert_eq!((told.name.as_str(), stream.told().await.is_none()), ("end", true));
    let closed = socket.next().await.expect_err("it is closed");
    assert_eq!((closed.code, closed.reason.contains("stops")), (1012, true));
}
