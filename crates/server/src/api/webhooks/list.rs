//! `GET /api/webhooks`: the tenant's webhooks.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::view::WebhookView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, ListEnvelope};
use crate::api::page::{ListQuery, cut};
use crate::api::problem::Result;

/// List webhooks, newest first.
#[utoipa::path(
    get, path = "/api/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the previous page"),
        ("page" = Option<u32>, Query, description = "From 1, instead of a cursor"),
    ),
    responses((status = 200, body = ListEnvelope<WebhookView>))
)]
pub async fn list_webhooks(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["page"])?;
    let (limit, skip) = (query.limit()?, query.skip()?);
    let wanted = (skip + limit + 1) as usize;
    let mut found = app.registry.list(caller.tenant, query.cursor()?, wanted);
    found.drain(..found.len().min(skip as usize));
    let (webhooks, next) = cut(found, limit, |webhook| webhook.id.to_string());
    // One that is deleted right now is left out.
    let ready = webhooks.iter().filter_map(|webhook| app.registry.outgoing(webhook.id));
    let views: Vec<WebhookView> = ready.map(|outgoing| outgoing.as_ref().into()).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}
