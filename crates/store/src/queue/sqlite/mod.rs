//! The queue in an embedded SQLite file: one process, one thread that writes, readers beside it.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, params_from_iter};
use tidings_core::limits::{QUEUE_READERS, READERS};
use tokio::sync::watch;

use self::checkpoint::Checkpoints;
use self::readers::Readers;
use super::committer::Committer;
use super::transaction::Trouble;
use super::writer::Writer;
use crate::error::OpenError;
use crate::queue::{Job, Queue, Reader, Reading};
use crate::store::{Connections, Now, Sink};
use crate::value::{Row, Value};

mod checkpoint;
mod readers;
mod schema;
mod value;
mod write;

pub(crate) use schema::MIGRATIONS;
use write::Inserts;
pub(crate) use write::Writing;

/// Where the database and the lock are, in the data directory.
const DATABASE: &str = "tidings.db";
const LOCK: &str = "tidings.lock";
/// The write-ahead log, where there is one.
const LOG: &str = "tidings.db-wal";
/// Bytes of it that are written anew at once.
const RENEWED_AT_ONCE: usize = 1 << 20;

/// Older ones can lose committed writes when two connections write and checkpoint at once (the
/// WAL-reset bug).
const SQLITE_MIN: i32 = 3_051_003;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Queries for people, at most so long.
const READ_PATIENCE: Duration = Duration::from_secs(1);
/// Reads of the dispatcher and the sender have connections of their own.
const QUEUE_PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Sqlite {
    dir: PathBuf,
    committer: Arc<Committer>,
    history: Readers,
    queue: Readers,
    /// What holds the file; taken when it is released.
    held: Mutex<Option<Held>>,
}

struct Held {
    writer: JoinHandle<()>,
    /// Released last.
    _lock: File,
}

/// A file that this process alone uses, up to date.
pub(crate) struct Alone {
    pub(crate) writing: Writing,
    /// Released last.
    lock: File,
}

impl Alone {
    /// Takes the directory, which it creates.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        if rusqlite::version_number() < SQLITE_MIN {
            return Err(OpenError::UnsafeSqlite { found: rusqlite::version() });
        }
        let lock = lock(dir)?;
        let path = dir.join(DATABASE);
        let database = |error: rusqlite::Error| OpenError::Database(error.to_string());
        let io = |why| OpenError::Io { path: dir.to_owned(), why };
        renew(&dir.join(LOG)).map_err(io)?;
        keep_private(&path).map_err(io)?;
        let mut conn = connect(&path).map_err(database)?;
        schema::migrate(&mut conn)?;
        let helper = connect(&path).map_err(database)?;
        let page_size: i64 =
            conn.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(database)?;
        let page_size = page_size.unsigned_abs();
        let checkpoints = Checkpoints::start(&mut conn, helper, page_size, BUSY_TIMEOUT)?;
        let writing = Writing { conn, checkpoints, inserts: Inserts::default() };
        Ok(Self { writing, lock })
    }
}

/// Whether there is a store in this directory.
pub(crate) fn is_there(dir: &Path) -> bool {
    dir.join(DATABASE).exists()
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

impl Sqlite {
    pub(crate) fn open(dir: &Path, now: Now, sink: Sink) -> Result<Self, OpenError> {
        let Alone { writing, lock } = Alone::take(dir)?;
        let path = dir.join(DATABASE);
        let io = |why| OpenError::Io { path: dir.to_owned(), why };
        let committer = Arc::new(Committer::new(now));
        let writer = Writer::new(writing, Arc::clone(&committer), sink);
        let writer = writer.map_err(|Trouble { text, .. }| OpenError::Database(text))?;
        let thread = std::thread::Builder::new().name("tidings-writer".into());
        let writer = thread.spawn(move || writer.run()).map_err(io)?;
        Ok(Self {
            dir: dir.to_owned(),
            committer,
            history: Readers::new(&path, READERS, READ_PATIENCE),
            queue: Readers::new(&path, QUEUE_READERS, QUEUE_PATIENCE),
            held: Mutex::new(Some(Held { writer, _lock: lock })),
        })
    }

    /// Commits what was submitted and gives the file back; blocks until it is done.
    fn release(&self) {
        self.history.close();
        self.queue.close();
        self.committer.close();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(held) = held
            && held.writer.join().is_err()
        {
            tracing::error!("the writer had panicked");
        }
    }
}

/// Whoever forgets to close waits here instead.
impl Drop for Sqlite {
    fn drop(&mut self) {
        self.release();
    }
}

/// Takes the directory for this process.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let io = |why| OpenError::Io { path: dir.to_owned(), why };
    std::fs::create_dir_all(dir).map_err(io)?;
    let file = File::options().create(true).write(true).truncate(false).open(dir.join(LOCK));
    let file = file.map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Payloads lie in it in clear. The files that SQLite makes beside it are for the same readers.
fn keep_private(database: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.create(true).write(true).truncate(false).mode(0o600).open(database).map(drop)
}

/// Writes the log that the last process left anew and syncs it. It may have died of a sync that failed,
/// and what the kernel then shows of the log need not be on the disk; recovery would build on it.
fn renew(log: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let file = match File::options().read(true).write(true).open(log) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut buffer = vec![0; RENEWED_AT_ONCE];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            return file.sync_all();
        }
        file.write_all_at(&buffer[..read], at)?;
        at += read as u64;
    }
}

/// A connection that writes.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // Before the first table; without effect afterwards. 8192 gained nothing and doubles the log.
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // Each commit is on disk before it is answered: the promise.
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    // Pages in the cache cost: a commit looks at all of them. 32 MiB took 1 µs more per delivery.
    conn.pragma_update(None, "cache_size", -8_192)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

fn shared(conn: &Connection, sql: &str, args: &[Value]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = conn.prepare_cached(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map(params_from_iter(args), |row| {
        Ok(Row((0..columns).map(|n| row.get(n)).collect::<Result<_, _>>()?))
    })?;
    rows.collect()
}

impl Queue for Sqlite {
    fn submit(&self, job: Job) {
        self.committer.submit(job);
    }

    fn rows(&self, reader: Reader, sql: Cow<'static, str>, args: Vec<Value>) -> Reading<'_> {
        let readers = match reader {
            Reader::People => &self.history,
            Reader::Dispatcher => &self.queue,
        };
        Box::pin(readers.run(move |conn| shared(conn, &sql, &args)))
    }

    fn lost(&self) -> watch::Receiver<Option<String>> {
        self.committer.lost()
    }

    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    fn connections(&self) -> Option<Connections> {
        None
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.committer.close();
        // Joining blocks, so it is done where blocking is allowed.
        let (committer, history, queue) =
            (Arc::clone(&self.committer), self.history.clone(), self.queue.clone());
        let dir = self.dir.clone();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let release = move || {
                drop(Self { dir, committer, history, queue, held: Mutex::new(held) });
            };
            if let Err(error) = tokio::task::spawn_blocking(release).await {
                tracing::error!(%error, "closing the store");
            }
        })
    }
}
