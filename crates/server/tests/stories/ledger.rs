//! What publishers were promised, kept outside of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use crate::harness::{Client, Received, Reply};

/// Event ids, by what is known of them.
#[derive(Debug, Default)]
pub struct Ledger {
    next: AtomicU64,
    acknowledged: Mutex<BTreeSet<String>>,
    /// Answers other than 202, in order.
    refusals: Mutex<Vec<Reply>>,
}

impl Ledger {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The ids that were answered 202.
    pub fn acknowledged(&self) -> BTreeSet<String> {
        self.acknowledged.lock().expect("nobody panics here").clone()
    }

    pub fn count(&self) -> usize {
        self.acknowledged.lock().expect("nobody panics here").len()
    }

    /// The answers other than 202 since the last call.
    pub fn take_refusals(&self) -> Vec<Reply> {
        std::mem::take(&mut *self.refusals.lock().expect("nobody panics here"))
    }

    fn next_id(&self) -> String {
        format!("e{:06}", self.next.fetch_add(1, Ordering::SeqCst))
    }

    fn note(&self, id: String, reply: Reply) {
        if reply.status == 202 {
            self.acknowledged.lock().expect("nobody panics here").insert(id);
        } else {
            self.refusals.lock().expect("nobody panics here").push(reply);
        }
    }

    /// Nothing that was acknowledged is missing, and nothing arrived that nobody published.
    pub fn assert_all_in(&self, seen: &Seen) {
        let acknowledged = self.acknowledged();
        let missing: Vec<&String> =
            acknowledged.iter().filter(|id| !seen.0.contains_key(*id)).collect();
        assert!(missing.is_empty(), "{} acknowledged and lost: {missing:?}", missing.len());
        let published = format!("e{:06}", self.next.load(Ordering::SeqCst));
        let invented = seen.0.keys().find(|id| **id >= published);
        assert_eq!(invented, None, "nobody published it");
    }
}

/// Publishers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many publishers, each one event at a time with a data of `bytes`; one whose connection
    /// breaks is done.
    pub fn start(ledger: &Arc<Ledger>, client: &Client, publishers: usize, bytes: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let one = |_| {
            let (ledger, client, stop) = (Arc::clone(ledger), client.clone(), Arc::clone(&stop));
            tokio::spawn(async move { publish(&ledger, &client, &stop, bytes).await })
        };
        Self { tasks: (0..publishers).map(one).collect(), stop }
    }

    /// Waits until they are done by themselves: the server is gone.
    pub async fn broken(self) {
        for task in self.tasks {
            task.await.expect("publishers do not panic");
        }
    }

    pub async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.broken().await;
    }
}

async fn publish(ledger: &Ledger, client: &Client, stop: &AtomicBool, bytes: usize) {
    let padding = "x".repeat(bytes);
    let Ok(mut line) = client.connect().await else { return };
    while !stop.load(Ordering::SeqCst) {
        let id = ledger.next_id();
        let event = json!({"id": id, "type": "story.told", "data": {"padding": padding}});
        match line.post("/api/events", &event).await {
            // A publisher that is refused does what it is told: it comes back later.
            Ok(reply) if reply.status == 503 => {
                ledger.note(id, reply);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(reply) => ledger.note(id, reply),
            Err(_) => return,
        }
    }
}

/// What a receiver saw: the requests of each event, in order.
#[derive(Debug, Default)]
pub struct Seen(pub BTreeMap<String, Vec<Received>>);

impl Seen {
    pub fn note(&mut self, requests: Vec<Received>) {
        for request in requests {
            let id = request.header("webhook-id").to_owned();
            self.0.entry(id).or_default().push(request);
        }
    }

    /// The requests for events that had been received before.
    pub fn again(&self) -> impl Iterator<Item = (&Received, &Received)> {
        self.0.values().flat_map(|requests| requests.iter().zip(&requests[1..]))
    }
}
