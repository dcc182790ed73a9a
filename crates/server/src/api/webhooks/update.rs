//! `PUT /api/webhooks/:id`: change what is given and leave the rest.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use tidings_core::webhook::Webhook;

use super::create::WebhookFields;
use super::fields::{self, Mode};
use super::view::WebhookView;
use super::{parse_id, write};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope::{self, Envelope};
use crate::api::form::{Form, Given};
use crate::api::path::PathText;
use crate::api::problem::{Problem, ProblemBody, Result};

/// Change a webhook.
///
/// What is given replaces what was; what is left out stays, also within `filters`, `retry_config` and
/// `rate_limit`. Lists, `headers` and `custom_filters` are replaced whole. With `revision` it changes
/// only that revision.
#[utoipa::path(
    put, path = "/api/webhooks/{id}", tag = "webhooks", operation_id = "update_webhook",
    params(("id" = String, Path, description = "wh_…")),
    request_body = WebhookFields,
    responses(
        (status = 200, body = Envelope<WebhookView>),
        (status = 404, description = "No such webhook"),
        (status = 409, description = "It is at another revision by now"),
        (status = 422, body = ProblemBody),
    )
)]
pub async fn update_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    apply(app, caller, &id, body, Mode::Put).await
}

/// What PUT and PATCH have in common.
pub(super) async fn apply(
    app: Arc<App>,
    caller: Caller,
    id: &str,
    body: Bytes,
    mode: Mode,
) -> Result<Response> {
    caller.require(Scope::WebhooksWrite)?;
    let decide = move |app: &App, current: &Webhook| changed(app, current, &body, mode);
    let changed = write::change(Arc::clone(&app), caller.tenant, parse_id(id)?, decide).await?;
    Ok(envelope::answer(StatusCode::OK, WebhookView::from(changed.as_ref()), app.clock.now()))
}

fn changed(app: &App, current: &Webhook, body: &[u8], mode: Mode) -> Result<Webhook> {
    let mut form = Form::parse(body)?;
    if let Given::Value(revision) = form.integer("revision", 1, i64::from(u32::MAX))
        && revision != i64::from(current.revision)
    {
        let detail = format!("the webhook is at revision {} by now", current.revision);
        return Err(Problem::conflict("conflict", detail));
    }
    let mut webhook = current.clone();
    fields::read(&mut form, app, mode, &mut webhook);
    form.finish()?;
    Ok(webhook)
}
