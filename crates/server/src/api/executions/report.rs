//! `POST /api/executions/{id}/jobs/{job_id}`: what became of a job.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::id::ExecutionId;

use super::fields::read_report;
use super::view::ExecutionView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::form::Form;
use crate::api::problem::{Problem, ProblemBody, Result};
use crate::sources::executions::report;

/// What became of a job.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read_report` takes apart")]
pub struct ExecutionJobReport {
    /// `running`, `completed`, `failed` or `cancelled`.
    #[schema(example = "completed")]
    status: String,
    /// With the end: any JSON. Its `url` goes into the webhook.
    result: Option<serde_json::Value>,
    error: Option<String>,
}

/// An execution after a report.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReportedExecution {
    /// The names of the jobs that may be run now.
    runnable: Vec<String>,
    #[serde(flatten)]
    execution: ExecutionView,
}

/// Report a job of an execution.
///
/// A job that fails, or is cancelled, takes along what waits for it. The same report again changes
/// nothing.
#[utoipa::path(
    post, path = "/api/executions/{id}/jobs/{job_id}", tag = "jobs",
    operation_id = "report_execution_job",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("job_id" = String, Path, description = "The job's name in the plan"),
    ),
    request_body = ExecutionJobReport,
    responses(
        (status = 200, body = envelope::Envelope<ReportedExecution>),
        (status = 409, description = "It has ended otherwise, or what it waits for is not completed"),
        (status = 422, body = ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn report_execution_job(
    State(app): State<Arc<App>>,
    caller: Caller,
    path: std::result::Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let nothing = || Problem::not_found("what this address names was");
    let Path((id, job_id)) = path.map_err(|_| nothing())?;
    let id: ExecutionId = id.parse().map_err(|_| nothing())?;
    let mut form = Form::parse(&body)?;
    let taken = read_report(&mut form);
    form.finish()?;
    let (said, result) = taken.ok_or_else(|| Problem::invalid_field("/status", "is required"))?;
    let result = result.map(serde_json::value::RawValue::get);
    let turn = app.turns.of(id).await;
    report(&app.parts, caller.tenant, id, &job_id, &said, result).await?;
    drop(turn);
    let record = app.store.execution(caller.tenant, id).await?;
    let view = ExecutionView::from(record.ok_or_else(nothing)?);
    let view = ReportedExecution { runnable: view.runnable(), execution: view };
    Ok(envelope::answer(StatusCode::OK, view, app.clock.now()))
}
