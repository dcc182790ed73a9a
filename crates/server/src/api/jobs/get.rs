//! `GET /api/jobs/{id}`: one job.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::value::RawValue;
use tidings_core::id::kind;

use super::view::JobView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::path::PathId;
use crate::api::problem::{Problem, Result};

/// Read a job, with its input.
#[utoipa::path(
    get, path = "/api/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = envelope::Envelope<JobView>))
)]
pub async fn get_job(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Job>,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let record = app.store.job(caller.tenant, id).await?;
    let record = record.ok_or_else(|| Problem::not_found("the job was"))?;
    let input = app.store.job_input(caller.tenant, id).await?;
    let input = input.and_then(|json| RawValue::from_string(json).ok());
    let view = JobView { input, ..record.job.into() };
    Ok(envelope::answer(StatusCode::OK, view, app.clock.now()))
}
