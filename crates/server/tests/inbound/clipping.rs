//! Clipping workers report: their jobs here follow, each report once, in their order.

use serde_json::{Value, json};
use tidings_core::jobs::Report;
use tidings_server::sources::jobs::change;

use crate::harness::{Receiver, Tidings};
use crate::{Received as _, received, report, start};

/// A job here of this owner, and its path.
async fn submit(tidings: &Tidings, more: Value) -> (String, String) {
    let mut body = json!({"job_type": "clipping", "owner_user_id": "user_789"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let job = tidings.post("/api/jobs", body).await.expect(202);
    let id = job["job_id"].as_str().expect("an id").to_owned();
    let path = format!("/api/jobs/{id}");
    (id, path)
}

/// A report as workers send it, with further fields.
fn told(job: &str, event: &str, status: &str, percent: u64, more: Value) -> Value {
    let mut body = json!({
        "event": event,
        "timestamp": "2025-01-15T10:30:00Z",
        "job_id": "abc-123-def-456",
        "external_job_id": job,
        "owner_user_id": "user_789",
        "status": status,
        "progress_percent": percent,
        "current_step": "Rendering clip 3/5...",
    });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

/// What workers have made at the end.
pub fn output() -> Value {
    let clip = |n: u32, url: &str| {
        json!({"clip_index": n, "s3_url": url, "duration_ms": 45000, "start_time_ms": 134_200,
            "end_time_ms": 179_200, "virality_score": 0.92, "layout_type": "screen_share",
            "summary": "Key insight about product pricing strategy", "tags": ["business", "pricing"],
            "a_field_of_tomorrow": [1.50]})
    };
    json!({
        "job_id": "abc-123-def-456",
        "source_video_url": "https://youtube.com/watch?v=...",
        "source_video_title": "My Amazing Video",
        "source_video_duration_seconds": 1847.5,
        "total_clips": 3,
        "clips": [
            clip(0, "https://viewcreator-media.s3.amazonaws.com/clips/user_789/abc-123/clip_00.mp4"),
            clip(1, "s3://viewcreator-media/clips/user_789/abc-123/clip_01.mp4"),
            clip(2, "not a URL at all"),
        ],
        "transcript_url": "https://viewcreator-media.s3.amazonaws.com/clips/user_789/abc-123/transcript.json",
        "processing_time_seconds": 482.5,
        "created_at": "2025-01-15T10:38:00Z",
        "another": {"kept": true},
    })
}

#[tokio::test]
async fn a_job_follows_its_worker_to_the_end() {
    let tidings = start().await;
    let (callback, webhook) = (Receiver::start().await, Receiver::start().await);
    let wants = json!({"url": webhook.url(), "events": ["job.completed"], "body": "raw"});
    tidings.post("/api/webhooks", wants).await.expect(201);
    let (id, path) = submit(&tidings, json!({"callback_url": callback.url()})).await;
    let mut told_to = tidings.notifications("user_789").await.expect("a socket");
    let started = told(
        &id,
        "job.started",
        "downloading",
        0,
        json!({"current_step": "Starting job processing"}),
    );
    report(&tidings, started.to_string()).await.expect_received();
    let job = tidings.get(&path).await.expect(200);
    assert_eq!((&job["status"], &job["stage"]), (&json!("running"), &json!("downloading")));
    assert_eq!(job["worker_job_id"], "abc-123-def-456");
    assert!(job["started_at"].is_i64());
    let progress =
        json!({"clips_completed": 2, "total_clips": 5, "timestamp": "2025-01-15T10:33:00Z"});
    let progress = told(&id, "job.progress", "rendering", 65, progress);
    report(&tidings, progress.to_string()).await.expect_received();
    let job = tidings.get(&path).await.expect(200);
    assert_eq!((&job["progress_percent"], &job["stage"]), (&json!(65), &json!("rendering")));
    assert_eq!((&job["clips_completed"], &job["total_clips"]), (&json!(2), &json!(5)));
    assert_eq!(job["current_step"], "Rendering clip 3/5...");
    assert_eq!(tidings.get(&format!("{path}/clips")).await.expect(200), json!([]));
    let end = json!({"output": output(), "current_step": "Processing complete!",
        "timestamp": "2025-01-15T10:38:00Z"});
    let end = told(&id, "job.completed", "completed", 100, end);
    report(&tidings, end.to_string()).await.expect_received();

    let job = tidings.get(&path).await.expect(200);
    assert_eq!((&job["status"], &job["progress_percent"]), (&json!("completed"), &json!(100)));
    assert!(job["completed_at"].is_i64());
    assert_eq!(job["output"]["source_video_title"], "My Amazing Video");
    assert_eq!(job["output"]["another"], json!({"kept": true}));
    let first = tidings.get(&format!("{path}/clips?limit=2")).await;
    let clips = first.expect(200);
    let urls: Vec<&Value> =
        clips.as_array().expect("a list").iter().map(|c| &c["s3_url"]).collect();
    assert_eq!(urls[0], "https://cdn.viewcreator.ai/clips/user_789/abc-123/clip_00.mp4");
    assert_eq!(urls[1], "https://cdn.viewcreator.ai/clips/user_789/abc-123/clip_01.mp4");
    assert_eq!(clips[0]["a_field_of_tomorrow"], json!([1.5]));
    let cursor = first.json()["next_cursor"].as_str().expect("there is more").to_owned();
    let rest = tidings.get(&format!("{path}/clips?cursor={cursor}")).await;
    assert_eq!(rest.expect(200)[0]["s3_url"], "not a URL at all");
    assert_eq!(rest.json()["next_cursor"], Value::Null);

    assert_eq!(
        told_to.next().await,
        Ok(
            json!({"type": "clipping.started", "jobId": id, "message": "Your video is being processed"})
        )
    );
    assert_eq!(
        told_to.next().await,
        Ok(json!({"type": "clipping.progress", "jobId": id, "progressPercent": 65,
            "currentStep": "Rendering clip 3/5..."}))
    );
    assert_eq!(
        told_to.next().await,
        Ok(json!({"type": "clipping.completed", "jobId": id, "clipCount": 3,
            "message": "Your 3 clips are ready!"}))
    );
    let event = webhook.next().await.json();
    assert_eq!(event["result"]["clips"][0]["s3_url"], *urls[0]);
    // What was received is there as it came; whoever submitted the job here is not called back.
    let listed = received(&tidings).await;
    assert_eq!(listed.len(), 3);
    let event = format!("/api/events/{}", listed[0]["event_id"].as_str().expect("an id"));
    assert_eq!(tidings.get(&event).await.expect(200)["data"], end);
    crate::harness::eventually("all is delivered", || async {
        let totals = tidings.get("/api/stats").await.expect(200)["totals"].take();
        (totals["pending"] == 0).then_some(())
    })
    .await;
    assert!(callback.is_quiet().await);
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_repeated_late_or_about_nobody_has_no_effect() {
    let tidings = start().await;
    let (id, path) = submit(&tidings, json!({})).await;
    let at = |s: u32| json!({"timestamp": format!("2025-01-15T10:30:{s:02}.123456Z")});
    let newest = told(&id, "job.progress", "rendering", 50, at(9));
    report(&tidings, newest.to_string()).await.expect_received();
    let before = tidings.get(&path).await.expect(200);
    let mut events = tidings.get("/api/events?limit=250").await.expect(200);
    let known = events.as_array().expect("a list").len();
    for late in [
        newest.clone(),
        told(&id, "job.started", "downloading", 0, at(0)),
        told(&id, "job.progress", "transcribing", 90, at(20)),
        told(&id, "job.progress", "rendering", 40, at(8)),
        told(&id, "job.exploded", "rendering", 60, at(10)),
        told("job_0000000000000", "job.failed", "failed", 60, at(10)),
        // It names one that nobody knows; what the worker calls it does not count then.
        told("somebody", "job.failed", "failed", 60, json!({"job_id": id})),
    ] {
        report(&tidings, late.to_string()).await.expect_received();
        assert_eq!(tidings.get(&path).await.expect(200), before, "{late:#}");
    }
    // Taken down, but for the repetition, and nothing else is told.
    assert_eq!(received(&tidings).await.len(), 7);
    events = tidings.get("/api/events?limit=250").await.expect(200);
    assert_eq!(events.as_array().expect("a list").len(), known + 6);

    let failed = json!({"error": "Failed to download video", "timestamp": "no time"});
    let failed = told(&id, "job.failed", "failed", 50, failed);
    report(&tidings, failed.to_string()).await.expect_received();
    let ended = tidings.get(&path).await.expect(200);
    assert_eq!((&ended["status"], &ended["error"]), (&json!("failed"), &failed["error"]));
    for after in [
        told(&id, "job.completed", "completed", 100, json!({"output": output()})),
        told(&id, "job.progress", "uploading", 99, at(59)),
    ] {
        report(&tidings, after.to_string()).await.expect_received();
        assert_eq!(tidings.get(&path).await.expect(200), ended);
    }
    tidings.stop().await;
}

/// By the id that it has here, by the id that others have for it, and by the worker's.
#[tokio::test]
async fn a_job_is_found_by_each_of_its_names() {
    let tidings = start().await;
    let (_, other) = submit(&tidings, json!({"external_job_id": "theirs"})).await;
    let mut body = told("theirs", "job.progress", "thinking", 7, json!({}));
    report(&tidings, body.to_string()).await.expect_received();
    assert_eq!(tidings.get(&other).await.expect(200)["status"], "running");
    let (_, worker) = submit(&tidings, json!({"external_job_id": "abc-123-def-456"})).await;
    for absent in [json!(""), Value::Null] {
        body["external_job_id"] = absent;
        body["progress_percent"] =
            (body["progress_percent"].as_u64().expect("a number") + 1).into();
        report(&tidings, body.to_string()).await.expect_received();
        let job = tidings.get(&worker).await.expect(200);
        assert_eq!(job["progress_percent"], body["progress_percent"]);
    }
    tidings.stop().await;
}

/// Every one of them is decided on what the one before it left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_reports_at_once_are_taken_one_after_the_other() {
    let tidings = start().await;
    let (id, path) = submit(&tidings, json!({})).await;
    let all = (1..=40_u64).map(|percent| {
        let body = told(&id, "job.progress", "rendering", percent, json!({"timestamp": "?"}));
        let tidings = &tidings;
        async move { report(tidings, body.to_string()).await.expect_received() }
    });
    let patched = (0..10).map(|n| {
        let data = json!({"data": {format!("field_{n}"): n}});
        async { tidings.patch(&path, data).await.expect(200) }
    });
    futures_util::future::join(
        futures_util::future::join_all(all),
        futures_util::future::join_all(patched),
    )
    .await;
    assert_eq!(received(&tidings).await.len(), 40);
    let job = tidings.get(&path).await.expect(200);
    assert_eq!(job["data"].as_object().expect("an object").len(), 10, "{job:#}");
    assert_eq!(job["status"], "running");
    let events = tidings.get("/api/events?limit=250").await.expect(200);
    let events = events.as_array().expect("a list");
    let of = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    assert_eq!((of("clipping.job.progress"), of("notification.clipping.started")), (40, 1));
    assert_eq!(of("job.started"), 1);
    tidings.stop().await;
}

/// As another node would, or the job's deadline: whoever is slower decides again, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_report_is_decided_again_when_another_was_faster() {
    let tidings = start().await;
    let (id, path) = submit(&tidings, json!({})).await;
    let (app, job) = (tidings.app(), id.parse().expect("an id"));
    for percent in 1..=50_u64 {
        let body = told(&id, "job.progress", "rendering", percent, json!({"timestamp": "?"}));
        let total = Report { total_clips: Some(percent), ..Report::default() };
        // It waits for no turn.
        let beside =
            change(&app.parts, tidings_store::catalogue::tenants::DEFAULT, job, |job, now| {
                job.report(total.clone(), now)
            });
        let (reply, beside) = tokio::join!(report(&tidings, body.to_string()), beside);
        reply.expect_received();
        beside.expect("it is taken");
        let job = tidings.get(&path).await.expect(200);
        assert_eq!(
            (&job["progress_percent"], &job["total_clips"]),
            (&json!(percent), &json!(percent))
        );
    }
    tidings.stop().await;
}
