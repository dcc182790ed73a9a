//! `POST /api/webhooks/:id/replays/:replay/cancel`: it queues no more.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::id::kind;
use tidings_core::replay;
use tidings_store::WriteError;
use tidings_store::catalogue::replays;

use super::get::find;
use super::view::ReplayView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, Envelope};
use crate::api::no_fields::NoFields;
use crate::api::path::PathIds;
use crate::api::problem::{Problem, Result};

/// Cancel a replay that runs.
///
/// It queues nothing more. What it has queued is delivered, unless that is cancelled too.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/replays/{replay_id}/cancel", tag = "webhooks",
    operation_id = "cancel_replay",
    params(
        ("id" = String, Path, description = "wh_…"),
        ("replay_id" = String, Path, description = "rpl_…"),
    ),
    responses(
        (status = 200, body = Envelope<ReplayView>),
        (status = 404, description = "No such replay of this webhook"),
        (status = 409, description = "It has ended already"),
    )
)]
pub async fn cancel_replay(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathIds(webhook, id): PathIds<kind::Webhook, kind::Replay>,
    _: NoFields,
) -> Result<Response> {
    caller.require(Scope::DeliveriesWrite)?;
    let tenant = caller.tenant;
    find(&app, tenant, webhook, id).await?;
    let end = replays::end(tenant, id, replay::State::Cancelled, app.clock.now());
    match app.store.change(end.into()).await {
        Ok(_) => {}
        Err(WriteError::Conflict) => {
            return Err(Problem::conflict("already_ended", "the replay has ended already"));
        }
        Err(error) => return Err(error.into()),
    }
    let replay = find(&app, tenant, webhook, id).await?;
    Ok(envelope::answer(StatusCode::OK, ReplayView::from(&replay), app.clock.now()))
}
