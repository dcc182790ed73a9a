//! `POST /api/webhooks/:id/test`: one real attempt, now.
//!
//! It goes past the queue: it is not retried, not counted, judges no health, and waits for nobody. A
//! paused or inactive webhook can be tested.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use tidings_core::id::DeliveryId;
use tidings_core::outcome::{FailureKind, Outcome};
use tidings_wire::body::WebhookView as WireWebhook;
use tidings_wire::request::DeliveryView as WireDelivery;
use tidings_wire::sample;

use super::find;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, Envelope};
use crate::api::no_fields::NoFields;
use crate::api::path::PathText;
use crate::api::problem::Result;
use crate::clock;
use crate::engine::attempt::{Shape, request};
use crate::registry::Outgoing;
use crate::sender::Sent;

/// What the receiver said.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TestResult {
    /// Whether it answered with 2xx.
    success: bool,
    /// Null when there was no answer.
    response: Option<TestResponse>,
    /// Null on success.
    #[schema(example = "HTTP 500: Internal Server Error")]
    error: Option<String>,
    /// `network`, `timeout`, `tls`, `dns`, `blocked` or `http`.
    error_type: Option<&'static str>,
    duration_ms: u32,
}

/// Its answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TestResponse {
    status: u16,
    #[serde(rename = "statusText")]
    status_text: &'static str,
    /// At most 1,000 characters.
    body: String,
}

/// Send a test delivery.
///
/// The answer is 200 whatever the receiver said.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/test", tag = "webhooks", operation_id = "test_webhook",
    params(("id" = String, Path, description = "wh_…")),
    responses(
        (status = 200, body = Envelope<TestResult>),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn test_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    _: NoFields,
) -> Result<Response> {
    caller.require(Scope::WebhooksWrite)?;
    let outgoing = find(&app, caller.tenant, &id).await?;
    let sent = attempt(&app, &outgoing).await;
    Ok(envelope::answer(StatusCode::OK, TestResult::from(sent), app.clock.now()))
}

async fn attempt(app: &App, outgoing: &Outgoing) -> Sent {
    let unsent = |outcome| Sent { outcome, duration_ms: 0 };
    let Some(target) = &outgoing.target else {
        return unsent(Outcome::failed(FailureKind::Blocked, "address not allowed"));
    };
    let now = app.clock.now();
    let shaped = Shape::of(&outgoing.webhook, &outgoing.profile);
    let webhook = WireWebhook { id: &outgoing.public_id, name: shaped.name.as_deref() };
    let event_id = sample::event_id(now.as_millis(), clock::random());
    let sample = sample::sample(shaped.shape, &webhook, &event_id, now.as_millis());
    let delivery_id: DeliveryId = app.ids.next(now);
    let delivery_id = delivery_id.to_string();
    let delivery = WireDelivery {
        event_type: sample.event_type,
        event_id: &event_id,
        event_ms: now.as_millis(),
        webhook_id: &outgoing.public_id,
        delivery_id: &delivery_id,
        created_ms: now.as_millis(),
        is_test: true,
    };
    match request(outgoing, &shaped, delivery, Bytes::from(sample.body), target, now) {
        Ok((request, _signature)) => app.parts.sender.send(&request).await,
        Err(outcome) => unsent(outcome),
    }
}

impl From<Sent> for TestResult {
    fn from(sent: Sent) -> Self {
        let outcome = sent.outcome;
        let (error, error_type) = (outcome.error_message(), outcome.error_type());
        let success = outcome.is_success();
        let response = match outcome {
            Outcome::Answered(answer) => Some(TestResponse {
                status: answer.status,
                status_text: answer.reason(),
                body: answer.body,
            }),
            Outcome::Failed(_) => None,
        };
        Self { success, response, error, error_type, duration_ms: sent.duration_ms }
    }
}
