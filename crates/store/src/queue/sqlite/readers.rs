//! Readers: a few read-only connections beside the writer, each query with a limit to its time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Semaphore;

use crate::error::ReadError;

/// Steps of SQLite's machine between two looks at whether the query is still wanted: some 10 µs.
const STEPS: i32 = 1_000;

/// A pool of read-only connections.
#[derive(Debug, Clone)]
pub(super) struct Readers(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    patience: Duration,
    free: Semaphore,
    idle: Mutex<Vec<Reader>>,
}

#[derive(Debug)]
struct Reader {
    conn: Connection,
    /// Set when its query is no longer wanted.
    stop: Arc<AtomicBool>,
}

/// Stops the query when whoever asked is gone or has waited too long. Each query has a flag of its
/// own, so a late stop cannot hit the next query on the same connection.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Readers {
    /// At most `count` queries at a time, each interrupted after `patience`.
    pub(super) fn new(path: &Path, count: usize, patience: Duration) -> Self {
        let free = Semaphore::new(count);
        Self(Arc::new(Pool { path: path.to_owned(), patience, free, idle: Mutex::default() }))
    }

    /// Runs a query.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let pool = Arc::clone(&self.0);
        let limit = tokio::time::sleep(pool.patience);
        let work = async {
            // Closed together with the store.
            let _permit = pool.free.acquire().await.map_err(|_| ReadError::Closed)?;
            let stop = Arc::new(AtomicBool::new(false));
            let guard = StopOnDrop(Arc::clone(&stop));
            let pool = Arc::clone(&pool);
            let result = tokio::task::spawn_blocking(move || pool.query(stop, query)).await;
            drop(guard);
            result.unwrap_or_else(|panic| Err(ReadError::Unavailable(panic.to_string())))
        };
        tokio::select! {
            result = work => result,
            () = limit => Err(ReadError::TooSlow),
        }
    }

    /// Refuses further queries and closes the connections that are idle.
    pub(super) fn close(&self) {
        self.0.free.close();
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Pool {
    fn query<T>(
        &self,
        stop: Arc<AtomicBool>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let mut reader = self.reader().map_err(|e| ReadError::Unavailable(e.to_string()))?;
        reader.watch(stop).map_err(|e| ReadError::Unavailable(e.to_string()))?;
        let result = query(&reader.conn);
        if !self.free.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        }
        result.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => ReadError::TooSlow,
            _ => ReadError::Unavailable(error.to_string()),
        })
    }

    fn reader(&self) -> rusqlite::Result<Reader> {
        if let Some(reader) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(reader);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.busy_timeout(self.patience)?;
        conn.pragma_update(None, "trusted_schema", false)?;
        conn.pragma_update(None, "query_only", true)?;
        conn.pragma_update(None, "cache_size", -4096)?;
        conn.set_prepared_statement_cache_capacity(32);
        Ok(Reader { conn, stop: Arc::default() })
    }
}

impl Reader {
    fn watch(&mut self, stop: Arc<AtomicBool>) -> rusqlite::Result<()> {
        self.stop = Arc::clone(&stop);
        self.conn.progress_handler(STEPS, Some(move || stop.load(Ordering::Relaxed)))
    }
}
