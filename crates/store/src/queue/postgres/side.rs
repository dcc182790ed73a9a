//! The connection beside the others: heartbeats and leases, and hints from node to node.
//!
//! Hints are notifications that say no more than that there is something in the journal. They are sent
//! apart from what they hint at, after its commit and several at once (within the transaction they
//! would halve the throughput), and may be lost: the journal is read now and then anyway.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::leases::{Exchange, Shard, Standing};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::connect::{Connect, Hints, LEASES, told};
use super::node::{Identity, LEASES_LOCK, NOW};
use crate::error::ReadError;
use crate::nodes::{NodeRecord, Tenure};
use crate::queue::Reader;
use crate::store::Store;

/// For one exchange. A node that hears nothing for longer does better to ask again.
const PATIENCE: Duration = Duration::from_secs(3);
/// Hints of what was committed meanwhile are sent together: the first at once, the next so much later.
/// Each makes every other node read the journal. At 3 ms two nodes on two cores spent a twentieth of
/// them on it; a batch takes longer than 8 ms under such a load anyway.
const TOGETHER: Duration = Duration::from_millis(8);
const NODES: &str = "SELECT n.id, n.name, n.heartbeat, \
     n.heartbeat + n.lease >= (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT, \
     (SELECT COUNT(*) FROM shards s WHERE s.holder = n.id), n.owns \
     FROM nodes n WHERE n.lease >= 0 ORDER BY n.id";

pub(crate) struct Side {
    connect: Arc<Connect>,
    identity: Identity,
    tenure: Arc<Tenure>,
    client: Mutex<Option<Client>>,
    hints: Hints,
}

impl Side {
    pub(super) fn new(connect: Arc<Connect>, identity: Identity, tenure: Arc<Tenure>) -> Self {
        Self { connect, identity, tenure, client: Mutex::default(), hints: Hints::default() }
    }

    pub(crate) fn node(&self) -> u16 {
        self.identity.node
    }

    pub(crate) fn tenure(&self) -> Arc<Tenure> {
        Arc::clone(&self.tenure)
    }

    pub(crate) async fn hinted(&self) {
        self.hints.journal.notified().await;
    }

    pub(crate) async fn leases_hinted(&self) {
        self.hints.leases.notified().await;
    }

    /// Lost, it is made up for by the next renewal.
    pub(crate) async fn hint_leases(&self) {
        let _ = self.run(&format!("NOTIFY tidings, '{LEASES}'")).await;
    }

    pub(crate) async fn keep_hinting(&self) {
        // It may be lost, so nobody waits for the disk: without this each would be synced like a batch.
        let hint = format!(
            "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY tidings, '{}'; COMMIT",
            self.identity.node
        );
        loop {
            self.tenure.wants_hint().await;
            if self.tenure.is_shared() {
                // Lost, it is made up for by whoever looks by itself.
                let _ = self.run(&hint).await;
            }
            tokio::time::sleep(TOGETHER).await;
        }
    }

    pub(crate) async fn exchange(
        &self,
        asked: &Exchange,
        lease_ms: i64,
    ) -> Result<Standing, ReadError> {
        let rows = self.run(&self.statements(asked, lease_ms)).await?;
        let mut standing = Standing::default();
        let mut is_known = false;
        for row in rows {
            let SimpleQueryMessage::Row(row) = row else { continue };
            let int = |n: usize| row.try_get(n).ok().flatten().and_then(|text| text.parse().ok());
            match (row.len(), int(0)) {
                // A node has a column more than a shard.
                (4, Some(node)) => {
                    let node = u16::try_from(node).unwrap_or_default();
                    standing.nodes.push(node);
                    if int(2) == Some(1) {
                        standing.owners.push(node);
                    }
                    let incarnation: Option<i64> = int(1);
                    is_known |= node == self.identity.node
                        && incarnation == Some(self.identity.incarnation);
                }
                (3, epoch) => {
                    let holder = int(1).and_then(|holder: i64| holder.try_into().ok());
                    let was_cut_off = int(2) == Some(1);
                    let epoch: i64 = epoch.unwrap_or_default();
                    standing.shards.push(Shard { holder, epoch, was_cut_off });
                }
                _ => {}
            }
        }
        if !is_known && !asked.leaving {
            return Err(ReadError::Inconsistent("nodes: another process has taken this node"));
        }
        Ok(standing)
    }

    /// All in one message, so that nobody waits for a node that stands still in the middle.
    fn statements(&self, asked: &Exchange, lease_ms: i64) -> String {
        let Identity { node, incarnation, .. } = self.identity;
        let list = |shards: &[u8]| {
            shards.iter().fold(String::from("-1"), |mut text, shard| {
                let _ = write!(text, ", {shard}");
                text
            })
        };
        let given = if asked.leaving {
            String::new()
        } else {
            format!(" AND id IN ({})", list(&asked.give_back))
        };
        let owns = i64::from(asked.owns);
        let heartbeat = if asked.leaving { "0" } else { NOW };
        let taken = list(&asked.claim);
        format!(
            "BEGIN; SELECT FROM pg_advisory_xact_lock({LEASES_LOCK}); \
             UPDATE nodes SET heartbeat = {heartbeat}, lease = {lease_ms}, owns = {owns} \
             WHERE id = {node} AND incarnation = {incarnation}; \
             UPDATE shards SET holder = NULL, epoch = epoch + 1, was_cut_off = 1 \
             WHERE holder IN (SELECT id FROM nodes WHERE heartbeat + lease < {NOW}) \
             AND holder <> {node}; \
             UPDATE shards SET holder = NULL, epoch = epoch + 1, was_cut_off = 0 \
             WHERE holder = {node}{given}; \
             UPDATE shards SET holder = {node}, epoch = epoch + 1 \
             WHERE holder IS NULL AND id IN ({taken}) AND EXISTS (SELECT 1 FROM nodes \
             WHERE id = {node} AND incarnation = {incarnation}); \
             SELECT id, incarnation, owns, name FROM nodes WHERE heartbeat + lease >= {NOW} ORDER BY id; \
             SELECT epoch, holder, was_cut_off FROM shards ORDER BY id; COMMIT"
        )
    }

    /// Runs statements on the connection, a new one if need be.
    async fn run(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, ReadError> {
        let mut place = self.client.lock().await;
        let work = async {
            let client = match place.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => self.connect.listen(PATIENCE, self.hints.clone()).await?,
            };
            let rows = client.simple_query(sql).await;
            Ok::<_, tokio_postgres::Error>((client, rows?))
        };
        // A connection that gave no answer, or an error within a transaction, is not used again.
        match timeout(PATIENCE, work).await {
            Ok(Ok((client, rows))) => {
                *place = Some(client);
                Ok(rows)
            }
            Ok(Err(error)) => Err(ReadError::Unavailable(told(&error))),
            Err(_) => Err(ReadError::TooSlow),
        }
    }

    pub(crate) async fn nodes(&self, store: &Store) -> Result<Vec<NodeRecord>, ReadError> {
        let rows = store.read(Reader::Dispatcher, NODES, Vec::new()).await?;
        rows.into_iter()
            .map(|row| {
                let mut f = row.fields();
                Ok(NodeRecord {
                    id: f.take()?,
                    name: f.take()?,
                    heartbeat: f.take()?,
                    is_live: f.take::<i64>()? == 1,
                    shards: f.take()?,
                    owns: f.take::<i64>()? == 1,
                })
            })
            .collect()
    }
}
