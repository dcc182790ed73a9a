//! `GET /api/deliveries/{id}`: one, with its attempts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::id::{DeliveryId, TenantId, kind};
use tidings_store::history::deliveries::DeliveryRecord;

use super::attempts::{self, AttemptView};
use super::view::DeliveryView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::path::PathId;
use crate::api::problem::{Problem, Result};

/// A delivery with its attempts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryInFull {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// In order.
    attempts: Vec<AttemptView>,
}

/// Get a delivery, with its attempts as they were sent and answered.
#[utoipa::path(
    get, path = "/api/deliveries/{id}", tag = "deliveries", operation_id = "get_delivery",
    params(("id" = String, Path, description = "The delivery's id")),
    responses((status = 200, body = envelope::Envelope<DeliveryInFull>))
)]
pub async fn get_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Delivery>,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let record = find(&app, caller.tenant, id).await?;
    let attempts = attempts::of(&app, &record).await?;
    let data = DeliveryInFull { delivery: DeliveryView::in_full(&record, &app), attempts };
    Ok(envelope::answer(StatusCode::OK, data, app.clock.now()))
}

/// A delivery of this tenant, or 404.
pub(super) async fn find(app: &App, tenant: TenantId, id: DeliveryId) -> Result<DeliveryRecord> {
    let found = app.store.delivery(tenant, id).await?;
    found.ok_or_else(|| Problem::not_found("the delivery was"))
}
