//! A transaction while it is being filled: what its works will look for is fetched when it begins,
//! what they write is gathered by table and sent when it is complete, or when someone reads.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::delivery::{Lane, Owed};
use tidings_core::id::{EventId, JobId, TenantId, WebhookId};
use tidings_core::shard;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::Error;

use super::columns::Columns;
use super::connect::told;
use super::journal;
use super::node::{Identity, NODE_LOCK};
use super::pending::Op;
use super::session::{Session, borrowed};
use super::sought::{self, Key, Sought};
use crate::error::WriteError;
use crate::nodes::Tenure;
use crate::queue::batch::seen::{Found, Kind};
use crate::queue::batch::{Done, Work};
use crate::queue::table::Table;
use crate::queue::transaction::{Cell, Fault, Meta, Transaction, Trouble};
use crate::value::{Row, Value};

mod fetch;
mod send;

#[cfg(any(test, feature = "conformance"))]
pub(crate) use fetch::HOT;
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
    /// Those that were locked when it began.
    gates: HashSet<i64>,
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
            gates: HashSet::new(),
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
        let key = sought::gate(place, job);
        // All that the works would come to were locked when it began, unless it was alone then.
        if self.tenure.is_shared() && !self.gates.contains(&key) {
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
