//! Readers: a few connections beside the writer, each query with a limit to its time.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::connect::{Connect, told};
use super::session::Session;
use crate::error::ReadError;
use crate::value::{Row, Value};

/// A pool of connections.
pub(super) struct Readers {
    connect: Arc<Connect>,
    patience: Duration,
    free: Semaphore,
    idle: Mutex<Vec<Session>>,
}

impl Readers {
    /// At most `count` queries at a time, each interrupted after `patience`.
    pub(super) fn new(connect: Arc<Connect>, count: usize, patience: Duration) -> Self {
        Self { connect, patience, free: Semaphore::new(count), idle: Mutex::default() }
    }

    /// Runs a shared query.
    pub(super) async fn run(
        &self,
        sql: Cow<'static, str>,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, ReadError> {
        let work = async {
            // Closed together with the store.
            let _permit = self.free.acquire().await.map_err(|_| ReadError::Closed)?;
            self.query(&sql, &args).await.map_err(|error| explained(&error))
        };
        // The database interrupts it by itself; this is for one that does not answer. A session whose
        // query is not over is not used again: dropped along with it, it is closed.
        tokio::time::timeout(self.patience, work).await.unwrap_or(Err(ReadError::TooSlow))
    }

    async fn query(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, Error> {
        let mut session = match self.idle() {
            Some(session) => session,
            None => Session::open(&self.connect, self.patience).await?,
        };
        let mut result = session.rows(sql, args).await;
        // It had broken while it was idle, and nothing was known of it yet; or this is its last word.
        if result.as_ref().is_err_and(is_end) {
            session = Session::open(&self.connect, self.patience).await?;
            result = session.rows(sql, args).await;
        }
        let has_ended = session.client.is_closed() || result.as_ref().is_err_and(is_end);
        if !has_ended && !self.free.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        result
    }

    fn idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| !session.client.is_closed());
        idle.pop()
    }

    /// Refuses further queries and closes the connections that are idle.
    pub(super) fn close(&self) {
        self.free.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whether the session has ended: it is gone, or says that it is being ended.
fn is_end(error: &Error) -> bool {
    let ended = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];
    error.is_closed() || error.code().is_some_and(|code| ended.contains(code))
}

fn explained(error: &Error) -> ReadError {
    match error.code() {
        Some(&SqlState::QUERY_CANCELED) => ReadError::TooSlow,
        _ => ReadError::Unavailable(told(error)),
    }
}
