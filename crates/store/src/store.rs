//! The store as the server sees it.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use tidings_core::publication::Publication;
use tidings_core::settlement::Settlement;
use tidings_core::time::Timestamp;
use tokio::sync::oneshot;

use crate::change::{Change, ChangeAnswer, Control, PublishAnswer};
use crate::committed::Committed;
use crate::error::{OpenError, ReadError, WriteError};
use crate::nodes::Member;
use crate::queue::postgres::side::Side;
use crate::queue::{Answer, Job, Queue, Reader, postgres, sqlite};
use crate::value::{Row, Value};

/// The clock that the store is handed.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Told after each commit, in commit order, by the thread that commits: it must never block.
pub type Sink = Box<dyn Fn(Vec<Committed>) + Send + Sync>;

/// Connections to a database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    pub open: usize,
    /// There are never more.
    pub max: usize,
}

/// Everything that is remembered. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    queue: Arc<dyn Queue>,
}

impl Store {
    /// Opens the embedded store in a directory, which it creates, and takes it for this process.
    pub fn open_sqlite(dir: &Path, now: Now, sink: Sink) -> Result<Self, OpenError> {
        Ok(Self { queue: Arc::new(sqlite::Sqlite::open(dir, now, sink)?) })
    }

    /// Opens the store in a PostgreSQL database (`postgres://…`) as one of its nodes, and brings its tables
    /// up to date. Blocks until it is there or has failed: some seconds at most.
    pub fn open_postgres(
        url: &str,
        member: impl Into<Member>,
        now: Now,
        sink: Sink,
    ) -> Result<Self, OpenError> {
        Ok(Self { queue: Arc::new(postgres::Postgres::open(url, member.into(), now, sink)?) })
    }

    /// Brings the tables of a PostgreSQL database up to date, beside a node that may run; the number of
    /// the last migration.
    pub fn migrate_postgres(url: &str) -> Result<i64, OpenError> {
        postgres::Postgres::migrate(url)
    }

    /// Where it is kept, for people; never with a password.
    #[must_use]
    pub fn place(&self) -> String {
        self.queue.place()
    }

    /// Connections to a database server; `None` for the embedded store.
    #[must_use]
    pub fn connections(&self) -> Option<Connections> {
        self.queue.connections()
    }

    /// Commits events with their deliveries. When it answers, they are on disk.
    pub async fn publish(&self, publication: Publication) -> Result<PublishAnswer, WriteError> {
        self.publish_planned(publication, i64::MAX).await
    }

    /// The same, of a publication that was planned with this version of the catalogue. If it has moved
    /// since, nothing is written: [`WriteError::Stale`].
    pub async fn publish_planned(
        &self,
        publication: Publication,
        planned_at: i64,
    ) -> Result<PublishAnswer, WriteError> {
        self.ask(|answer| Job::Publish { publication, planned_at, answer }).await
    }

    /// Commits what an attempt led to. It is answered through the sink: trouble of the store delays
    /// it and never loses it.
    pub fn settle(&self, settlement: Box<Settlement>) {
        self.queue.submit(Job::Settle(settlement));
    }

    /// Commits a change of the catalogue or of a state machine.
    pub async fn change(&self, change: Change) -> Result<ChangeAnswer, WriteError> {
        self.ask(|answer| Job::Change { change, answer }).await
    }

    /// Does with deliveries what a person asked for.
    pub async fn control(&self, control: Control) -> Result<(), WriteError> {
        self.ask(|answer| Job::Control { control, answer }).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, WriteError> {
        let (answer, answered) = oneshot::channel();
        self.queue.submit(job(Answer::new(answer)));
        answered.await.unwrap_or(Err(WriteError::Closed))
    }

    /// Makes the days of the history ahead, and drops those of which nothing is kept any more. To be called
    /// now and then by whichever node keeps house; several at once do it one after the other.
    pub async fn keep_days(&self) -> Result<(), ReadError> {
        self.queue.keep_days().await
    }

    /// Does now what maintenance would do when the committer is idle (days, retention, sorted indexes,
    /// endings), until nothing is left to do.
    pub async fn maintain(&self) -> Result<(), WriteError> {
        let unavailable = |error: ReadError| WriteError::Unavailable(error.to_string());
        self.keep_days().await.map_err(unavailable)?;
        let mut more = self.ask(|answer| Job::Maintain { afresh: true, answer }).await?;
        while more {
            more = self.ask(|answer| Job::Maintain { afresh: false, answer }).await?;
        }
        Ok(())
    }

    /// Waits until what was written can no longer be built upon (the disk has lost it, or another process
    /// has taken the database), which usually is never; tells why. From then on everything that writes
    /// answers `Closed`, and nothing in memory may be built upon: the process is to end and to start
    /// again from what is kept.
    pub async fn lost(&self) -> String {
        let mut lost = self.queue.lost();
        match lost.wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(why) => why.unwrap_or_default(),
            // The store is gone, so it loses nothing any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Commits what has been submitted, brings it all into the database file and releases it.
    /// Afterwards everything answers `Closed`.
    pub async fn close(&self) {
        self.queue.close().await;
    }

    pub(crate) fn side(&self) -> Option<&Side> {
        self.queue.side()
    }

    /// Runs one of the shared queries, for people.
    pub(crate) async fn rows(
        &self,
        sql: impl Into<Cow<'static, str>>,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, ReadError> {
        self.read(Reader::People, sql, args).await
    }

    pub(crate) async fn read(
        &self,
        reader: Reader,
        sql: impl Into<Cow<'static, str>>,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, ReadError> {
        self.queue.rows(reader, sql.into(), args).await
    }
}
