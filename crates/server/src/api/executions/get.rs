//! `GET /api/executions/{id}`: one execution.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::id::kind;

use super::view::ExecutionView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::path::PathId;
use crate::api::problem::{Problem, Result};

/// Read an execution, with the results of its jobs.
#[utoipa::path(
    get, path = "/api/executions/{id}", tag = "jobs", operation_id = "get_execution",
    params(("id" = String, Path, description = "The execution's id")),
    responses((status = 200, body = envelope::Envelope<ExecutionView>))
)]
pub async fn get_execution(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Execution>,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let record = app.store.execution(caller.tenant, id).await?;
    let record = record.ok_or_else(|| Problem::not_found("the execution was"))?;
    let root = record.execution.root();
    let mut view = ExecutionView::from(record);
    view.add_results(app.store.execution_results(id).await?, root);
    Ok(envelope::answer(StatusCode::OK, view, app.clock.now()))
}
