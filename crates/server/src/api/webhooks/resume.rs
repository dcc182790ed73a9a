//! `POST /api/webhooks/:id/resume`: what waited is delivered.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::webhook::Webhook;

use super::view::WebhookView;
use super::{parse_id, write};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, Envelope};
use crate::api::path::PathText;
use crate::api::problem::Result;

/// Resume a webhook.
///
/// What waited is delivered now, oldest first. What was never planned, because it was inactive, stays
/// so.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/resume", tag = "webhooks", operation_id = "resume_webhook",
    params(("id" = String, Path, description = "wh_…")),
    responses(
        (status = 200, body = Envelope<WebhookView>),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn resume_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Response> {
    caller.require(Scope::WebhooksWrite)?;
    let decide = |_: &App, current: &Webhook| Ok(Webhook { paused: false, ..current.clone() });
    let webhook = write::change(Arc::clone(&app), caller.tenant, parse_id(&id)?, decide).await?;
    Ok(envelope::answer(StatusCode::OK, WebhookView::from(webhook.as_ref()), app.clock.now()))
}
