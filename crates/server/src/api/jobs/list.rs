//! `GET /api/jobs`: search, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidings_core::jobs::Status;
use tidings_store::sources::jobs::JobFilter;

use super::view::JobView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::page::{ListQuery, cut};
use crate::api::problem::{Problem, Result};

/// List jobs, newest first.
#[utoipa::path(
    get, path = "/api/jobs", tag = "jobs", operation_id = "list_jobs",
    params(
        ("status" = Option<String>, Query, description = "`pending`, `assigned`, `running`, `completed`, `failed`, `cancelled` or `timeout`"),
        ("job_type" = Option<String>, Query, description = "Only of this type"),
        ("external_job_id" = Option<String>, Query, description = "Only with this id of yours"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<JobView>))
)]
pub async fn list_jobs(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["status", "job_type", "external_job_id"])?;
    let status = query.get("status").map(|text| {
        let names = Status::ALL.map(Status::as_str).join(", ");
        let unknown = || Problem::invalid_field("status", format!("must be one of {names}"));
        Status::parse(text).ok_or_else(unknown)
    });
    let limit = query.limit()?;
    let filter = JobFilter {
        status: status.transpose()?,
        job_type: query.get("job_type").map(str::to_owned),
        external_id: query.get("external_job_id").map(str::to_owned),
        before: query.cursor()?,
        limit: limit + 1,
    };
    let jobs = app.store.jobs(caller.tenant, &filter).await?;
    let (jobs, next) = cut(jobs, limit, |job| job.id.to_string());
    let views: Vec<JobView> = jobs.into_iter().map(JobView::from).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}
