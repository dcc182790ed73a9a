//! Webhooks over HTTP: register, read, change, test, pause, rotate, delete.

#[path = "../harness/mod.rs"]
mod harness;

mod changes;
mod fields;
mod keys;
mod profiles;
mod replaying;
mod secrets;
mod sending;
mod watching;

use harness::{Receiver, Tidings};
use serde_json::{Value, json};

/// A webhook to this receiver that hears `job.*`, with further fields.
async fn register(tidings: &Tidings, receiver: &Receiver, more: Value) -> Value {
    let mut body = json!({"url": receiver.url(), "events": ["job.*"]});
    let object = body.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    tidings.post("/api/webhooks", body).await.expect(201)
}

fn path(webhook: &Value) -> String {
    format!("/api/webhooks/{}", webhook["id"].as_str().expect("an id"))
}

/// Publishes `job.completed` with these data.
async fn publish(tidings: &Tidings, data: Value) {
    let event = json!({"type": "job.completed", "data": data});
    tidings.post("/api/events", event).await.expect(202);
}

/// The statistics of a webhook, once this holds of them.
async fn stats_when(tidings: &Tidings, webhook: &Value, holds: impl Fn(&Value) -> bool) -> Value {
    let path = format!("{}/stats", path(webhook));
    harness::eventually("the statistics", || async {
        Some(tidings.get(&path).await.expect(200)).filter(|stats| holds(stats))
    })
    .await
}
