//! Which node this is: its number, and the proof that no other writes under it.
//!
//! Numbers are part of ids, so no two processes may ever commit under the same one. A number belongs to
//! the connection that writes by a lock in the database, and to a name by a row in `nodes`; each process
//! that takes the number raises the row's incarnation. A process that comes back after its connection
//! broke, and finds another incarnation, has been replaced and must end.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::connect::{Connect, told};
use super::session::Session;
use crate::error::OpenError;
use crate::nodes::Member;

/// Bits of an id for it.
const NODES: i64 = 1_024;
/// A number whose node has been silent for so long is given to another.
const FORGOTTEN: &str = "3600000";
/// Held by the connection that writes, with the node's number; the number here is arbitrary.
pub(super) const NODE_LOCK: i32 = 0x7469_6469;
/// Held while leases, or numbers, change hands.
pub(super) const LEASES_LOCK: i64 = 0x7469_6469_6e67_0003;
/// Now, in milliseconds, by the only clock that all nodes share.
pub(super) const NOW: &str = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT";
/// Until the first exchange says another, milliseconds.
const LEASE: i64 = 10_000;
/// How long a node waits for a former process of the same name, which has just been killed.
const PATIENCE: &str = "SET lock_timeout = '4s'";

/// Held by every connection that writes, together with others or alone; the number is arbitrary.
const HOUSE_LOCK: i64 = 0x7469_6469_6e67_0002;

/// How a process uses the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use<'a> {
    /// As one node among others.
    Shared(&'a Member),
    /// While nobody else writes.
    Alone,
}

/// This process among all that write to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// 0 to 1023.
    pub(super) node: u16,
    pub(super) incarnation: i64,
    is_alone: bool,
}

/// Waits a little for whoever uses the database in another way, and keeps them out from then on.
pub(super) async fn enter(
    connect: &Connect,
    session: &Session,
    usage: Use<'_>,
) -> Result<(), OpenError> {
    house(&session.client, usage == Use::Alone).await.map_err(|error| match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => OpenError::DatabaseInUse(connect.place()),
        _ => OpenError::Unreachable { place: connect.place(), why: told(&error) },
    })
}

async fn house(client: &Client, alone: bool) -> Result<(), Error> {
    client.batch_execute(PATIENCE).await?;
    let sql =
        if alone { "SELECT pg_advisory_lock($1)" } else { "SELECT pg_advisory_lock_shared($1)" };
    client.execute(sql, &[&HOUSE_LOCK]).await?;
    client.batch_execute("SET lock_timeout = 0").await
}

/// Takes a number for a process of this name: the one that the name had, or a free one. Whoever is alone
/// is no node to others.
pub(super) async fn enrol(
    connect: &Connect,
    session: &mut Session,
    usage: Use<'_>,
) -> Result<Identity, OpenError> {
    let (name, lease, owns) = match usage {
        Use::Shared(member) => (&member.name[..], LEASE, member.owns),
        Use::Alone => ("alone", -1, false),
    };
    let failed = |error: Error| match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => OpenError::NodeRuns { name: name.to_owned() },
        _ => OpenError::Unreachable { place: connect.place(), why: told(&error) },
    };
    let number = number(&mut session.client, name).await.map_err(failed)?;
    let node = number.ok_or_else(|| OpenError::Database("1024 nodes run already".to_owned()))?;
    lock_node(&session.client, node).await.map_err(failed)?;
    let sql = format!(
        "UPDATE nodes SET incarnation = incarnation + 1, heartbeat = {NOW}, lease = {lease}, owns = {} \
         WHERE id = $1 RETURNING incarnation",
        i64::from(owns)
    );
    let row = session.client.query_one(&sql, &[&i64::from(node)]).await.map_err(failed)?;
    Ok(Identity { node, incarnation: row.get(0), is_alone: usage == Use::Alone })
}

async fn number(client: &mut Client, name: &str) -> Result<Option<u16>, Error> {
    let tx = client.transaction().await?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LEASES_LOCK]).await?;
    let known = tx.query_opt("SELECT id FROM nodes WHERE name = $1", &[&name]).await?;
    let id: i64 = match known {
        Some(row) => row.get(0),
        None => {
            let free = format!(
                "SELECT n.id FROM generate_series(0::BIGINT, {NODES} - 1) AS n (id) \
                 LEFT JOIN nodes o ON o.id = n.id \
                 WHERE o.id IS NULL OR o.heartbeat < {NOW} - {FORGOTTEN} \
                 ORDER BY o.id IS NOT NULL, n.id LIMIT 1"
            );
            let Some(row) = tx.query_opt(&free, &[]).await? else { return Ok(None) };
            let id: i64 = row.get(0);
            let take = format!(
                "INSERT INTO nodes (id, name, incarnation, heartbeat, lease) \
                 VALUES ($1, $2, 0, {NOW}, 0) ON CONFLICT (id) \
                 DO UPDATE SET name = excluded.name, heartbeat = excluded.heartbeat, lease = 0"
            );
            tx.execute(&take, &[&id, &name]).await?;
            id
        }
    };
    tx.commit().await?;
    Ok(u16::try_from(id).ok())
}

/// Takes the locks of this process, which last as long as the session.
pub(super) async fn lock(client: &Client, identity: Identity) -> Result<(), Error> {
    house(client, identity.is_alone).await?;
    lock_node(client, identity.node).await
}

async fn lock_node(client: &Client, node: u16) -> Result<(), Error> {
    client.batch_execute(PATIENCE).await?;
    let sql = "SELECT pg_advisory_lock($1, $2)";
    client.execute(sql, &[&NODE_LOCK, &i32::from(node)]).await?;
    client.batch_execute("SET lock_timeout = 0").await
}

/// What this node holds already; and every shard that is free, if nobody else owns any: who is alone
/// need not wait for the first exchange. Shard and epoch of each.
pub(super) async fn settle_in(client: &mut Client, node: u16) -> Result<Vec<(u8, i64)>, Error> {
    let tx = client.transaction().await?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LEASES_LOCK]).await?;
    let sql = format!(
        "UPDATE shards SET holder = $1, epoch = epoch + 1 WHERE holder = $1 OR (holder IS NULL \
         AND NOT EXISTS (SELECT 1 FROM nodes WHERE id <> $1 AND owns = 1 AND heartbeat + lease >= {NOW})) \
         RETURNING id, epoch"
    );
    let rows = tx.query(&sql, &[&i64::from(node)]).await?;
    tx.commit().await?;
    let shard = |id: i64| u8::try_from(id).expect("there are 256 of them");
    Ok(rows.iter().map(|row| (shard(row.get(0)), row.get(1))).collect())
}

/// Gives back what a node of this name held when it owned shards. Whoever takes these waits as after a
/// node that was cut off, for how it ended is not known.
pub(super) async fn give_back(client: &Client, node: u16) -> Result<(), Error> {
    let sql =
        "UPDATE shards SET holder = NULL, epoch = epoch + 1, was_cut_off = 1 WHERE holder = $1";
    client.execute(sql, &[&i64::from(node)]).await.map(drop)
}

/// Whether the row is still that of this process.
pub(super) async fn is_still(client: &Client, identity: Identity) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM nodes WHERE id = $1 AND incarnation = $2";
    let args: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
        [&i64::from(identity.node), &identity.incarnation];
    Ok(client.query_opt(sql, &args).await?.is_some())
}
