//! A transaction while it is being filled: what its works will look for is fetched when it begins,
//! what they write is gathered by table and sent when it is complete, or when someone reads.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::try_join4;
use tidings_core::delivery::Owed;
use tidings_core::id::TenantId;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::Error;

use super::columns::{self, Columns};
use super::connect::told;
use super::session::{Session, borrowed};
use super::sought::{Key, Sought};
use crate::queue::batch::Work;
use crate::queue::batch::seen::{Found, Kind};
use crate::queue::table::Table;
use crate::queue::transaction::{Cell, Fault, Transaction, Trouble};
use crate::value::{Row, Value};

const TAKE: &str = "DELETE FROM queue q USING UNNEST($1::BIGINT[], $2::BIGINT[]) AS t (id, attempts) \
     WHERE q.id = t.id AND q.attempts = t.attempts RETURNING q.id";
const MOVE: &str = "UPDATE queue q SET ready_at = t.ready_at, not_before = t.not_before, \
     attempts = t.more, granted = t.granted FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], \
     $4::BIGINT[], $5::BIGINT[], $6::BIGINT[]) \
     AS t (id, attempts, ready_at, not_before, more, granted) \
     WHERE q.id = t.id AND q.attempts = t.attempts RETURNING q.id";
const SEEN: &str = "SELECT t.nth, s.fingerprint, s.answer \
     FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) WITH ORDINALITY AS t (tenant, kind, key, nth) \
     JOIN seen s ON s.tenant = t.tenant AND s.kind = t.kind AND s.key = t.key";
const NUMBER: &str = "UPDATE meta SET value = $1 WHERE key = 'batch'";

/// What every batch looks for.
#[cfg(any(test, feature = "conformance"))]
pub(crate) const HOT: &[&str] = &[TAKE, MOVE, SEEN];

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
    has_written: bool,
    is_broken: bool,
}

enum Op {
    /// Rows by table, which may come in any order.
    Insert(Vec<(Table, Columns)>),
    Send(&'static str, Vec<Value>),
}

impl Filling {
    /// Begins a transaction and fetches what its works will look for.
    pub(super) fn begin(
        runtime: Rc<Runtime>,
        session: Session,
        works: &[Work],
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
            has_written: false,
            is_broken: false,
        };
        filling.fetch(Sought::by(works))?;
        Ok(filling)
    }

    fn fetch(&mut self, sought: Sought) -> Result<(), Trouble> {
        let keys = sought.key_columns();
        let (takes, moves) = (columns::args(&sought.takes), columns::args(&sought.moves));
        let key_args = columns::args(&keys);
        let fetched = self.wait(async |session: &mut Session| {
            let statements = [TAKE, MOVE, SEEN];
            let [take, move_, seen] = [
                session.prepare(statements[0]).await?,
                session.prepare(statements[1]).await?,
                session.prepare(statements[2]).await?,
            ];
            let client = &session.client;
            let ask = async |statement, args: &super::session::Args<'_>, wanted: bool| {
                if wanted { client.query(statement, args).await } else { Ok(Vec::new()) }
            };
            // Each is sent when it is first polled, which is in this order: one round trip for all.
            let begin = client.batch_execute("BEGIN");
            let (_, taken, moved, found) = try_join4(
                begin,
                ask(&take, &takes, !sought.takes[0].is_empty()),
                ask(&move_, &moves, !sought.moves[0].is_empty()),
                ask(&seen, &key_args, !sought.keys.is_empty()),
            )
            .await?;
            Ok((taken, moved, found))
        });
        let (taken, moved, found) = fetched?;
        self.settled.extend(taken.iter().chain(&moved).map(|row| row.get::<_, i64>(0)));
        self.has_written = !self.settled.is_empty();
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

    /// Everything is sent; if anything was written, the number of the batch along with it.
    pub(super) fn finish(&mut self, number: i64) -> Result<(), Trouble> {
        if self.has_written {
            self.send(NUMBER, &[number.into()])?;
        }
        self.flush()
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

    /// Sends what is pending, in one round trip.
    fn flush(&mut self) -> Result<(), Trouble> {
        let ops = std::mem::take(&mut self.pending);
        if ops.is_empty() {
            return Ok(());
        }
        self.unsent_savepoint = false;
        let statements: Vec<Statement<'_>> = ops.iter().flat_map(Op::statements).collect();
        let sent = self.wait(async |session: &mut Session| {
            let mut prepared = Vec::with_capacity(statements.len());
            for statement in &statements {
                prepared.push(session.prepare(&statement.sql).await?);
            }
            let mut running = Vec::with_capacity(statements.len());
            for (statement, prepared) in statements.iter().zip(&prepared) {
                let mut one = Box::pin(session.client.execute(prepared, &statement.args));
                // Its first poll sends it.
                match (&mut one).now_or_never() {
                    Some(done) => drop(done?),
                    None => running.push(one),
                }
            }
            for one in running {
                one.await?;
            }
            Ok(())
        });
        // Whoever happens to read is not the one who is at fault.
        sent.map_err(|trouble| match trouble.fault {
            Fault::Constraint => Trouble { fault: Fault::Statement, ..trouble },
            _ => trouble,
        })
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
            // Connection, resources, shutdown and time-outs, input and output, deadlocks and locks, faults
            // of the database itself; and a server that only reads, because another took its place.
            ("08" | "53" | "57" | "58" | "40" | "55" | "XX", _) | (_, "25006") => Fault::Database,
            _ => Fault::Statement,
        };
        Trouble::new(fault, told(error))
    }
}

impl Transaction for Filling {
    fn insert(&mut self, table: Table, row: &[Cell<'_>]) -> Result<(), Trouble> {
        self.has_written = true;
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
        self.has_written = true;
        let rows = self.wait(async |session: &mut Session| {
            let statement = session.prepare(sql).await?;
            session.client.execute(&statement, &borrowed(args)).await
        })?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    fn send(&mut self, sql: &'static str, args: &[Value]) -> Result<(), Trouble> {
        self.has_written = true;
        self.pending.push(Op::Send(sql, args.to_vec()));
        Ok(())
    }

    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, Trouble> {
        self.flush()?;
        self.wait(async |session: &mut Session| session.rows(sql, args).await)
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

/// One statement on its way.
struct Statement<'o> {
    sql: std::borrow::Cow<'static, str>,
    args: Vec<&'o (dyn tokio_postgres::types::ToSql + Sync)>,
}

impl Op {
    fn statements(&self) -> Vec<Statement<'_>> {
        match self {
            Self::Insert(group) => group
                .iter()
                .map(|(table, columns)| Statement {
                    sql: columns::insert(table.spec()).into(),
                    args: columns.args(),
                })
                .collect(),
            Self::Send(sql, args) => vec![Statement { sql: (*sql).into(), args: borrowed(args) }],
        }
    }
}
