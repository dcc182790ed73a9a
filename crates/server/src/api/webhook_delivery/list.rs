//! `GET /api/webhook-delivery`: the deliveries of leads, and how handing them over goes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::direct::Subject;
use tidings_core::id::DeliveryId;
use tidings_store::history::deliveries::DeliveryRecord;

use super::view::{LeadDeliveryView, show};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::page::{ListQuery, cut};
use crate::api::problem::Result;
use crate::metrics::LeadWork;

/// Deliveries of leads: flat, as clients of this route know it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LeadDeliveries {
    /// Always `success`.
    status: &'static str,
    /// Newest first.
    deliveries: Vec<LeadDeliveryView>,
    /// How many there are in all, up to 10,000.
    total: u32,
    /// Null at the end.
    next_cursor: Option<String>,
    /// Since the server started.
    worker: LeadWork,
}

/// List deliveries of leads, newest first.
#[utoipa::path(
    get, path = "/api/webhook-delivery", tag = "leads", operation_id = "list_webhook_deliveries",
    params(
        ("leadId" = Option<String>, Query, description = "Only of this lead: the newest 250"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = LeadDeliveries))
)]
pub async fn list_webhook_deliveries(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["leadId"])?;
    let (records, next_cursor, total) = match query.get("leadId") {
        Some(name) => of_lead(&app, &caller, name, &query).await?,
        None => of_all(&app, &caller, &query).await?,
    };
    let mut deliveries = Vec::with_capacity(records.len());
    for record in &records {
        deliveries.push(show(&app, record).await?);
    }
    let worker = app.metrics.leads.of(caller.tenant, app.clock.now());
    let answer = LeadDeliveries { status: "success", deliveries, total, next_cursor, worker };
    Ok(envelope::json(StatusCode::OK, &answer))
}

type Page = (Vec<DeliveryRecord>, Option<String>, u32);

async fn of_all(app: &App, caller: &Caller, query: &ListQuery) -> Result<Page> {
    let limit = query.limit()?;
    let before = query.cursor::<DeliveryId>()?;
    let ids = app.store.lead_deliveries(caller.tenant, before, limit + 1).await?;
    let (ids, next) = cut(ids, limit, |(id, _)| id.to_string());
    let mut records = Vec::with_capacity(ids.len());
    for (id, _) in ids {
        records.extend(app.store.delivery(caller.tenant, id).await?);
    }
    let total = app.store.lead_deliveries_count(caller.tenant).await?;
    Ok((records, next, total))
}

async fn of_lead(app: &App, caller: &Caller, name: &str, query: &ListQuery) -> Result<Page> {
    let limit = query.limit()?;
    let Some(lead) = app.store.lead_named(caller.tenant, name).await? else {
        return Ok((Vec::new(), None, 0));
    };
    let records = app.store.deliveries_of(caller.tenant, Subject::Lead(lead.id), limit).await?;
    let total = u32::try_from(records.len()).unwrap_or(u32::MAX);
    Ok((records, None, total))
}
