use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_362_000_000);

fn job() -> Job {
    Job::new(JobId::from_i64(7), TenantId::from_i64(1), "comfyui".into(), NOW)
}

fn stage(stage: Stage) -> Report {
    Report { status: Some(Reported::Stage(stage)), ..Report::default() }
}

fn progress(percent: u64) -> Report {
    Report { progress_percent: Some(percent.into()), ..Report::default() }
}

fn at(status: Status) -> Job {
    match status {
        Status::Pending => job(),
        other => job().report(Report::of(other), NOW).expect("a job may skip what lies between").0,
    }
}

#[test]
fn a_job_goes_on_and_never_back() {
    for from in Status::ALL {
        for to in Status::ALL {
            let taken = at(from).report(Report::of(to), NOW + 1);
            let allowed = !from.is_final() && to.rank() >= from.rank();
            assert_eq!(taken.is_ok(), allowed, "{from:?} to {to:?}");
            let Ok((job, events)) = taken else { continue };
            assert_eq!((job.status, job.completed_at.is_some()), (to, to.is_final()));
            let changed = if from == to { 0 } else { 2 };
            let told = if from == to && to == Status::Running { 1 } else { changed };
            assert_eq!(events.len(), told, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn an_end_is_final_and_says_so() {
    let refused = at(Status::Failed).report(progress(50), NOW).map(drop);
    assert_eq!(refused, Err(Refusal::Ended(Status::Failed)));
    let refused = at(Status::Running).report(Report::of(Status::Assigned), NOW).map(drop);
    assert_eq!(refused, Err(Refusal::Backwards { from: "running", to: "assigned" }));
}

#[test]
fn stages_are_of_a_running_job_and_may_be_skipped() {
    let (job, events) =
        at(Status::Assigned).report(stage(Stage::Planning), NOW).expect("it goes on");
    assert_eq!((job.status, job.place()), (Status::Running, "planning"));
    assert_eq!(events, [JobEvent::Started, JobEvent::StatusChanged]);
    let (job, events) = job.report(stage(Stage::Rendering), NOW).expect("it goes on");
    assert_eq!((events, job.current_step.as_str()), (vec![JobEvent::Progress], "Rendering"));
    let back = job.report(stage(Stage::Planning), NOW).map(drop);
    assert_eq!(back, Err(Refusal::Backwards { from: "rendering", to: "planning" }));
    let (job, _) = job.report(Report::of(Status::Failed), NOW).expect("it ends");
    assert_eq!((job.place(), job.stage), ("failed", Some(Stage::Rendering)));
}

#[test]
fn it_is_started_once_by_whoever_first_tells_of_progress() {
    let (job, events) = at(Status::Pending).report(progress(0), NOW).expect("taken");
    assert_eq!(events, [JobEvent::Started, JobEvent::StatusChanged]);
    assert_eq!(job.started_at, Some(NOW));
    let (job, events) = job.report(progress(0), NOW + 9).expect("taken");
    assert_eq!((events, job.started_at), (vec![JobEvent::Progress], Some(NOW)));
}

#[test]
fn a_worker_takes_a_job_by_its_name() {
    let named = || Report { worker_id: Some("w-1".into()), ..Report::default() };
    let (job, events) = at(Status::Pending).report(named(), NOW).expect("taken");
    assert_eq!((job.status, events[0]), (Status::Assigned, JobEvent::Assigned));
    let (job, events) = job.report(named(), NOW).expect("another takes it");
    assert_eq!((job.version, events), (3, vec![JobEvent::Assigned]));
}

#[test]
fn a_job_times_out_once_and_only_in_its_time() {
    let mut job = job();
    assert_eq!((job.deadline(), job.time_out(NOW + 1_000_000).is_some()), (None, false));
    job.timeout_ms = Some(1_000);
    assert!(job.time_out(NOW + 999).is_none());
    let (ended, events) = job.time_out(NOW + 1_000).expect("its time is over");
    assert_eq!((ended.status, events[0]), (Status::Timeout, JobEvent::Timeout));
    assert_eq!((ended.error.as_deref(), ended.deadline()), (Some("Job timed out"), None));
    assert!(ended.time_out(NOW + 9_000).is_none());
}

#[test]
fn the_data_are_those_that_job_queues_send_and_more() {
    let mut job = job();
    job.priority = Some(2);
    job.machine_id = Some("m-1".into());
    let pending: Value =
        serde_json::from_slice(&job.data(JobEvent::Submitted, Status::Pending)).expect("JSON");
    assert_eq!(
        pending,
        json!({"job_id": job.id, "job_type": "comfyui", "job_status": "pending", "machine_id": "m-1",
            "progress": 0, "current_step": "Waiting for a worker", "priority": 2})
    );
    let report: Report = Report {
        status: Some(Reported::Stage(Stage::Rendering)),
        worker_id: Some("w-1".into()),
        total_clips: Some(5),
        data: BTreeMap::from([(
            "frames".to_owned(),
            serde_json::from_str("[1.50, 12345678901234567890123]").expect("JSON"),
        )]),
        ..progress(65)
    };
    let (running, _) = job.report(report, NOW).expect("taken");
    let bytes = running.data(JobEvent::StatusChanged, Status::Pending);
    let text = std::str::from_utf8(&bytes).expect("JSON is UTF-8");
    // Numbers stay as they were written.
    assert!(text.ends_with(r#""frames":[1.50, 12345678901234567890123]}"#), "{text}");
    for part in [
        r#""job_status":"running","status":"rendering","previous_status":"pending""#,
        r#""progress":65,"current_step":"Rendering","clips_completed":0,"total_clips":5"#,
    ] {
        assert!(text.contains(part), "{text}");
    }
    let (done, _) = running.report(Report::of(Status::Completed), NOW).expect("taken");
    let done: Value =
        serde_json::from_slice(&done.data(JobEvent::Completed, Status::Running)).expect("JSON");
    assert_eq!((&done["progress"], &done["status"]), (&json!(100), &Value::Null));
}

#[test]
fn a_document_holds_what_has_no_column() {
    let (job, _) = at(Status::Assigned).report(stage(Stage::Detecting), NOW).expect("taken");
    let doc = serde_json::to_string(&job).expect("string keys");
    let read: Job = serde_json::from_str(&doc).expect("its own document");
    assert_eq!(serde_json::to_string(&read).expect("string keys"), doc);
    assert_eq!((read.status, read.stage), (job.status, job.stage));
}
