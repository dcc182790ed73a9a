//! `POST /api/webhooks/:id/pause`: its deliveries wait.

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
use crate::api::no_fields::NoFields;
use crate::api::path::PathText;
use crate::api::problem::Result;

/// Pause a webhook.
///
/// Its deliveries are planned and wait until it is resumed; nothing is lost.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/pause", tag = "webhooks", operation_id = "pause_webhook",
    params(("id" = String, Path, description = "wh_…")),
    responses(
        (status = 200, body = Envelope<WebhookView>),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn pause_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    _: NoFields,
) -> Result<Response> {
    caller.require(Scope::WebhooksWrite)?;
    let decide = |_: &App, current: &Webhook| Ok(Webhook { paused: true, ..current.clone() });
    let webhook = write::change(Arc::clone(&app), caller.tenant, parse_id(&id)?, decide).await?;
    Ok(envelope::answer(StatusCode::OK, WebhookView::from(webhook.as_ref()), app.clock.now()))
}
