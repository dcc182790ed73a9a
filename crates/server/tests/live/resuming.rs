//! Going on where a stream broke off: from memory, from the store, and with a gap.

use serde_json::json;

use crate::harness::Tidings;
use crate::publish;

#[tokio::test]
async fn a_stream_goes_on_exactly_where_it_broke_off() {
    let tidings = Tidings::start().await;
    let mut stream = tidings.listen("/api/live").await;
    let first = publish(&tidings, "a.b", json!({})).await;
    assert_eq!(stream.event().await["id"], first.as_str());
    drop(stream);
    let missed = [
        publish(&tidings, "a.b", json!({})).await,
        publish(&tidings, "x.y", json!({})).await,
        publish(&tidings, "a.c", json!({})).await,
    ];
    let mut resumed = tidings.with_header("last-event-id", &first).listen("/api/live").await;
    for id in &missed {
        assert_eq!(resumed.event().await["id"], id.as_str());
    }
    // The header is newer than the query, which stays in a browser's URL.
    let returns = tidings.with_header("last-event-id", &missed[0]);
    let mut filtered = returns.listen(&format!("/api/live?types=a.*&last_event_id={first}")).await;
    assert_eq!(filtered.event().await["id"], missed[2].as_str());
    let mut socket = tidings
        .socket(&format!("/api/live/ws?last_event_id={}", missed[1]))
        .await
        .expect("a socket");
    assert_eq!(socket.next().await.expect("open")["id"], missed[2].as_str());
    tidings.stop().await;
}

#[tokio::test]
async fn a_stream_goes_on_after_a_restart() {
    let tidings = Tidings::start().await;
    let mut stream = tidings.listen("/api/live").await;
    let before = publish(&tidings, "a.b", json!({})).await;
    tidings.advance(60_000);
    let last = publish(&tidings, "a.b", json!({})).await;
    assert_eq!(stream.event().await["id"], before.as_str());
    assert_eq!(stream.event().await["id"], last.as_str());
    drop(stream);
    tidings.advance(60_000);
    let missed = publish(&tidings, "a.b", json!({"n": 1})).await;
    let tidings = tidings.restart().await;
    let returns = tidings.with_header("last-event-id", &last);
    let mut streams = [returns.listen("/api/live").await, returns.listen("/api/live").await];
    let next = publish(&tidings, "a.b", json!({"n": 2})).await;
    for stream in &mut streams {
        assert_eq!(stream.event().await["id"], missed.as_str());
        assert_eq!(stream.event().await["id"], next.as_str());
    }
    tidings.stop().await;
}

#[tokio::test]
async fn a_stream_that_heard_nothing_goes_on_as_well() {
    let tidings = Tidings::start().await;
    let mut socket = tidings.socket("/api/live/ws").await.expect("a socket");
    socket.send(r#"{"types": ["a.*"]}"#).await;
    let since = socket.next().await.expect("open")["last_event_id"].clone();
    let since = since.as_str().expect("an id").to_owned();
    drop(socket);
    let missed = publish(&tidings, "a.b", json!({})).await;
    let tidings = tidings.restart().await;
    let mut stream = tidings.with_header("last-event-id", &since).listen("/api/live").await;
    assert_eq!(stream.event().await["id"], missed.as_str());
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_no_longer_kept_is_a_gap_that_is_told() {
    let tidings = Tidings::start().await;
    let first = publish(&tidings, "a.b", json!({})).await;
    tidings.advance(60_000);
    let many: Vec<_> = (0..600).map(|n| json!({"type": "a.b", "data": n})).collect();
    for _ in 0..2 {
        tidings.post("/api/events", json!(many)).await.expect(202);
    }
    let mut stream = tidings.listen(&format!("/api/live?last_event_id={first}")).await;
    assert_eq!(stream.told().await.expect("a gap").name, "gap");
    assert_eq!(stream.event().await["data"], 200);
    for _ in 1..999 {
        stream.event().await;
    }
    assert_eq!(stream.event().await["data"], 599);
    let mut socket =
        tidings.socket(&format!("/api/live/ws?last_event_id={first}")).await.expect("a socket");
    assert_eq!(socket.next().await.expect("open"), json!({"control": "gap"}));
    assert_eq!(socket.next().await.expect("open")["data"], 200);
    tidings.stop().await;
}
