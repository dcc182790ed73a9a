//! A transaction of SQLite: every row at once, through statements that are looked up once for a batch
//! and not once for a row.

use std::cell::OnceCell;

use rusqlite::{
    CachedStatement, Connection, ErrorCode, OptionalExtension as _, ToSql, TransactionBehavior,
    params_from_iter,
};
use tidings_core::delivery::Owed;
use tidings_core::id::TenantId;

use super::checkpoint::Checkpoints;
use super::shared;
use crate::queue::batch::Work;
use crate::queue::batch::seen::{Found, Kind};
use crate::queue::table::{Spec, Table};
use crate::queue::transaction::{Cell, Commit, Database, Fault, Transaction, Trouble};
use crate::value::{Row, Value};

/// The connection that writes.
pub(crate) struct Writing {
    pub(super) conn: Connection,
    pub(super) checkpoints: Checkpoints,
    pub(super) inserts: Inserts,
}

/// The texts of the statements that insert, by table, each made once: made anew for each batch they were
/// a tenth of the writer's instructions.
#[derive(Debug, Default)]
pub(super) struct Inserts([OnceCell<String>; Table::COUNT]);

impl Inserts {
    fn text(&self, table: Table) -> &str {
        self.0[table as usize].get_or_init(|| insert(table.spec()))
    }
}

impl Database for Writing {
    fn commit<T>(
        &mut self,
        _works: &[Work],
        fill: impl FnOnce(&mut dyn Transaction) -> Result<T, Trouble>,
    ) -> Commit<T> {
        match self.run(fill) {
            Ok(filled) => Commit::Made(filled),
            Err(trouble) => {
                // A failed COMMIT can leave the transaction open.
                if !self.conn.is_autocommit() {
                    drop(self.conn.execute_batch("ROLLBACK"));
                }
                Commit::Failed(trouble)
            }
        }
    }

    /// A file answers in any case.
    fn was_committed(&mut self) -> Result<bool, Trouble> {
        Ok(false)
    }

    fn rest(&mut self) {
        self.checkpoints.after_commit(&self.conn);
    }

    fn close(self) {
        self.checkpoints.close(self.conn);
    }
}

impl Writing {
    fn run<T>(
        &mut self,
        fill: impl FnOnce(&mut dyn Transaction) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        // Dropped on an error, and by a panic that unwinds, it rolls back.
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let filled = fill(&mut Filling::new(&tx, &self.inserts)?)?;
        tx.commit()?;
        Ok(filled)
    }
}

struct Filling<'c> {
    conn: &'c Connection,
    texts: &'c Inserts,
    /// By table, each from its first row on.
    inserts: [Option<CachedStatement<'c>>; Table::COUNT],
    take_owed: CachedStatement<'c>,
    move_owed: CachedStatement<'c>,
}

impl<'c> Filling<'c> {
    fn new(conn: &'c Connection, texts: &'c Inserts) -> rusqlite::Result<Self> {
        Ok(Self {
            conn,
            texts,
            inserts: std::array::from_fn(|_| None),
            take_owed: conn.prepare_cached("DELETE FROM queue WHERE id = ? AND attempts = ?")?,
            move_owed: conn.prepare_cached(
                "UPDATE queue SET ready_at = ?, not_before = ?, attempts = ?, granted = ? \
                 WHERE id = ? AND attempts = ?",
            )?,
        })
    }
}

impl Transaction for Filling<'_> {
    fn insert(&mut self, table: Table, row: &[Cell<'_>]) -> Result<(), Trouble> {
        let statement = match &mut self.inserts[table as usize] {
            Some(statement) => statement,
            none => none.insert(self.conn.prepare_cached(self.texts.text(table))?),
        };
        for (n, cell) in (1..).zip(row) {
            statement.raw_bind_parameter(n, cell)?;
        }
        statement.raw_execute()?;
        Ok(())
    }

    fn take_owed(&mut self, owed: &Owed) -> Result<bool, Trouble> {
        Ok(self.take_owed.execute((owed.id.as_i64(), owed.attempts))? > 0)
    }

    fn move_owed(&mut self, owed: &Owed, again: &Owed) -> Result<bool, Trouble> {
        let moved = self.move_owed.execute((
            again.ready_at.as_millis(),
            again.not_before.as_millis(),
            again.attempts,
            again.attempts_granted,
            owed.id.as_i64(),
            owed.attempts,
        ))?;
        Ok(moved > 0)
    }

    fn seen(&mut self, tenant: TenantId, kind: Kind, key: &str) -> Result<Option<Found>, Trouble> {
        let found = self
            .conn
            .prepare_cached(
                "SELECT fingerprint, answer FROM seen WHERE tenant = ? AND kind = ? AND key = ?",
            )?
            .query_row((tenant.as_i64(), kind as i64, key), |row| {
                Ok(Found { fingerprint: row.get(0)?, answer: row.get(1)? })
            });
        Ok(found.optional()?)
    }

    fn execute(&mut self, sql: &str, args: &[Value]) -> Result<usize, Trouble> {
        Ok(self.conn.prepare_cached(sql)?.execute(params_from_iter(args))?)
    }

    fn send(&mut self, sql: &'static str, args: &[Value]) -> Result<(), Trouble> {
        self.execute(sql, args).map(drop)
    }

    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, Trouble> {
        Ok(shared(self.conn, sql, args)?)
    }

    fn savepoint(&mut self) -> Result<(), Trouble> {
        self.execute("SAVEPOINT work", &[]).map(drop)
    }

    fn release(&mut self, keep: bool) -> Result<(), Trouble> {
        if !keep {
            self.execute("ROLLBACK TO work", &[])?;
        }
        self.execute("RELEASE work", &[]).map(drop)
    }
}

fn insert(spec: &Spec) -> String {
    let marks = vec!["?"; spec.columns().count()].join(", ");
    format!("{} VALUES ({marks}){}", spec.insert(), spec.on_conflict())
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Int(int) => ValueRef::Integer(int),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A sync that failed. The kernel may have given up the pages and call the next one a success.
fn is_failed_sync(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
    error
        .sqlite_error()
        .is_some_and(|e| [SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC].contains(&e.extended_code))
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        if is_failed_sync(&error) {
            let text = format!(
                "the disk failed to keep what was written ({error}); start again once it can be trusted"
            );
            return Self { fault: Fault::Lost, text };
        }
        let fault = match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Fault::Constraint,
            None
            | Some(
                ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::Unknown,
            ) => Fault::Statement,
            Some(_) => Fault::Database,
        };
        Self::new(fault, error)
    }
}
