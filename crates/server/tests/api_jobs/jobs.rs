//! Jobs.

use std::sync::Arc;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tidings_core::event::Event;
use tidings_core::id::TenantId;
use tidings_core::publication::{PlannedEvent, Publication};

use crate::harness::{Receiver, Tidings, eventually, store};
use crate::{refused, submit};

#[tokio::test]
async fn a_job_is_submitted_reported_and_read_back() {
    let tidings = Tidings::start().await;
    let body = json!({
        "job_type": "video", "priority": 2, "machine_id": "m-1", "external_job_id": "theirs",
        "owner_user_id": "user_789", "timeout_ms": 60_000, "progress_interval_ms": 250,
        "callback_url": "http://127.0.0.1:9/hook", "callback_secret": "s3cret",
        "input": "AS IT IS"
    });
    // Not through a parser, which would print it anew.
    let body = body.to_string().replace("\"AS IT IS\"", r#"{"n": 1.50}"#);
    let reply = tidings.send(http::Method::POST, "/api/jobs", body).await;
    let job = reply.expect(202);
    assert_eq!(reply.json()["job_id"], job["job_id"]);
    assert_eq!((&job["status"], &job["stage"]), (&json!("pending"), &Value::Null));
    let path = format!("/api/jobs/{}", job["job_id"].as_str().expect("an id"));

    let report = json!({"status": "rendering", "progress_percent": 65, "worker_id": "w-1",
        "current_step": "Rendering clip 3/5...", "clips_completed": 2, "total_clips": 5,
        "data": {"frames": [1.50, 2]}});
    let job = tidings.patch(&path, report).await.expect(200);
    assert_eq!((&job["status"], &job["stage"]), (&json!("running"), &json!("rendering")));
    assert!(job["started_at"].is_i64() && job["completed_at"].is_null());
    let report = json!({"status": "completed", "output": {"clips": []}});
    tidings.patch(&path, report).await.expect(200);

    let reply = tidings.get(&path).await;
    let job = reply.expect(200);
    assert_eq!((&job["status"], &job["progress_percent"]), (&json!("completed"), &json!(100)));
    assert_eq!((&job["clips_completed"], &job["output"]), (&json!(2), &json!({"clips": []})));
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains(r#""input":{"n": 1.50}"#), "bytes stay: {text}");
    assert!(!text.contains("s3cret"), "{text}");
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let tidings = Tidings::start().await;
    for (body, pointers) in [
        (json!({}), vec!["/job_type"]),
        (json!({"job_type": ""}), vec!["/job_type"]),
        (json!({"job_type": "a", "prioritty": 1}), vec!["/prioritty"]),
        (json!({"job_type": "a", "priority": "high"}), vec!["/priority"]),
        (json!({"job_type": "a", "timeout_ms": 1}), vec!["/timeout_ms"]),
        (json!({"job_type": "a", "progress_interval_ms": -1}), vec!["/progress_interval_ms"]),
        (json!({"job_type": "a", "callback_url": "ftp://x"}), vec!["/callback_url"]),
        (json!({"job_type": "a", "callback_url": "https://10.0.0.1/"}), vec!["/callback_url"]),
        (json!({"job_type": "a", "callback_secret": "x"}), vec!["/callback_secret"]),
        (
            json!({"job_type": "a", "callback_url": "https://a.example/", "callback_secret": ""}),
            vec!["/callback_secret"],
        ),
        (json!({"job_type": 7, "worker_id": "x".repeat(256)}), vec!["/job_type", "/worker_id"]),
    ] {
        let reply = tidings.post("/api/jobs", body.clone()).await;
        assert_eq!(reply.pointers(), pointers, "{body}");
    }
    assert_eq!(tidings.get("/api/jobs").await.expect(200), json!([]));

    let path = submit(&tidings, json!({})).await;
    for (body, pointers) in [
        (json!({}), vec![""]),
        (json!({"status": "done"}), vec!["/status"]),
        (json!({"progress_percent": 101}), vec!["/progress_percent"]),
        (json!({"progress_percent": "1"}), vec!["/progress_percent"]),
        (
            json!({"clips_completed": -1, "total_clips": 1.5}),
            vec!["/clips_completed", "/total_clips"],
        ),
        (json!({"current_step": "x".repeat(1_001)}), vec!["/current_step"]),
        (json!({"data": {"job_id": 1, "mine": 2}}), vec!["/data/job_id"]),
        (json!({"data": [1]}), vec!["/data"]),
        (json!({"progress": 5}), vec!["/progress"]),
    ] {
        let reply = tidings.patch(&path, body.clone()).await;
        assert_eq!(reply.pointers(), pointers, "{body}");
    }
    let job = tidings.get(&path).await.expect(200);
    assert_eq!((&job["status"], &job["data"]), (&json!("pending"), &json!({})));
    tidings.patch("/api/jobs/job_0000000000000", json!({"status": "running"})).await.problem(404);
    tidings.get("/api/jobs/nonsense").await.problem(404);
    tidings.get("/api/jobs?status=done").await.problem(422);
    tidings.stop().await;
}

#[tokio::test]
async fn a_job_goes_on_and_its_end_is_final() {
    let tidings = Tidings::start().await;
    let path = submit(&tidings, json!({})).await;
    tidings.patch(&path, json!({"status": "planning"})).await.expect(200);
    let back = tidings.patch(&path, json!({"status": "downloading"})).await;
    let reason = "the job is planning; it cannot become downloading any more";
    assert_eq!(refused(&back), ("illegal_transition".into(), reason.into()));
    let cancelled = tidings.act(&format!("{path}/cancel")).await.expect(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["error"]),
        (&json!("cancelled"), &json!("Job cancelled"),)
    );
    for reply in [
        tidings.patch(&path, json!({"status": "completed"})).await,
        tidings.patch(&path, json!({"progress_percent": 1})).await,
        tidings.act(&format!("{path}/cancel")).await,
    ] {
        let reason = "the job has ended as cancelled; its end is final";
        assert_eq!(refused(&reply), ("job_ended".into(), reason.into()));
    }
    tidings.stop().await;
}

#[tokio::test]
async fn a_submission_is_made_once_under_its_key() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let webhook = json!({"url": receiver.url(), "events": ["job.submitted"]});
    tidings.post("/api/webhooks", webhook).await.expect(201);
    let once = tidings.client.with_header("idempotency-key", "k-1");
    let first = once.post("/api/jobs", json!({"job_type": "a"})).await.json();
    let reply = once.post("/api/jobs", json!({"job_type": "a"})).await;
    assert_eq!(reply.header("idempotent-replayed"), "true");
    assert_eq!(reply.json()["job_id"], first["job_id"]);
    let other = once.post("/api/jobs", json!({"job_type": "b"})).await;
    assert_eq!(refused(&other).0, "idempotency_key_reused");
    assert_eq!(tidings.get("/api/jobs").await.expect(200).as_array().map(Vec::len), Some(1));
    receiver.next().await;
    submit(&tidings, json!({"external_job_id": "second"})).await;
    assert_eq!(receiver.next().await.json()["data"]["external_job_id"], "second");
    tidings.stop().await;
}

#[tokio::test]
async fn jobs_are_searched_and_paged() {
    let tidings = Tidings::start().await;
    let first = submit(&tidings, json!({"job_type": "a", "external_job_id": "x"})).await;
    submit(&tidings, json!({"job_type": "b"})).await;
    tidings.patch(&first, json!({"status": "running"})).await.expect(200);
    for (query, count) in [
        ("", 2),
        ("?status=running", 1),
        ("?job_type=b", 1),
        ("?external_job_id=x", 1),
        ("?status=failed", 0),
    ] {
        let jobs = tidings.get(&format!("/api/jobs{query}")).await.expect(200);
        assert_eq!(jobs.as_array().map(Vec::len), Some(count), "{query}");
    }
    let page = tidings.get("/api/jobs?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let rest = tidings.get(&format!("/api/jobs?limit=1&cursor={cursor}")).await.json();
    assert_eq!(rest["data"][0]["job_type"], "a");
    assert!(rest["next_cursor"].is_null());
    tidings.stop().await;
}

/// A job that nobody finishes ends by itself, also when its time passed while nobody ran.
#[tokio::test]
async fn a_job_times_out() {
    let tidings = Tidings::start().await;
    let path = submit(&tidings, json!({"timeout_ms": 60_000})).await;
    tidings.advance(59_000);
    assert_eq!(tidings.get(&path).await.expect(200)["status"], "pending");
    tidings.advance(2_000);
    let tidings = tidings.restart().await;
    let job = eventually("it times out", || async {
        Some(tidings.get(&path).await.expect(200)).filter(|job| job["status"] == "timeout")
    })
    .await;
    assert_eq!(job["error"], "Job timed out");
    tidings.stop().await;
}

/// Reports that come at once are taken one after the other; none is lost.
#[tokio::test]
async fn reports_at_once_are_all_taken() {
    let tidings = Tidings::start().await;
    let path = submit(&tidings, json!({})).await;
    let report = |n: u32| {
        let (client, path) = (tidings.client.clone(), path.clone());
        tokio::spawn(async move {
            let body = json!({"progress_percent": n, "data": {format!("field_{n}"): n}});
            client.patch(&path, body).await.expect(200);
        })
    };
    let reports: Vec<_> = (0..30).map(report).collect();
    for report in reports {
        report.await.expect("it is taken");
    }
    let job = tidings.get(&path).await.expect(200);
    assert_eq!(job["data"].as_object().map(serde_json::Map::len), Some(30));
    tidings.stop().await;
}

/// A mebibyte to be written, for a tenant of its own.
fn large(tidings: &Tidings, tenant: i64) -> Publication {
    let (tenant, now) = (TenantId::from_i64(tenant), tidings.now());
    let event = Arc::new(Event {
        id: tidings.app().ids.next(now),
        tenant,
        client_id: None,
        event_type: "story.told".into(),
        timestamp: now,
        ordering_key: None,
        deliver_at: None,
        expires_at: None,
        data: vec![b' '; 1 << 20].into(),
    });
    let planned = PlannedEvent { event, fingerprint: [0; 16], deliveries: Vec::new() };
    Publication { tenant, key: None, events: vec![planned] }
}

/// It was counted where events are published, and nowhere else.
#[tokio::test]
async fn a_job_that_is_refused_because_too_much_waits_is_counted() {
    if store::leaves_out("another connection keeps the file from the writer") {
        return;
    }
    let tidings = Tidings::start().await;
    let file = rusqlite::Connection::open(tidings.app().settings.data_dir.join("tidings.db"));
    let file = file.expect("it can be opened");
    file.execute_batch("BEGIN IMMEDIATE").expect("the writer is at rest");
    let mut waiting: Vec<_> = (100..180)
        .map(|tenant| {
            let store = tidings.app().store.clone();
            let publication = large(&tidings, tenant);
            Box::pin(async move { store.publish(publication).await })
        })
        .collect();
    // Submitted by their first poll.
    waiting.iter_mut().for_each(|one| assert!(matches!(one.now_or_never(), None | Some(Err(_)))));
    let problem = tidings.post("/api/jobs", json!({"job_type": "video"})).await.problem(503);
    assert_eq!(problem["code"], "overloaded");
    let figures = tidings.get("/metrics").await.body;
    let figures = String::from_utf8(figures.to_vec()).expect("a text");
    assert!(figures.contains("tidings_writes_refused_total 1\n"), "{figures}");
    file.execute_batch("ROLLBACK").expect("it was held");
    tidings.stop().await;
}
