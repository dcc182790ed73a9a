//! The bodies of POST and PATCH, taken apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Number;
use serde_json::value::RawValue;
use tidings_core::jobs::{Job, Report, Reported, Stage, Status, is_own_field};
use tidings_core::limits::{
    JOB_DATA_FIELDS_MAX, JOB_ERROR_CHARS_MAX, JOB_NAME_BYTES_MAX, JOB_STEP_CHARS_MAX,
    JOB_TIMEOUT_MS_MAX, JOB_TIMEOUT_MS_MIN, PROGRESS_INTERVAL_MS_MAX,
};
use tidings_wire::secret::Secret;

use crate::api::App;
use crate::api::form::{Form, Given};

/// A whole number that JSON of JavaScript holds exactly.
const EXACT_MAX: i64 = (1 << 53) - 1;

/// What a submission brings besides the job.
pub struct Submission<'a> {
    pub secret: Option<Cow<'a, str>>,
    /// JSON, as it was given.
    pub input: Option<&'a RawValue>,
}

/// Reads what a submission says into a new job.
pub fn read_job<'a>(form: &mut Form<'a>, app: &App, job: &mut Job) -> Submission<'a> {
    if form.required_text("job_type").is_some() {
        job.job_type = name(form, "job_type").unwrap_or_default();
    }
    job.priority = form.integer("priority", -EXACT_MAX, EXACT_MAX).value();
    job.machine_id = name(form, "machine_id");
    job.worker_id = name(form, "worker_id");
    job.external_job_id = name(form, "external_job_id");
    job.owner_user_id = name(form, "owner_user_id");
    job.timeout_ms = form.integer("timeout_ms", JOB_TIMEOUT_MS_MIN, JOB_TIMEOUT_MS_MAX).value();
    let interval = form.integer("progress_interval_ms", 0, i64::from(PROGRESS_INTERVAL_MS_MAX));
    job.progress_interval_ms = interval.value().and_then(|ms| u32::try_from(ms).ok());
    job.callback_url = url(form, app, "callback_url");
    let secret = secret(form, "callback_secret");
    if secret.is_some() && job.callback_url.is_none() {
        form.refuse("callback_secret", "goes with `callback_url`, which is missing");
    }
    Submission { secret, input: form.raw("input").value() }
}

/// A URL that deliveries may go to, normalised.
pub(in crate::api) fn url(form: &mut Form<'_>, app: &App, field: &'static str) -> Option<String> {
    let url = form.text(field).value()?;
    match app.registry.egress().parse_url(&url) {
        Ok(to) => Some(format!("{}://{}{}", to.scheme, to.authority, to.path_and_query)),
        Err(error) => {
            form.refuse(field, error.detail);
            None
        }
    }
}

/// A secret that can sign.
pub(in crate::api) fn secret<'a>(form: &mut Form<'a>, field: &'static str) -> Option<Cow<'a, str>> {
    let secret = form.text(field).value()?;
    if let Err(error) = Secret::parse(&secret) {
        form.refuse(field, error.to_string());
    }
    Some(secret)
}

fn name(form: &mut Form<'_>, field: &'static str) -> Option<String> {
    let name = form.text(field).value()?;
    if !(1..=JOB_NAME_BYTES_MAX).contains(&name.len()) {
        form.refuse(field, format!("must have 1 to {JOB_NAME_BYTES_MAX} bytes"));
    }
    Some(name.into_owned())
}

fn text(form: &mut Form<'_>, field: &'static str, most: usize) -> Option<String> {
    let text = form.text(field).value()?;
    if text.is_empty() || text.chars().count() > most {
        form.refuse(field, format!("must have 1 to {most} characters"));
    }
    Some(text.into_owned())
}

/// Reads a report. One that says nothing at all is refused.
pub fn read_report(form: &mut Form<'_>) -> Report {
    if form.members().next().is_none() {
        form.refuse_whole("says nothing; give at least one field");
    }
    let count = |form: &mut Form<'_>, field| {
        form.integer(field, 0, EXACT_MAX).value().map(i64::unsigned_abs)
    };
    Report {
        status: status(form),
        progress_percent: progress(form),
        current_step: text(form, "current_step", JOB_STEP_CHARS_MAX),
        clips_completed: count(form, "clips_completed"),
        total_clips: count(form, "total_clips"),
        worker_id: name(form, "worker_id"),
        machine_id: name(form, "machine_id"),
        error: text(form, "error", JOB_ERROR_CHARS_MAX),
        output: form.raw("output").value().map(ToOwned::to_owned),
        data: data(form),
    }
}

fn status(form: &mut Form<'_>) -> Option<Reported> {
    let text = form.text("status").value()?;
    let status = Reported::parse(&text);
    if status.is_none() {
        let statuses = Status::ALL.map(Status::as_str).join("`, `");
        let stages = Stage::ALL.map(Stage::as_str).join("`, `");
        form.refuse("status", format!("must be `{statuses}`, or a stage: `{stages}`"));
    }
    status
}

fn progress(form: &mut Form<'_>) -> Option<Number> {
    let range = "a number from 0 to 100";
    let progress: Number = form.parsed("progress_percent", range).value()?;
    if !progress.as_f64().is_some_and(|percent| (0.0..=100.0).contains(&percent)) {
        form.refuse("progress_percent", format!("must be {range}"));
    }
    Some(progress)
}

fn data(form: &mut Form<'_>) -> BTreeMap<String, Box<RawValue>> {
    let Given::Value(mut below) = form.dictionary("data") else { return BTreeMap::new() };
    let entries = below.entries();
    if entries.len() > JOB_DATA_FIELDS_MAX {
        below.refuse_whole(format!("must have at most {JOB_DATA_FIELDS_MAX} fields"));
    }
    for (name, _) in &entries {
        if is_own_field(name) {
            below.refuse(name, "is a field that every event of a job has");
        } else if name.len() > JOB_NAME_BYTES_MAX {
            below.refuse(name, format!("must have a name of at most {JOB_NAME_BYTES_MAX} bytes"));
        }
    }
    form.absorb(below);
    entries.into_iter().map(|(name, raw)| (name, raw.to_owned())).collect()
}
