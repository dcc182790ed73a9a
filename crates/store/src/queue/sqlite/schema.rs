//! The tables, and how a file gets from an older version to this one.
//!
//! `PRAGMA user_version` counts the migrations that a file has seen. Each runs in a transaction of its
//! own; a file from a newer version is refused, because what it holds is not understood.
//!
//! Rules of the hot tables: the key is the time-ordered id, so that rows are appended at the right
//! edge of a b-tree; no foreign keys; no column for what the id already says (when it was created).

use rusqlite::Connection;

use crate::error::OpenError;

/// In the order of their numbers, from 1.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
    include_str!("schema_10.sql"),
    include_str!("schema_11.sql"),
    include_str!("schema_12.sql"),
    include_str!("schema_13.sql"),
    include_str!("schema_14.sql"),
    include_str!("schema_15.sql"),
];

/// Brings the file up to date.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    let found: i64 = conn
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|e| OpenError::Database(e.to_string()))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    for (version, sql) in (1_i64..).zip(MIGRATIONS).skip(found as usize) {
        step(conn, version, sql).map_err(|e| OpenError::Database(e.to_string()))?;
    }
    Ok(())
}

fn step(conn: &mut Connection, version: i64, sql: &str) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    tx.execute_batch(sql)?;
    tx.pragma_update(None, "user_version", version)?;
    tx.commit()
}
