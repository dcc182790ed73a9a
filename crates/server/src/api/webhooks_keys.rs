//! `GET /.well-known/webhooks-keys`: the public keys of Ed25519 webhooks, as a JWK set.
//!
//! Standard Webhooks names no way to find a public key. A set of JSON Web Keys (RFC 7517, with the form
//! for Ed25519 of RFC 8037) is what its discussion of asymmetric keys asks for and what receivers have
//! libraries for, and its name is that discussion's too.
//!
//! What is public is a tenant's own keys, apart from those of others: whoever trusts the keys of one
//! sender must not take those of another for it. A key is named by its thumbprint (RFC 7638), which says
//! nothing of the webhook. No such tenant and no such key look the same.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tidings_core::id::TenantId;
use tidings_store::catalogue::tenants::DEFAULT;
use tidings_wire::ed25519::PublicKey;

use super::App;
use super::path::PathText;
use super::problem::Result;
use crate::registry::PublishedKey;

/// Receivers may keep the set for so long. A rotation overlaps for longer, unless it is told not to.
const MAX_AGE_S: u32 = 300;

/// A JWK set.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WebhooksKeys {
    pub keys: Vec<WebhooksKey>,
}

/// A public key (RFC 7517, RFC 8037).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WebhooksKey {
    /// `OKP`
    kty: &'static str,
    /// `Ed25519`
    crv: &'static str,
    /// `EdDSA`
    alg: &'static str,
    /// `sig`
    #[serde(rename = "use")]
    usage: &'static str,
    /// The thumbprint of the key (RFC 7638).
    kid: String,
    /// The key's 32 bytes, base64url.
    x: String,
    /// The key as Standard Webhooks writes it: `whpk_…`.
    whpk: String,
    /// Until then it signs, Unix seconds: the end of a rotation's overlap. Left out for a current key.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

impl WebhooksKey {
    fn of(published: &PublishedKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(published.key.as_bytes());
        Self {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: thumbprint(&published.key),
            x,
            whpk: published.key.to_string(),
            exp: published.valid_until.map(|until| until.as_secs()),
        }
    }
}

/// RFC 7638 with the members that RFC 8037, 2 requires of this kind of key.
fn thumbprint(key: &PublicKey) -> String {
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(members))
}

/// The public keys of the tenant `default`.
///
/// Webhooks that sign with a `whsk_` key publish its public half here, from their creation to their
/// deletion, and through rotations. Needs no key.
#[utoipa::path(
    get, path = "/.well-known/webhooks-keys", tag = "webhooks", operation_id = "webhooks_keys",
    responses((status = 200, body = WebhooksKeys, content_type = "application/jwk-set+json"),
        (status = 304, description = "As the ETag says"))
)]
pub async fn webhooks_keys(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    answer(&app, DEFAULT, &headers)
}

/// The public keys of a tenant.
#[utoipa::path(
    get, path = "/.well-known/webhooks-keys/{tenant}", tag = "webhooks",
    operation_id = "webhooks_keys_of_tenant",
    params(("tenant" = String, Path, description = "ten_…")),
    responses((status = 200, body = WebhooksKeys, content_type = "application/jwk-set+json"),
        (status = 304, description = "As the ETag says"))
)]
pub async fn webhooks_keys_of_tenant(
    State(app): State<Arc<App>>,
    PathText(tenant): PathText,
    headers: HeaderMap,
) -> Result<Response> {
    // A text that is no id is no tenant, and who has no keys publishes none.
    let tenant = tenant.parse().unwrap_or(TenantId::from_i64(-1));
    Ok(answer(&app, tenant, &headers))
}

fn answer(app: &App, tenant: TenantId, headers: &HeaderMap) -> Response {
    let now = app.clock.now();
    let published = app.registry.published_keys(tenant);
    let valid = published.iter().filter(|key| key.valid_until.is_none_or(|until| until > now));
    let keys = WebhooksKeys { keys: valid.map(WebhooksKey::of).collect() };
    let body = serde_json::to_vec(&keys).expect("texts and numbers are JSON");
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..12]));
    let age = format!("public, max-age={MAX_AGE_S}");
    let cached = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, age)];
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, cached).into_response();
    }
    (cached, [(header::CONTENT_TYPE, "application/jwk-set+json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the thumbprint of RFC 8037, appendix A.2 and A.3.
    #[test]
    fn the_thumbprint_of_the_rfc() {
        let x =
            URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64");
        let text = base64::engine::general_purpose::STANDARD.encode(x);
        let key = PublicKey::parse(&format!("whpk_{text}")).expect("a key");
        assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
