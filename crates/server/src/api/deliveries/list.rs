//! `GET /api/deliveries`: search, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidings_core::delivery::Status;
use tidings_core::id::{DeliveryId, TenantId, WebhookId};
use tidings_store::history::deliveries::DeliveryFilter;

use super::view::DeliveryView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::events::named;
use crate::api::page::{ListQuery, cut};
use crate::api::problem::{Problem, Result};

/// Search deliveries, newest first.
#[utoipa::path(
    get, path = "/api/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    params(
        ("status" = Option<String>, Query, description = "One or several, separated by commas: `pending`, `retrying`, `success`, `failed`, `cancelled`, `expired`"),
        ("webhook_id" = Option<String>, Query, description = "Only to this webhook"),
        ("event_id" = Option<String>, Query, description = "Only of this event: our id or the publisher's"),
        ("since" = Option<String>, Query, description = "Created at or after: Unix milliseconds or RFC 3339"),
        ("until" = Option<String>, Query, description = "Created before"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
        ("page" = Option<u32>, Query, description = "Instead of a cursor: the page, from 1, within the newest 10,000"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<DeliveryView>))
)]
pub async fn list_deliveries(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["status", "webhook_id", "event_id", "since", "until", "page"])?;
    let webhook = query.parsed("webhook_id", "a webhook's id")?;
    let statuses = statuses(&query)?;
    answer(&app, caller.tenant, &query, webhook, statuses).await
}

/// Answers with the deliveries of one status or several, of one webhook or all.
pub(crate) async fn answer(
    app: &App,
    tenant: TenantId,
    query: &ListQuery,
    webhook: Option<WebhookId>,
    statuses: Vec<Status>,
) -> Result<Response> {
    let (limit, skip) = (query.limit()?, query.skip()?);
    let mut filter = DeliveryFilter {
        webhook,
        event: None,
        statuses,
        since: query.moment("since")?,
        until: query.moment("until")?,
        before: query.cursor::<DeliveryId>()?,
        limit: skip + limit + 1,
    };
    if let Some(text) = query.get("event_id") {
        filter.event = named::event_id(app, tenant, text).await?;
        if filter.event.is_none() {
            return Ok(envelope::list(Vec::<DeliveryView>::new(), None, app.clock.now()));
        }
    }
    let mut records = app.store.deliveries(tenant, &filter).await?;
    records.drain(..records.len().min(skip as usize));
    let (records, next) = cut(records, limit, |record| record.id.to_string());
    let views = records.iter().map(|record| DeliveryView::new(record, app)).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}

/// `?status=`: none is any.
pub(crate) fn statuses(query: &ListQuery) -> Result<Vec<Status>> {
    let Some(text) = query.get("status") else { return Ok(Vec::new()) };
    let parse = |word: &str| {
        Status::parse(word.trim()).ok_or_else(|| {
            let known = Status::ALL.map(Status::as_str).join(", ");
            Problem::invalid_field("status", format!("`{word}` is none of {known}"))
        })
    };
    text.split(',').map(parse).collect()
}
