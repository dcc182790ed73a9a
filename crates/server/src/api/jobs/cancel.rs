//! `POST /api/jobs/{id}/cancel`: nobody needs it any more.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::id::kind;
use tidings_core::jobs::{Job, Report, Status};

use super::view::JobView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::no_fields::NoFields;
use crate::api::path::PathId;
use crate::api::problem::Result;
use crate::sources::jobs::change;

/// Cancel a job.
///
/// The same as a report of the status `cancelled`. Whoever works on it hears of it by `job.cancelled`.
#[utoipa::path(
    post, path = "/api/jobs/{id}/cancel", tag = "jobs", operation_id = "cancel_job",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, body = envelope::Envelope<JobView>),
        (status = 409, description = "It has ended already"),
    )
)]
pub async fn cancel_job(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Job>,
    _: NoFields,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let _turn = app.turns.of(id).await;
    let decide = |job: &Job, now| job.report(Report::of(Status::Cancelled), now);
    let job = change(&app.parts, caller.tenant, id, decide).await?;
    Ok(envelope::answer(StatusCode::OK, JobView::from(job), app.clock.now()))
}
