//! `GET /api/executions`: search, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidings_core::executions::Outcome;
use tidings_store::sources::executions::ExecutionFilter;

use super::view::ExecutionView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::page::{ListQuery, cut};
use crate::api::problem::{Problem, Result};

/// List executions, newest first.
#[utoipa::path(
    get, path = "/api/executions", tag = "jobs", operation_id = "list_executions",
    params(
        ("outcome" = Option<String>, Query, description = "`none` (under way), `completed`, `failed` or `partial`"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<ExecutionView>))
)]
pub async fn list_executions(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["outcome"])?;
    let limit = query.limit()?;
    let filter = ExecutionFilter {
        outcome: query.get("outcome").map(outcome).transpose()?,
        before: query.cursor()?,
        limit: limit + 1,
    };
    let records = app.store.executions(caller.tenant, &filter).await?;
    let (records, next) = cut(records, limit, |record| record.execution.id.to_string());
    let views: Vec<ExecutionView> = records.into_iter().map(ExecutionView::from).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}

fn outcome(text: &str) -> Result<Option<Outcome>> {
    match text {
        "none" => Ok(None),
        "completed" => Ok(Some(Outcome::Completed)),
        "failed" => Ok(Some(Outcome::Failed)),
        "partial" => Ok(Some(Outcome::Partial)),
        _ => Err(Problem::invalid_field("outcome", "must be none, completed, failed or partial")),
    }
}
