//! `GET /api/dead-letters`: what was given up, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidings_core::delivery::Status;

use super::list;
use super::view::DeliveryView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::page::ListQuery;
use crate::api::problem::Result;

/// List deliveries that were given up, newest first.
#[utoipa::path(
    get, path = "/api/dead-letters", tag = "deliveries", operation_id = "list_dead_letters",
    params(
        ("webhook_id" = Option<String>, Query, description = "Only to this webhook"),
        ("event_id" = Option<String>, Query, description = "Only of this event: our id or the publisher's"),
        ("since" = Option<String>, Query, description = "Created at or after: Unix milliseconds or RFC 3339"),
        ("until" = Option<String>, Query, description = "Created before"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
        ("page" = Option<u32>, Query, description = "From 1, instead of a cursor"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<DeliveryView>))
)]
pub async fn list_dead_letters(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["webhook_id", "event_id", "since", "until", "page"])?;
    let webhook = query.parsed("webhook_id", "a webhook's id")?;
    list::answer(&app, caller.tenant, &query, webhook, vec![Status::Failed]).await
}
