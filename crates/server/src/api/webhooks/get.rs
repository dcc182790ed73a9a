//! `GET /api/webhooks/:id`: read one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::find;
use super::view::WebhookView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, Envelope};
use crate::api::path::PathText;
use crate::api::problem::Result;

/// Read a webhook.
#[utoipa::path(
    get, path = "/api/webhooks/{id}", tag = "webhooks", operation_id = "get_webhook",
    params(("id" = String, Path, description = "wh_…")),
    responses(
        (status = 200, body = Envelope<WebhookView>),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn get_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let webhook = find(&app, caller.tenant, &id).await?;
    Ok(envelope::answer(StatusCode::OK, WebhookView::from(webhook.as_ref()), app.clock.now()))
}
