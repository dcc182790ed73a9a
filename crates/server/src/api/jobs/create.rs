//! `POST /api/jobs`: submit.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tidings_core::id::JobId;
use tidings_core::jobs::Job;
use tidings_store::ChangeKey;

use super::fields;
use super::view::JobView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::form::Form;
use crate::api::idempotency::IdempotencyHeader;
use crate::api::problem::{Problem, ProblemBody, Result};
use crate::sources::jobs::submit;

/// A job to submit.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read_job` takes apart")]
pub struct NewJob {
    #[schema(example = "comfyui")]
    job_type: String,
    priority: Option<i64>,
    machine_id: Option<String>,
    worker_id: Option<String>,
    /// Is told of its start, its progress and its end, in the form of the `viewcreator` profile.
    callback_url: Option<String>,
    /// Signs what goes to `callback_url`; else the setting `callback_secret` does, if there is one.
    callback_secret: Option<String>,
    /// Your own id of it.
    external_job_id: Option<String>,
    owner_user_id: Option<String>,
    /// 100 ms to 30 days, from now: a job that has not ended by then ends as `timeout`.
    timeout_ms: Option<i64>,
    /// Between two deliveries of its progress to one place: 0 (each is delivered) to an hour. Default:
    /// 5,000.
    progress_interval_ms: Option<u32>,
    /// What it works on: any JSON.
    input: Option<serde_json::Value>,
}

/// A submitted job: its id beside its data.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SubmittedJob {
    /// Always true.
    success: bool,
    job_id: String,
    data: JobView,
    /// RFC 3339.
    timestamp: String,
}

/// Submit a job.
///
/// Tells `job.submitted`. 202 means that the job and what is owed for it are on disk.
#[utoipa::path(
    post, path = "/api/jobs", tag = "jobs", operation_id = "submit_job",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body = NewJob,
    responses(
        (status = 202, body = SubmittedJob),
        (status = 409, description = "The key was used for something else"),
        (status = 422, body = ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn submit_job(
    State(app): State<Arc<App>>,
    caller: Caller,
    header: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let now = app.clock.now();
    let key = header.key("POST /api/jobs", &body)?;
    let mut form = Form::parse(&body)?;
    let mut job = Job::new(app.ids.next(now), caller.tenant, String::new(), now);
    let submission = fields::read_job(&mut form, &app, &mut job);
    form.finish()?;
    let ids = vec![job.id.as_i64()];
    let key = key.map(|key| ChangeKey { tenant: caller.tenant, key, ids });
    // A job keeps the secret with which it was submitted.
    let secret = submission.secret.as_deref().or(app.settings.callback_secret.as_deref());
    let secret = secret.filter(|_| job.callback_url.is_some());
    let input = submission.input.map(serde_json::value::RawValue::get);
    match submit(&app.parts, &job, input, secret, key).await?.replayed {
        None => Ok(answer(&app, job)),
        Some(ids) => {
            let first = ids.first().copied().map(JobId::from_i64).unwrap_or(job.id);
            let record = app.store.job(caller.tenant, first).await?;
            let record =
                record.ok_or_else(|| Problem::not_found("the job that this key made was"))?;
            let mut response = answer(&app, record.job);
            let replayed = HeaderValue::from_static("true");
            response.headers_mut().insert("idempotent-replayed", replayed);
            Ok(response)
        }
    }
}

fn answer(app: &App, job: Job) -> Response {
    let submitted = SubmittedJob {
        success: true,
        job_id: job.id.to_string(),
        data: job.into(),
        timestamp: app.clock.now().to_rfc3339(),
    };
    envelope::json(StatusCode::ACCEPTED, &submitted)
}
