//! `GET /api/webhooks/:id/replays`: those that run and those that have ended.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::view::ReplayView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, ListEnvelope};
use crate::api::page::{ListQuery, cut};
use crate::api::path::PathText;
use crate::api::problem::Result;
use crate::api::webhooks::find;

/// List a webhook's replays, newest first. Ended ones are kept for 30 days.
#[utoipa::path(
    get, path = "/api/webhooks/{id}/replays", tag = "webhooks", operation_id = "list_replays",
    params(
        ("id" = String, Path, description = "wh_…"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the previous page"),
    ),
    responses(
        (status = 200, body = ListEnvelope<ReplayView>),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn list_replays(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&[])?;
    let webhook = find(&app, caller.tenant, &id).await?.webhook.id;
    let (limit, before) = (query.limit()?, query.cursor()?);
    let replays = app.store.replays(caller.tenant, webhook, before, limit + 1).await?;
    let (replays, next) = cut(replays, limit, |replay| replay.id.to_string());
    let views = replays.iter().map(ReplayView::from).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}
