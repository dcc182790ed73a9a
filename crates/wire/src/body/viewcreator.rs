//! ViewCreator's report of a job: `job.started`, `job.progress`, `job.completed`, `job.failed`.
//!
//! Keys are sorted at every level. `external_job_id`, `owner_user_id`, `error` and `output` are left
//! out when there is nothing to say, and the two clip counts when both are zero.

use super::EventView;
use super::fields::{Data, Kind, Printed, json, object, text, time};
use crate::canonical::{Order, Unrepresentable, Why, append_double};

/// A job as its source sees it when it owes a report.
#[derive(Debug, Clone, Copy)]
pub struct JobView<'a> {
    /// The type of the event: `job.started`, `job.progress`, `job.completed`, `job.failed`,
    /// `job.cancelled` or `job.timeout`. The last two are told as `job.failed`.
    pub event_type: &'a str,
    /// When it happened, in Unix milliseconds.
    pub timestamp_ms: i64,
    /// Its id here.
    pub job_id: &'a str,
    /// Its id with whoever submitted it.
    pub external_job_id: Option<&'a str>,
    /// Whose it is.
    pub owner_user_id: Option<&'a str>,
    /// `running` or a stage of it as `rendering`, `completed`, `failed`, `cancelled`, `timeout`. The
    /// last two are told as `failed`, with an error of their own.
    pub status: &'a str,
    /// How far it is, 0 to 100.
    pub progress_percent: f64,
    /// What it is doing, for people.
    pub current_step: &'a str,
    /// How many clips are done.
    pub clips_completed: u64,
    /// How many clips there will be.
    pub total_clips: u64,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// What it made: a JSON value.
    pub output: Option<&'a [u8]>,
}

/// The body for a job. It fails for an output, or a progress, that JSON of JavaScript cannot hold.
///
/// ```
/// use tidings_wire::body::viewcreator::{JobView, report};
/// let job = JobView {
///     event_type: "job.started",
///     timestamp_ms: 1_736_937_000_000,
///     job_id: "abc-123",
///     external_job_id: None,
///     owner_user_id: Some("user_789"),
///     status: "downloading",
///     progress_percent: 0.0,
///     current_step: "Starting job processing",
///     clips_completed: 0,
///     total_clips: 0,
///     error: None,
///     output: None,
/// };
/// assert_eq!(
///     report(&job)?,
///     br#"{"current_step":"Starting job processing","event":"job.started","job_id":"abc-123","owner_user_id":"user_789","progress_percent":0,"status":"downloading","timestamp":"2025-01-15T10:30:00.000Z"}"#,
/// );
/// # Ok::<(), tidings_wire::canonical::Unrepresentable>(())
/// ```
pub fn report(job: &JobView<'_>) -> Result<Vec<u8>, Unrepresentable> {
    if !job.progress_percent.is_finite() {
        let pointer = "/progress_percent".to_owned();
        return Err(Unrepresentable { pointer, why: Why::OutOfRange });
    }
    let mut progress_percent = Vec::new();
    append_double(job.progress_percent, &mut progress_percent);
    let given = |text_: Option<&str>| text_.filter(|text| !text.is_empty()).map(text);
    Ok(write(Fields {
        event_type: job.event_type,
        timestamp: time(job.timestamp_ms),
        job_id: text(job.job_id),
        external_job_id: given(job.external_job_id),
        owner_user_id: given(job.owner_user_id),
        status: text(job.status),
        progress_percent,
        current_step: text(job.current_step),
        clips_completed: Some(job.clips_completed.to_string().into()),
        total_clips: Some(job.total_clips.to_string().into()),
        error: given(job.error),
        output: job.output.map(|output| json(output, "/output", Order::Sorted)).transpose()?,
    }))
}

/// The body for a webhook that listens to `job.*`: out of the data of the event, where the fields have
/// the names that they have in the body, or those of job events (`job_status`, `progress`, `result`).
/// Data that is such a body already stays as it is.
pub(super) fn from_event(event: &EventView<'_>) -> Result<Vec<u8>, Unrepresentable> {
    let data = Data::read(event.data, Order::Sorted)?;
    let number = |name| data.optional(&[name], Kind::Number);
    let optional = |name| data.optional(&[name], Kind::Text);
    Ok(write(Fields {
        event_type: event.event_type,
        timestamp: optional("timestamp")?.unwrap_or_else(|| time(event.timestamp_ms)),
        job_id: data.required(&["job_id"], Kind::Text)?,
        external_job_id: optional("external_job_id")?,
        owner_user_id: optional("owner_user_id")?,
        status: data.required(&["status", "job_status"], Kind::Text)?,
        progress_percent: data.required(&["progress_percent", "progress"], Kind::Number)?,
        current_step: data.required(&["current_step"], Kind::Text)?,
        clips_completed: number("clips_completed")?,
        total_clips: number("total_clips")?,
        error: optional("error")?,
        output: data.any(&["output", "result"]),
    }))
}

/// What a receiver is told for an event type: of what ends a job it knows success and failure only.
pub(crate) fn told_type(event_type: &str) -> &str {
    match event_type {
        "job.cancelled" | "job.timeout" => "job.failed",
        other => other,
    }
}

struct Fields<'a> {
    event_type: &'a str,
    timestamp: Printed,
    job_id: Printed,
    external_job_id: Option<Printed>,
    owner_user_id: Option<Printed>,
    status: Printed,
    progress_percent: Printed,
    current_step: Printed,
    clips_completed: Option<Printed>,
    total_clips: Option<Printed>,
    error: Option<Printed>,
    output: Option<Printed>,
}

fn write(fields: Fields<'_>) -> Vec<u8> {
    let (status, error) = match &fields.status[..] {
        b"\"cancelled\"" => (text("failed"), Some(text("Job cancelled"))),
        b"\"timeout\"" => (text("failed"), Some(text("Job timed out"))),
        _ => (fields.status, fields.error),
    };
    let counted = [&fields.clips_completed, &fields.total_clips];
    let counts = counted.into_iter().flatten().any(|count| count != b"0");
    let count = |given: Option<Printed>| counts.then(|| given.unwrap_or_else(|| b"0".to_vec()));
    object([
        ("clips_completed", count(fields.clips_completed)),
        ("current_step", Some(fields.current_step)),
        ("error", error),
        ("event", Some(text(told_type(fields.event_type)))),
        ("external_job_id", fields.external_job_id),
        ("job_id", Some(fields.job_id)),
        ("output", fields.output),
        ("owner_user_id", fields.owner_user_id),
        ("progress_percent", Some(fields.progress_percent)),
        ("status", Some(status)),
        ("timestamp", Some(fields.timestamp)),
        ("total_clips", count(fields.total_clips)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{WebhookView, build};
    use crate::profile::BodyShape;

    const JOB: JobView<'_> = JobView {
        event_type: "job.completed",
        timestamp_ms: 1_736_937_480_000,
        job_id: "abc-123-def-456",
        external_job_id: Some("user-submitted-id"),
        owner_user_id: Some("user_789"),
        status: "completed",
        progress_percent: 100.0,
        current_step: "Processing complete!",
        clips_completed: 5,
        total_clips: 5,
        error: None,
        output: Some(br#"{"total_clips":5,"clips":[{"virality_score":0.920,"clip_index":0}]}"#),
    };

    fn shown(job: &JobView<'_>) -> String {
        String::from_utf8(report(job).unwrap()).unwrap()
    }

    fn from_data(event_type: &str, data: &str) -> Result<String, Unrepresentable> {
        let data = data.as_bytes();
        let event = EventView { id: "evt_1", event_type, timestamp_ms: 1_736_937_480_000, data };
        let webhook = WebhookView { id: "wh_1", name: None };
        let body = build(BodyShape::ViewCreator, &event, &webhook, 1)?;
        Ok(String::from_utf8(body.into_owned()).unwrap())
    }

    #[test]
    fn a_job_that_is_done() {
        assert_eq!(
            shown(&JOB),
            r#"{"clips_completed":5,"current_step":"Processing complete!","event":"job.completed","external_job_id":"user-submitted-id","job_id":"abc-123-def-456","output":{"clips":[{"clip_index":0,"virality_score":0.92}],"total_clips":5},"owner_user_id":"user_789","progress_percent":100,"status":"completed","timestamp":"2025-01-15T10:38:00.000Z","total_clips":5}"#
        );
    }

    #[test]
    fn what_there_is_nothing_to_say_of_is_left_out() {
        let bare = JobView {
            external_job_id: None,
            owner_user_id: Some(""),
            clips_completed: 0,
            total_clips: 0,
            output: None,
            ..JOB
        };
        let body = shown(&bare);
        for name in ["external_job_id", "owner_user_id", "clips", "error", "output"] {
            assert!(!body.contains(name), "{name}: {body}");
        }
        let begun = shown(&JobView { total_clips: 3, ..bare });
        assert!(begun.contains(r#""clips_completed":0"#) && begun.contains(r#""total_clips":3"#));
    }

    #[test]
    fn what_was_cancelled_or_timed_out_has_failed() {
        for (event_type, status, error) in [
            ("job.cancelled", "cancelled", "Job cancelled"),
            ("job.timeout", "timeout", "Job timed out"),
        ] {
            let body = shown(&JobView { event_type, status, error: Some("other"), ..JOB });
            assert!(body.contains(r#""event":"job.failed""#), "{body}");
            assert!(body.contains(r#""status":"failed""#), "{body}");
            assert!(body.contains(&format!(r#""error":"{error}""#)), "{body}");
        }
    }

    #[test]
    fn a_body_as_data_stays_as_it_is() {
        let failed = JobView { status: "failed", error: Some("Video is private"), ..JOB };
        let bare = JobView { clips_completed: 0, total_clips: 0, current_step: "", ..JOB };
        for job in [JOB, failed, bare] {
            let body = shown(&job);
            assert_eq!(from_data(job.event_type, &body).unwrap(), body);
        }
    }

    #[test]
    fn the_data_of_job_events_will_do() {
        let data = r#"{"job_id":"job_1","job_type":"clip","job_status":"cancelled","priority":2,
            "progress":12.50,"current_step":"Rendering","result":{"b":1,"a":[]},"worker_id":"w"}"#;
        assert_eq!(
            from_data("job.cancelled", data).unwrap(),
            r#"{"current_step":"Rendering","error":"Job cancelled","event":"job.failed","job_id":"job_1","output":{"a":[],"b":1},"progress_percent":12.5,"status":"failed","timestamp":"2025-01-15T10:38:00.000Z"}"#
        );
    }

    #[test]
    fn what_is_missing_is_pointed_at() {
        for (data, pointer, why) in [
            ("7", "/data", Why::Not("an object")),
            ("{}", "/data/job_id", Why::Missing),
            (r#"{"job_id":7}"#, "/data/job_id", Why::Not("a text")),
            (r#"{"job_id":"j","job_status":1}"#, "/data/job_status", Why::Not("a text")),
            (r#"{"job_id":"j","status":"failed"}"#, "/data/progress_percent", Why::Missing),
            (
                r#"{"job_id":"j","status":"s","progress":"1"}"#,
                "/data/progress",
                Why::Not("a number"),
            ),
            (r#"{"job_id":"j","status":"s","progress":1}"#, "/data/current_step", Why::Missing),
            (r#"{"output":[9007199254740993]}"#, "/data/output/0", Why::InexactInteger),
        ] {
            let error = from_data("job.progress", data).unwrap_err();
            assert_eq!((error.pointer.as_str(), error.why), (pointer, why), "{data}");
        }
        let error = report(&JobView { progress_percent: f64::NAN, ..JOB }).unwrap_err();
        assert_eq!(error.pointer, "/progress_percent");
        let error = report(&JobView { output: Some(b"[1e400]"), ..JOB }).unwrap_err();
        assert_eq!(error.pointer, "/output/0");
    }
}
