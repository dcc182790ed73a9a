//! `PATCH /api/tenants/:id`: another name, another retention.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::id::{TenantId, kind};
use tidings_store::catalogue::tenants::{self, DEFAULT, TenantRecord};

use super::fields::{name_taken, read_name, read_retention_days};
use super::view::TenantView;
use crate::api::App;
use crate::api::auth::Caller;
use crate::api::body::JsonBody;
use crate::api::envelope::{self, Envelope};
use crate::api::form::{Form, Given};
use crate::api::path::PathId;
use crate::api::problem::{Problem, ProblemBody, Result};

/// What is to change; the rest stays.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read` takes apart")]
pub struct TenantChange {
    /// A name that no other has: 1 to 255 characters.
    #[schema(example = "acme")]
    name: Option<String>,
    /// Days that its history is kept, 1 to 3,650. Null: what the server keeps.
    #[schema(example = 90)]
    retention_days: Option<u32>,
}

/// Change a tenant; null puts its retention back to what the server keeps.
///
/// A shorter retention deletes what is older within minutes. The tenant `default` keeps its name.
#[utoipa::path(
    patch, path = "/api/tenants/{id}", tag = "administration", operation_id = "patch_tenant",
    params(("id" = String, Path, description = "The tenant's id")),
    request_body = TenantChange,
    responses(
        (status = 200, body = Envelope<TenantView>),
        (status = 404, description = "No such tenant"),
        (status = 409, description = "A tenant has this name, or it is the tenant `default`"),
        (status = 422, body = ProblemBody),
    )
)]
pub async fn patch_tenant(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Tenant>,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require_admin()?;
    let _changing = app.keyring.change().await;
    let changed = read(&body, stored(&app, id).await?)?;
    app.store.change(tenants::update(&changed).into()).await.map_err(name_taken)?;
    Ok(envelope::answer(StatusCode::OK, TenantView::from(changed), app.clock.now()))
}

async fn stored(app: &App, id: TenantId) -> Result<TenantRecord> {
    let tenants = app.store.tenants().await?;
    let stored = tenants.into_iter().find(|tenant| tenant.id == id);
    stored.ok_or_else(|| Problem::not_found("the tenant was"))
}

fn read(body: &[u8], mut tenant: TenantRecord) -> Result<TenantRecord> {
    let mut form = Form::parse(body)?;
    let renamed = match form.raw("name") {
        Given::Absent => false,
        Given::Null | Given::Value(_) => {
            let name = read_name(&mut form);
            std::mem::replace(&mut tenant.name, name) != tenant.name
        }
    };
    match read_retention_days(&mut form) {
        Given::Value(days) => tenant.retention_days = Some(days),
        Given::Null => tenant.retention_days = None,
        Given::Absent => {}
    }
    form.finish()?;
    if renamed && tenant.id == DEFAULT {
        let detail = "the tenant `default` keeps its name, by which requests call it";
        return Err(Problem::conflict("default_tenant", detail));
    }
    Ok(tenant)
}
