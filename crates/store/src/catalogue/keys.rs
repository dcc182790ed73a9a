//! API keys: kept as a hash, shown as a prefix.

use tidings_core::id::{KeyId, TenantId};
use tidings_core::time::Timestamp;

use crate::catalogue::moved::{Part, moved};
use crate::change::Statement;
use crate::error::ReadError;
use crate::store::Store;

/// A key as the catalogue keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: KeyId,
    /// `None`: an admin key, which may act for any tenant.
    pub tenant: Option<TenantId>,
    pub name: String,
    pub hash: Vec<u8>,
    /// The first characters, by which its owner recognises it.
    pub prefix: String,
    /// Words, separated by spaces.
    pub scopes: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

const INSERT: &str = "INSERT INTO api_keys (id, tenant, name, hash, prefix, scopes, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
const REVOKE_ALL: &str =
    "UPDATE api_keys SET revoked_at = $1 WHERE tenant = $2 AND revoked_at IS NULL";
const ALL: &str = "SELECT id, tenant, name, hash, prefix, scopes, created_at, revoked_at \
     FROM api_keys ORDER BY id";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[INSERT, REVOKE, REVOKE_ALL, ALL];

/// A new key.
#[must_use]
pub fn insert(key: &KeyRecord) -> Vec<Statement> {
    let args = vec![
        key.id.into(),
        key.tenant.into(),
        key.name.as_str().into(),
        key.hash.as_slice().into(),
        key.prefix.as_str().into(),
        key.scopes.as_str().into(),
        key.created_at.into(),
    ];
    with_move(Statement::expecting(1, INSERT, args))
}

/// The key opens nothing from now on; its row stays, to say whose it was.
#[must_use]
pub fn revoke(id: KeyId, now: Timestamp) -> Vec<Statement> {
    with_move(Statement::expecting(1, REVOKE, vec![now.into(), id.into()]))
}

/// The same for every key of a tenant.
#[must_use]
pub fn revoke_all(tenant: TenantId, now: Timestamp) -> Vec<Statement> {
    with_move(Statement::new(REVOKE_ALL, vec![now.into(), tenant.into()]))
}

fn with_move(statement: Statement) -> Vec<Statement> {
    std::iter::once(statement).chain(moved(Part::Callers)).collect()
}

impl Store {
    /// Every key, revoked ones included.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, ReadError> {
        let rows = self.rows(ALL, Vec::new()).await?;
        rows.into_iter()
            .map(|row| {
                let mut f = row.fields();
                Ok(KeyRecord {
                    id: f.take()?,
                    tenant: f.take()?,
                    name: f.take()?,
                    hash: f.take()?,
                    prefix: f.take()?,
                    scopes: f.take()?,
                    created_at: f.take()?,
                    revoked_at: f.take()?,
                })
            })
            .collect()
    }
}
