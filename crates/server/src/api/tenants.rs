//! `/api/tenants`: the owners of everything else. For admin keys.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use tidings_core::dispatch::Signal;
use tidings_core::id::{TenantId, WebhookId, kind};
use tidings_core::limits::NAME_CHARS_MAX;
use tidings_core::time::Timestamp;
use tidings_store::catalogue::tenants::{self, DEFAULT, TenantRecord};
use tidings_store::catalogue::{keys, webhooks};
use tidings_store::{Change, ChangeKey, Control, WriteError};

use super::App;
use super::auth::Caller;
use super::body::JsonBody;
use super::envelope;
use super::form::{Form, Given};
use super::idempotency::IdempotencyHeader;
use super::page::{ListQuery, cut};
use super::path::PathId;
use super::problem::{Problem, Result};
use super::task::uncancelled;

/// Ten years; whoever wants more wants an archive.
const RETENTION_DAYS_MAX: i64 = 3_650;
/// Webhooks deleted in one transaction.
const WEBHOOKS_AT_ONCE: usize = 200;

/// A tenant to create.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read` takes apart")]
pub struct NewTenant {
    /// Its name, which no other has: 1 to 255 characters.
    #[schema(example = "acme")]
    name: String,
    /// Days that its history is kept, 1 to 3,650. Default: what the server keeps.
    #[schema(example = 30)]
    retention_days: Option<u32>,
}

/// A tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TenantView {
    #[schema(example = "ten_05n3q0c8g0001")]
    id: String,
    name: String,
    /// Null: what the server keeps.
    retention_days: Option<u32>,
    /// Unix milliseconds.
    created_at: i64,
}

impl From<TenantRecord> for TenantView {
    fn from(tenant: TenantRecord) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name,
            retention_days: tenant.retention_days,
            created_at: tenant.created_at.as_millis(),
        }
    }
}

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
    let (limit, before) = (query.limit()?, query.cursor::<TenantId>()?);
    let mut tenants = app.store.tenants().await?;
    tenants.reverse();
    tenants.retain(|tenant| before.is_none_or(|before| tenant.id < before));
    let (tenants, next) = cut(tenants, limit, |tenant| tenant.id.to_string());
    let views: Vec<TenantView> = tenants.into_iter().map(TenantView::from).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}

/// Create a tenant.
#[utoipa::path(
    post, path = "/api/tenants", tag = "administration", operation_id = "create_tenant",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body = NewTenant,
    responses(
        (status = 201, body = envelope::Envelope<TenantView>),
        (status = 409, description = "A tenant has this name"),
    )
)]
pub async fn create_tenant(
    State(app): State<Arc<App>>,
    caller: Caller,
    header: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require_admin()?;
    let now = app.clock.now();
    let key = header.key("POST /api/tenants", &body)?;
    let tenant = read(&body, app.ids.next(now), now)?;
    let change = Change {
        key: key.map(|key| ChangeKey { tenant: caller.tenant, key, ids: vec![tenant.id.as_i64()] }),
        statements: tenants::insert(&tenant),
        ..Change::default()
    };
    let tenant = uncancelled(create(app, tenant, change)).await?;
    Ok(envelope::answer(StatusCode::CREATED, TenantView::from(tenant), now))
}

fn read(body: &[u8], id: TenantId, now: Timestamp) -> Result<TenantRecord> {
    let mut form = Form::parse(body)?;
    let name = read_name(&mut form);
    let retention_days = match form.integer("retention_days", 1, RETENTION_DAYS_MAX) {
        Given::Value(days) => u32::try_from(days).ok(),
        Given::Null | Given::Absent => None,
    };
    form.finish()?;
    Ok(TenantRecord { id, name, retention_days, created_at: now })
}

/// The name of something that an administrator makes.
pub(super) fn read_name(form: &mut Form<'_>) -> String {
    let Some(name) = form.required_text("name") else { return String::new() };
    if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
        form.refuse("name", format!("must have 1 to {NAME_CHARS_MAX} characters"));
    }
    name.into_owned()
}

fn name_taken(error: WriteError) -> Problem {
    match error {
        WriteError::Conflict => Problem::conflict("tenant_exists", "a tenant has this name"),
        other => other.into(),
    }
}

async fn create(app: Arc<App>, tenant: TenantRecord, change: Change) -> Result<TenantRecord> {
    let _changing = app.keyring.change().await;
    let committed = app.store.change(change).await.map_err(name_taken)?;
    let tenant = match committed.replayed {
        Some(ids) => earlier(&app, &ids).await?,
        None => tenant,
    };
    app.keyring.put_tenant(tenant.id);
    Ok(tenant)
}

/// What the first request with this key made.
async fn earlier(app: &App, ids: &[i64]) -> Result<TenantRecord> {
    let tenants = app.store.tenants().await?;
    let made = tenants.into_iter().find(|tenant| ids.contains(&tenant.id.as_i64()));
    made.ok_or_else(|| Problem::not_found("the tenant that this key created was"))
}

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
