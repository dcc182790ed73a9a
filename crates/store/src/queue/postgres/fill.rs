//! A transaction while it is being filled: what its works will look for is fetched when it begins,
//! what they write is gathered by table and sent when it is complete, or when someone reads.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{try_join, try_join5};
use tidings_core::delivery::{Lane, Owed};
use tidings_core::id::{EventId, JobId, TenantId, WebhookId};
use tidings_core::shard;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use super::columns::{self, Columns};
use super::connect::told;
use super::journal;
use super::node::{Identity, NODE_LOCK};
use super::pending::Op;
use super::session::{Session, borrowed};
use super::sought::{Key, Sought};
use crate::error::WriteError;
use crate::nodes::Tenure;
use crate::queue::batch::seen::{Found, Kind};
use crate::queue::batch::{Done, Work};
#[cfg(any(test, feature = "conformance"))]
use crate::queue::reads;
use crate::queue::table::Table;
use crate::queue::transaction::{Cell, Fault, Meta, Standing, Transaction, Trouble};
use crate::value::{Row, Value};

/// A settlement counts only while this node owns the shard, since the epoch that it knows of. The shard
/// is read and not locked: what another owner commits in the same moment meets the number of attempts.
///
/// `= ANY (ARRAY[…])` says no more than `=`, and leaves no choice: only an index can be asked by it, and no
/// join goes the other way. With `=` a queue that PostgreSQL took for empty, as it mostly is, was read whole
/// for each row of the batch.
const TAKE: &str = "DELETE FROM queue q USING UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], \
     $4::BIGINT[]) AS t (id, attempts, shard, epoch) JOIN shards s \
     ON s.id = ANY (ARRAY[t.shard]) AND s.epoch = t.epoch \
     WHERE q.id = ANY (ARRAY[t.id]) AND q.attempts = t.attempts RETURNING q.id";
const MOVE: &str = "UPDATE queue q SET ready_at = t.ready_at, not_before = t.not_before, \
     attempts = t.more, granted = t.granted FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], \
     $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[]) \
     AS t (id, attempts, shard, epoch, ready_at, not_before, more, granted) \
     JOIN shards s ON s.id = ANY (ARRAY[t.shard]) AND s.epoch = t.epoch \
     WHERE q.id = ANY (ARRAY[t.id]) AND q.attempts = t.attempts RETURNING q.id";
const SEEN: &str = "SELECT t.nth, s.fingerprint, s.answer \
     FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) WITH ORDINALITY AS t (tenant, kind, key, nth) \
     JOIN seen s ON s.tenant = ANY (ARRAY[t.tenant]) AND s.kind = t.kind AND s.key = t.key";
/// The number of the batch. Written first, it gives the transaction a number as well: whoever waits for
/// all that is under way can see it from then on, so what `late` says must be read after it.
const NUMBER: &str = "INSERT INTO node_batches (node, number) VALUES ($1, $2) \
     ON CONFLICT (node) DO UPDATE SET number = excluded.number";
/// In the order of [`Meta`].
const META: &str = "SELECT (SELECT value FROM meta WHERE key = 'catalogue'), \
     (SELECT value FROM meta WHERE key = 'deliveries_late'), \
     (SELECT value FROM meta WHERE key = 'events_late'), \
     (SELECT value FROM meta WHERE key = 'queue_late')";
/// In the order of [`Standing`]. A step of maintenance asked for all of it one by one, a dozen round trips in
/// the middle of a batch and forty times a second under load.
const STANDING: &str = "SELECT (SELECT value FROM meta WHERE key = 'deliveries_indexed'), \
     (SELECT value FROM meta WHERE key = 'events_indexed'), \
     (SELECT value FROM meta WHERE key = 'queue_aged'), pg_current_xact_id()::TEXT::BIGINT, \
     pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT, \
     EXISTS (SELECT 1 FROM unfinished), EXISTS (SELECT 1 FROM ending)";

/// What every batch looks for.
#[cfg(any(test, feature = "conformance"))]
pub(crate) const HOT: &[&str] = &[TAKE, MOVE, SEEN, reads::PAGES];

mod send;

pub(super) use send::Ended;

pub(super) struct Filling {
    runtime: Rc<Runtime>,
    pub(super) session: Session,
    /// For one round trip.
    patience: Duration,
    /// Not sent yet, in order.
    pending: Vec<Op>,
    /// Deliveries whose rows of the queue were as their settlements say, and are gone or moved.
    settled: HashSet<i64>,
    /// What is known of the keys that publishers gave.
    seen: HashMap<Key, Option<Found>>,
    /// The savepoint is among what is pending.
    unsent_savepoint: bool,
    /// Other nodes must hear of it.
    pub(super) has_news: bool,
    is_broken: bool,
    meta: Meta,
    identity: Identity,
    tenure: Arc<Tenure>,
}

impl Filling {
    /// Begins the transaction of the node's `nth` batch, and fetches what its works will look for.
    pub(super) fn begin(
        runtime: Rc<Runtime>,
        session: Session,
        (identity, tenure): (Identity, Arc<Tenure>),
        (nth, works): (i64, &[Work]),
        patience: Duration,
    ) -> Result<Self, Trouble> {
        let mut filling = Self {
            runtime,
            session,
            patience,
            pending: Vec::new(),
            settled: HashSet::new(),
            seen: HashMap::new(),
            unsent_savepoint: false,
            has_news: false,
            is_broken: false,
            meta: Meta::default(),
            identity,
            tenure,
        };
        filling.fetch(nth, Sought::by(works, &filling.tenure))?;
        Ok(filling)
    }

    fn fetch(&mut self, nth: i64, sought: Sought) -> Result<(), Trouble> {
        let keys = sought.key_columns();
        let (takes, moves) = (columns::args(&sought.takes), columns::args(&sought.moves));
        let key_args = columns::args(&keys);
        let this = [i64::from(self.identity.node), nth];
        let this = this.each_ref().map(|int| int as &(dyn ToSql + Sync));
        let fetched = self.wait(async |session: &mut Session| {
            let [number, take, move_, seen, meta] = [
                session.prepare(NUMBER).await?,
                session.prepare(TAKE).await?,
                session.prepare(MOVE).await?,
                session.prepare(SEEN).await?,
                session.prepare(META).await?,
            ];
            let standing = session.prepare(STANDING).await?;
            let client = &session.client;
            let ask = async |statement, args: &super::session::Args<'_>, wanted: bool| {
                if wanted { client.query(statement, args).await } else { Ok(Vec::new()) }
            };
            // Each is sent when it is first polled, which is in this order: one round trip for all.
            let begin = try_join(client.batch_execute("BEGIN"), client.execute(&number, &this));
            let (_, taken, moved, found, meta) = try_join5(
                begin,
                ask(&take, &takes, !sought.takes[0].is_empty()),
                ask(&move_, &moves, !sought.moves[0].is_empty()),
                ask(&seen, &key_args, !sought.keys.is_empty()),
                try_join(client.query_one(&meta, &[]), ask(&standing, &[], sought.maintains)),
            )
            .await?;
            Ok((taken, moved, found, meta))
        });
        let (taken, moved, found, (meta, standing)) = fetched?;
        let [catalogue, late @ ..]: [i64; 4] = std::array::from_fn(|n| meta.get(n));
        let standing = standing.first().map(|row| Standing {
            indexed: std::array::from_fn(|n| row.get(n)),
            this: row.get(3),
            oldest: row.get(4),
            has_unfinished: row.get(5),
            has_ending: row.get(6),
        });
        self.meta = Meta { catalogue, late: Some(late), standing };
        self.settled.extend(taken.iter().chain(&moved).map(|row| row.get::<_, i64>(0)));
        let mut found: HashMap<usize, Found> = found
            .iter()
            .map(|row| {
                let nth = usize::try_from(row.get::<_, i64>(0)).expect("counted from 1");
                (nth - 1, Found { fingerprint: row.get(1), answer: row.get(2) })
            })
            .collect();
        let keys = sought.keys.into_iter().enumerate();
        self.seen = keys.map(|(nth, key)| (key, found.remove(&nth))).collect();
        Ok(())
    }

    /// The session, with nothing of this written, if it can go on.
    pub(super) fn roll_back(mut self) -> Option<Session> {
        let rolled_back =
            self.wait(async |session: &mut Session| session.client.batch_execute("ROLLBACK").await);
        if rolled_back.is_err() {
            self.session.driver.abort();
        }
        rolled_back.is_ok().then_some(self.session)
    }

    /// Runs what takes one round trip, or two when a statement is new, within the time for it.
    fn wait<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, Error>,
    ) -> Result<T, Trouble> {
        if self.is_broken {
            return Err(Trouble::new(Fault::Database, "the connection is broken"));
        }
        let (session, patience) = (&mut self.session, self.patience);
        let result = self.runtime.block_on(async { timeout(patience, work(session)).await });
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.trouble(&error)),
            Err(_) => {
                self.is_broken = true;
                Err(Trouble::new(Fault::Database, "no answer in time"))
            }
        }
    }

    fn trouble(&mut self, error: &Error) -> Trouble {
        let Some(code) = error.code() else {
            self.is_broken |= error.is_closed() || self.session.client.is_closed();
            let fault = if self.is_broken { Fault::Database } else { Fault::Statement };
            return Trouble::new(fault, told(error));
        };
        let fault = match (&code.code()[..2], code.code()) {
            ("23", _) => Fault::Constraint,
            // Two nodes waited for each other.
            ("40", _) => Fault::Raced,
            // Connection, resources, shutdown and time-outs, input and output, locks, faults of the
            // database itself; and a server that only reads, because another took its place.
            ("08" | "53" | "57" | "58" | "55" | "XX", _) | (_, "25006") => Fault::Database,
            _ => Fault::Statement,
        };
        Trouble::new(fault, told(error))
    }
}

impl Transaction for Filling {
    fn insert(&mut self, table: Table, row: &[Cell<'_>]) -> Result<(), Trouble> {
        if !matches!(self.pending.last(), Some(Op::Insert(_))) {
            self.pending.push(Op::Insert(Vec::new()));
        }
        let Some(Op::Insert(group)) = self.pending.last_mut() else { return Ok(()) };
        let at = group.iter().position(|(of, _)| *of == table).unwrap_or_else(|| {
            group.push((table, Columns::of(table.spec())));
            group.len() - 1
        });
        group[at].1.push(row);
        if let (
            Table::Seen,
            &[
                Cell::Int(tenant),
                Cell::Int(kind),
                Cell::Text(key),
                Cell::Blob(fingerprint),
                _,
                Cell::Blob(answer),
                _,
            ],
        ) = (table, row)
        {
            let kind = if kind == Kind::Key as i64 { Kind::Key } else { Kind::ClientId };
            let found = Found { fingerprint: fingerprint.into(), answer: answer.into() };
            self.seen.insert((TenantId::from_i64(tenant), kind, key.into()), Some(found));
        }
        Ok(())
    }

    fn take_owed(&mut self, owed: &Owed) -> Result<bool, Trouble> {
        Ok(self.settled.remove(&owed.id.as_i64()))
    }

    fn move_owed(&mut self, owed: &Owed, _again: &Owed) -> Result<bool, Trouble> {
        Ok(self.settled.remove(&owed.id.as_i64()))
    }

    fn seen(&mut self, tenant: TenantId, kind: Kind, key: &str) -> Result<Option<Found>, Trouble> {
        let wanted: Key = (tenant, kind, key.into());
        if let Some(known) = self.seen.get(&wanted) {
            return Ok(known.clone());
        }
        let sql =
            "SELECT fingerprint, answer FROM seen WHERE tenant = $1 AND kind = $2 AND key = $3";
        let rows = self.rows(sql, &[tenant.into(), (kind as i64).into(), key.into()])?;
        let found = rows.into_iter().next().and_then(|row| {
            let mut f = row.fields();
            Some(Found { fingerprint: f.take().ok()?, answer: f.take().ok()? })
        });
        self.seen.insert(wanted, found.clone());
        Ok(found)
    }

    fn execute(&mut self, sql: &str, args: &[Value]) -> Result<usize, Trouble> {
        self.flush()?;
        let rows = self.wait(async |session: &mut Session| {
            let statement = session.prepare(sql).await?;
            session.client.execute(&statement, &borrowed(args)).await
        })?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    fn send(&mut self, sql: &'static str, args: &[Value]) -> Result<(), Trouble> {
        self.pending.push(Op::Send(sql, args.to_vec()));
        Ok(())
    }

    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, Trouble> {
        self.flush()?;
        self.wait(async |session: &mut Session| session.rows(sql, args).await)
    }

    fn meta(&self) -> Meta {
        self.meta
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn owns(&mut self, lane: Lane) -> Result<bool, Trouble> {
        let shard = shard::of(lane.webhook);
        let args = [i64::from(shard).into(), self.tenure.epoch(shard).into()];
        let rows = self.rows("SELECT 1 FROM shards WHERE id = $1 AND epoch = $2", &args)?;
        Ok(!rows.is_empty())
    }

    fn abandoned(&mut self, event: EventId) -> Result<bool, Trouble> {
        let node = i64::from(event.node());
        if node == i64::from(self.identity.node) {
            return Ok(true);
        }
        let args = [node.into(), i64::from(NODE_LOCK).into()];
        Ok(self.execute(BURY, &args)? > 0)
    }

    fn lock_gate(&mut self, place: WebhookId, job: JobId) -> Result<(), Trouble> {
        if self.tenure.is_shared() {
            let key = place.as_i64() ^ job.as_i64().rotate_left(32);
            self.execute("SELECT pg_advisory_xact_lock($1)", &[key.into()])?;
        }
        Ok(())
    }

    fn tell_others(
        &mut self,
        works: &[Work],
        done: &[Result<Done, WriteError>],
    ) -> Result<(), Trouble> {
        let news = journal::encode(works, done);
        if news.is_empty() {
            return Ok(());
        }
        self.has_news = true;
        self.send(journal::WRITE, &[self.identity.node.into(), news.into()])
    }

    fn savepoint(&mut self) -> Result<(), Trouble> {
        // What came before is not to be taken back, and its faults are its own.
        self.flush()?;
        self.pending.push(Op::Send("SAVEPOINT work", Vec::new()));
        self.unsent_savepoint = true;
        Ok(())
    }

    fn release(&mut self, keep: bool) -> Result<(), Trouble> {
        if keep {
            self.pending.push(Op::Send("RELEASE work", Vec::new()));
            return Ok(());
        }
        self.pending.clear();
        // What it remembered is forgotten; what was fetched can be fetched again.
        self.seen.clear();
        if std::mem::take(&mut self.unsent_savepoint) {
            return Ok(());
        }
        self.wait(async |session: &mut Session| {
            session.client.batch_execute("ROLLBACK TO work; RELEASE work").await
        })
    }
}

/// A node that is silent for a minute and has no connection that writes is gone: it gets another
/// incarnation, so that it cannot come back.
const BURY: &str = "UPDATE nodes SET incarnation = incarnation + 1 WHERE id = $1 AND heartbeat < \
     (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT - 60000 \
     AND pg_try_advisory_xact_lock($2::BIGINT::INT, $1::BIGINT::INT)";
