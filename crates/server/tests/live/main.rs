//! Live streams on real sockets: who hears what, who goes on where, and whom a slow one harms.

#[path = "../harness/mod.rs"]
mod harness;

mod crowd;
mod resuming;
mod slow;
mod socket;
mod streams;

use harness::{Client, Tidings};
use serde_json::{Value, json};

/// Publishes an event; its id.
async fn publish(client: &Client, event_type: &str, data: Value) -> String {
    let published = client.post("/api/events", json!({"type": event_type, "data": data})).await;
    published.expect(202)["id"].as_str().expect("an id").to_owned()
}

async fn locked() -> (Tidings, Client) {
    let admin_key = "the-admin-key-of-the-settings";
    let tidings = Tidings::start_with(|settings| settings.admin_key = Some(admin_key.into())).await;
    let admin = tidings.client.with_header("authorization", format!("Bearer {admin_key}"));
    (tidings, admin)
}

/// A tenant's id, a key of it with these scopes, and a client with that key.
async fn tenant(
    admin: &Client,
    open: &Client,
    name: &str,
    scopes: &[&str],
) -> (String, Value, Client) {
    let made = admin.post("/api/tenants", json!({"name": name})).await.expect(201);
    let id = made["id"].as_str().expect("an id").to_owned();
    let key = json!({"name": name, "tenant_id": id, "scopes": scopes});
    let key = admin.post("/api/keys", key).await.expect(201);
    let bearer = format!("Bearer {}", key["key"].as_str().expect("a key"));
    (id, key["id"].clone(), open.with_header("authorization", bearer))
}
