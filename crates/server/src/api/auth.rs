//! Who is calling: API keys, scopes, tenants.
//!
//! A key is shown once and kept as its SHA-256. Without any key configured the server serves the
//! tenant `default` to everyone, which it only does on loopback (see `config`).

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidings_core::id::{KeyId, TenantId};
use tidings_store::catalogue::tenants::DEFAULT;
use tokio::sync::watch;

use super::App;
use super::problem::{Problem, Result};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Scope {
    /// Publish events.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Register and change webhooks.
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
    /// Retry, cancel, redrive.
    #[serde(rename = "deliveries:write")]
    DeliveriesWrite,
    /// Read everything of its tenant.
    #[serde(rename = "read")]
    Read,
}

impl Scope {
    pub const ALL: [Self; 4] =
        [Self::EventsWrite, Self::WebhooksWrite, Self::DeliveriesWrite, Self::Read];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::WebhooksWrite => "webhooks:write",
            Self::DeliveriesWrite => "deliveries:write",
            Self::Read => "read",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// SHA-256 of a key's text.
pub type KeyHash = [u8; 32];

/// The hash under which a key is kept.
#[must_use]
pub fn hash(key: &str) -> KeyHash {
    Sha256::digest(key.as_bytes()).into()
}

/// What is known of a key.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    /// `None` for the key of the configuration.
    pub id: Option<KeyId>,
    /// `None`: an admin key, which may act for any tenant.
    pub tenant: Option<TenantId>,
    pub scopes: Vec<Scope>,
}

/// The keys in memory. Look-up is by hash: how long it takes says nothing about any key.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: RwLock<HashMap<KeyHash, Arc<KeyEntry>>>,
    tenants: RwLock<HashSet<TenantId>>,
    /// Set with the first key and never cleared: an open door is chosen at a start, not slipped into.
    locked: AtomicBool,
    /// Held while keys or tenants change, so that what was checked still holds when it is written.
    changing: tokio::sync::Mutex<()>,
    /// Changes with every key and tenant that comes or goes.
    changed: watch::Sender<()>,
}

impl Keyring {
    /// Whether callers need keys.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Acquire)
    }

    /// One change of keys or tenants at a time.
    pub async fn change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    pub fn put(&self, hash: KeyHash, entry: KeyEntry) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(hash, Arc::new(entry));
        self.locked.store(true, Ordering::Release);
        self.changed.send_replace(());
    }

    /// Takes these in place of what there is, but for the key of the configuration.
    pub fn replace(&self, tenants: HashSet<TenantId>, entries: Vec<(KeyHash, KeyEntry)>) {
        *self.tenants.write().unwrap_or_else(PoisonError::into_inner) = tenants;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, entry| entry.id.is_none());
        keys.extend(entries.into_iter().map(|(hash, entry)| (hash, Arc::new(entry))));
        if !keys.is_empty() {
            self.locked.store(true, Ordering::Release);
        }
        self.changed.send_replace(());
    }

    /// Whether an admin key is left when this one goes.
    #[must_use]
    pub fn has_admin_besides(&self, id: Option<KeyId>) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().any(|entry| entry.tenant.is_none() && (entry.id.is_none() || entry.id != id))
    }

    /// Forgets the keys for which this holds.
    pub fn remove_if(&self, gone: impl Fn(&KeyEntry) -> bool) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, entry| !gone(entry));
        self.changed.send_replace(());
    }

    /// Wakes whoever holds a stream open: the caller may be admitted no longer.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub fn put_tenant(&self, id: TenantId) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    pub fn remove_tenant(&self, id: TenantId) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.remove_if(|entry| entry.tenant == Some(id));
    }

    #[must_use]
    pub fn has_tenant(&self, id: TenantId) -> bool {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Whether a caller would still be let in: streams outlive the keys that they were opened with.
    #[must_use]
    pub fn admits(&self, caller: &Caller) -> bool {
        let has_key = match &caller.key {
            Some(hash) => self.find(hash).is_some(),
            None => !self.is_locked(),
        };
        has_key && self.has_tenant(caller.tenant)
    }

    fn find(&self, hash: &KeyHash) -> Option<Arc<KeyEntry>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }
}

/// The caller of a request, for one tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    pub tenant: TenantId,
    /// `None`: none was needed.
    key: Option<KeyHash>,
    admin: bool,
    /// `None`: everything.
    scopes: Option<Arc<KeyEntry>>,
}

impl Caller {
    /// 403 unless the key has the scope.
    pub fn require(&self, scope: Scope) -> Result<()> {
        match &self.scopes {
            Some(entry) if !entry.scopes.contains(&scope) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "missing_scope",
                format!("the key lacks the scope `{}`", scope.as_str()),
            )),
            _ => Ok(()),
        }
    }

    /// 403 unless it is an admin key.
    pub fn require_admin(&self) -> Result<()> {
        if self.admin {
            return Ok(());
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "admin_only", "an admin key is needed"))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        if !app.keyring.is_locked() {
            refuse_foreign_pages(&parts.headers)?;
            let tenant = acted_for(&parts.headers, &app.keyring)?.unwrap_or(DEFAULT);
            return Ok(Self { tenant, key: None, admin: true, scopes: None });
        }
        let hash = hash(bearer(&parts.headers).ok_or_else(unauthorised)?);
        let entry = app.keyring.find(&hash).ok_or_else(unauthorised)?;
        let key = Some(hash);
        match entry.tenant {
            Some(tenant) => {
                stay_at_home(&parts.headers, tenant)?;
                Ok(Self { tenant, key, admin: false, scopes: Some(entry) })
            }
            None => {
                let tenant = acted_for(&parts.headers, &app.keyring)?.unwrap_or(DEFAULT);
                Ok(Self { tenant, key, admin: true, scopes: None })
            }
        }
    }
}

/// Without keys only this machine can connect, but its browser runs pages from elsewhere. A page
/// betrays itself by its `Origin`, or, when its name was made to resolve to this machine, by `Host`.
fn refuse_foreign_pages(headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let origin = text(header::ORIGIN);
    let same = origin.is_none_or(|origin| origin.strip_prefix("http://") == Some(host));
    if same && is_this_machine(host) {
        return Ok(());
    }
    let detail = "without a key configured, only programs and pages of this machine are served";
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail))
}

/// Whether a `Host` names this machine: `localhost` or a loopback address, with or without a port.
fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The tenant of `X-Tenant-ID`. Given twice it names none: a proxy may have added one of them.
fn acted_for(headers: &HeaderMap, keyring: &Keyring) -> Result<Option<TenantId>> {
    let mut given = headers.get_all("x-tenant-id").iter();
    let Some(value) = given.next() else { return Ok(None) };
    let id = value.to_str().ok().filter(|_| given.next().is_none()).and_then(parse_tenant);
    match id.filter(|&id| keyring.has_tenant(id)) {
        Some(id) => Ok(Some(id)),
        None => Err(Problem::not_found("the tenant of X-Tenant-ID was")),
    }
}

/// Refuses a tenant's key that is to act for another: its own data would pass for that one's.
fn stay_at_home(headers: &HeaderMap, own: TenantId) -> Result<()> {
    let named = |value: &HeaderValue| value.to_str().ok().and_then(parse_tenant);
    if headers.get_all("x-tenant-id").iter().all(|value| named(value) == Some(own)) {
        return Ok(());
    }
    let detail =
        "the key belongs to another tenant than X-Tenant-ID names; an admin key acts for any";
    Err(Problem::new(StatusCode::FORBIDDEN, "other_tenant", detail))
}

/// A tenant's id, or `default`.
#[must_use]
pub fn parse_tenant(text: &str) -> Option<TenantId> {
    if text == "default" { Some(DEFAULT) } else { text.parse().ok() }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// 401.
pub fn unauthorised() -> Problem {
    let detail = "an API key is needed: Authorization: Bearer <key>";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_served(host: &'static str, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
        refuse_foreign_pages(&headers).is_ok()
    }

    #[test]
    fn without_keys_pages_from_elsewhere_are_refused() {
        for host in ["localhost:4000", "127.0.0.1", "127.0.0.1:4000", "[::1]:4000", "[::1]"] {
            assert!(is_served(host, None), "{host}");
        }
        assert!(is_served("localhost:4000", Some("http://localhost:4000")));
        for origin in
            ["http://evil.example", "null", "http://localhost:3000", "https://localhost:4000"]
        {
            assert!(!is_served("localhost:4000", Some(origin)), "{origin}");
        }
        // A name that its owner lets resolve to 127.0.0.1.
        assert!(!is_served("rebound.example:4000", Some("http://rebound.example:4000")));
        assert!(!is_served("rebound.example", None) && !is_served("", None));
    }
}
