//! `GET /api/leads`: newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidings_core::lead::LeadStatus;

use super::view::LeadView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::page::{ListQuery, cut};
use crate::api::problem::{Problem, Result};

/// List leads, newest first.
#[utoipa::path(
    get, path = "/api/leads", tag = "leads", operation_id = "list_leads",
    params(
        ("status" = Option<String>, Query, description = "`new`, `webhook_pending`, `webhook_sent` or `webhook_failed`"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<LeadView>))
)]
pub async fn list_leads(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["status"])?;
    let status = query.get("status").map(status).transpose()?;
    let limit = query.limit()?;
    let leads = app.store.leads(caller.tenant, status, query.cursor()?, limit + 1).await?;
    let (leads, next) = cut(leads, limit, |lead| lead.id.to_string());
    let views = leads.iter().map(LeadView::from).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}

fn status(text: &str) -> Result<LeadStatus> {
    LeadStatus::parse(text).ok_or_else(|| {
        let known = LeadStatus::ALL.map(LeadStatus::as_str).join(", ");
        Problem::invalid_field("status", format!("`{text}` is none of {known}"))
    })
}
