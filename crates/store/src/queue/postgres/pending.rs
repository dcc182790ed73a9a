//! What a transaction has not sent yet.

use tokio_postgres::types::ToSql;

use super::columns::Columns;
use super::session::borrowed;
use crate::queue::table::Table;
use crate::value::Value;

pub(super) enum Op {
    /// Rows by table, which may come in any order.
    Insert(Vec<(Table, Columns)>),
    Send(&'static str, Vec<Value>),
}

/// What a statement does.
pub(super) enum Text {
    Insert(Table),
    Shared(&'static str),
}

/// One statement on its way.
pub(super) struct Statement<'o> {
    pub(super) text: Text,
    pub(super) args: Vec<&'o (dyn ToSql + Sync)>,
}

impl Op {
    pub(super) fn statements(&self) -> Vec<Statement<'_>> {
        match self {
            Self::Insert(group) => group
                .iter()
                .map(|(table, columns)| Statement {
                    text: Text::Insert(*table),
                    args: columns.args(),
                })
                .collect(),
            Self::Send(sql, args) => {
                vec![Statement { text: Text::Shared(sql), args: borrowed(args) }]
            }
        }
    }
}
