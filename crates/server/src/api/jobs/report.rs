//! `PATCH /api/jobs/{id}`: what its worker says of it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::id::kind;

use super::fields::read_report;
use super::view::JobView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::form::Form;
use crate::api::path::PathId;
use crate::api::problem::{ProblemBody, Result};
use crate::sources::jobs::change;

/// A report. What is left out stays as it is.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read_report` takes apart")]
pub struct JobReport {
    /// `assigned`, `running`, `completed`, `failed`, `cancelled` or `timeout`; or a stage of a running
    /// job: `downloading`, `transcribing`, `planning`, `detecting`, `rendering`, `uploading`. Any may be
    /// skipped, none comes back, and the end is final.
    #[schema(example = "rendering")]
    status: Option<String>,
    /// 0 to 100. Progress of a job that is not running yet starts it.
    progress_percent: Option<f64>,
    /// For people.
    current_step: Option<String>,
    clips_completed: Option<u64>,
    total_clips: Option<u64>,
    /// A job that waits is `assigned` by it.
    worker_id: Option<String>,
    machine_id: Option<String>,
    error: Option<String>,
    /// What it made: any JSON.
    output: Option<serde_json::Value>,
    /// Further fields for this event and those that follow.
    #[schema(value_type = Object)]
    data: Option<serde_json::Value>,
}

/// Report on a job.
///
/// Another status is told by its event (`job.started`, `job.completed`, …) and `job.status_changed`;
/// anything else of a running job by `job.progress`, of which each receiver gets the latest at most once
/// in the job's interval.
#[utoipa::path(
    patch, path = "/api/jobs/{id}", tag = "jobs", operation_id = "report_job",
    params(("id" = String, Path, description = "The job's id")),
    request_body = JobReport,
    responses(
        (status = 200, body = envelope::Envelope<JobView>),
        (status = 409, description = "It has ended, or it would go back: the detail says which"),
        (status = 422, body = ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn report_job(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Job>,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let mut form = Form::parse(&body)?;
    let report = read_report(&mut form);
    form.finish()?;
    let _turn = app.turns.of(id).await;
    let decide = |job: &tidings_core::jobs::Job, now| job.report(report.clone(), now);
    let job = change(&app.parts, caller.tenant, id, decide).await?;
    Ok(envelope::answer(StatusCode::OK, JobView::from(job), app.clock.now()))
}
