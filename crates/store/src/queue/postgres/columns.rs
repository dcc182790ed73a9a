//! Rows on their way into a table: column by column, already in the binary form of PostgreSQL's
//! arrays, so that one statement brings them all in (`INSERT … SELECT … FROM UNNEST`).

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::session::Args;
use super::value::text;
use crate::queue::table::{Kind, OnConflict, Spec, Table};
use crate::queue::transaction::Cell;

/// One column of the rows.
#[derive(Debug)]
pub(super) struct Column {
    element: Type,
    rows: i32,
    has_null: bool,
    /// The elements, each behind its length.
    elements: Vec<u8>,
}

/// The columns of one table.
#[derive(Debug)]
pub(super) struct Columns(Vec<Column>);

impl Columns {
    pub(super) fn of(spec: &Spec) -> Self {
        Self(spec.columns().map(|(_, kind)| Column::new(kind)).collect())
    }

    pub(super) fn push(&mut self, row: &[Cell<'_>]) {
        assert_eq!(row.len(), self.0.len(), "a row has a cell for each column");
        self.0.iter_mut().zip(row).for_each(|(column, &cell)| column.push(cell));
    }

    pub(super) fn args(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0.iter().map(|column| column as &(dyn ToSql + Sync)).collect()
    }
}

impl Column {
    pub(super) fn new(kind: Kind) -> Self {
        let element = match kind {
            Kind::Int => Type::INT8,
            Kind::Text => Type::TEXT,
            Kind::Blob => Type::BYTEA,
        };
        Self { element, rows: 0, has_null: false, elements: Vec::new() }
    }

    pub(super) fn push(&mut self, cell: Cell<'_>) {
        self.rows += 1;
        match cell {
            Cell::Null => {
                self.has_null = true;
                self.elements.extend((-1_i32).to_be_bytes());
            }
            Cell::Int(int) => self.element(&int.to_be_bytes()),
            Cell::Text(it) => self.element(text(it).as_bytes()),
            Cell::Blob(bytes) => self.element(bytes),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn element(&mut self, bytes: &[u8]) {
        let length = i32::try_from(bytes.len()).expect("bodies and texts are bounded");
        self.elements.extend(length.to_be_bytes());
        self.elements.extend(bytes);
    }
}

impl ToSql for Column {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        // One dimension, whether there are nulls, the type, the length, the first index.
        let header = [1, i32::from(self.has_null), self.element.oid().cast_signed(), self.rows, 1];
        header.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
        out.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8_ARRAY, Type::TEXT_ARRAY, Type::BYTEA_ARRAY].contains(ty)
    }

    to_sql_checked!();
}

/// The statement that inserts columns. Rows that may meet a key come sorted by it, so that two nodes
/// never wait for each other in a ring; of several rows of one key the last one counts.
///
/// Each node counts in rows of its own: two that added to one row would wait for each other's commit.
pub(super) fn insert(spec: &Spec, node: u16) -> String {
    let names: Vec<&str> = spec.columns().map(|(name, _)| name).collect();
    let keys = spec.keys().collect::<Vec<_>>().join(", ");
    let arrays: Vec<String> = (1..)
        .zip(spec.columns())
        .map(|(n, (_, kind))| match kind {
            Kind::Int => format!("${n}::BIGINT[]"),
            Kind::Text => format!("${n}::TEXT[]"),
            Kind::Blob => format!("${n}::BYTEA[]"),
        })
        .collect();
    let (names, arrays) = (names.join(", "), arrays.join(", "));
    let (distinct, order) = match spec.on_conflict {
        OnConflict::Replace => (format!("DISTINCT ON ({keys}) "), format!("{keys}, nth DESC")),
        OnConflict::Add | OnConflict::Fail => (String::new(), keys),
    };
    if spec.on_conflict == OnConflict::Add {
        let conflict = spec.on_conflict().replacen(" ON CONFLICT (", " ON CONFLICT (node, ", 1);
        return format!(
            "INSERT INTO {} (node, {names}) SELECT {node}, {names} FROM UNNEST({arrays}) \
             AS rows ({names}) ORDER BY {order}{conflict}",
            spec.name
        );
    }
    format!(
        "{} SELECT {distinct}{names} FROM UNNEST({arrays}) WITH ORDINALITY AS rows ({names}, nth) \
         ORDER BY {order}{}",
        spec.insert(),
        spec.on_conflict()
    )
}

/// Adds up, under the first node, what each node has counted in rows of its own.
pub(super) fn folds() -> Vec<String> {
    [Table::TenantTotals, Table::TenantMinutes, Table::WebhookHours].map(fold).into()
}

fn fold(table: Table) -> String {
    let spec = table.spec();
    let (name, keys) = (spec.name, spec.keys().collect::<Vec<_>>());
    let values = spec.columns().map(|(name, _)| name).filter(|name| !keys.contains(name));
    let values: Vec<&str> = values.collect();
    let added = values.iter().map(|&column| match column {
        "last_at" => "MAX(last_at)".to_owned(),
        _ => format!("SUM({column})"),
    });
    let added = added.collect::<Vec<_>>().join(", ");
    let same = keys.iter().map(|key| format!("t.{key} = s.{key}")).collect::<Vec<_>>();
    let (keys, values, same) = (keys.join(", "), values.join(", "), same.join(" AND "));
    format!(
        "WITH s AS (SELECT DISTINCT {keys} FROM {name} WHERE node <> 0), \
         gone AS (DELETE FROM {name} t USING s WHERE {same} RETURNING t.*) \
         INSERT INTO {name} (node, {keys}, {values}) \
         SELECT 0, {keys}, {added} FROM gone GROUP BY {keys}"
    )
}

/// Columns beside each other, as arguments.
pub(super) fn args<'c, const N: usize>(columns: &'c [Column; N]) -> Box<Args<'c>> {
    columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect()
}
