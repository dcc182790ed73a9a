//! A connection with the statements that were prepared on it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::columns;
use super::connect::Connect;
use crate::queue::table::Table;
use crate::value::{Row, Value};

/// Prepared statements of a session; composed queries have some hundred shapes at most.
const STATEMENTS_MAX: usize = 256;

pub(super) struct Session {
    pub(super) client: Client,
    pub(super) driver: JoinHandle<()>,
    statements: HashMap<Box<str>, Statement>,
    /// Those that insert, by table.
    inserts: [Option<Statement>; Table::COUNT],
}

/// Arguments as the driver takes them.
pub(super) type Args<'a> = [&'a (dyn ToSql + Sync)];

impl Session {
    pub(super) async fn open(connect: &Connect, patience: Duration) -> Result<Self, Error> {
        let (client, driver) = connect.open(patience).await?;
        let (statements, inserts) = (HashMap::new(), std::array::from_fn(|_| None));
        Ok(Self { client, driver, statements, inserts })
    }

    /// The statement of this text.
    pub(super) async fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// The statement that inserts what this node brings into a table. Its text, hundreds of bytes, is made
    /// once, and neither made nor looked up again for each batch.
    pub(super) async fn insert(&mut self, table: Table, node: u16) -> Result<Statement, Error> {
        if let Some(statement) = &self.inserts[table as usize] {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&columns::insert(table.spec(), node)).await?;
        self.inserts[table as usize] = Some(statement.clone());
        Ok(statement)
    }

    /// Runs a shared query.
    pub(super) async fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, Error> {
        let statement = self.prepare(sql).await?;
        let rows = self.client.query(&statement, &borrowed(args)).await?;
        rows.iter().map(row).collect()
    }
}

pub(super) fn borrowed(args: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect()
}

fn row(row: &tokio_postgres::Row) -> Result<Row, Error> {
    Ok(Row((0..row.len()).map(|n| row.try_get(n)).collect::<Result<_, _>>()?))
}
