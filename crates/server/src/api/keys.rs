//! `/api/keys`: who may call. For admin keys.
//!
//! A key's text is shown once, when it is made; kept is its SHA-256. The first key turns
//! authentication on, so it must be one that can make others.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::id::{KeyId, TenantId, kind};
use tidings_core::publication::IdempotencyKey;
use tidings_core::time::Timestamp;
use tidings_store::catalogue::keys::{self, KeyRecord};
use tidings_store::{Change, ChangeKey, WriteError};

use super::App;
use super::auth::{Caller, KeyEntry, Scope, hash, parse_tenant};
use super::body::JsonBody;
use super::envelope;
use super::form::{Form, Given};
use super::idempotency::IdempotencyHeader;
use super::page::ListQuery;
use super::path::PathId;
use super::problem::{Problem, Result};
use super::task::uncancelled;
use super::tenants::read_name;
use crate::clock;

/// Of a key's text, shown in lists: `td_` and 7 of its 43 random characters.
const PREFIX_BYTES: usize = 10;

/// A key to create.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read` takes apart")]
pub struct NewKey {
    /// What it is for: 1 to 255 characters.
    #[schema(example = "publisher")]
    name: String,
    /// Whose key it is. Default: the tenant that the request acts for.
    tenant_id: Option<String>,
    /// True: an admin key, which may do everything for every tenant.
    admin: Option<bool>,
    /// What a tenant's key may do. Default: everything.
    scopes: Option<Vec<Scope>>,
}

/// A key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct KeyView {
    #[schema(example = "key_05n3q0c8g0001")]
    id: String,
    name: String,
    /// The key itself, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "td_n2Xb0uWc4m3mZk1o8yJ7vC1d5aQqv9Tj2Lr6sYh0fGe")]
    key: Option<String>,
    /// Its first characters.
    prefix: String,
    /// Null for an admin key.
    tenant_id: Option<String>,
    admin: bool,
    scopes: Vec<Scope>,
    /// Unix milliseconds.
    created_at: i64,
    /// Unix milliseconds; null while it opens anything.
    revoked_at: Option<i64>,
}

impl From<KeyRecord> for KeyView {
    fn from(record: KeyRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name,
            key: None,
            prefix: record.prefix,
            tenant_id: record.tenant.map(|tenant| tenant.to_string()),
            admin: record.tenant.is_none(),
            scopes: record.scopes.split(' ').filter_map(Scope::parse).collect(),
            created_at: record.created_at.as_millis(),
            revoked_at: record.revoked_at.map(Timestamp::as_millis),
        }
    }
}

/// List keys, newest first, revoked ones included; never their text.
#[utoipa::path(
    get, path = "/api/keys", tag = "administration", operation_id = "list_keys",
    params(
        ("tenant_id" = Option<String>, Query, description = "Only this tenant's"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<KeyView>))
)]
pub async fn list_keys(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require_admin()?;
    query.only(&["tenant_id"])?;
    let tenant = query.get("tenant_id").map(|text| {
        parse_tenant(text).ok_or_else(|| Problem::invalid_field("tenant_id", "is no tenant's id"))
    });
    let tenant = tenant.transpose()?;
    let mut keys = app.store.keys().await?;
    keys.retain(|key| tenant.is_none() || key.tenant == tenant);
    let (keys, next) = query.page_of(keys, |key| key.id)?;
    let views: Vec<KeyView> = keys.into_iter().map(KeyView::from).collect();
    Ok(envelope::list(views, next, app.clock.now()))
}

/// Create a key. Its text is in this answer and nowhere else.
///
/// The first key turns authentication on, at once. It must be an admin key unless the settings have
/// one: else nobody could make another.
#[utoipa::path(
    post, path = "/api/keys", tag = "administration", operation_id = "create_key",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Makes the request safe to repeat; a repetition does not show the text again")),
    request_body = NewKey,
    responses(
        (status = 201, body = envelope::Envelope<KeyView>),
        (status = 409, description = "The first key must be an admin key"),
    )
)]
pub async fn create_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    header: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require_admin()?;
    let now = app.clock.now();
    let idempotency = header.key("POST /api/keys", &body)?;
    let view = uncancelled(create(app, caller.tenant, body, idempotency)).await?;
    Ok(envelope::answer(StatusCode::CREATED, view, now))
}

async fn create(
    app: Arc<App>,
    acting: TenantId,
    body: Bytes,
    idempotency: Option<IdempotencyKey>,
) -> Result<KeyView> {
    let text = generate();
    let _changing = app.keyring.change().await;
    // Of other nodes as well.
    app.parts.catch_up().await?;
    let record = read(&app, &body, acting, &text)?;
    if record.tenant.is_some() && !app.keyring.has_admin_besides(None) {
        let detail =
            "the first key turns authentication on and must be an admin key: {\"admin\": true}";
        return Err(Problem::conflict("first_key_must_be_admin", detail));
    }
    let change = Change {
        key: idempotency.map(|key| ChangeKey {
            tenant: acting,
            key,
            ids: vec![record.id.as_i64()],
        }),
        statements: keys::insert(&record),
        ..Change::default()
    };
    let committed = app.store.change(change).await?;
    match committed.replayed {
        Some(ids) => earlier(&app, &ids).await,
        None => {
            app.keyring.put(hash(&text), entry(&record));
            Ok(KeyView { key: Some(text), ..record.into() })
        }
    }
}

/// `td_` and 32 random bytes in 43 characters.
fn generate() -> String {
    format!("td_{}", URL_SAFE_NO_PAD.encode(clock::random::<32>()))
}

fn entry(record: &KeyRecord) -> KeyEntry {
    let scopes = record.scopes.split(' ').filter_map(Scope::parse).collect();
    KeyEntry { id: Some(record.id), tenant: record.tenant, scopes }
}

fn read(app: &App, body: &[u8], acting: TenantId, text: &str) -> Result<KeyRecord> {
    let now = app.clock.now();
    let mut form = Form::parse(body)?;
    let name = read_name(&mut form);
    let admin = form.boolean("admin").value().unwrap_or(false);
    let tenant = read_tenant(app, &mut form, admin);
    let scopes = read_scopes(&mut form, admin);
    form.finish()?;
    let scopes: Vec<&str> = scopes.into_iter().map(Scope::as_str).collect();
    Ok(KeyRecord {
        id: app.ids.next(now),
        tenant: if admin { None } else { Some(tenant.unwrap_or(acting)) },
        name,
        hash: hash(text).to_vec(),
        prefix: text[..PREFIX_BYTES].to_owned(),
        scopes: scopes.join(" "),
        created_at: now,
        revoked_at: None,
    })
}

fn read_tenant(app: &App, form: &mut Form<'_>, admin: bool) -> Option<TenantId> {
    let text = form.text("tenant_id").value()?;
    if admin {
        form.refuse("tenant_id", "must be left out: an admin key belongs to no tenant");
    }
    let tenant = parse_tenant(&text).filter(|&id| app.keyring.has_tenant(id));
    if tenant.is_none() {
        form.refuse("tenant_id", "is no tenant's id");
    }
    tenant
}

fn read_scopes(form: &mut Form<'_>, admin: bool) -> Vec<Scope> {
    let names = Scope::ALL.map(Scope::as_str).join(", ");
    let what = format!("a list of {names}");
    let Given::Value(given) = form.parsed::<Vec<&RawValue>>("scopes", &what) else {
        return Scope::ALL.to_vec();
    };
    let mut scopes: Vec<Scope> = Vec::new();
    for (n, raw) in given.iter().enumerate() {
        match serde_json::from_str(raw.get()) {
            Ok(scope) => scopes.push(scope),
            Err(_) => form.refuse_item("scopes", n, format!("must be one of {names}")),
        }
    }
    if admin {
        form.refuse("scopes", "must be left out: an admin key may do everything");
    } else if given.is_empty() {
        form.refuse("scopes", "must name at least one scope");
    }
    Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect()
}

/// What the first request with this idempotency key made. Its text is known to nobody here.
async fn earlier(app: &App, ids: &[i64]) -> Result<KeyView> {
    let keys = app.store.keys().await?;
    let made = keys.into_iter().find(|key| ids.contains(&key.id.as_i64()));
    made.map(KeyView::from)
        .ok_or_else(|| Problem::not_found("the key that this request created was"))
}

/// Revoke a key: from now on it opens nothing.
///
/// The last admin key stays unless the settings have one: without any, nobody could make another.
#[utoipa::path(
    delete, path = "/api/keys/{id}", tag = "administration", operation_id = "revoke_key",
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 204, description = "It is revoked"),
        (status = 409, description = "It is the last admin key"),
    )
)]
pub async fn revoke_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Key>,
) -> Result<Response> {
    caller.require_admin()?;
    uncancelled(revoke(app, id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn revoke(app: Arc<App>, id: KeyId) -> Result<()> {
    let _changing = app.keyring.change().await;
    app.parts.catch_up().await?;
    if !app.keyring.has_admin_besides(Some(id)) {
        let detail = "this is the last admin key; create another before you revoke it";
        return Err(Problem::conflict("last_admin_key", detail));
    }
    let revoked = app.store.change(keys::revoke(id, app.clock.now()).into()).await;
    match revoked {
        Ok(_) => {}
        Err(WriteError::Conflict) => return Err(Problem::not_found("the key was")),
        Err(error) => return Err(error.into()),
    }
    app.keyring.remove_if(|entry| entry.id == Some(id));
    Ok(())
}
