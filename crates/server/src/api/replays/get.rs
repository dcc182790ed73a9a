//! `GET /api/webhooks/:id/replays/:replay`: how far it has come.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::id::{ReplayId, TenantId, WebhookId, kind};
use tidings_core::replay::Replay;

use super::view::ReplayView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, Envelope};
use crate::api::path::PathIds;
use crate::api::problem::{Problem, Result};

/// Get a replay with its progress.
#[utoipa::path(
    get, path = "/api/webhooks/{id}/replays/{replay_id}", tag = "webhooks", operation_id = "get_replay",
    params(
        ("id" = String, Path, description = "wh_…"),
        ("replay_id" = String, Path, description = "rpl_…"),
    ),
    responses(
        (status = 200, body = Envelope<ReplayView>),
        (status = 404, description = "No such replay of this webhook"),
    )
)]
pub async fn get_replay(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathIds(webhook, id): PathIds<kind::Webhook, kind::Replay>,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let replay = find(&app, caller.tenant, webhook, id).await?;
    Ok(envelope::answer(StatusCode::OK, ReplayView::from(&replay), app.clock.now()))
}

/// A replay of this tenant's webhook, or 404.
pub(super) async fn find(
    app: &App,
    tenant: TenantId,
    webhook: WebhookId,
    id: ReplayId,
) -> Result<Replay> {
    let found = app.store.replay(tenant, id).await?;
    let found = found.filter(|replay| replay.webhook == webhook);
    found.ok_or_else(|| Problem::not_found("the replay was"))
}
