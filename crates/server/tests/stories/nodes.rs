//! Several nodes on one database: whoever is asked, it is one server; whichever dies, nothing is lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::sync::OnceCell;

use crate::harness::postgres::PostgresServer;
use crate::harness::store::SECRET_KEY;
use crate::harness::{Binary, Client, Received, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{path, register, settled_totals};

/// One for all of these stories.
static SERVER: OnceCell<PostgresServer> = OnceCell::const_new();

async fn database() -> String {
    SERVER.get_or_init(|| async { PostgresServer::quick() }).await.database()
}

/// A node and its directory.
struct Node {
    binary: Binary,
    _dir: TempDir,
}

impl std::ops::Deref for Node {
    type Target = Binary;

    fn deref(&self) -> &Binary {
        &self.binary
    }
}

impl Node {
    /// A new node; others take over after so many seconds without a word of it.
    async fn start(url: &str, lease_s: u32) -> Self {
        let dir = tempdir().unwrap();
        let lease = lease_s.to_string();
        let variables = [
            ("DATABASE_URL", url),
            ("TIDINGS_SECRET_KEY", SECRET_KEY),
            ("TIDINGS_LEASE_S", &lease),
        ];
        Self { binary: Binary::start_with(dir.path(), &variables).await, _dir: dir }
    }
}

/// Until each node has about its share.
async fn balanced(nodes: &[&Node]) {
    eventually("each has its share", || async {
        let mut all = 0.0;
        for node in nodes {
            let shards = node.figure("tidings_shards").await;
            if shards < (256 / nodes.len()) as f64 - 2.0 {
                return None;
            }
            all += shards;
        }
        (all == 256.0).then_some(())
    })
    .await;
}

/// Webhooks enough that each of some nodes has one.
async fn register_many(client: &Client, receiver: &Receiver, more: Value) {
    for n in 0..16 {
        let mut more = more.clone();
        more["events"] = json!([format!("to{n}.*"), "all.*"]);
        register(client, &receiver.url(), more).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_start_at_once_on_an_empty_database_are_one_server() {
    let url = database().await;
    let (a, b) = tokio::join!(Node::start(&url, 10), Node::start(&url, 10));
    let receiver = Receiver::start().await;
    // Registered on one, and heard of by the next publication on the other.
    for round in 0..10 {
        let (one, other) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let events = json!({"events": [format!("fresh{round}.*")]});
        register(one, &receiver.url(), events).await;
        let event = json!({"type": format!("fresh{round}.air"), "data": {}});
        let accepted = other.post("/api/events", event).await.expect(202);
        assert_eq!(accepted["deliveries"], 1, "{accepted}");
        receiver.next().await;
    }
    balanced(&[&a, &b]).await;
    register_many(&a, &receiver, json!({})).await;
    let mut waits = Vec::new();
    for round in 0..40 {
        let (n, node) = (round % 16, if round % 3 == 0 { &a } else { &b });
        let event = json!({"type": format!("to{n}.it"), "data": {}});
        node.post("/api/events", event).await.expect(202);
        let since = Instant::now();
        receiver.next().await;
        waits.push(since.elapsed());
    }
    waits.sort();
    assert!(waits[20] < Duration::from_millis(100), "half within {:?}", waits[20]);
    for node in [&a, &b] {
        assert!(node.figure("tidings_attempts_total").await > 0.0, "both send");
    }
    let totals = settled_totals(&a).await;
    assert_eq!(totals["success"], 50);
    assert_eq!(totals, settled_totals(&b).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_under_load_loses_nothing() {
    let url = database().await;
    let (a, b) = tokio::join!(Node::start(&url, 2), Node::start(&url, 2));
    balanced(&[&a, &b]).await;
    let receiver = Receiver::start().await;
    for _ in 0..6 {
        register(&a, &receiver.url(), json!({"max_concurrency": 8, "timeout_ms": 2_000})).await;
    }
    let ledger = Ledger::new();
    let loads = [&a, &b].map(|node| Load::start(&ledger, &node.client, 3, 100));
    eventually("it is under way", || async { (ledger.count() >= 300).then_some(()) }).await;
    let [load_a, load_b] = loads;
    b.binary.kill();
    load_b.broken().await;
    let enough = ledger.count() + 200;
    eventually("the other goes on", || async { (ledger.count() >= enough).then_some(()) }).await;
    load_a.stop().await;
    let totals = settled_totals(&a).await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    ledger.assert_all_in(&seen);
    assert_eq!(totals["success"], 6 * seen.0.len(), "{totals:#}");
    assert_eq!(a.figure("tidings_shards").await, 256.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_beyond_its_lease_records_nothing_stale() {
    let url = database().await;
    let (a, b) = tokio::join!(Node::start(&url, 2), Node::start(&url, 2));
    balanced(&[&a, &b]).await;
    let receiver = Receiver::start().await;
    register_many(&a, &receiver, json!({"timeout_ms": 30_000})).await;
    receiver.hold();
    a.post("/api/events", json!({"type": "all.hands", "data": {}})).await.expect(202);
    eventually("all are under way", || async {
        let under_way = a.figure("tidings_attempts_in_flight").await
            + b.figure("tidings_attempts_in_flight").await;
        (under_way == 16.0).then_some(())
    })
    .await;
    b.pause();
    eventually("its shards are taken over", || async {
        (a.figure("tidings_shards").await == 256.0).then_some(())
    })
    .await;
    // Those of the other are sent once more, and are answered to both.
    receiver.release();
    let totals = settled_totals(&a).await;
    assert_eq!((&totals["success"], &totals["attempts"]), (&json!(16), &json!(16)), "{totals:#}");
    b.go_on();
    balanced(&[&a, &b]).await;
    for n in 0..16 {
        b.post("/api/events", json!({"type": format!("to{n}.more"), "data": {}})).await.expect(202);
    }
    let totals = settled_totals(&b).await;
    assert_eq!((&totals["success"], &totals["attempts"]), (&json!(32), &json!(32)), "{totals:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_and_rate_hold_while_nodes_come_and_go() {
    let url = database().await;
    let a = Node::start(&url, 10).await;
    let (ordered, paced) = (Receiver::start().await, Receiver::start().await);
    for n in 0..8 {
        let hook = json!({"ordered": true, "events": [format!("line{n}.*")]});
        register(&a, &ordered.url(), hook).await;
    }
    let limit = json!({"rate_limit": {"max": 20, "per_ms": 1_000}, "events": ["paced.*"]});
    register(&a, &paced.url(), limit).await;
    for n in 0..100 {
        a.post("/api/events", json!({"type": "paced.one", "data": {"n": n}})).await.expect(202);
    }
    let b = Node::start(&url, 10).await;
    let mut c = None;
    for step in 0..40 {
        if step == 20 {
            c = Some(Node::start(&url, 10).await);
        }
        for line in 0..8 {
            let node = [Some(&a), Some(&b), c.as_ref()][(step + line) % 3].unwrap_or(&a);
            let event = json!({"type": format!("line{line}.next"), "ordering_key": "k",
                "data": {"line": line, "step": step}});
            node.post("/api/events", event).await.expect(202);
        }
    }
    b.binary.stop().await;
    let mut steps: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for _ in 0..320 {
        let data = ordered.next().await.json()["data"].take();
        let number = |name: &str| data[name].as_u64().expect("a number");
        steps.entry(number("line")).or_default().push(number("step"));
    }
    for (line, steps) in steps {
        assert_eq!(steps, Vec::from_iter(0..40), "line {line}");
    }
    let mut starts: Vec<Received> = Vec::new();
    for _ in 0..100 {
        starts.push(paced.next().await);
    }
    // Seen from here, a request may be late by what the machine is busy.
    for (n, first) in starts.iter().enumerate() {
        let within = starts[n..].iter().filter(|at| at.at < first.at + Duration::from_secs(1));
        assert!(within.count() <= 25, "from {n} on");
    }
    settled_totals(&a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_hands_over_at_once() {
    let url = database().await;
    // Nobody waits for the end of such a lease.
    let (a, b) = tokio::join!(Node::start(&url, 60), Node::start(&url, 60));
    balanced(&[&a, &b]).await;
    let receiver = Receiver::start().await;
    register_many(&a, &receiver, json!({})).await;
    b.binary.stop().await;
    let since = Instant::now();
    a.post("/api/events", json!({"type": "all.hands", "data": {}})).await.expect(202);
    for _ in 0..16 {
        receiver.next().await;
    }
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    // Who comes gets a share as soon.
    let c = Node::start(&url, 60).await;
    balanced(&[&a, &c]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_does_through_any_node_is_done() {
    let url = database().await;
    let (a, b) = tokio::join!(Node::start(&url, 10), Node::start(&url, 10));
    balanced(&[&a, &b]).await;
    let receiver = Receiver::start().await;
    for (one, other) in [(&a, &b), (&b, &a)] {
        let webhook = register(one, &receiver.url(), json!({"events": ["some.*"]})).await;
        let hook = path(&webhook);
        other.act(&format!("{hook}/pause")).await.expect(200);
        let event = json!({"type": "some.thing", "data": {}});
        one.post("/api/events", event.clone()).await.expect(202);
        other.post("/api/events", event).await.expect(202);
        let list = one.get(&format!("{hook}/deliveries")).await.expect(200);
        let id = list[0]["id"].as_str().expect("one").to_owned();
        other.act(&format!("/api/deliveries/{id}/cancel")).await.expect(200);
        one.act(&format!("{hook}/resume")).await.expect(200);
        receiver.next().await;
        let totals = settled_totals(other).await;
        assert_eq!(totals["cancelled"], 1, "{totals:#}");
        other.act(&format!("/api/deliveries/{id}/retry")).await.expect(202);
        receiver.next().await;
        other.delete(&hook).await;
        eventually("it is gone", || async { (one.get(&hook).await.status == 404).then_some(()) })
            .await;
        settled_totals(one).await;
    }
    assert!(receiver.is_quiet().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_opens_nothing_on_any_node() {
    let url = database().await;
    let (a, b) = tokio::join!(Node::start(&url, 10), Node::start(&url, 10));
    let bearer = |key: &Value| format!("Bearer {}", key["key"].as_str().expect("a text"));
    let admin = a.post("/api/keys", json!({"name": "admin", "admin": true})).await.expect(201);
    let admin_a = a.with_header("authorization", bearer(&admin));
    let key = admin_a.post("/api/keys", json!({"name": "reader"})).await.expect(201);
    let reader = b.with_header("authorization", bearer(&key));
    eventually("it is known there", || async {
        (reader.get("/api/webhooks").await.status == 200).then_some(())
    })
    .await;
    let id = key["id"].as_str().expect("an id");
    assert_eq!(admin_a.delete(&format!("/api/keys/{id}")).await.status, 204);
    let since = Instant::now();
    eventually("it opens nothing", || async {
        (reader.get("/api/webhooks").await.status == 401).then_some(())
    })
    .await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_hear_what_was_accepted_elsewhere() {
    let url = database().await;
    let (a, b) = tokio::join!(Node::start(&url, 10), Node::start(&url, 10));
    let mut stream = a.listen("/api/live").await;
    for n in 0..10 {
        let node = if n % 2 == 0 { &a } else { &b };
        let event = json!({"type": "heard.here", "data": {"n": n}});
        node.post("/api/events", event).await.expect(202);
        assert_eq!(stream.event().await["data"]["n"], n);
    }
}

/// Each job has a receiver of its own, so that their lanes are with either node; each report comes in
/// through another node than the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_progress_of_a_job_is_thinned_out_whichever_node_hears_of_it() {
    const INTERVAL_MS: u64 = 400;
    let url = database().await;
    let (a, b) = tokio::join!(Node::start(&url, 10), Node::start(&url, 10));
    balanced(&[&a, &b]).await;
    let mut jobs = Vec::new();
    for n in 0..6 {
        let receiver = Receiver::start().await;
        let job = json!({"job_type": "render", "callback_url": receiver.url(),
            "progress_interval_ms": INTERVAL_MS});
        let job = if n % 2 == 0 { &a } else { &b }.post("/api/jobs", job).await.expect(202);
        jobs.push((format!("/api/jobs/{}", job["job_id"].as_str().expect("an id")), receiver));
    }
    let since = Instant::now();
    let mut reports: u32 = 0;
    while since.elapsed() < Duration::from_millis(6 * INTERVAL_MS) {
        reports += 1;
        let percent = (reports / 10).min(99);
        for (n, (job, _)) in jobs.iter().enumerate() {
            let node = if (reports as usize + n).is_multiple_of(2) { &a } else { &b };
            let report = json!({"status": "running", "progress_percent": percent});
            node.patch(job, report).await.expect(200);
        }
    }
    for (n, (job, _)) in jobs.iter().enumerate() {
        let node = if n % 2 == 0 { &b } else { &a };
        node.patch(job, json!({"status": "completed"})).await.expect(200);
    }
    settled_totals(&a).await;
    let list = a.get("/api/deliveries?status=success&limit=250").await.expect(200);
    for (job, receiver) in &jobs {
        let told = receiver.take().await;
        let events: Vec<&str> = told.iter().map(|one| one.header("x-webhook-event")).collect();
        assert_eq!(
            (events[0], events[events.len() - 1]),
            ("job.started", "job.completed"),
            "{job}"
        );
        let percents = told.iter().map(|one| one.json()["progress_percent"].as_u64());
        assert!(percents.is_sorted(), "{told:?}");
        assert_eq!(receiver.most_at_once(), 1, "one at a time");
        // An interval lies between the beginnings of two attempts.
        let of_it =
            list.as_array().expect("a list").iter().filter(|one| {
                one["url"] == receiver.origin() && one["event_type"] == "job.progress"
            });
        let mut begun: Vec<i64> = of_it.filter_map(|one| one["last_attempt_at"].as_i64()).collect();
        begun.sort_unstable();
        assert!(begun.len() >= 2, "{} of {reports}", begun.len());
        let gaps = begun.iter().zip(&begun[1..]).map(|(one, next)| next - one);
        assert!(gaps.into_iter().all(|gap| gap >= INTERVAL_MS as i64), "{job}: {begun:?}");
    }
}

/// Progress that is reported while the one before it is on the network waits for its interval.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_waits_for_the_interval_of_what_is_on_the_network() {
    const INTERVAL_MS: i64 = 1_000;
    let url = database().await;
    let (a, b) = tokio::join!(Node::start(&url, 10), Node::start(&url, 10));
    balanced(&[&a, &b]).await;
    for n in 0..6 {
        let receiver = Receiver::start().await;
        let job = json!({"job_type": "render", "callback_url": receiver.url(),
            "progress_interval_ms": INTERVAL_MS});
        let job = a.post("/api/jobs", job).await.expect(202);
        let job = format!("/api/jobs/{}", job["job_id"].as_str().expect("an id"));
        let report = |percent: u32| json!({"status": "running", "progress_percent": percent});
        let (one, other) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        one.patch(&job, report(1)).await.expect(200);
        assert_eq!(receiver.next().await.header("x-webhook-event"), "job.started");
        receiver.hold();
        one.patch(&job, report(2)).await.expect(200);
        let first = receiver.next().await;
        other.patch(&job, report(3)).await.expect(200);
        receiver.release();
        let second = receiver.next().await;
        assert_eq!(second.header("x-webhook-event"), "job.progress");
        let gap = second.at.duration_since(first.at).as_millis() as i64;
        eprintln!("round {n}: {gap}");
    }
}
