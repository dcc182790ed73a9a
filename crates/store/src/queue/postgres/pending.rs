//! What a transaction has not sent yet.

use std::borrow::Cow;

use tokio_postgres::types::ToSql;

use super::columns::{self, Columns};
use super::session::borrowed;
use crate::queue::table::Table;
use crate::value::Value;

pub(super) enum Op {
    /// Rows by table, which may come in any order.
    Insert(Vec<(Table, Columns)>),
    Send(&'static str, Vec<Value>),
}

/// One statement on its way.
pub(super) struct Statement<'o> {
    pub(super) sql: Cow<'static, str>,
    pub(super) args: Vec<&'o (dyn ToSql + Sync)>,
}

impl Op {
    pub(super) fn statements(&self, node: u16) -> Vec<Statement<'_>> {
        match self {
            Self::Insert(group) => group
                .iter()
                .map(|(table, columns)| Statement {
                    sql: columns::insert(table.spec(), node).into(),
                    args: columns.args(),
                })
                .collect(),
            Self::Send(sql, args) => vec![Statement { sql: (*sql).into(), args: borrowed(args) }],
        }
    }
}
