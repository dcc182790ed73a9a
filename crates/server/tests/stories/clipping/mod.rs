//! Both ends of a callback on real sockets: a worker's server tells ours of a job, and whatever lies
//! between them, the job's record, its clips and what its owner hears come out right.

mod relay;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::assert_intact;
use crate::harness::{Binary, Socket, Tidings, eventually};
use relay::{Relay, Trouble};

const INBOUND: &str =
    r#"[{name = "clipping", kind = "clipping", scheme = "viewcreator", secrets = ["shared"]}]"#;

async fn ours(dir: &Path) -> Binary {
    let variables = [("TIDINGS_INBOUND", INBOUND), ("TIDINGS_MEDIA_CDN_DOMAIN", "cdn.example.com")];
    Binary::start_with(dir, &variables).await
}

/// Both servers and the job that both know.
struct Stage {
    dir: TempDir,
    /// `None` while it is away.
    ours: Option<Binary>,
    relay: Relay,
    /// Its clock can be moved on, so that its retries come at once.
    worker: Tidings,
    /// The job's path with each.
    here: String,
    there: String,
    owner: Socket,
}

impl Stage {
    async fn set() -> Self {
        let dir = tempdir().unwrap();
        let ours = ours(dir.path()).await;
        let relay = Relay::start(ours.client.address()).await;
        let worker =
            Tidings::start_with(|settings| settings.callback_secret = Some("shared".into())).await;
        let job = json!({"job_type": "clipping", "owner_user_id": "user_789"});
        let here = ours.post("/api/jobs", job).await.expect(202)["job_id"].take();
        let job = json!({"job_type": "clipping", "external_job_id": here, "owner_user_id": "user_789",
            "callback_url": relay.url("/webhooks/clipping"), "progress_interval_ms": 1});
        let there = worker.post("/api/jobs", job).await.expect(202)["job_id"].take();
        let path = |id: Value| format!("/api/jobs/{}", id.as_str().unwrap());
        let owner = ours.notifications("user_789").await.expect("a socket");
        let ours = Some(ours);
        Self { dir, ours, relay, worker, here: path(here), there: path(there), owner }
    }

    fn ours(&self) -> &Binary {
        self.ours.as_ref().expect("it is there")
    }

    /// What the worker says of its job.
    async fn reports(&self, report: Value) {
        self.worker.patch(&self.there, report).await.expect(200);
    }

    async fn renders(&self, percent: u64) {
        let report = json!({"status": "rendering", "progress_percent": percent,
            "current_step": format!("Rendering, {percent} %")});
        self.reports(report).await;
    }

    async fn completes(&self) {
        let clip = |n: u32| {
            json!({"clip_index": n, "s3_url": format!("https://media.s3.us-west-2.amazonaws.com/{n}.mp4"),
                "duration_ms": 45000, "start_time_ms": 0, "end_time_ms": 45000,
                "virality_score": 0.92, "layout_type": "talking_head"})
        };
        let output = json!({"job_id": "x", "source_video_url": "https://video.example/1",
            "source_video_title": "My Amazing Video", "source_video_duration_seconds": 1847.5,
            "total_clips": 2, "clips": [clip(0), clip(1)], "processing_time_seconds": 482.5,
            "created_at": "2026-11-22T10:38:00Z"});
        self.reports(json!({"status": "completed", "output": output})).await;
    }

    /// Our record of the job, once this holds of it.
    async fn record(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async {
            Some(self.ours().get(&self.here).await.expect(200)).filter(|job| holds(job))
        })
        .await
    }

    async fn has_rendered(&self, percent: u64) {
        self.record("progress", |job| job["progress_percent"] == percent).await;
    }

    /// So many attempts of what was told last have been settled.
    async fn is_tried(&self, attempts: u64) {
        eventually("the attempt is settled", || async {
            let newest = self.worker.get("/api/deliveries?limit=1").await.expect(200);
            newest[0]["attempt_count"].as_u64().filter(|&count| count >= attempts)
        })
        .await;
    }

    /// Our server is away, and comes back with what it had written down. A new port, a new socket.
    async fn comes_back(&mut self) {
        let ours = ours(self.dir.path()).await;
        self.owner = ours.notifications("user_789").await.expect("a socket");
        self.relay.lead_to(ours.client.address());
        self.ours = Some(ours);
    }

    async fn hears(&mut self, kind: &str) -> Value {
        let told = self.owner.next().await.expect("open");
        assert_eq!(told["type"], kind, "{told:#}");
        told
    }

    /// Everything that the owner was told since the beginning, as it is written down.
    async fn notified(&self) -> Vec<(String, Value)> {
        let mut told = Vec::new();
        let events = self.ours().get("/api/events?limit=250").await.expect(200);
        for event in events.as_array().unwrap().iter().rev() {
            let Some(name) = event["type"].as_str().unwrap().strip_prefix("notification.clipping.")
            else {
                continue;
            };
            let path = format!("/api/events/{}", event["event_id"].as_str().unwrap());
            let data = self.ours().get(&path).await.expect(200)["data"].take();
            told.push((name.to_owned(), data["progressPercent"].clone()));
        }
        told
    }

    async fn end(self) {
        self.worker.stop().await;
        self.ours.expect("it is there").stop().await;
        assert_intact(self.dir.path());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_lies_between_the_record_comes_out_right() {
    let mut stage = Stage::set().await;
    stage.reports(json!({"status": "downloading", "progress_percent": 0})).await;
    stage.hears("clipping.started").await;

    // It arrives, and the connection breaks before its answer: it comes again, and counts once.
    stage.relay.next_meets(Trouble::LoseAnswer);
    stage.renders(15).await;
    stage.is_tried(1).await;
    stage.worker.advance(2_000);
    assert_eq!(stage.hears("clipping.progress").await["progressPercent"], 15);

    // Ours is killed, and back before the worker gives up.
    stage.ours.take().expect("it is there").kill();
    stage.renders(30).await;
    stage.is_tried(1).await;
    stage.relay.hold();
    stage.worker.advance(2_000);
    stage.comes_back().await;
    stage.relay.release();
    assert_eq!(stage.hears("clipping.progress").await["progressPercent"], 30);

    // Slow: what is newer waits, and of that only the newest is told.
    stage.relay.hold();
    stage.relay.forget().await;
    stage.renders(45).await;
    stage.relay.next().await;
    stage.renders(55).await;
    stage.renders(65).await;
    stage.relay.release();
    stage.has_rendered(65).await;
    assert_eq!(stage.hears("clipping.progress").await["progressPercent"], 45);
    assert_eq!(stage.hears("clipping.progress").await["progressPercent"], 65);

    // Out of order: one is kept on its way, and overtaken.
    stage.relay.next_meets(Trouble::Keep);
    stage.relay.forget().await;
    stage.renders(75).await;
    stage.relay.next().await;
    stage.renders(85).await;
    stage.has_rendered(85).await;
    let late = stage.relay.deliver_late().await.remove(0);
    assert_eq!((late.status, late.json()), (200, json!({"received": true})));
    stage.has_rendered(85).await;
    assert_eq!(stage.hears("clipping.progress").await["progressPercent"], 85);

    // The end comes twice, and one that was kept comes after it.
    stage.relay.next_meets(Trouble::Keep);
    stage.relay.forget().await;
    stage.renders(95).await;
    stage.relay.next().await;
    stage.relay.next_meets(Trouble::Twice);
    stage.completes().await;
    let told = stage.hears("clipping.completed").await;
    assert_eq!(told["clipCount"], 2);
    assert_eq!(stage.relay.deliver_late().await.len(), 1);

    let job = stage.record("its end", |job| job["status"] == "completed").await;
    assert_eq!((&job["progress_percent"], &job["total_clips"]), (&json!(100), &json!(2)));
    assert!(stage.there.ends_with(job["worker_job_id"].as_str().unwrap()));
    let clips = stage.ours().get(&format!("{}/clips", stage.here)).await.expect(200);
    assert_eq!(clips[1]["s3_url"], "https://cdn.example.com/1.mp4");
    let told = stage.notified().await;
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names[0], names[6]), ("started", "completed"), "{told:?}");
    let percents: Vec<&Value> = told[1..6].iter().map(|(_, percent)| percent).collect();
    assert_eq!(percents, [15, 30, 45, 65, 85]);
    assert_eq!(told.len(), 7);
    // 0, 15, 30, 45, 65, 75, 85, 95 and the end: each once, whatever came twice.
    let received = stage.ours().get("/api/inbound?limit=250").await.expect(200);
    assert_eq!(received.as_array().unwrap().len(), 9);
    stage.end().await;
}

/// Away for longer than the worker tries: what was given up is sent again by hand, and is not too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_can_still_be_told() {
    let mut stage = Stage::set().await;
    stage.reports(json!({"status": "downloading", "progress_percent": 0})).await;
    stage.hears("clipping.started").await;
    crate::settled_totals(&stage.worker).await;
    stage.ours.take().expect("it is there").stop().await;
    stage.reports(json!({"status": "failed", "error": "Video is unavailable or private"})).await;
    for attempts in [1, 2] {
        stage.is_tried(attempts).await;
        stage.worker.advance(2_000);
    }
    let given_up = eventually("it is given up", || async {
        let all = stage.worker.get("/api/dead-letters").await.expect(200);
        all[0]["id"].as_str().map(str::to_owned)
    })
    .await;
    stage.comes_back().await;
    assert_eq!(stage.ours().get(&stage.here).await.expect(200)["status"], "running");
    stage.worker.act(&format!("/api/deliveries/{given_up}/retry")).await.expect(202);
    let told = stage.hears("clipping.failed").await;
    assert_eq!(told["error"], "Video is unavailable or private");
    let job = stage.ours().get(&stage.here).await.expect(200);
    assert_eq!((&job["status"], &job["error"]), (&json!("failed"), &told["error"]));
    assert_eq!(stage.notified().await.len(), 2);
    stage.end().await;
}
