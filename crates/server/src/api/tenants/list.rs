//! `GET /api/tenants`: newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::view::TenantView;
use crate::api::App;
use crate::api::auth::Caller;
use crate::api::envelope;
use crate::api::page::ListQuery;
use crate::api::problem::Result;

/// List tenants, newest first.
#[utoipa::path(
    get, path = "/api/tenants", tag = "administration", operation_id = "list_tenants",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<TenantView>))
)]
pub async fn list_tenants(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require_admin()?;
    query.only(&[])?;
    let (tenants, next) = query.page_of(app.store.tenants().await?, |tenant| tenant.id)?;
    let views: Vec<TenantView> = tenants.into_iter().map(TenantView::from).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}
