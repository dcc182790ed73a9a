use serde_json::{Value, json};

use super::media::{at_cdn, clips, move_clips};
use super::*;
use crate::id::{JobId, TenantId};

const NOW: Timestamp = Timestamp::from_millis(1_795_362_000_000);

fn job() -> Job {
    let mut job = Job::new(JobId::from_i64(7), TenantId::from_i64(1), "clipping".into(), NOW);
    job.owner_user_id = Some("user_789".into());
    job
}

/// A report that was made so many milliseconds after the first.
fn report(event: &str, status: &str, percent: u64, at: i64) -> ClippingReport {
    ClippingReport {
        told: Told::parse(event),
        timestamp: Some(NOW + at),
        job_id: "abc-123".into(),
        external_job_id: Some("mine".into()),
        owner_user_id: Some("somebody else".into()),
        status: status.into(),
        progress_percent: percent.into(),
        current_step: "Working".into(),
        clips_completed: None,
        total_clips: None,
        error: None,
        output: None,
    }
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("JSON")
}

/// What is left of the job and what its owner is told, report by report.
fn take_all(reports: &[ClippingReport]) -> (Job, Vec<Value>) {
    let mut job = job();
    let mut told = Vec::new();
    for report in reports {
        let Ok(taken) = report.take(&job, NOW) else { continue };
        let all = taken.notifications.iter();
        told.extend(all.map(|one| serde_json::to_value(one).expect("string keys")));
        job = taken.job;
    }
    (job, told)
}

#[test]
fn a_job_is_followed_to_its_end() {
    let output = Output { json: raw(r#"{"total_clips":2,"clips":[]}"#), total_clips: 2 };
    let completed = ClippingReport {
        output: Some(output),
        current_step: "Processing complete!".into(),
        ..report("job.completed", "completed", 99, 3)
    };
    let (done, told) = take_all(&[
        report("job.started", "downloading", 0, 0),
        report("job.progress", "transcribing", 15, 1),
        report("job.progress", "rendering", 19, 2),
        completed,
    ]);
    assert_eq!((done.status, done.stage), (Status::Completed, Some(Stage::Rendering)));
    assert_eq!((done.progress_percent, done.total_clips), (100.into(), 2));
    assert_eq!(done.worker_job_id.as_deref(), Some("abc-123"));
    assert!(done.started_at.is_some() && done.completed_at.is_some() && done.output.is_some());
    let id = done.id;
    assert_eq!(
        told,
        [
            json!({"type": "clipping.started", "jobId": id, "message": "Your video is being processed"}),
            json!({"type": "clipping.progress", "jobId": id, "progressPercent": 15, "currentStep": "Working"}),
            json!({"type": "clipping.completed", "jobId": id, "clipCount": 2,
                "message": "Your 2 clips are ready!"}),
        ]
    );
}

#[test]
fn a_failure_says_why_and_is_final() {
    let failed =
        ClippingReport { error: Some("no video".into()), ..report("job.failed", "failed", 15, 1) };
    let late = report("job.completed", "completed", 100, 2);
    let (job, told) = take_all(&[failed, late.clone()]);
    assert_eq!((job.status, job.error.as_deref()), (Status::Failed, Some("no video")));
    assert_eq!((told.len(), &told[0]["error"]), (1, &json!("no video")));
    assert_eq!(told[0]["message"], "Video processing failed. Please try again.");
    let refused = late.take(&job, NOW).map(drop);
    assert_eq!(refused, Err(Idle::Refused(Refusal::Ended(Status::Failed))));
}

/// Each 10 % once, however fine the steps are; and where several are passed at once, once.
#[test]
fn progress_is_told_when_it_passes_ten_percent() {
    let percents = [1, 9, 10, 11, 19, 20, 55, 59, 60, 60];
    let reports: Vec<ClippingReport> = (0..)
        .zip(percents)
        .map(|(at, percent)| report("job.progress", "rendering", percent, at))
        .collect();
    let (_, told) = take_all(&reports);
    let told: Vec<&Value> = told.iter().skip(1).map(|one| &one["progressPercent"]).collect();
    assert_eq!(told, [10, 20, 55, 60]);
}

#[test]
fn what_is_late_has_no_effect_but_an_end_has() {
    let newest = report("job.progress", "rendering", 50, 9);
    for late in [
        report("job.started", "downloading", 0, 0),
        report("job.progress", "transcribing", 60, 10),
        report("job.progress", "rendering", 40, 8),
        report("job.exploded", "rendering", 60, 10),
    ] {
        let (job, told) = take_all(&[newest.clone(), late.clone()]);
        assert_eq!((job.version, told.len()), (2, 2), "{late:?}");
    }
    // Its clock is behind that of the worker before it.
    let (job, _) = take_all(&[newest.clone(), report("job.completed", "completed", 100, 1)]);
    assert_eq!((job.status, job.reported_at), (Status::Completed, Some(NOW + 9)));
    // No time that can be read: only the job's own rules judge.
    let timeless = ClippingReport { timestamp: None, ..report("job.progress", "rendering", 40, 0) };
    let (job, _) = take_all(&[newest, timeless]);
    assert_eq!((job.progress_percent, job.reported_at), (40.into(), Some(NOW + 9)));
}

#[test]
fn a_job_whose_start_was_lost_is_told_as_started() {
    let (job, told) = take_all(&[report("job.progress", "thinking", 40, 0)]);
    assert_eq!((job.status, job.stage), (Status::Running, None));
    let types: Vec<&Value> = told.iter().map(|one| &one["type"]).collect();
    assert_eq!(types, ["clipping.started", "clipping.progress"]);
    // One that was submitted and ended at once need not be.
    let (_, told) = take_all(&[report("job.completed", "completed", 100, 0)]);
    assert_eq!(told[0]["message"], "Your 0 clips are ready!");
}

#[test]
fn names_and_owners() {
    let mut report = report("job.started", "downloading", 0, 0);
    let mut job = job();
    assert_eq!((report.job_name(), report.owner(&job)), ("mine", Some("user_789")));
    job.owner_user_id = None;
    report.external_job_id = Some(String::new());
    assert_eq!((report.job_name(), report.owner(&job)), ("abc-123", Some("somebody else")));
    report.owner_user_id = None;
    assert_eq!(report.owner(&job), None);
    report.current_step = "é".repeat(2_000);
    let taken = report.take(&job, NOW).expect("taken");
    assert_eq!(taken.job.current_step.chars().count(), JOB_STEP_CHARS_MAX);
}

#[test]
fn what_lies_in_a_bucket_is_found_at_the_cdn() {
    let there = Some("https://cdn.example/clips/a b/clip_00.mp4?x=1".to_owned());
    for url in [
        "https://viewcreator-media.s3.amazonaws.com/clips/a b/clip_00.mp4?x=1",
        "https://viewcreator-media.s3.us-west-2.amazonaws.com/clips/a b/clip_00.mp4?x=1",
        "https://viewcreator.media.s3.dualstack.eu-west-1.amazonaws.com/clips/a b/clip_00.mp4?x=1",
        "https://media.s3-us-west-2.amazonaws.com/clips/a b/clip_00.mp4?x=1",
        "s3://viewcreator-media/clips/a b/clip_00.mp4?x=1",
    ] {
        assert_eq!(at_cdn(url, "cdn.example"), there, "{url}");
    }
    for elsewhere in [
        "",
        "nonsense",
        "s3://",
        "s3:///key",
        "s3://bucket",
        "https://s3.amazonaws.com/bucket/key",
        "https://a.s3x.amazonaws.com/key",
        "https://a.s3.amazonaws.com.evil.example/key",
        "https://a.s3.amazonaws.com",
        "http://a.s3.amazonaws.com/key",
        "https://cdn.example/key",
    ] {
        assert_eq!(at_cdn(elsewhere, "cdn.example"), None, "{elsewhere}");
    }
}

#[test]
fn an_output_keeps_everything_but_where_its_clips_are() {
    let output = raw(
        r#"{"new":{"b":1.50},"clips":[{"s3_url":"s3://b/k\u00e9y","virality_score":0.920},{"s3_url":7},{}]}"#,
    );
    let moved = move_clips(&output, "cdn.example");
    let expected = r#"{"clips":[{"s3_url":"https://cdn.example/kéy","virality_score":0.920},{"s3_url":7},{}],"new":{"b":1.50}}"#;
    assert_eq!(moved.get(), expected);
    assert_eq!(clips(&moved).len(), 3);
    for same in ["{}", "[]", r#"{"clips":7}"#, r#"{"clips":[{"s3_url":"x"}],"a":1}"#, "null"] {
        assert_eq!(move_clips(&raw(same), "cdn.example").get(), same);
        assert_eq!(clips(&raw(same)).len(), usize::from(same.contains('x')), "{same}");
    }
}
