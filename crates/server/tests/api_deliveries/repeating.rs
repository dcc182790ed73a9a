//! A request that comes again gets the answer of its first time, however late it comes.

use serde_json::{Value, json};

use crate::harness::{Receiver, Reply, Tidings};
use crate::text;

/// An event that expires in a second and a half.
fn brief(tidings: &Tidings, more: &Value) -> Value {
    let at = tidings.now().as_millis() + 1_500;
    let mut event = json!({"type": "n.q", "data": 3, "expires_at": at});
    event.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
    event
}

async fn accepted(tidings: &Tidings) -> Value {
    let events = tidings.get("/api/events").await.expect(200);
    events.as_array().expect("a list").len().into()
}

fn assert_again(again: &Reply, first: &Value) {
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(&again.expect(202), first);
}

#[tokio::test]
async fn by_its_key_when_it_has_expired() {
    let tidings = Tidings::start().await;
    let keyed = tidings.with_header("idempotency-key", "once");
    let one = tidings.with_header("idempotency-key", "one");
    let event = brief(&tidings, &json!({}));
    let list = json!([event, {"type": "n.q", "data": 4}, brief(&tidings, &json!({"id": "mine"}))]);
    let first = one.post("/api/events", event.clone()).await.expect(202);
    let firsts = keyed.post("/api/events", list.clone()).await.expect(202);
    tidings.advance(2_000);
    assert_again(&one.post("/api/events", event.clone()).await, &first);
    assert_again(&keyed.post("/api/events", list).await, &firsts);
    assert_eq!(accepted(&tidings).await, 4);
    // Under another key it is new, and too late; another event under this key is still another.
    let other = tidings.with_header("idempotency-key", "two");
    assert_eq!(other.post("/api/events", event.clone()).await.pointers(), ["/expires_at"]);
    let conflict = keyed.post("/api/events", event).await.problem(409);
    assert_eq!(conflict["code"], "idempotency_key_reused");
    tidings.stop().await;
}

#[tokio::test]
async fn by_its_id_when_it_has_expired() {
    let tidings = Tidings::start().await;
    let event = brief(&tidings, &json!({"id": "mine"}));
    tidings.post("/api/events", event.clone()).await.expect(202);
    tidings.advance(2_000);
    let again = tidings.post("/api/events", event.clone()).await.expect(202);
    assert_eq!((&again["id"], &again["duplicate"]), (&json!("mine"), &json!(true)));
    let new = json!({"type": "n.q", "data": 4});
    let list = tidings.post("/api/events", json!([new, event])).await.expect(202);
    assert_eq!((&list[0]["duplicate"], &list[1]["duplicate"]), (&Value::Null, &json!(true)));
    let mut late = event.clone();
    late["id"] = json!("another");
    let refused = tidings.post("/api/events", json!([new, event, late])).await;
    assert!(refused.pointers().contains(&"/2/expires_at".to_owned()));
    let mut other = event;
    other["data"] = json!(5);
    let conflict = tidings.post("/api/events", other).await.problem(409);
    assert_eq!(conflict["code"], "event_id_reused");
    assert_eq!(accepted(&tidings).await, 2);
    tidings.stop().await;
}

#[tokio::test]
async fn to_one_url_when_it_has_expired() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let to = json!({"url": receiver.url(), "profile": "emp"});
    let body = brief(&tidings, &to);
    let keyed = tidings.with_header("idempotency-key", "once");
    let first = keyed.post("/api/deliveries", body.clone()).await.expect(202);
    receiver.next().await;
    crate::settled_one(&tidings, &text(&first["id"]), "success").await;
    tidings.advance(2_000);
    assert_again(&keyed.post("/api/deliveries", body.clone()).await, &first);
    assert_eq!(tidings.post("/api/deliveries", body).await.pointers(), ["/expires_at"]);
    assert_eq!(accepted(&tidings).await, 1);
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_new_must_expire_later_than_now_and_than_its_delivery() {
    let tidings = Tidings::start().await;
    let now = tidings.now().as_millis();
    for (deliver_at, expires_at) in
        [(None, now - 1), (Some(now + 9_000), now + 9_000), (Some(now - 9_000), now - 1)]
    {
        let event = json!({"type": "n.q", "data": 3, "deliver_at": deliver_at,
            "expires_at": expires_at});
        assert_eq!(tidings.post("/api/events", event).await.pointers(), ["/expires_at"]);
    }
    tidings.stop().await;
}

/// Receivers would know it and another event of ours by one name.
#[tokio::test]
async fn an_id_of_the_form_of_ours_is_refused() {
    let tidings = Tidings::start().await;
    let event = json!({"type": "n.q", "data": 3});
    let ours = tidings.post("/api/events", event).await.expect(202)["id"].take();
    let other = json!({"id": ours, "type": "n.q", "data": "another"});
    assert_eq!(tidings.post("/api/events", other.clone()).await.pointers(), ["/id"]);
    assert_eq!(tidings.post("/api/events", json!([other])).await.pointers(), ["/0/id"]);
    // Whoever passes on events of another Tidings, and whoever only begins like ours.
    for id in [format!("from-{}", text(&ours)), "evt_1".to_owned(), "evt_order-42".to_owned()] {
        let named = json!({"id": id, "type": "n.q", "data": 3});
        assert_eq!(tidings.post("/api/events", named).await.expect(202)["id"], id.as_str());
    }
    tidings.stop().await;
}
