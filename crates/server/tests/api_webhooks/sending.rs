//! What changes mean for what is queued and for what is sent.

use serde_json::{Value, json};

use super::{path, publish, register, stats_when};
use crate::harness::{Receiver, Tidings, eventually};

#[tokio::test]
async fn a_paused_webhook_waits_and_resumes_in_order() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"max_concurrency": 1})).await;
    let paused = tidings.act(&format!("{}/pause", path(&made))).await.expect(200);
    assert_eq!((&paused["paused"], &paused["active"]), (&json!(true), &json!(true)));
    for n in 0..3 {
        publish(&tidings, json!({"n": n})).await;
    }
    stats_when(&tidings, &made, |stats| stats["pending_deliveries"] == 3).await;
    // A test goes past the queue, also now; it is the first that arrives.
    tidings.act(&format!("{}/test", path(&made))).await.expect(200);
    assert_eq!(receiver.next().await.json()["type"], "webhook.test");
    assert!(receiver.is_quiet().await);
    // Paused again changes nothing; and it stays paused over a restart.
    let again = tidings.act(&format!("{}/pause", path(&made))).await.expect(200);
    assert_eq!(again["revision"], paused["revision"]);
    let tidings = tidings.restart().await;
    assert!(receiver.is_quiet().await);
    let resumed = tidings.act(&format!("{}/resume", path(&made))).await.expect(200);
    assert_eq!(resumed["paused"], false);
    for n in 0..3 {
        assert_eq!(receiver.next().await.json()["data"], json!({"n": n}));
    }
}

/// Its lanes stand still, and time does not.
#[tokio::test]
async fn what_expires_while_its_webhook_is_paused_ends() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({})).await;
    tidings.act(&format!("{}/pause", path(&made))).await.expect(200);
    let expires_at = tidings.now().as_millis() + 60_000;
    let brief = json!({"type": "job.completed", "data": 1, "expires_at": expires_at});
    tidings.post("/api/events", brief).await.expect(202);
    tidings.advance(15 * 60_000);
    // The writer sleeps until a moment of the old time, or until something is written.
    publish(&tidings, json!(2)).await;
    let stats = stats_when(&tidings, &made, |stats| stats["expired_deliveries"] == 1).await;
    assert_eq!(stats["pending_deliveries"], 1);
    assert!(receiver.is_quiet().await);
    tidings.stop().await;
}

/// A webhook with one delivery on the network, held by its receiver, and two queued behind it.
async fn busy(tidings: &Tidings, receiver: &Receiver) -> Value {
    let made = register(tidings, receiver, json!({"max_concurrency": 1})).await;
    receiver.hold();
    for n in 0..3 {
        publish(tidings, json!({"n": n})).await;
    }
    receiver.next().await;
    made
}

/// The deliveries of everything, once this many have ended.
async fn ended(tidings: &Tidings, webhook: &Value, status: &str, count: usize) -> Vec<Value> {
    let id = webhook["id"].as_str().expect("an id");
    let path = format!("/api/deliveries?webhook_id={id}&status={status}");
    eventually("the deliveries end", || async {
        let list = tidings.get(&path).await.expect(200);
        list.as_array().cloned().filter(|list| list.len() == count)
    })
    .await
}

#[tokio::test]
async fn a_deleted_webhook_ends_what_is_queued() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = busy(&tidings, &receiver).await;
    let reply = tidings.delete(&path(&made)).await;
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    tidings.get(&path(&made)).await.problem(404);
    tidings.delete(&path(&made)).await.problem(404);
    assert_eq!(tidings.get("/api/webhooks").await.expect(200), json!([]));
    // Also the one on the network: when its row ends nobody knows yet what its receiver says.
    for failed in ended(&tidings, &made, "failed", 3).await {
        assert_eq!(failed["error_message"], "Endpoint not found or inactive", "{failed:#}");
        assert_eq!(failed["reason"], "inactive");
    }
    receiver.release();
    publish(&tidings, json!({"n": "late"})).await;
    assert!(receiver.is_quiet().await);
}

#[tokio::test]
async fn an_inactive_webhook_plans_nothing_until_it_is_active_again() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = busy(&tidings, &receiver).await;
    let inactive = tidings.put(&path(&made), json!({"active": false})).await.expect(200);
    assert_eq!((&inactive["active"], &inactive["disabled_reason"]), (&json!(false), &Value::Null));
    ended(&tidings, &made, "failed", 3).await;
    receiver.release();
    publish(&tidings, json!({"n": "unheard"})).await;
    tidings.put(&path(&made), json!({"active": true})).await.expect(200);
    publish(&tidings, json!({"n": "heard"})).await;
    assert_eq!(receiver.next().await.json()["data"], json!({"n": "heard"}));
    // The one that was on the network when the webhook went was taken after all, and that counts.
    let stats = stats_when(&tidings, &made, |stats| stats["successful_deliveries"] == 2).await;
    assert_eq!(
        (&stats["failed_deliveries"], &stats["accepted_deliveries"]),
        (&json!(2), &json!(4))
    );
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_switched_off_and_can_be_switched_on() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({})).await;
    receiver.answers_once(410);
    publish(&tidings, json!({})).await;
    receiver.next().await;
    let off = eventually("it is switched off", || async {
        let webhook = tidings.get(&path(&made)).await.expect(200);
        Some(webhook).filter(|webhook| webhook["active"] == false)
    })
    .await;
    assert_eq!(off["disabled_reason"], "gone");
    let health = tidings.get(&format!("{}/health", path(&made))).await.expect(200);
    assert_eq!(health["disabled_reason"], "gone");
    let on = tidings.patch(&path(&made), json!({"active": true})).await.expect(200);
    assert_eq!((&on["active"], &on["disabled_reason"]), (&json!(true), &Value::Null));
    publish(&tidings, json!({"back": true})).await;
    assert_eq!(receiver.next().await.json()["data"], json!({"back": true}));
}

#[tokio::test]
async fn a_new_url_and_new_filters_hold_from_the_answer_on() {
    let tidings = Tidings::start().await;
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    let made = register(&tidings, &old, json!({})).await;
    let change = json!({"url": new.url(), "filters": {"custom_filters": {"n": {"$gte": 2}}}});
    let changed = tidings.put(&path(&made), change).await.expect(200);
    assert_eq!(changed["filters"], json!({"custom_filters": {"n": {"$gte": 2}}}));
    for n in 1..4 {
        publish(&tidings, json!({"n": n})).await;
    }
    let mut seen = [new.next().await, new.next().await].map(|r| r.json()["data"]["n"].clone());
    seen.sort_by_key(|n| n.as_i64());
    assert_eq!(seen, [json!(2), json!(3)]);
    assert!(old.is_quiet().await && new.is_quiet().await);
}

#[tokio::test]
async fn what_was_planned_keeps_the_shape_that_it_was_planned_with() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"secret": "a-secret"})).await;
    tidings.act(&format!("{}/pause", path(&made))).await.expect(200);
    publish(&tidings, json!({"n": 1})).await;
    tidings.put(&path(&made), json!({"profile": "emp"})).await.expect(200);
    publish(&tidings, json!({"n": 2})).await;
    tidings.act(&format!("{}/resume", path(&made))).await.expect(200);
    let (one, two) = (receiver.next().await, receiver.next().await);
    let (standard, emp) = if one.header("webhook-id").is_empty() { (two, one) } else { (one, two) };
    assert_eq!(standard.json()["type"], "job.completed");
    assert_eq!(standard.json()["data"], json!({"n": 1}));
    assert_eq!(emp.json()["event_type"], "job.completed");
    assert_eq!(emp.header("x-webhook-event"), "job.completed");
}
