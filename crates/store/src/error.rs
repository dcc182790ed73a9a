//! What can go wrong, in the words of the caller and not of a database.

use std::path::PathBuf;

/// Why a write was not made. Nothing of it has been written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// More waits to be written than can be written soon.
    #[error("too much is waiting to be written; try again in {retry_after_s} s")]
    Overloaded { retry_after_s: u32 },
    /// The database cannot write now: disk full, input/output error, connection lost.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// The idempotency key was used with another request body.
    #[error("the idempotency key was used for a different request")]
    KeyConflict,
    /// The publisher's event id was used for another event.
    #[error("the event id `{client_id}` was used for a different event")]
    EventConflict { client_id: Box<str> },
    /// What was to be changed has changed meanwhile, or exists already.
    #[error("it was changed by someone else meanwhile")]
    Conflict,
    /// It was planned with a catalogue that another node has changed since; planned anew it can be made.
    #[error("the catalogue has changed meanwhile")]
    Stale,
    #[error("not found")]
    NotFound,
    /// It cannot be sent again while it is still being delivered.
    #[error("the delivery is still owed")]
    StillOwed,
    #[error("the store is closed")]
    Closed,
}

/// Why a read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It ran into its time limit and was interrupted.
    #[error("the query took too long")]
    TooSlow,
    #[error("the store cannot read: {0}")]
    Unavailable(String),
    /// A row that this version cannot have written.
    #[error("inconsistent data in {0}")]
    Inconsistent(&'static str),
    #[error("the store is closed")]
    Closed,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another tidings process uses {0}; stop it or choose another data directory")]
    InUse(PathBuf),
    /// `why` is part of the text, so it is not named as the source, which is told behind it.
    #[error("cannot use {path}: {why}")]
    Io { path: PathBuf, why: std::io::Error },
    /// SQLite before 3.51.3 can lose committed writes (the WAL-reset bug).
    #[error("SQLite {found} can lose committed writes; at least 3.51.3 is needed")]
    UnsafeSqlite { found: &'static str },
    #[error("the database was written by a newer tidings (schema {found}, known {known})")]
    NewerSchema { found: i64, known: i64 },
    #[error("Could not connect to PostgreSQL at {place}: {why}")]
    Unreachable { place: String, why: String },
    /// A store is moved while nobody else uses it.
    #[error("another tidings process uses the database {0}: stop it first")]
    DatabaseInUse(String),
    /// A node is one process: two of one name would make the same ids.
    #[error(
        "another tidings process runs as the node {name}: stop it or choose another data directory"
    )]
    NodeRuns { name: String },
    #[error("PostgreSQL {found} is too old; 15 or later is needed")]
    OldPostgres { found: String },
    #[error("DATABASE_URL: {0}")]
    BadUrl(String),
    #[error("cannot open the database: {0}")]
    Database(String),
}
