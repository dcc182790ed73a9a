//! `GET /api/events`: what was published, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidings_core::event::{Event, is_event_type};
use tidings_core::id::EventId;
use tidings_core::time::Timestamp;
use tidings_store::history::events::EventFilter;

use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::page::{ListQuery, cut};
use crate::api::problem::{Problem, Result};

/// An event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventView {
    /// The publisher's id, else ours: what receivers see.
    #[schema(example = "order-42")]
    pub id: String,
    /// Ours, always.
    #[schema(example = "evt_05n3q0c8g0001")]
    pub event_id: String,
    #[schema(example = "job.completed")]
    pub r#type: String,
    /// When it happened: Unix milliseconds, like the other moments.
    pub timestamp: i64,
    /// When it was accepted.
    pub created_at: i64,
    pub ordering_key: Option<String>,
    pub deliver_at: Option<i64>,
    pub expires_at: Option<i64>,
    /// The size of its data.
    pub data_bytes: usize,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        Self {
            id: event.public_id().into_owned(),
            event_id: event.id.to_string(),
            r#type: event.event_type.to_string(),
            timestamp: event.timestamp.as_millis(),
            created_at: event.id.created_at().as_millis(),
            ordering_key: event.ordering_key.as_deref().map(str::to_owned),
            deliver_at: event.deliver_at.map(Timestamp::as_millis),
            expires_at: event.expires_at.map(Timestamp::as_millis),
            data_bytes: event.data.len(),
        }
    }
}

/// List events, newest first; without their data.
#[utoipa::path(
    get, path = "/api/events", tag = "events", operation_id = "list_events",
    params(
        ("type" = Option<String>, Query, description = "Only of this type"),
        ("since" = Option<String>, Query, description = "Accepted at or after: Unix milliseconds or RFC 3339"),
        ("until" = Option<String>, Query, description = "Accepted before"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<EventView>))
)]
pub async fn list_events(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["type", "since", "until"])?;
    let limit = query.limit()?;
    let event_type = query.get("type").map(str::to_owned);
    if event_type.as_deref().is_some_and(|text| !is_event_type(text)) {
        return Err(Problem::invalid_field(
            "type",
            "must be an event type, such as `job.completed`",
        ));
    }
    let filter = EventFilter {
        event_type,
        since: query.moment("since")?,
        until: query.moment("until")?,
        before: query.cursor::<EventId>()?,
        limit: limit + 1,
    };
    let events = app.store.events(caller.tenant, &filter).await?;
    let (events, next) = cut(events, limit, |event| event.id.to_string());
    let views = events.iter().map(EventView::from).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}
