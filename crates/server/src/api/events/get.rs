//! `GET /api/events/{id}`: one, with its data and what became of its deliveries.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::delivery::Status;
use tidings_core::event::Event;
use tidings_core::id::DeliveryId;
use tidings_core::time::Timestamp;
use tidings_store::history::deliveries::DeliveryFilter;

use super::named;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::path::PathText;
use crate::api::problem::{Problem, Result};

/// Deliveries read at once while they are counted.
const PAGE: u32 = 1_000;

/// An event with its data.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventInFull<'a> {
    /// The publisher's id, else ours: what receivers see.
    id: String,
    /// Ours, always.
    event_id: String,
    r#type: &'a str,
    /// When it happened: Unix milliseconds, like the other moments.
    timestamp: i64,
    /// When it was accepted.
    created_at: i64,
    ordering_key: Option<&'a str>,
    deliver_at: Option<i64>,
    expires_at: Option<i64>,
    /// The very bytes that were published.
    #[schema(value_type = serde_json::Value)]
    data: Option<&'a RawValue>,
    deliveries: Summary,
}

/// What became of an event's deliveries; `GET /api/deliveries?event_id=` lists them.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Summary {
    total: u64,
    pending: u64,
    retrying: u64,
    success: u64,
    failed: u64,
    cancelled: u64,
    expired: u64,
}

impl Summary {
    fn count(&mut self, status: Status) {
        self.total += 1;
        *match status {
            Status::Pending => &mut self.pending,
            Status::Retrying => &mut self.retrying,
            Status::Success => &mut self.success,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
            Status::Expired => &mut self.expired,
        } += 1;
    }
}

/// Get an event by our id or the publisher's, with its data as published.
#[utoipa::path(
    get, path = "/api/events/{id}", tag = "events", operation_id = "get_event",
    params(("id" = String, Path, description = "Our id, or the publisher's for as long as it is remembered")),
    responses((status = 200, body = envelope::Envelope<EventInFull>))
)]
pub async fn get_event(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(name): PathText,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let event = named::event(&app, caller.tenant, &name).await?;
    let event = event.ok_or_else(|| Problem::not_found("the event was"))?;
    let data = EventInFull {
        id: event.public_id().into_owned(),
        event_id: event.id.to_string(),
        r#type: &event.event_type,
        timestamp: event.timestamp.as_millis(),
        created_at: event.id.created_at().as_millis(),
        ordering_key: event.ordering_key.as_deref(),
        deliver_at: event.deliver_at.map(Timestamp::as_millis),
        expires_at: event.expires_at.map(Timestamp::as_millis),
        data: serde_json::from_slice(&event.data).ok(),
        deliveries: summary(&app, &event).await?,
    };
    Ok(envelope::answer(StatusCode::OK, data, app.clock.now()))
}

async fn summary(app: &App, event: &Event) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut before: Option<DeliveryId> = None;
    loop {
        let filter = DeliveryFilter {
            event: Some(event.id),
            before,
            limit: PAGE,
            ..DeliveryFilter::default()
        };
        let page = app.store.deliveries(event.tenant, &filter).await?;
        page.iter().for_each(|delivery| summary.count(delivery.status));
        match page.last() {
            Some(last) if page.len() == PAGE as usize => before = Some(last.id),
            _ => return Ok(summary),
        }
    }
}
