//! Jobs: each change is told to whoever wants it, and of the progress no more than anybody needs, in
//! order, whatever happens.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::harness::{Binary, Client, Received, Receiver, Tidings, eventually};

/// Submits a job with these fields; its path.
async fn submit(client: &Client, more: Value) -> String {
    let mut body = json!({"job_type": "comfyui"});
    let object = body.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    let job = client.post("/api/jobs", body).await.expect(202);
    format!("/api/jobs/{}", job["job_id"].as_str().expect("an id"))
}

async fn report(client: &Client, job: &str, report: Value) {
    client.patch(job, report).await.expect(200);
}

/// What receivers of ViewCreator run, word for word, in their own language.
const VERIFY: &str = r"
const crypto = require('crypto');
function verifyWebhookSignature(payload, signature) {
  const expectedSignature = crypto
    .createHmac('sha256', process.env.WEBHOOK_SECRET)
    .update(JSON.stringify(payload))
    .digest('hex');

  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSignature),
  );
}
const body = require('fs').readFileSync(0, 'utf8');
console.log(verifyWebhookSignature(JSON.parse(body), process.argv[1]));
";

fn verifies(request: &Received, secret: &str) -> bool {
    let mut node = Command::new("node")
        .args(["-e", VERIFY, request.header("x-webhook-signature")])
        .env("WEBHOOK_SECRET", secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    node.stdin.take().unwrap().write_all(&request.body).unwrap();
    let said = node.wait_with_output().unwrap();
    String::from_utf8_lossy(&said.stdout).trim() == "true"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_twelve_events_reach_the_webhooks_that_want_them() {
    let dir = tempdir().unwrap();
    let tidings = Binary::start(dir.path()).await;
    let (all, picky) = (Receiver::start().await, Receiver::start().await);
    for (receiver, events, filters) in [
        (&all, json!(["job.*", "machine.*", "worker.*"]), json!({"job_types": ["comfyui"]})),
        (&picky, json!(["job.completed", "job.failed"]), json!({"job_priorities": [1, 2]})),
    ] {
        let webhook = json!({"url": receiver.url(), "profile": "emp", "secret": "your-secret-key",
            "events": events, "filters": filters, "progress_interval_ms": 0});
        tidings.post("/api/webhooks", webhook).await.expect(201);
    }
    let job = submit(&tidings, json!({"priority": 2, "machine_id": "m-1"})).await;
    let mut told = vec![all.next().await];
    for (change, events) in [
        (json!({"worker_id": "w-1"}), 2),
        (json!({"status": "running"}), 2),
        (json!({"progress_percent": 50}), 1),
        (json!({"status": "completed", "output": {"image": "a.png"}}), 2),
    ] {
        report(&tidings, &job, change).await;
        for _ in 0..events {
            told.push(all.next().await);
        }
    }
    for (more, end) in [
        (json!({}), json!({"status": "failed", "error": "out of memory"})),
        (json!({}), json!({"status": "cancelled"})),
        (json!({"timeout_ms": 100}), Value::Null),
    ] {
        let job = submit(&tidings, more).await;
        if !end.is_null() {
            report(&tidings, &job, end).await;
        }
        for _ in 0..3 {
            told.push(all.next().await);
        }
    }
    for name in ["machine.startup", "machine.shutdown", "worker.connected", "worker.disconnected"] {
        // Machines and workers are told of by plain events.
        let event = json!({"type": name, "data": {"machine_id": "m-1", "job_type": "comfyui"}});
        tidings.post("/api/events", event).await.expect(202);
        told.push(all.next().await);
    }
    let types: BTreeSet<&str> = told.iter().map(|one| one.header("x-webhook-event")).collect();
    assert_eq!(types.len(), 13, "the twelve of EMP, and job.started: {types:?}");
    let done = told.iter().find(|one| one.header("x-webhook-event") == "job.completed").unwrap();
    let data = &done.json()["data"];
    for (field, value) in [
        ("job_type", json!("comfyui")),
        ("job_status", json!("completed")),
        ("worker_id", json!("w-1")),
        ("machine_id", json!("m-1")),
        ("progress", json!(100)),
        ("result", json!({"image": "a.png"})),
        ("priority", json!(2)),
    ] {
        assert_eq!(data[field], value, "{data:#}");
    }
    assert!(data.get("error").is_none());
    // The others had no priority.
    let only = picky.next().await;
    assert_eq!(only.json()["data"]["job_id"], data["job_id"]);
    assert!(picky.is_quiet().await);
    tidings.stop().await;
}

/// Started, progress, completed: in the form of ViewCreator, signed so that its receiver takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_is_what_its_receiver_verifies() {
    let dir = tempdir().unwrap();
    let secrets = [("TIDINGS_CALLBACK_SECRET", "of the settings")];
    let tidings = Binary::start_with(dir.path(), &secrets).await;
    let receiver = Receiver::start().await;
    for (own, secret) in [(Some("its own"), "its own"), (None, "of the settings")] {
        let job = submit(
            &tidings,
            json!({"callback_url": receiver.url(), "callback_secret": own,
                "external_job_id": "user-submitted-id", "owner_user_id": "user_789"}),
        )
        .await;
        report(&tidings, &job, json!({"status": "downloading", "progress_percent": 0})).await;
        let started = receiver.next().await;
        assert_eq!(started.header("user-agent"), "ViewCreator-ClippingWorker/2.0");
        assert_eq!(started.header("x-webhook-event"), "job.started");
        let body = started.json();
        assert_eq!(
            (&body["event"], &body["status"]),
            (&json!("job.started"), &json!("downloading"))
        );
        assert_eq!(body["external_job_id"], "user-submitted-id");
        assert!(body.get("clips_completed").is_none(), "{body:#}");
        let progress = json!({"status": "rendering", "progress_percent": 65.5, "clips_completed": 2,
            "total_clips": 5, "current_step": "Rendering clip 3/5…"});
        report(&tidings, &job, progress).await;
        let progress = receiver.next().await;
        assert_eq!(progress.json()["clips_completed"], 2);
        let output = json!({"status": "completed", "current_step": "Processing complete!",
            "output": {"total_clips": 5, "clips": [{"virality_score": 0.920, "tags": ["a"]}]}});
        report(&tidings, &job, output).await;
        let completed = receiver.next().await;
        assert_eq!(completed.json()["progress_percent"], 100);
        for request in [&started, &progress, &completed] {
            assert!(verifies(request, secret), "{:?}", request.body);
            assert!(!verifies(request, "another"));
        }
    }
    for (end, error) in [("cancelled", "Job cancelled"), ("timeout", "Job timed out")] {
        let job = submit(&tidings, json!({"callback_url": receiver.url()})).await;
        report(&tidings, &job, json!({"status": end})).await;
        let told = receiver.next().await.json();
        let expected = (&json!("job.failed"), &json!("failed"), &json!(error));
        assert_eq!((&told["event"], &told["status"], &told["error"]), expected);
    }
    tidings.stop().await;
}

/// The percentages of the progress that arrived, checked to grow, and whether the end came last.
fn told(requests: &[Received]) -> Vec<u64> {
    let events: Vec<&str> = requests.iter().map(|one| one.header("x-webhook-event")).collect();
    assert_eq!(events.first(), Some(&"job.started"), "{events:?}");
    assert_eq!(events.last(), Some(&"job.completed"), "{events:?}");
    let progress: Vec<u64> = requests
        .iter()
        .filter(|one| one.header("x-webhook-event") == "job.progress")
        .map(|one| one.json()["progress_percent"].as_u64().expect("a whole number"))
        .collect();
    assert!(progress.is_sorted(), "older progress overtook newer: {progress:?}");
    progress
}

/// 200 reports in about a second: a few deliveries, the last of them with the last state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_progress_is_told_in_a_few_words() {
    const INTERVAL: Duration = Duration::from_millis(300);
    let dir = tempdir().unwrap();
    let tidings = Binary::start(dir.path()).await;
    let receiver = Receiver::start().await;
    let job = submit(
        &tidings,
        json!({"callback_url": receiver.url(), "progress_interval_ms": INTERVAL.as_millis() as u64}),
    )
    .await;
    report(&tidings, &job, json!({"status": "running"})).await;
    let since = std::time::Instant::now();
    for n in 1..=200_u64 {
        report(&tidings, &job, json!({"progress_percent": n * 45 / 100})).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Nothing newer comes: the last state is told when the interval ends.
    let mut requests = Vec::new();
    while requests.last().is_none_or(|last: &Received| last.json()["progress_percent"] != 90) {
        requests.push(receiver.next().await);
    }
    let took = since.elapsed();
    report(&tidings, &job, json!({"status": "completed"})).await;
    requests.push(receiver.next().await);

    let progress = told(&requests);
    let most = took.as_millis() / INTERVAL.as_millis() + 1;
    assert!(progress.len() as u128 <= most && progress.len() >= 3, "{progress:?} in {took:?}");
    let times: Vec<_> = requests
        .iter()
        .filter(|one| one.header("x-webhook-event") == "job.progress")
        .map(|one| one.at)
        .collect();
    // It is counted from start to start; the way here may differ a little.
    let shortest = times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(shortest >= INTERVAL - Duration::from_millis(100), "{shortest:?}");
    let totals = crate::settled_totals(&tidings).await;
    assert_eq!(totals["success"], requests.len(), "{totals:#}");
    assert_eq!(totals["cancelled"], 200 - progress.len() as u64, "{totals:#}");
    let cancelled = tidings.get("/api/deliveries?status=cancelled&limit=1").await.expect(200);
    assert_eq!(cancelled[0]["reason"], "superseded");
    tidings.stop().await;
}

/// The end waits for the attempt on the network and for nothing else, and nothing comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_neither_throttled_nor_overtaken() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let job = submit(
        &tidings,
        json!({"callback_url": receiver.url(), "progress_interval_ms": 3_600_000}),
    )
    .await;
    report(&tidings, &job, json!({"status": "running"})).await;
    receiver.next().await;
    receiver.hold();
    report(&tidings, &job, json!({"progress_percent": 10})).await;
    let first = receiver.next().await;
    report(&tidings, &job, json!({"progress_percent": 20})).await;
    report(&tidings, &job, json!({"status": "completed"})).await;
    assert!(receiver.is_quiet().await);
    receiver.answers_once(500);
    receiver.release();
    let last = receiver.next().await;
    assert_eq!(first.json()["progress_percent"], 10);
    assert_eq!(last.header("x-webhook-event"), "job.completed");
    assert_eq!(receiver.most_at_once(), 1);
    let totals = crate::settled_totals(&tidings).await;
    assert_eq!((&totals["success"], &totals["cancelled"]), (&json!(2), &json!(2)), "{totals:#}");
    assert!(receiver.is_quiet().await, "the progress that failed is not tried again");
    tidings.stop().await;
}

/// Killed in the middle of the stream: what was told stays told, and the rest comes in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_it_goes_on_where_it_was() {
    let dir = tempdir().unwrap();
    let mut tidings = Binary::start(dir.path()).await;
    let receiver = Receiver::start().await;
    let job =
        submit(&tidings, json!({"callback_url": receiver.url(), "progress_interval_ms": 100}))
            .await;
    report(&tidings, &job, json!({"status": "running"})).await;
    for round in 0..3_u64 {
        for n in 0..30 {
            report(&tidings, &job, json!({"progress_percent": round * 30 + n})).await;
        }
        tidings.kill();
        tidings = Binary::start(dir.path()).await;
        let held = tidings.get(&job).await.expect(200);
        assert_eq!(held["progress_percent"], round * 30 + 29, "what was answered is on disk");
    }
    report(&tidings, &job, json!({"status": "completed"})).await;
    let totals = crate::settled_totals(&tidings).await;
    assert_eq!(totals["failed"], 0, "{totals:#}");
    let requests = eventually("the end arrives", || async { Some(receiver.take().await) }).await;
    told(&requests);
    tidings.stop().await;
}
