//! `GET /api/inbound`: what was received, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidings_core::id::InboundId;
use tidings_store::history::inbound::{ReceivedFilter, ReceivedRecord};

use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::page::{ListQuery, cut};
use crate::api::problem::Result;

/// A webhook that was received.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReceivedView {
    #[schema(example = "inb_05n3q0c8g0001")]
    id: String,
    /// The source that it came from.
    source: String,
    /// Its sender's id for it, when it has one.
    sender_id: Option<String>,
    /// The type of the event that it became.
    #[schema(example = "github.push")]
    event_type: String,
    /// That event: `GET /api/events/{id}` has its data.
    event_id: String,
    /// Unix milliseconds.
    received_at: i64,
}

impl From<ReceivedRecord> for ReceivedView {
    fn from(received: ReceivedRecord) -> Self {
        Self {
            id: received.id.to_string(),
            source: received.source,
            sender_id: received.mark.name,
            event_type: received.event_type,
            event_id: received.event.to_string(),
            received_at: received.id.created_at().as_millis(),
        }
    }
}

/// List what was received, newest first.
#[utoipa::path(
    get, path = "/api/inbound", tag = "live", operation_id = "list_inbound",
    params(
        ("source" = Option<String>, Query, description = "Only from this source"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<ReceivedView>))
)]
pub async fn list_inbound(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["source"])?;
    let limit = query.limit()?;
    let filter = ReceivedFilter {
        source: query.get("source").map(str::to_owned),
        before: query.cursor::<InboundId>()?,
        limit: limit + 1,
    };
    let received = app.store.received(caller.tenant, &filter).await?;
    let (received, next) = cut(received, limit, |one| one.id.to_string());
    let views: Vec<ReceivedView> = received.into_iter().map(Into::into).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}
