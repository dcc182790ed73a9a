//! The marks by which a move knows its two stores again, and by which neither is used meanwhile.

use tidings_core::id::TenantId;
use tidings_core::time::Timestamp;

use super::tables::Whose;
use crate::catalogue::tenants;
use crate::queue::transaction::{Fault, Transaction, Trouble};
use crate::value::Value;

/// In a source: the move, and whose rows it takes. In a target: the move, until it is complete.
const MOVING: &str = "moving";
const MOVING_TENANT: &str = "moving_tenant";
/// In a target: the last move that was completed.
const MOVED: &str = "moved";

/// Refuses a store that is being moved, or has been.
pub(crate) fn refuse(tx: &mut dyn Transaction) -> Result<(), Trouble> {
    match read(tx, MOVING)? {
        None => Ok(()),
        Some(_) => Err(Trouble::new(
            Fault::Statement,
            "it is being moved, or has been moved to another store; `tidings migrate --help` says more",
        )),
    }
}

/// What a source says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: i64,
    pub(super) whose: Whose,
}

pub(super) struct Source;

impl Source {
    pub(super) fn mark(tx: &mut dyn Transaction) -> Result<Option<Mark>, Trouble> {
        let Some(id) = read(tx, MOVING)? else { return Ok(None) };
        Ok(Some(Mark { id, whose: read(tx, MOVING_TENANT)? }))
    }

    pub(super) fn put(tx: &mut dyn Transaction, mark: Mark) -> Result<(), Trouble> {
        write(tx, MOVING, mark.id)?;
        mark.whose.map_or(Ok(()), |tenant| write(tx, MOVING_TENANT, tenant))
    }

    /// Takes the mark away; tells whether there was one.
    pub(super) fn clear(tx: &mut dyn Transaction) -> Result<bool, Trouble> {
        tx.execute(FORGET, &[MOVING_TENANT.into()])?;
        Ok(tx.execute(FORGET, &[MOVING.into()])? > 0)
    }

    /// All of it has gone: the mark stays. One tenant has gone: it is deleted here, and what it was owed
    /// is owed elsewhere; the rest can be used again. Its history goes with time.
    pub(super) fn finish(
        tx: &mut dyn Transaction,
        whose: Whose,
        now: Timestamp,
    ) -> Result<(), Trouble> {
        let Some(tenant) = whose else { return Ok(()) };
        let id = Value::Int(tenant);
        for sql in OWED_ELSEWHERE {
            tx.execute(sql, std::slice::from_ref(&id))?;
        }
        tx.execute(DELETE_WEBHOOKS, &[now.into(), Value::Blob([].into()), id])?;
        for statement in tenants::delete(TenantId::from_i64(tenant)) {
            tx.execute(statement.sql, &statement.args)?;
        }
        Self::clear(tx).map(drop)
    }
}

/// How a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Nothing was ever moved into it.
    Free,
    Filling(i64),
    /// The last move into it is complete.
    Filled(i64),
}

impl Target {
    pub(super) fn mark(tx: &mut dyn Transaction) -> Result<Self, Trouble> {
        Ok(match (read(tx, MOVING)?, read(tx, MOVED)?) {
            (Some(id), _) => Self::Filling(id),
            (None, Some(id)) => Self::Filled(id),
            (None, None) => Self::Free,
        })
    }

    pub(super) fn put(tx: &mut dyn Transaction, id: i64) -> Result<(), Trouble> {
        write(tx, MOVING, id)
    }

    /// From now on it can be used.
    pub(super) fn finish(tx: &mut dyn Transaction, id: i64) -> Result<(), Trouble> {
        write(tx, MOVED, id)?;
        tx.execute(FORGET, &[MOVING.into()]).map(drop)
    }
}

const FORGET: &str = "DELETE FROM meta WHERE key = $1";
const OWED_ELSEWHERE: &[&str] = &[
    "DELETE FROM ending WHERE webhook IN (SELECT webhook FROM queue WHERE tenant = $1)",
    "DELETE FROM queue WHERE tenant = $1",
    "DELETE FROM replays WHERE tenant = $1",
    "DELETE FROM tenant_minutes WHERE tenant = $1",
    "DELETE FROM tenant_totals WHERE tenant = $1",
    "DELETE FROM webhook_health WHERE webhook IN (SELECT id FROM webhooks WHERE tenant = $1)",
    "DELETE FROM webhook_hours WHERE webhook IN (SELECT id FROM webhooks WHERE tenant = $1)",
    "DELETE FROM api_keys WHERE tenant = $1",
];
const DELETE_WEBHOOKS: &str = "UPDATE webhooks SET deleted_at = $1, secrets = $2 \
     WHERE tenant = $3 AND deleted_at IS NULL";

fn read(tx: &mut dyn Transaction, key: &str) -> Result<Option<i64>, Trouble> {
    let rows = tx.rows("SELECT value FROM meta WHERE key = $1", &[key.into()])?;
    Ok(rows.into_iter().next().and_then(|row| row.fields().take().ok()))
}

fn write(tx: &mut dyn Transaction, key: &str, value: i64) -> Result<(), Trouble> {
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute(sql, &[key.into(), value.into()]).map(drop)
}
