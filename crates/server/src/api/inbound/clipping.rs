//! The body of a clipping worker's webhook, taken apart field by field.
//!
//! Every field is of the type that the workers' receivers declare for it; what is not known is kept in
//! the event and not looked at. Beyond that only what a job's record cannot hold is refused.

use serde_json::Number;
use serde_json::value::RawValue;
use tidings_core::clipping::{ClippingReport, Output, Told, media};
use tidings_core::limits::{CLIPS_MAX, JOB_NAME_BYTES_MAX};

use crate::api::form::{Form, Given, parse_rfc3339, pointer};
use crate::api::problem::Result;

/// Beyond it a double is no exact count.
const COUNT_MAX: u64 = (1 << 53) - 1;

/// Reads a report; the addresses of its clips are moved to the CDN, if there is one.
pub fn read(body: &[u8], cdn: Option<&str>) -> Result<ClippingReport> {
    let mut form = Form::parse(body)?.open();
    let report = ClippingReport {
        told: Told::parse(&required_text(&mut form, "event")),
        timestamp: parse_rfc3339(&required_text(&mut form, "timestamp")),
        job_id: required_name(&mut form, "job_id"),
        external_job_id: name(&mut form, "external_job_id"),
        owner_user_id: name(&mut form, "owner_user_id"),
        status: required_text(&mut form, "status"),
        progress_percent: percent(&mut form),
        current_step: required_text(&mut form, "current_step"),
        clips_completed: count(&mut form, "clips_completed"),
        total_clips: count(&mut form, "total_clips"),
        error: text(&mut form, "error"),
        output: output(&mut form, cdn),
    };
    form.finish()?;
    Ok(report)
}

fn text(form: &mut Form<'_>, field: &'static str) -> Option<String> {
    form.text(field).value().map(Into::into)
}

fn required_text(form: &mut Form<'_>, field: &'static str) -> String {
    form.required_text(field).map(Into::into).unwrap_or_default()
}

/// An id; none of ours is longer.
fn name(form: &mut Form<'_>, field: &'static str) -> Option<String> {
    let name = text(form, field)?;
    if name.len() > JOB_NAME_BYTES_MAX {
        form.refuse(field, format!("must have at most {JOB_NAME_BYTES_MAX} bytes"));
    }
    Some(name)
}

fn required_name(form: &mut Form<'_>, field: &'static str) -> String {
    let name = name(form, field);
    if name.is_none() {
        form.require(field);
    }
    name.unwrap_or_default()
}

/// Any number that a double can hold.
fn number(form: &mut Form<'_>, field: &'static str) -> Option<Number> {
    form.parsed(field, "a number").value()
}

fn required_number(form: &mut Form<'_>, field: &'static str) -> Option<Number> {
    let number = number(form, field);
    if number.is_none() {
        form.require(field);
    }
    number
}

fn percent(form: &mut Form<'_>) -> Number {
    let percent = required_number(form, "progress_percent").unwrap_or_else(|| 0.into());
    if !percent.as_f64().is_some_and(|percent| (0.0..=100.0).contains(&percent)) {
        form.refuse("progress_percent", "must be a number from 0 to 100");
    }
    percent
}

/// How many; `5.0` is as good as `5`.
fn count(form: &mut Form<'_>, field: &'static str) -> Option<u64> {
    let number = number(form, field)?;
    let whole = number.as_u64().or_else(|| {
        let double = number.as_f64()?;
        (double.fract() == 0.0 && double >= 0.0).then_some(double as u64)
    });
    let count = whole.filter(|&count| count <= COUNT_MAX);
    if count.is_none() {
        form.refuse(field, "must be a whole number that is not negative");
    }
    count
}

fn output(form: &mut Form<'_>, cdn: Option<&str>) -> Option<Output> {
    let Given::Value(below) = form.object("output") else { return None };
    let mut below = below.open();
    for field in ["job_id", "source_video_url", "source_video_title", "created_at"] {
        below.required_text(field);
    }
    for field in ["source_video_duration_seconds", "processing_time_seconds"] {
        required_number(&mut below, field);
    }
    for field in ["transcript_url", "plan_url"] {
        below.text(field);
    }
    let total_clips = count(&mut below, "total_clips");
    if total_clips.is_none() {
        below.require("total_clips");
    }
    clips(&mut below);
    form.absorb(below);
    let json = form.raw("output").value()?;
    let json = cdn.map_or_else(|| json.to_owned(), |cdn| media::move_clips(json, cdn));
    Some(Output { json, total_clips: total_clips.unwrap_or_default() })
}

fn clips(output: &mut Form<'_>) {
    let Given::Value(clips) = output.parsed::<Vec<&RawValue>>("clips", "a list") else { return };
    if clips.len() > CLIPS_MAX {
        output.refuse("clips", format!("must have at most {CLIPS_MAX} elements"));
        return;
    }
    for (n, raw) in clips.into_iter().enumerate() {
        match Form::of(raw, pointer("/output/clips", &n.to_string())) {
            Some(clip) => {
                let mut clip = clip.open();
                judge_clip(&mut clip);
                output.absorb(clip);
            }
            None => output.refuse_item("clips", n, "must be an object"),
        }
    }
}

fn judge_clip(clip: &mut Form<'_>) {
    for field in ["clip_index", "duration_ms", "start_time_ms", "end_time_ms", "virality_score"] {
        required_number(clip, field);
    }
    for field in ["s3_url", "layout_type"] {
        clip.required_text(field);
    }
    clip.text("summary");
    clip.parsed::<Vec<String>>("tags", "a list of texts");
}
