//! `DELETE /api/webhooks/:id`: nothing more is sent to it.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::{parse_id, write};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::path::PathText;
use crate::api::problem::Result;

/// Delete a webhook.
///
/// What is queued for it ends as `failed`, `Endpoint not found or inactive`; its history stays.
#[utoipa::path(
    delete, path = "/api/webhooks/{id}", tag = "webhooks", operation_id = "delete_webhook",
    params(("id" = String, Path, description = "wh_…")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn delete_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<StatusCode> {
    caller.require(Scope::WebhooksWrite)?;
    let id = parse_id(&id)?;
    write::delete(app, caller.tenant, id).await?;
    tracing::info!(webhook = %id, "webhook deleted");
    Ok(StatusCode::NO_CONTENT)
}
