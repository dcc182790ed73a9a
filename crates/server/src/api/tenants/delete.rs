//! `DELETE /api/tenants/:id`: with its keys and webhooks, and what they are owed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tidings_core::dispatch::Signal;
use tidings_core::id::{TenantId, WebhookId, kind};
use tidings_store::Control;
use tidings_store::catalogue::tenants::{self, DEFAULT};
use tidings_store::catalogue::{keys, webhooks};

use crate::api::App;
use crate::api::auth::Caller;
use crate::api::path::PathId;
use crate::api::problem::{Problem, Result};
use crate::api::task::uncancelled;

/// Webhooks deleted in one transaction.
const WEBHOOKS_AT_ONCE: usize = 200;

/// Delete a tenant: its keys are revoked, its webhooks deleted, and what they are owed ends.
///
/// Its history goes as its retention passes. The tenant `default` cannot be deleted.
#[utoipa::path(
    delete, path = "/api/tenants/{id}", tag = "administration", operation_id = "delete_tenant",
    params(("id" = String, Path, description = "The tenant's id")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "It is the tenant `default`"),
    )
)]
pub async fn delete_tenant(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Tenant>,
) -> Result<Response> {
    caller.require_admin()?;
    if id == DEFAULT {
        let detail = "the tenant `default` cannot be deleted";
        return Err(Problem::conflict("default_tenant", detail));
    }
    uncancelled(delete(app, id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn delete(app: Arc<App>, id: TenantId) -> Result<()> {
    let _changing = app.keyring.change().await;
    if !app.keyring.has_tenant(id) && !is_stored(&app, id).await? {
        return Err(Problem::not_found("the tenant was"));
    }
    // Nobody speaks for it from here on. Whatever breaks this off, deleting it again finishes.
    app.store.change(keys::revoke_all(id, app.clock.now()).into()).await?;
    app.keyring.remove_tenant(id);
    loop {
        let some = app.registry.list(id, None, WEBHOOKS_AT_ONCE);
        if some.is_empty() {
            break;
        }
        let ids: Vec<WebhookId> = some.iter().map(|webhook| webhook.id).collect();
        delete_webhooks(&app, id, &ids).await?;
    }
    app.store.change(tenants::delete(id).into()).await?;
    Ok(())
}

async fn is_stored(app: &App, id: TenantId) -> Result<bool> {
    Ok(app.store.tenants().await?.iter().any(|tenant| tenant.id == id))
}

async fn delete_webhooks(app: &App, tenant: TenantId, ids: &[WebhookId]) -> Result<()> {
    let now = app.clock.now();
    let statements = ids.iter().flat_map(|&id| webhooks::delete(tenant, id, now));
    app.store.change(statements.collect::<Vec<_>>().into()).await?;
    for &webhook in ids {
        app.registry.remove(tenant, webhook);
        app.inbox.signal(Signal::WebhookGone(webhook));
        // What publishers had planned before they knew.
        app.store.control(Control::EndDeliveries { webhook }).await?;
    }
    Ok(())
}
