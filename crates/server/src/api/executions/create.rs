//! `POST /api/execute`: run a plan.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tidings_core::id::ExecutionId;
use tidings_store::ChangeKey;
use tidings_store::sources::executions::ExecutionRecord;

use super::fields::read_execution;
use super::view::ExecutionView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::idempotency::IdempotencyHeader;
use crate::api::problem::{Problem, ProblemBody, Result};
use crate::sources::executions::submit;

/// What to run.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read_execution` takes apart")]
pub struct NewExecution {
    #[schema(rename = "executionPlan")]
    execution_plan: ExecutionPlan,
    options: Option<ExecutionOptions>,
}

/// A graph of jobs without cycles.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read_execution` takes apart")]
pub struct ExecutionPlan {
    /// 1 to 1,000.
    jobs: Vec<PlanJob>,
}

/// A job of a plan.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read_execution` takes apart")]
pub struct PlanJob {
    /// Its name in the plan, 1 to 128 bytes.
    #[schema(rename = "jobId", example = "trim-1")]
    job_id: String,
    /// What it does, for whoever runs it: 1 to 128 bytes.
    #[schema(example = "trim")]
    operation: String,
    /// The names of the jobs that it waits for.
    dependencies: Option<Vec<String>>,
}

/// What to do when all is over.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read_execution` takes apart")]
pub struct ExecutionOptions {
    /// Is told once when all is over, in the form of the `openvideo` profile.
    #[schema(rename = "webhookUrl")]
    webhook_url: Option<String>,
    /// Signs what it is told.
    #[schema(rename = "webhookSecret")]
    webhook_secret: Option<String>,
    /// 100 ms to 7 days, from now: what has not ended by then is cancelled. Default: 24 hours.
    #[schema(rename = "deadlineMs")]
    deadline_ms: Option<i64>,
}

/// An accepted execution: its id beside its data.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AcceptedExecution {
    /// Always true.
    success: bool,
    #[serde(rename = "executionId")]
    execution_id: String,
    data: ExecutionView,
    /// RFC 3339.
    timestamp: String,
}

/// Run a plan.
///
/// The jobs are run elsewhere: whoever runs them takes what is `runnable` and reports each. When all
/// have ended, or the deadline has passed, the webhook is owed, once.
#[utoipa::path(
    post, path = "/api/execute", tag = "jobs", operation_id = "execute",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body = NewExecution,
    responses(
        (status = 202, body = AcceptedExecution),
        (status = 409, description = "The key was used for something else"),
        (status = 422, body = ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn execute(
    State(app): State<Arc<App>>,
    caller: Caller,
    header: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let now = app.clock.now();
    let key = header.key("POST /api/execute", &body)?;
    let id: ExecutionId = app.ids.next(now);
    let (execution, options) = read_execution(&body, &app, id, caller.tenant, now)?;
    let ids = vec![id.as_i64()];
    let key = key.map(|key| ChangeKey { tenant: caller.tenant, key, ids });
    let made = submit(&app.parts, &execution, options.secret.as_deref(), key).await?;
    match made.replayed {
        None => {
            let record = ExecutionRecord { execution, secret: Vec::new(), webhook: None };
            Ok(answer(&app, record))
        }
        Some(ids) => {
            let first = ids.first().copied().map(ExecutionId::from_i64).unwrap_or(id);
            let record = app.store.execution(caller.tenant, first).await?;
            let gone = || Problem::not_found("the execution that this key made was");
            let mut response = answer(&app, record.ok_or_else(gone)?);
            let replayed = HeaderValue::from_static("true");
            response.headers_mut().insert("idempotent-replayed", replayed);
            Ok(response)
        }
    }
}

fn answer(app: &App, record: ExecutionRecord) -> Response {
    let data = ExecutionView::from(record);
    let accepted = AcceptedExecution {
        success: true,
        execution_id: data.execution_id.clone(),
        data,
        timestamp: app.clock.now().to_rfc3339(),
    };
    envelope::json(StatusCode::ACCEPTED, &accepted)
}
