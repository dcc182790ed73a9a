//! Stories: what is promised, told with the real server, real receivers and real trouble.
//!
//! Each file is one promise under one kind of trouble. Whatever a publisher was answered is written
//! down outside of the server ([`ledger`]) and compared with what receivers saw.

#![expect(clippy::unwrap_used, reason = "also in what stories share")]
#![expect(clippy::disallowed_methods, reason = "stories measure real time")]

#[path = "../harness/mod.rs"]
mod harness;

mod bad_disk;
mod bytes;
mod clipping;
mod crash;
mod direct;
mod disk_full;
mod examples;
mod executions;
mod isolation;
mod jobs;
mod leads;
mod ledger;
mod moving;
mod nodes;
mod official_readers;
mod official_verifiers;
mod outcomes;
mod postgres;
mod power_cut;
mod replay;
mod roles;
mod spread;
mod stop;

use std::path::Path;

use harness::{Client, Receiver};
use serde_json::{Value, json};

/// Says, past the test's captured output, that a story could not be told here.
fn skipped(needs: &str, why: &str) {
    use std::io::Write as _;
    let line = format!("SKIPPED: this story needs {needs}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Registers a webhook to `url` that hears everything, with further fields, and returns what is answered.
async fn register(client: &Client, url: &str, more: Value) -> Value {
    let mut body = json!({"url": url, "events": ["*"]});
    let object = body.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    client.post("/api/webhooks", body).await.expect(201)
}

fn path(webhook: &Value) -> String {
    format!("/api/webhooks/{}", webhook["id"].as_str().expect("an id"))
}

/// Publishes an event under an id of ours.
async fn publish(client: &Client, id: &str) {
    let event = json!({"id": id, "type": "story.told", "data": {}});
    client.post("/api/events", event).await.expect(202);
}

/// Has a receiver hold so many requests at once. A webhook that has not answered yet gets four.
async fn hold(server: &Client, receiver: &Receiver, requests: usize) {
    receiver.hold();
    for n in 0..requests / 4 {
        let events = json!({"events": [format!("held{n}.*")]});
        register(server, &receiver.url(), events).await;
        for _ in 0..4 {
            let event = json!({"type": format!("held{n}.here"), "data": {}});
            server.post("/api/events", event).await.expect(202);
        }
    }
    for _ in 0..requests {
        receiver.next().await;
    }
}

/// A retry policy that waits `ms` after each failure.
fn retry_every(ms: u32) -> Value {
    json!({"strategy": "fixed", "initial_delay_ms": ms, "max_attempts": 20, "jitter": false})
}

/// The deliveries as `/api/stats` counts them since the beginning, once none is owed; checked to add up.
async fn settled_totals(client: &Client) -> Value {
    let totals = harness::eventually("nothing is owed any more", || async {
        let totals = client.get("/api/stats").await.expect(200)["totals"].take();
        Some(totals).filter(|t| t["pending"] == 0 && t["retrying"] == 0)
    })
    .await;
    let ended = ["success", "failed", "cancelled", "expired"];
    let sum: i64 = ended.iter().map(|name| totals[name].as_i64().expect("a number")).sum();
    assert_eq!(totals["accepted"], sum, "{totals:#}");
    totals
}

/// SQLite's own judgement of the file in this data directory; another database judges itself.
fn assert_intact(dir: &Path) {
    if harness::store::is_postgres() {
        return;
    }
    let file = rusqlite::Connection::open(dir.join("tidings.db")).expect("it can be opened");
    let judged: String =
        file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it can be checked");
    assert_eq!(judged, "ok");
}
