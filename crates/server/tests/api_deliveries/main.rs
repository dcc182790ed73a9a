//! Deliveries over HTTP: attempts as sent, retry, cancel, redrive; lists, events, statistics.

#[path = "../harness/mod.rs"]
mod harness;

mod attempts;
mod by_hand;
mod direct;
mod reading;
mod repeating;

use harness::{Receiver, Tidings, eventually};
use serde_json::{Value, json};

const HOUR_MS: i64 = 3_600_000;

/// A webhook with these settings beside its URL; its id.
async fn webhook(tidings: &Tidings, receiver: &Receiver, settings: Value) -> String {
    let mut body = json!({"url": receiver.url(), "events": ["*"]});
    let settings = settings.as_object().cloned().unwrap_or_default();
    body.as_object_mut().expect("an object").extend(settings);
    text(&tidings.post("/api/webhooks", body).await.expect(201)["id"])
}

/// At most so many attempts, an hour apart.
fn hourly(max_attempts: u16) -> Value {
    json!({"max_attempts": max_attempts, "strategy": "fixed", "initial_delay_ms": HOUR_MS,
        "max_delay_ms": HOUR_MS, "jitter": false})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

async fn publish(tidings: &Tidings, event: Value) -> String {
    text(&tidings.post("/api/events", event).await.expect(202)["id"])
}

/// Waits until the deliveries of an event all have this status; returns them.
async fn settled(tidings: &Tidings, event: &str, status: &str) -> Vec<Value> {
    let path = format!("/api/deliveries?event_id={event}");
    let path = &path;
    eventually(&format!("the deliveries of {event} are {status}"), || async move {
        let list = tidings.get(path).await.expect(200);
        let list = list.as_array().cloned().unwrap_or_default();
        (!list.is_empty() && list.iter().all(|one| one["status"] == status)).then_some(list)
    })
    .await
}

async fn failed(tidings: &Tidings, receiver: &Receiver, data: Value) -> (String, String) {
    receiver.answers_once(500);
    let event = publish(tidings, json!({"type": "a.b", "data": data})).await;
    receiver.next().await;
    let delivery = settled(tidings, &event, "failed").await.remove(0);
    (event, text(&delivery["id"]))
}

/// Waits until this delivery has this status.
async fn settled_one(tidings: &Tidings, delivery: &str, status: &str) -> Value {
    let path = format!("/api/deliveries/{delivery}");
    let path = &path;
    eventually(&format!("{delivery} is {status}"), || async move {
        let one = tidings.get(path).await.expect(200);
        (one["status"] == status).then_some(one)
    })
    .await
}
