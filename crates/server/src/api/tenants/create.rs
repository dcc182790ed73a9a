//! `POST /api/tenants`: a new owner.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::id::TenantId;
use tidings_core::time::Timestamp;
use tidings_store::catalogue::tenants::{self, TenantRecord};
use tidings_store::{Change, ChangeKey};

use super::fields::{name_taken, read_name, read_retention_days};
use super::view::TenantView;
use crate::api::App;
use crate::api::auth::Caller;
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::form::Form;
use crate::api::idempotency::IdempotencyHeader;
use crate::api::problem::{Problem, Result};
use crate::api::task::uncancelled;

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
    let retention_days = read_retention_days(&mut form).value();
    form.finish()?;
    Ok(TenantRecord { id, name, retention_days, created_at: now })
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
