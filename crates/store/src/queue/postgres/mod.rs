//! The queue in a PostgreSQL database: one connection that writes, on a thread of its own, and a few
//! that read.
//!
//! In reading order: [`connect`] (where, and in what session) → [`session`] (statements on a
//! connection) → [`write`] (a transaction, with [`columns`] on their way) → [`readers`]. What makes
//! several of it one: [`node`] (which one this is), [`side`] (leases and hints), [`journal`] (what one
//! tells the others). [`days`] is how history is laid out.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tidings_core::limits::{QUEUE_READERS, READERS};
use tokio::sync::watch;

use self::connect::Connect;
use self::node::Identity;
use self::readers::Readers;
use self::side::Side;
use super::committer::Committer;
use super::transaction::Trouble;
use super::writer::Writer;
use crate::error::{OpenError, ReadError};
use crate::nodes::{Member, Tenure};
use crate::queue::{Job, Queue, Reader, Reading};
use crate::store::{Connections, Now, Sink};
use crate::value::Value;

mod columns;
mod connect;
pub(crate) mod days;
mod fill;
mod journal;
mod node;
mod pending;
mod readers;
mod schema;
mod session;
pub(crate) mod side;
mod sought;
mod value;
mod write;

#[cfg(any(test, feature = "conformance"))]
pub(crate) use connect::SESSION;
#[cfg(any(test, feature = "conformance"))]
pub(crate) use fill::HOT;
#[cfg(any(test, feature = "conformance"))]
pub(crate) use schema::script;
pub(crate) use write::Writing;

/// Queries for people, at most so long.
const READ_PATIENCE: Duration = Duration::from_secs(1);
/// Reads of the dispatcher and the sender have connections of their own.
const QUEUE_PATIENCE: Duration = Duration::from_secs(30);

/// For whoever keeps the days, when the store is closed.
const LEAVE: Duration = Duration::from_secs(1);

pub(crate) struct Postgres {
    committer: Arc<Committer>,
    history: Readers,
    queue: Readers,
    side: Side,
    /// Taken when the store is closed.
    writer: Mutex<Option<JoinHandle<()>>>,
    connect: Arc<Connect>,
    closing: watch::Sender<bool>,
    /// Held while days are made and dropped.
    keeping: tokio::sync::Mutex<()>,
}

/// Where a URL leads, for people; never with a password.
pub(crate) fn place(url: &str) -> String {
    Connect::parse(url)
        .map_or_else(|_| "postgres://…".to_owned(), |c| format!("postgres://{}", c.place()))
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    /// Brings the tables up to date beside a node that may run; the number of the last migration.
    pub(crate) fn migrate(url: &str) -> Result<i64, OpenError> {
        let connect = Connect::parse(url)?;
        let migrate = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|e| OpenError::Database(e.to_string()))?;
            runtime.block_on(schema::migrate_at(&connect))
        };
        // A thread of its own, for the caller may be within a runtime.
        let gone = |_| OpenError::Database("the migration has panicked".to_owned());
        std::thread::spawn(migrate).join().map_err(gone)?
    }

    /// Connects, brings the tables up to date, and takes a number for this process: the one that its name
    /// had before, if it had one.
    pub(crate) fn open(url: &str, member: Member, now: Now, sink: Sink) -> Result<Self, OpenError> {
        let connect = Arc::new(Connect::parse(url)?);
        let committer = Arc::new(Committer::new(now));
        let (tell, told) = mpsc::channel();
        let (theirs, at) = (Arc::clone(&committer), Arc::clone(&connect));
        let tenure = Arc::new(Tenure::default());
        let held = Arc::clone(&tenure);
        let thread = std::thread::Builder::new().name("tidings-writer".into());
        let run = move || match start(at, &member, held, theirs, sink) {
            Ok((writer, identity)) => {
                drop(tell.send(Ok(identity)));
                writer.run();
            }
            Err(error) => drop(tell.send(Err(error))),
        };
        let writer = thread.spawn(run).map_err(|e| OpenError::Database(e.to_string()))?;
        let gone = |_| OpenError::Database("the writer had panicked".to_owned());
        let identity = told.recv().map_err(gone)??;
        Ok(Self {
            committer,
            history: Readers::new(Arc::clone(&connect), READERS, READ_PATIENCE),
            queue: Readers::new(Arc::clone(&connect), QUEUE_READERS, QUEUE_PATIENCE),
            side: Side::new(Arc::clone(&connect), identity, tenure),
            writer: Mutex::new(Some(writer)),
            connect,
            closing: watch::Sender::new(false),
            keeping: tokio::sync::Mutex::default(),
        })
    }

    fn take_writer(&self) -> Option<JoinHandle<()>> {
        self.history.close();
        self.queue.close();
        self.committer.close();
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn start(
    connect: Arc<Connect>,
    member: &Member,
    tenure: Arc<Tenure>,
    committer: Arc<Committer>,
    sink: Sink,
) -> Result<(Writer<Writing>, Identity), OpenError> {
    let writing = Writing::open(Arc::clone(&connect), member, tenure)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| OpenError::Database(e.to_string()))?;
    let begun = runtime.block_on(days::begin(&connect, (committer.now)()));
    begun.map_err(|e| OpenError::Database(connect::told(&e)))?;
    let identity = writing.identity;
    let writer = Writer::new(writing, committer, sink);
    let writer = writer.map_err(|Trouble { text, .. }| OpenError::Database(text))?;
    Ok((writer, identity))
}

fn join(writer: Option<JoinHandle<()>>) {
    if writer.is_some_and(|writer| writer.join().is_err()) {
        tracing::error!("the writer had panicked");
    }
}

/// Whoever forgets to close waits here instead.
impl Drop for Postgres {
    fn drop(&mut self) {
        join(self.take_writer());
    }
}

impl Queue for Postgres {
    fn submit(&self, job: Job) {
        self.committer.submit(job);
    }

    fn rows(&self, reader: Reader, sql: Cow<'static, str>, args: Vec<Value>) -> Reading<'_> {
        let readers = match reader {
            Reader::People => &self.history,
            Reader::Dispatcher => &self.queue,
        };
        Box::pin(readers.run(sql, args))
    }

    fn lost(&self) -> watch::Receiver<Option<String>> {
        self.committer.lost()
    }

    fn place(&self) -> String {
        format!("postgres://{}", self.connect.place())
    }

    fn connections(&self) -> Option<Connections> {
        // Beside the readers: what writes, what renews the lease, and at times what keeps the days.
        Some(Connections { open: self.connect.connections(), max: READERS + QUEUE_READERS + 3 })
    }

    fn side(&self) -> Option<&Side> {
        Some(&self.side)
    }

    fn keep_days(&self) -> Pin<Box<dyn Future<Output = Result<(), ReadError>> + Send + '_>> {
        let now = (self.committer.now)();
        Box::pin(async move {
            let _one = self.keeping.lock().await;
            let mut closing = self.closing.subscribe();
            let closed = async { drop(closing.wait_for(|is_closing| *is_closing).await) };
            let kept = days::keep(&self.connect, now, closed).await;
            kept.map_err(|error| ReadError::Unavailable(connect::told(&error)))
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let writer = self.take_writer();
        self.closing.send_replace(true);
        Box::pin(async move {
            // Whoever opens the store next waits for its lock, and perhaps on the thread that drives it.
            let kept = tokio::time::timeout(2 * LEAVE, self.keeping.lock()).await;
            if kept.is_err() {
                tracing::warn!("the days of the history are being kept still");
            }
            // Joining blocks, so it is done where blocking is allowed.
            if let Err(error) = tokio::task::spawn_blocking(move || join(writer)).await {
                tracing::error!(%error, "closing the store");
            }
        })
    }
}
