//! Plans and reports, taken apart.

use std::borrow::Cow;

use serde_json::value::RawValue;
use tidings_core::executions::{Execution, JobReport, JobStatus, PlannedJob};
use tidings_core::id::{ExecutionId, TenantId};
use tidings_core::limits::{
    EXECUTION_DEADLINE_MS_DEFAULT, EXECUTION_DEADLINE_MS_MAX, EXECUTION_DEPENDENCIES_MAX,
    EXECUTION_JOBS_MAX, JOB_ERROR_CHARS_MAX, RESULT_URL_BYTES_MAX,
};
use tidings_core::time::Timestamp;

use crate::api::App;
use crate::api::form::{Form, Given};
use crate::api::jobs;
use crate::api::problem::{FieldError, Problem, Result};

/// What to do when all is over.
#[derive(Default)]
pub struct Options<'a> {
    webhook_url: Option<String>,
    pub secret: Option<Cow<'a, str>>,
    deadline_ms: Option<i64>,
}

/// Reads a whole request: the execution, and the secret of its webhook.
pub fn read_execution<'a>(
    body: &'a [u8],
    app: &App,
    id: ExecutionId,
    tenant: TenantId,
    now: Timestamp,
) -> Result<(Execution, Options<'a>)> {
    let mut form = Form::parse(body)?;
    let plan = match form.object("executionPlan") {
        Given::Value(mut below) => {
            let jobs = read_jobs(&mut below);
            form.absorb(below);
            jobs
        }
        _ => {
            form.require("executionPlan");
            Vec::new()
        }
    };
    let options = match form.object("options") {
        Given::Value(mut below) => {
            let options = read_options(&mut below, app);
            form.absorb(below);
            options
        }
        _ => Options::default(),
    };
    form.finish()?;
    let deadline = now + options.deadline_ms.unwrap_or(EXECUTION_DEADLINE_MS_DEFAULT);
    let execution = Execution::new(id, tenant, plan, deadline, now).map_err(|errors| {
        let at = |error: tidings_core::executions::PlanError| FieldError {
            pointer: format!("/executionPlan/jobs{}", error.pointer),
            detail: error.detail,
        };
        Problem::invalid(errors.into_iter().map(at).collect())
    })?;
    let webhook_url = options.webhook_url.clone();
    Ok((Execution { webhook_url, ..execution }, options))
}

fn read_jobs(form: &mut Form<'_>) -> Vec<PlannedJob> {
    let Given::Value(list) = form.list("jobs", EXECUTION_JOBS_MAX) else {
        form.require("jobs");
        return Vec::new();
    };
    let mut jobs = Vec::with_capacity(list.len());
    for (n, raw) in list.into_iter().enumerate() {
        match Form::of(raw, format!("/executionPlan/jobs/{n}")) {
            Some(mut below) => {
                jobs.push(read_job(&mut below));
                form.absorb(below);
            }
            None => form.refuse_item("jobs", n, "must be an object"),
        }
    }
    jobs
}

fn read_job(form: &mut Form<'_>) -> PlannedJob {
    let text = |form: &mut Form<'_>, field| form.required_text(field).unwrap_or_default().into();
    PlannedJob {
        job_id: text(form, "jobId"),
        operation: text(form, "operation"),
        dependencies: read_dependencies(form),
    }
}

fn read_dependencies(form: &mut Form<'_>) -> Vec<String> {
    let given = form.parsed::<Vec<String>>("dependencies", "a list of names of jobs");
    let dependencies = given.value().unwrap_or_default();
    if dependencies.len() > EXECUTION_DEPENDENCIES_MAX {
        let detail = format!("must have at most {EXECUTION_DEPENDENCIES_MAX} names");
        form.refuse("dependencies", detail);
    }
    dependencies
}

fn read_options<'a>(form: &mut Form<'a>, app: &App) -> Options<'a> {
    let options = Options {
        webhook_url: jobs::fields::url(form, app, "webhookUrl"),
        secret: jobs::fields::secret(form, "webhookSecret"),
        deadline_ms: form.integer("deadlineMs", 100, EXECUTION_DEADLINE_MS_MAX).value(),
    };
    if options.secret.is_some() && options.webhook_url.is_none() {
        form.refuse("webhookSecret", "goes with `webhookUrl`, which is missing");
    }
    options
}

/// Reads what is reported of a job, and its result as it was given.
pub fn read_report<'a>(form: &mut Form<'a>) -> Option<(JobReport, Option<&'a RawValue>)> {
    let text = form.required_text("status")?;
    let told = [JobStatus::Running, JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];
    let status = JobStatus::parse(&text).filter(|status| told.contains(status));
    if status.is_none() {
        let names = told.map(JobStatus::as_str).join("`, `");
        form.refuse("status", format!("must be one of `{names}`"));
    }
    let result = form.raw("result").value();
    let error = form.text("error").value();
    if error.as_ref().is_some_and(|error| error.chars().count() > JOB_ERROR_CHARS_MAX) {
        form.refuse("error", format!("must have at most {JOB_ERROR_CHARS_MAX} characters"));
    }
    if result.is_some() && status.is_some_and(|status| !status.is_final()) {
        form.refuse("result", "goes with the end of a job");
    }
    let url = result.and_then(url_of);
    if url.as_ref().is_some_and(|url| url.len() > RESULT_URL_BYTES_MAX) {
        form.refuse("result", format!("must have a `url` of at most {RESULT_URL_BYTES_MAX} bytes"));
    }
    let error = error.map(Cow::into_owned);
    Some((JobReport { status: status?, url, error }, result))
}

/// The `url` of a result, if it has one.
fn url_of(result: &RawValue) -> Option<String> {
    let url = Form::of(result, String::new())?.text("url").value()?;
    (!url.is_empty()).then(|| url.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_a_url_by_its_name_only() {
        let of = |json: &str| url_of(serde_json::from_str(json).expect("JSON"));
        assert_eq!(
            of(r#"{"size":1,"url":"https://a.b/\u0063"}"#).as_deref(),
            Some("https://a.b/c")
        );
        for json in [r#"{"url":""}"#, r#"{"url":7}"#, r#"{"URL":"x"}"#, r#"["x"]"#, r#""x""#] {
            assert_eq!(of(json), None, "{json}");
        }
    }
}
