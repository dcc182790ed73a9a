//! The tables, and how a database gets from an older version to this one.
//!
//! The migrations are those of the embedded store, in the order and with the numbers of there: their
//! types have one counterpart each ([`translate`]). What PostgreSQL needs beyond that stands beside
//! this file. Each runs in a transaction of its own; one that waits for another node's finds nothing
//! left to do. A database from a newer version is refused, because what it holds is not understood.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use super::connect::{Connect, told};
use crate::error::OpenError;
use crate::queue::sqlite::MIGRATIONS;

/// What is added to a migration here, by its number.
const ADDITIONS: &[(i64, &str)] = &[
    (1, include_str!("schema_1.sql")),
    (7, include_str!("schema_7.sql")),
    (8, include_str!("schema_8.sql")),
    (9, include_str!("schema_9.sql")),
    (10, include_str!("schema_10.sql")),
    (11, include_str!("schema_11.sql")),
    (12, include_str!("schema_12.sql")),
    (13, include_str!("schema_13.sql")),
];

/// Older ones are not tested.
const VERSION_MIN: i32 = 150_000;

/// For what asks; a migration itself takes as long as it does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held during a migration; the number is arbitrary.
const LOCK: i64 = 0x7469_6469_6e67_0001;

/// Connects, and does nothing else.
pub(super) async fn migrate_at(connect: &Connect) -> Result<i64, OpenError> {
    let opened = connect.open(PATIENCE).await;
    let unreachable = |e: Error| OpenError::Unreachable { place: connect.place(), why: told(&e) };
    let (mut client, _driver) = opened.map_err(unreachable)?;
    migrate(&mut client).await?;
    Ok(MIGRATIONS.len() as i64)
}

/// Brings the database up to date.
pub(super) async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    check(client).await?;
    let failed = |e: Error| OpenError::Database(told(&e));
    let known = MIGRATIONS.len() as i64;
    loop {
        let found = version(client).await.map_err(failed)?;
        if found > known {
            return Err(OpenError::NewerSchema { found, known });
        }
        if found == known {
            return Ok(());
        }
        step(client, found + 1).await.map_err(failed)?;
    }
}

async fn check(client: &Client) -> Result<(), OpenError> {
    let sql = "SELECT current_setting('server_version_num')::INT, \
         current_setting('server_encoding'), current_setting('server_version')";
    let row = client.query_one(sql, &[]).await;
    let row = row.map_err(|e| OpenError::Database(told(&e)))?;
    if row.get::<_, i32>(0) < VERSION_MIN {
        return Err(OpenError::OldPostgres { found: row.get(2) });
    }
    match row.get::<_, &str>(1) {
        "UTF8" => Ok(()),
        other => Err(OpenError::Database(format!("its encoding is {other} and must be UTF8"))),
    }
}

async fn version(client: &mut Client) -> Result<i64, Error> {
    let exists = "SELECT to_regclass('schema_version') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(0);
    }
    Ok(client.query_one("SELECT version FROM schema_version", &[]).await?.get(0))
}

async fn step(client: &mut Client, number: i64) -> Result<(), Error> {
    let tx = client.transaction().await?;
    tx.batch_execute("SET LOCAL statement_timeout = 0").await?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    tx.batch_execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL); \
         INSERT INTO schema_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM schema_version)",
    )
    .await?;
    let sql = "UPDATE schema_version SET version = $1 WHERE version = $1::BIGINT - 1";
    // Another node was faster.
    if tx.execute(sql, &[&number]).await? == 0 {
        return tx.rollback().await;
    }
    let index = usize::try_from(number - 1).expect("numbers begin at 1");
    tx.batch_execute(&translate(MIGRATIONS[index])).await?;
    for (_, addition) in ADDITIONS.iter().filter(|(of, _)| *of == number) {
        tx.batch_execute(addition).await?;
    }
    tx.commit().await
}

/// What a database of an older version was made by.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn script(version: i64) -> String {
    let mut script = format!(
        "CREATE TABLE schema_version (version BIGINT NOT NULL); \
         INSERT INTO schema_version VALUES ({version});"
    );
    for (number, sql) in (1..=version).zip(MIGRATIONS) {
        script += &translate(sql);
        script.extend(ADDITIONS.iter().filter(|(of, _)| *of == number).map(|(_, more)| *more));
    }
    script
}

/// The types of SQLite's strict tables have one counterpart each; how a table is laid out has none.
fn translate(sql: &str) -> String {
    sql.replace(" STRICT, WITHOUT ROWID;", ";")
        .replace(" STRICT;", ";")
        .replace("INTEGER", "BIGINT")
        .replace("BLOB", "BYTEA")
}
