//! `GET /api/webhooks/:id/deliveries`: what became of its events.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::find;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::deliveries::list;
use crate::api::deliveries::view::DeliveryView;
use crate::api::envelope::ListEnvelope;
use crate::api::page::ListQuery;
use crate::api::path::PathText;
use crate::api::problem::{ProblemBody, Result};

/// List a webhook's deliveries, newest first.
#[utoipa::path(
    get, path = "/api/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "webhook_deliveries",
    params(
        ("id" = String, Path, description = "wh_…"),
        ("status" = Option<String>, Query, description = "One or more of pending, retrying, success, failed, cancelled, expired, separated by commas"),
        ("event_id" = Option<String>, Query, description = "Only of this event"),
        ("since" = Option<String>, Query, description = "Created at or after: Unix milliseconds or RFC 3339"),
        ("until" = Option<String>, Query, description = "Created before"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the previous page"),
        ("page" = Option<u32>, Query, description = "From 1, instead of a cursor"),
    ),
    responses(
        (status = 200, body = ListEnvelope<DeliveryView>),
        (status = 404, description = "No such webhook"),
        (status = 422, body = ProblemBody),
    )
)]
pub async fn webhook_deliveries(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["status", "event_id", "since", "until", "page"])?;
    let webhook = find(&app, caller.tenant, &id).await?.webhook.id;
    let statuses = list::statuses(&query)?;
    list::answer(&app, caller.tenant, &query, Some(webhook), statuses).await
}
