//! `GET /api/leads/{id}`: one, with its deliveries.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::direct::Subject;

use super::view::LeadView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::path::PathText;
use crate::api::problem::{Problem, Result};
use crate::api::webhook_delivery::view::{LeadDeliveryView, show};

/// So many of its deliveries are shown.
const DELIVERIES_MAX: u32 = 50;

/// A lead with the deliveries that hand it over.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LeadInFull {
    #[serde(flatten)]
    lead: LeadView,
    /// Newest first, at most 50.
    deliveries: Vec<LeadDeliveryView>,
}

/// Get a lead, with the deliveries that hand it over.
#[utoipa::path(
    get, path = "/api/leads/{id}", tag = "leads", operation_id = "get_lead",
    params(("id" = String, Path, description = "What you call the lead, or the id that it was given")),
    responses((status = 200, body = envelope::Envelope<LeadInFull>))
)]
pub async fn get_lead(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(name): PathText,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let lead = app.store.lead_named(caller.tenant, &name).await?;
    let lead = lead.ok_or_else(|| Problem::not_found("the lead was"))?;
    let subject = Subject::Lead(lead.id);
    let records = app.store.deliveries_of(caller.tenant, subject, DELIVERIES_MAX).await?;
    let mut deliveries = Vec::with_capacity(records.len());
    for record in &records {
        deliveries.push(show(&app, record).await?);
    }
    let data = LeadInFull { lead: (&lead).into(), deliveries };
    Ok(envelope::answer(StatusCode::OK, data, app.clock.now()))
}
