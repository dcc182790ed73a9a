//! Checkpoints: moving committed pages from the write-ahead log into the database file.
//!
//! A helper thread does most of it beside the writer (PASSIVE). Alone it cannot make the log start
//! over while the writer never rests: it grew past a gigabyte in 15 s of load. So the writer itself
//! does the rest between two batches (RESTART) when the log has become large; little is left to do
//! by then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};

use crate::error::OpenError;

/// The helper is called for each so many bytes of log.
const PASSIVE_BYTES: u64 = 4 << 20;
/// The writer starts the log over at this size.
const RESTART_BYTES: u64 = 32 << 20;
/// And when the helper or a reader did not let it, again after so many more.
const RETRY_BYTES: u64 = 4 << 20;
/// From here on it waits for the helper, whatever that takes: the disk is slower than the load.
const WAIT_BYTES: u64 = 64 << 20;
/// How long the writer waits for readers of the old log.
const RESTART_PATIENCE: Duration = Duration::from_millis(100);

/// The writer's side.
pub(super) struct Checkpoints {
    page_size: u64,
    /// Pages in the log after the last commit, as SQLite's hook tells.
    pages: Arc<AtomicU64>,
    helper: Option<(SyncSender<()>, JoinHandle<()>)>,
    /// Held during a checkpoint: two at once would only get in each other's way.
    at_work: Arc<Mutex<()>>,
    /// Size of the log at which the helper, and the writer, are next due.
    passive_at: u64,
    restart_at: u64,
    busy_timeout: Duration,
}

impl Checkpoints {
    /// Starts the helper on a connection of its own, and watches the writer's log.
    pub(super) fn start(
        writer: &mut Connection,
        helper: Connection,
        page_size: u64,
        busy_timeout: Duration,
    ) -> Result<Self, OpenError> {
        // Room for one call: a second while it works would find nothing new.
        let (calls, called) = sync_channel::<()>(1);
        let at_work = Arc::new(Mutex::new(()));
        let working = Arc::clone(&at_work);
        let work = move || {
            while called.recv().is_ok() {
                let _at_work = working.lock();
                if let Err(error) = helper.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE)
                {
                    tracing::warn!(%error, "checkpoint");
                }
            }
        };
        let thread = std::thread::Builder::new().name("tidings-checkpoint".into());
        let thread = thread.spawn(work).map_err(|e| OpenError::Database(e.to_string()))?;
        let pages = Arc::new(AtomicU64::new(0));
        let watched = Arc::clone(&pages);
        let watch = move |_: &mut _, count: i32| {
            watched.store(u64::from(count.unsigned_abs()), Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(watch)).map_err(|e| OpenError::Database(e.to_string()))?;
        Ok(Self {
            page_size,
            pages,
            helper: Some((calls, thread)),
            at_work,
            passive_at: PASSIVE_BYTES,
            restart_at: RESTART_BYTES,
            busy_timeout,
        })
    }

    /// Between two batches.
    pub(super) fn after_commit(&mut self, conn: &Connection) {
        let log = self.pages.load(Ordering::Relaxed) * self.page_size;
        if log < self.passive_at.saturating_sub(PASSIVE_BYTES) {
            // The log has started over.
            self.passive_at = PASSIVE_BYTES;
            self.restart_at = RESTART_BYTES;
        }
        if log >= self.passive_at {
            self.passive_at = log + PASSIVE_BYTES;
            if let Some((calls, _)) = &self.helper
                && let Err(TrySendError::Disconnected(())) = calls.try_send(())
            {
                tracing::error!("the checkpoint thread is gone");
            }
        }
        if log >= self.restart_at {
            self.restart_at = log + RETRY_BYTES;
            self.restart(conn, log >= WAIT_BYTES);
        }
    }

    fn restart(&self, conn: &Connection, wait: bool) {
        let helper = self.at_work.try_lock();
        if matches!(helper, Err(TryLockError::WouldBlock)) && !wait {
            return;
        }
        let _at_work = helper.or_else(|_| self.at_work.lock());
        drop(conn.busy_timeout(RESTART_PATIENCE));
        // Busy: a reader needs the old log. Later, then.
        if let Err(error) = conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::RESTART) {
            tracing::debug!(%error, "the log could not start over");
        }
        drop(conn.busy_timeout(self.busy_timeout));
    }

    /// Everything into the database file, and the log emptied.
    pub(super) fn close(mut self, conn: Connection) {
        if let Some((calls, thread)) = self.helper.take() {
            drop(calls);
            drop(thread.join());
        }
        if let Err(error) = conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE) {
            tracing::warn!(%error, "last checkpoint");
        }
        if let Err((_, error)) = conn.close() {
            tracing::warn!(%error, "closing the database");
        }
    }
}
