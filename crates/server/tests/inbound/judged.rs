//! What clipping workers may send, and what of it is refused: all that is wrong, by its name.

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::clipping::output;
use crate::harness::{Binary, Tidings};
use crate::{Received as _, received, report, start};

/// A report of a job that nobody knows, which has no effect but to be taken down.
fn base() -> Value {
    json!({"event": "job.completed", "timestamp": "2025-01-15T10:38:00Z", "job_id": "abc",
        "status": "completed", "progress_percent": 100, "current_step": "Processing complete!",
        "output": output()})
}

/// The report with this in the place of a pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = base();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = body.pointer_mut(parent).expect("it exists");
    match parent {
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        list => list[name.parse::<usize>().expect("a place")] = value,
    }
    body
}

async fn refused(tidings: &Tidings, body: &str) -> Vec<String> {
    report(tidings, body.to_owned()).await.pointers()
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let tidings = start().await;
    let texts = ["event", "timestamp", "job_id", "status", "current_step"];
    let required = texts.iter().chain(&["progress_percent"]).map(|name| format!("/{name}"));
    let mut required: Vec<String> = required.collect();
    let mut missing = refused(&tidings, "{}").await;
    missing.sort();
    required.sort();
    assert_eq!(missing, required);
    for name in texts.iter().chain(&["external_job_id", "owner_user_id", "error"]) {
        for wrong in [json!(7), json!(["a"]), json!({}), json!(true)] {
            let pointer = format!("/{name}");
            assert_eq!(refused(&tidings, &with(&pointer, wrong).to_string()).await, [pointer]);
        }
    }
    for (pointer, wrong) in [
        ("/progress_percent", json!("NaN")),
        ("/progress_percent", json!("50")),
        ("/progress_percent", json!(-1)),
        ("/progress_percent", json!(100.1)),
        ("/progress_percent", Value::Null),
        ("/clips_completed", json!(-1)),
        ("/total_clips", json!(2.5)),
        ("/total_clips", json!("5")),
        ("/output", json!([])),
        ("/output", json!("done")),
        ("/output/total_clips", Value::Null),
        ("/output/source_video_title", json!(7)),
        ("/output/source_video_duration_seconds", json!("long")),
        ("/output/created_at", Value::Null),
        ("/output/transcript_url", json!(7)),
        ("/output/plan_url", json!({})),
        ("/output/clips", json!({})),
        ("/output/clips", json!("none")),
        ("/output/clips/1", json!("a clip")),
        ("/output/clips/1", Value::Null),
        ("/output/clips/0/s3_url", json!(["s3://a/b"])),
        ("/output/clips/0/s3_url", Value::Null),
        ("/output/clips/2/virality_score", json!("high")),
        ("/output/clips/2/layout_type", json!(1)),
        ("/output/clips/2/summary", json!(1)),
        ("/output/clips/2/tags", json!("business")),
        ("/output/clips/2/tags", json!([1])),
        ("/owner_user_id", json!("x".repeat(256))),
    ] {
        let body = with(pointer, wrong).to_string();
        assert_eq!(refused(&tidings, &body).await, [pointer], "{body}");
    }
    let clip = json!({"clip_index": "0", "s3_url": 1, "duration_ms": null});
    let mut pointers = refused(&tidings, &with("/output/clips/1", clip).to_string()).await;
    pointers.sort();
    let at = |name: &str| format!("/output/clips/1/{name}");
    let expected = ["clip_index", "duration_ms", "end_time_ms", "layout_type", "s3_url"];
    let expected = expected.iter().chain(&["start_time_ms", "virality_score"]).map(|name| at(name));
    assert_eq!(pointers, expected.collect::<Vec<_>>());
    assert_eq!(refused(&tidings, "[]").await, [""]);
    // Not even as something that came.
    assert_eq!(received(&tidings).await, [] as [Value; 0]);
    assert_eq!(tidings.get("/api/events").await.expect(200), json!([]));
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_odd_but_of_its_type_is_taken() {
    let tidings = start().await;
    for (pointer, odd) in [
        ("/event", json!("job.exploded")),
        ("/event", json!("")),
        ("/timestamp", json!("yesterday")),
        ("/status", json!("thinking")),
        ("/job_id", json!("")),
        ("/current_step", json!("")),
        ("/progress_percent", json!(99.999)),
        ("/external_job_id", Value::Null),
        ("/total_clips", json!(5.0)),
        ("/error", json!("x".repeat(100_000))),
        ("/output", Value::Null),
        ("/output/clips", json!([])),
        ("/output/clips", Value::Null),
        ("/output/clips/0/duration_ms", json!(-1)),
        ("/output/clips/0/clip_index", json!(0.5)),
        ("/output/clips/0/tags", json!([])),
        ("/output/clips/0/tags", Value::Null),
        ("/output/clips/0/s3_url", json!("")),
        ("/output/clips/0/s3_url", json!("javascript:alert(1)")),
        ("/unknown", json!({"a": [null]})),
    ] {
        report(&tidings, with(pointer, odd).to_string()).await.expect_received();
    }
    assert_eq!(received(&tidings).await.len(), 20);
    tidings.stop().await;
}

#[tokio::test]
async fn numbers_that_are_none_and_bodies_that_are_too_large_are_refused() {
    let tidings = start().await;
    for broken in ["NaN", "Infinity", "-", "1e", "01"] {
        let body = base()
            .to_string()
            .replace(r#""progress_percent":100"#, &format!(r#""progress_percent":{broken}"#));
        assert_eq!(report(&tidings, body).await.problem(400)["code"], "invalid_json");
    }
    let huge =
        base().to_string().replace(r#""progress_percent":100"#, r#""progress_percent":1e999"#);
    report(&tidings, huge).await.problem(400);
    let twice = base().to_string().replacen('{', r#"{"event":"job.failed","#, 1);
    assert_eq!(refused(&tidings, &twice).await, ["/event"]);
    let large = with("/error", json!("x".repeat(1 << 20))).to_string();
    assert_eq!(report(&tidings, large).await.problem(413)["code"], "body_too_large");
    let crowd = json!(vec![json!({}); 5_001]);
    assert_eq!(
        refused(&tidings, &with("/output/clips", crowd).to_string()).await,
        ["/output/clips"]
    );
    assert_eq!(received(&tidings).await, [] as [Value; 0]);
    tidings.stop().await;
}

#[tokio::test]
async fn two_thousand_clips_are_kept() {
    let tidings = start().await;
    let job = json!({"job_type": "clipping", "external_job_id": "abc"});
    let job = tidings.post("/api/jobs", job).await.expect(202);
    let path = format!("/api/jobs/{}/clips?limit=250", job["job_id"].as_str().expect("an id"));
    let mut clip = output()["clips"][0].clone();
    let clips: Vec<Value> = (0..2_000)
        .map(|n| {
            clip["clip_index"] = n.into();
            clip.clone()
        })
        .collect();
    report(&tidings, with("/output/clips", json!(clips)).to_string()).await.expect_received();
    let (mut cursor, mut heard) = (String::new(), 0_i64);
    loop {
        let page = tidings.get(&format!("{path}{cursor}")).await;
        for clip in page.expect(200).as_array().expect("a list") {
            assert_eq!(clip["clip_index"], heard);
            assert!(clip["s3_url"].as_str().expect("a text").starts_with("https://cdn."));
            heard += 1;
        }
        match page.json()["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(heard, 2_000);
    tidings.get(&format!("{path}&cursor=nowhere")).await.problem(422);
    tidings.get("/api/jobs/job_0000000000000/clips").await.problem(404);
    tidings.stop().await;
}

#[tokio::test]
async fn a_kind_that_does_not_exist_stops_the_start() {
    let dir = tempdir().expect("a directory");
    let inbound =
        r#"[{name = "clipping", kind = "clips", scheme = "viewcreator", secrets = ["x"]}]"#;
    let variables =
        [("TIDINGS_INBOUND", inbound), ("TIDINGS_MEDIA_CDN_DOMAIN", "https://cdn.example/")];
    let (status, said) = Binary::refused_with(dir.path(), &variables).await;
    assert!(!status.success());
    assert!(
        said.contains("inbound `clipping`: kind: `clips` is none of event, clipping"),
        "{said}"
    );
    assert!(said.contains("media_cdn_domain: `https://cdn.example/` is not a domain"), "{said}");
}
