//! `PATCH /api/webhooks/:id`: like PUT, and null means back to the default.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::create::WebhookFields;
use super::fields::Mode;
use super::update::apply;
use super::view::WebhookView;
use crate::api::App;
use crate::api::auth::Caller;
use crate::api::body::JsonBody;
use crate::api::envelope::Envelope;
use crate::api::path::PathText;
use crate::api::problem::{ProblemBody, Result};

/// Change a webhook; null sets a field back to its default.
///
/// What is left out stays, also within `filters`, `retry_config` and `rate_limit`, where null drops one
/// filter or sets one value back: `{"filters": {"job_types": null}}`. Lists, `headers` and
/// `custom_filters` are replaced whole.
#[utoipa::path(
    patch, path = "/api/webhooks/{id}", tag = "webhooks", operation_id = "patch_webhook",
    params(("id" = String, Path, description = "wh_…")),
    request_body = WebhookFields,
    responses(
        (status = 200, body = Envelope<WebhookView>),
        (status = 404, description = "No such webhook"),
        (status = 409, description = "It is at another revision by now"),
        (status = 422, body = ProblemBody),
    )
)]
pub async fn patch_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    apply(app, caller, &id, body, Mode::Patch).await
}
