//! `POST /api/webhooks`: register.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tidings_core::direct::origin;
use tidings_core::id::WebhookId;
use tidings_core::time::Timestamp;
use tidings_core::webhook::Webhook;
use tidings_store::ChangeKey;

use super::fields::{self, Mode};
use super::secret::ShownSecret;
use super::view::WebhookView;
use super::write;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope::{self, Envelope};
use crate::api::form::Form;
use crate::api::idempotency::IdempotencyHeader;
use crate::api::problem::{Problem, ProblemBody, Result};
use crate::registry::Outgoing;

/// What a webhook's owner sets. Creation needs `url` and `events`.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `fields` takes apart")]
pub struct WebhookFields {
    /// `https://…`; `http://` where the settings allow it.
    #[schema(example = "https://api.example.com/webhooks/jobs")]
    url: String,
    /// 1 to 100 of `job.completed`, `job.*`, `*`.
    #[schema(example = json!(["job.submitted", "job.completed", "job.failed"]))]
    events: Vec<String>,
    /// 1 to 255 characters.
    name: Option<String>,
    /// 1 to 255 bytes of text, or `whsec_` and base64 of 24 to 64 bytes. Made up when the profile
    /// needs one and none is given. For Standard Webhooks also an Ed25519 key, `whsk_` and base64 of
    /// 32 or 64 bytes, or both, `whsec_… whsk_…`.
    secret: Option<String>,
    /// `job_types`, `job_priorities`, `machine_ids`, `worker_ids` (lists; `*` stands for any
    /// characters) and `custom_filters` (path into the data → value, list of values, or tests such as
    /// `{"$gt": 5}`). All that are given must match.
    #[schema(value_type = Object)]
    filters: Option<serde_json::Value>,
    /// Names and values of further headers; at most 30. They never override ours.
    headers: Option<std::collections::HashMap<String, String>>,
    /// One of `GET /api/profiles`. Those of one source take no other events: `viewcreator` takes
    /// `job.*`, `openvideo` `execution.*`, `lead` `lead.*`.
    profile: Option<String>,
    /// `standard`, `raw`, `cloudevents` or `cloudevents-binary`, instead of the profile's own, unless
    /// that one is built.
    body: Option<String>,
    /// `max_attempts`, `strategy`, `initial_delay_ms`, `backoff_multiplier`, `max_delay_ms`,
    /// `jitter`, `schedule_ms`. What is left out is the profile's.
    #[schema(value_type = Object)]
    retry_config: Option<serde_json::Value>,
    /// The same as `maxAttempts`, `backoffStrategy`, `initialDelay`, `maxDelay`.
    #[schema(value_type = Object)]
    #[serde(rename = "retryPolicy")]
    retry_policy: Option<serde_json::Value>,
    /// `{"max": 10, "per_ms": 1000}`, evenly spaced.
    rate_limit: Option<super::view::RateLimitView>,
    /// 1 to 1,000 attempts in flight.
    max_concurrency: Option<u32>,
    timeout_ms: Option<u32>,
    /// Events with one ordering key one after the other.
    ordered: Option<bool>,
    /// Between two deliveries of the progress of one job, 0 (each is delivered) to an hour. Default: as
    /// the job says, else 5,000.
    progress_interval_ms: Option<u32>,
    active: Option<bool>,
}

/// A webhook as its creation answers: the one time that it shows the secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CreatedWebhook {
    #[serde(flatten)]
    webhook: WebhookView,
    #[serde(flatten)]
    secret: ShownSecret,
}

/// Register a webhook.
///
/// From the answer on, every event that it wants is delivered to it. The secret is shown this once.
#[utoipa::path(
    post, path = "/api/webhooks", tag = "webhooks", operation_id = "create_webhook",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body = WebhookFields,
    responses(
        (status = 201, body = Envelope<CreatedWebhook>),
        (status = 409, description = "The key was used for something else"),
        (status = 422, body = ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn create_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    header: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::WebhooksWrite)?;
    let now = app.clock.now();
    let key = header.key("POST /api/webhooks", &body)?;
    let mut form = Form::parse(&body)?;
    let profile = &app.settings.default_profile;
    let mut webhook = Webhook::new(app.ids.next(now), caller.tenant, profile, now);
    fields::read(&mut form, &app, Mode::Create, &mut webhook);
    form.finish()?;
    webhook.inactive_since = (!webhook.active).then_some(now);
    let ids = vec![webhook.id.as_i64()];
    let key = key.map(|key| ChangeKey { tenant: caller.tenant, key, ids });
    match write::create(Arc::clone(&app), webhook, key).await? {
        Ok(outgoing) => {
            let (id, url) = (outgoing.webhook.id, origin(&outgoing.webhook.url));
            tracing::info!(webhook = %id, url, "webhook registered");
            Ok(answer(&outgoing, now))
        }
        Err(ids) => replay(&app, &caller, &ids, now),
    }
}

fn answer(outgoing: &Outgoing, now: Timestamp) -> Response {
    let secret = ShownSecret::of(&outgoing.webhook, &outgoing.profile);
    let created = CreatedWebhook { webhook: outgoing.into(), secret };
    envelope::answer(StatusCode::CREATED, created, now)
}

/// The answer again, as the webhook stands now.
fn replay(app: &App, caller: &Caller, ids: &[i64], now: Timestamp) -> Result<Response> {
    let id = ids.first().copied().map(WebhookId::from_i64);
    let made = id.and_then(|id| app.registry.webhook(caller.tenant, id));
    let made = made.ok_or_else(|| Problem::not_found("the webhook that this key made was"))?;
    let mut response = answer(&made, now);
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}
