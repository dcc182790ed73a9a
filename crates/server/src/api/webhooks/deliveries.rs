//! `GET /api/webhooks/:id/deliveries`: what became of its events.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use tidings_core::delivery::Status;
use tidings_store::history::deliveries::DeliveryFilter;

use super::find;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::deliveries::view::DeliveryView;
use crate::api::envelope::{self, ListEnvelope};
use crate::api::page::{ListQuery, cut, skip_to};
use crate::api::problem::{Problem, ProblemBody, Result};

/// List a webhook's deliveries, newest first.
#[utoipa::path(
    get, path = "/api/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "webhook_deliveries",
    params(
        ("id" = String, Path, description = "wh_…"),
        ("status" = Option<String>, Query, description = "One or more of pending, retrying, success, failed, cancelled, expired, separated by commas"),
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
    Path(id): Path<String>,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["status", "since", "until", "page"])?;
    let webhook = find(&app, caller.tenant, &id)?.webhook.id;
    let (limit, page) = (query.limit()?, query.page()?);
    let filter = DeliveryFilter {
        webhook: Some(webhook),
        event: None,
        statuses: statuses(&query)?,
        since: query.moment("since")?,
        until: query.moment("until")?,
        before: query.cursor()?,
        limit: limit * page.unwrap_or(1) + 1,
    };
    let found = app.store.deliveries(caller.tenant, &filter).await?;
    let (records, next) = cut(skip_to(found, page, limit), limit, |record| record.id.to_string());
    let views = records.iter().map(|record| DeliveryView::new(record, &app)).collect();
    Ok(envelope::list::<DeliveryView>(views, next, app.clock.now()))
}

fn statuses(query: &ListQuery) -> Result<Vec<Status>> {
    let Some(text) = query.get("status") else { return Ok(Vec::new()) };
    let parsed: Option<Vec<Status>> =
        text.split(',').map(|name| Status::parse(name.trim())).collect();
    parsed.ok_or_else(|| {
        let known = Status::ALL.map(Status::as_str).join(", ");
        Problem::invalid_field("status", format!("must be of {known}"))
    })
}
