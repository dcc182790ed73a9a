//! The connection that writes, and a transaction on it.
//!
//! A batch takes three round trips: one that begins it and fetches all that its works will look for,
//! one that brings its rows in, table by table, and the commit. What is rare (changes, controls,
//! maintenance) asks in between.
//!
//! The connection holds a lock on the database for as long as it lives, so whoever writes is the only
//! one. It is also how a commit without an answer is cleared up: once the lock is had again the former
//! connection is over, and the number of its batch is there or is not.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::connect::{Connect, told};
use super::fill::Filling;
use super::schema;
use super::session::Session;
use crate::error::OpenError;
use crate::queue::batch::Work;
use crate::queue::transaction::{Commit, Database, Fault, Transaction, Trouble};

/// For one round trip, the disk's sync included. Publishers wait for it when the database stalls.
pub(super) const ROUND_TRIP: Duration = Duration::from_secs(5);
/// The same when all of a store is read, and nobody waits.
const ROUND_TRIP_ALONE: Duration = Duration::from_secs(600);
/// After a connection could not be made, the next is not tried before.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a node that starts waits for one that has just been killed.
const LOCK_PATIENCE: &str = "SET lock_timeout = '4s'";
/// Held by the connection that writes; the number is arbitrary.
const LOCK: i64 = 0x7469_6469_6e67_0002;

/// From then on what this process holds in memory is no longer what is owed.
const TAKEN: &str = "another tidings process has taken the database";
/// An advisory lock is listed by the halves of its number.
const HELD_BY_ANOTHER: &str = "SELECT EXISTS (SELECT 1 FROM pg_locks l \
     JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted \
     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND (l.classid::BIGINT << 32) + l.objid::BIGINT = $1 \
     AND NOT (a.pid = $2 AND a.backend_start::TEXT = $3))";

pub(crate) struct Writing {
    /// Of the thread that writes.
    runtime: Rc<Runtime>,
    connect: Arc<Connect>,
    /// `None` while there is trouble.
    session: Option<Session>,
    again_at: Option<Instant>,
    /// Process and start of the last session, there: if it hangs it is ended.
    former: Option<(i32, String)>,
    /// Of the last batch.
    number: i64,
    /// For one round trip.
    patience: Duration,
}

impl Writing {
    pub(super) fn open(connect: Arc<Connect>) -> Result<Self, OpenError> {
        Self::with_patience(connect, ROUND_TRIP)
    }

    /// For one who reads and writes all of a store while nobody else uses it.
    pub(crate) fn alone(url: &str) -> Result<Self, OpenError> {
        Self::with_patience(Arc::new(Connect::parse(url)?), ROUND_TRIP_ALONE)
    }

    fn with_patience(connect: Arc<Connect>, patience: Duration) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| OpenError::Database(e.to_string()))?;
        let opening = async {
            let (mut session, former) = take(&connect, None, patience).await.map_err(|error| {
                let place = connect.place();
                match error.code() {
                    Some(&SqlState::LOCK_NOT_AVAILABLE) => OpenError::DatabaseInUse(place),
                    _ => OpenError::Unreachable { place, why: told(&error) },
                }
            })?;
            schema::migrate(&mut session.client).await?;
            let number = number(&session).await.map_err(|e| OpenError::Database(told(&e)))?;
            Ok((session, former, number))
        };
        let (session, former, number) = runtime.block_on(opening)?;
        let (session, former) = (Some(session), Some(former));
        let runtime = Rc::new(runtime);
        Ok(Self { runtime, connect, session, again_at: None, former, number, patience })
    }

    /// The session, a new one if need be.
    fn session(&mut self) -> Result<Session, Trouble> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        let away = |why: &str| Trouble::new(Fault::Database, format!("no connection: {why}"));
        if self.again_at.is_some_and(|at| Instant::now() < at) {
            return Err(away("it was tried just now"));
        }
        let taking = async {
            let (session, former) =
                take(&self.connect, self.former.as_ref(), self.patience).await?;
            let number = number(&session).await?;
            Ok::<_, Error>((session, former, number))
        };
        match self.runtime.block_on(async { timeout(ROUND_TRIP, taking).await }) {
            // Another has had it meanwhile.
            Ok(Ok((.., number))) if number > self.number => Err(Trouble::new(Fault::Lost, TAKEN)),
            Ok(Ok((session, former, _))) => {
                self.former = Some(former);
                Ok(session)
            }
            Ok(Err(error)) => {
                self.again_at = Some(Instant::now() + PAUSE);
                if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) && self.is_taken() {
                    return Err(Trouble::new(Fault::Lost, TAKEN));
                }
                Err(away(&told(&error)))
            }
            Err(_) => {
                self.again_at = Some(Instant::now() + PAUSE);
                Err(away("it does not answer"))
            }
        }
    }

    /// Whether somebody else holds the lock: not our former session, which is only slow to end.
    fn is_taken(&self) -> bool {
        let Some((pid, since)) = &self.former else { return false };
        let asking = async {
            let session = Session::open(&self.connect, statement(self.patience)).await?;
            session.client.query_one(HELD_BY_ANOTHER, &[&LOCK, pid, since]).await
        };
        let asked = self.runtime.block_on(async { timeout(ROUND_TRIP, asking).await });
        matches!(asked, Ok(Ok(row)) if row.get(0))
    }

    /// Begins a transaction; on a new connection when the old one had broken while it was idle.
    fn begin(&mut self, works: &[Work]) -> Result<Filling, Trouble> {
        let was_open = self.session.is_some();
        let session = self.session()?;
        let since = Instant::now();
        match Filling::begin(Rc::clone(&self.runtime), session, works, self.patience) {
            // At once: no answer in time is another matter.
            Err(_) if was_open && since.elapsed() < PAUSE => {}
            result => return result,
        }
        let session = self.session()?;
        Filling::begin(Rc::clone(&self.runtime), session, works, self.patience)
    }
}

impl Database for Writing {
    fn commit<T>(
        &mut self,
        works: &[Work],
        fill: impl FnOnce(&mut dyn Transaction) -> Result<T, Trouble>,
    ) -> Commit<T> {
        let number = self.number + 1;
        let mut filling = match self.begin(works) {
            Ok(filling) => filling,
            Err(trouble) => return Commit::Failed(trouble),
        };
        // By a panic in here the session is dropped, and with it whatever it had written.
        let filled = match fill(&mut filling).and_then(|t| filling.finish(number).map(|()| t)) {
            Ok(filled) => filled,
            Err(trouble) => {
                self.session = filling.roll_back();
                return Commit::Failed(trouble);
            }
        };
        let session = filling.session;
        self.number = number;
        let commit = async { timeout(self.patience, session.client.batch_execute("COMMIT")).await };
        match self.runtime.block_on(commit) {
            Ok(Ok(())) => {
                self.session = Some(session);
                Commit::Made(filled)
            }
            // An answer that it was not made. A session that is being ended may have made it.
            Ok(Err(error)) if error.code().is_some_and(|code| !code.code().starts_with("57")) => {
                Commit::Failed(Trouble::new(Fault::Database, told(&error)))
            }
            lost => {
                session.driver.abort();
                let text = lost.map_or("no answer".to_owned(), |lost| match lost {
                    Ok(()) => String::new(),
                    Err(error) => told(&error),
                });
                Commit::Unknown(filled, text)
            }
        }
    }

    fn was_committed(&mut self) -> Result<bool, Trouble> {
        let session = self.session()?;
        let asked = async { timeout(ROUND_TRIP, number(&session)).await };
        match self.runtime.block_on(asked) {
            Ok(Ok(number)) => {
                self.session = Some(session);
                Ok(number == self.number)
            }
            Ok(Err(error)) => Err(Trouble::new(Fault::Database, told(&error))),
            Err(_) => Err(Trouble::new(Fault::Database, "no answer")),
        }
    }

    fn rest(&mut self) {}

    fn close(self) {
        let Some(Session { client, driver, .. }) = self.session else { return };
        drop(client);
        // It takes its leave, so that whoever comes next does not wait for the lock.
        drop(self.runtime.block_on(async { timeout(ROUND_TRIP, driver).await }));
    }
}

/// A session that holds the lock. A former one of ours may hold it still, if its end has not been
/// noticed there: then it is ended.
async fn take(
    connect: &Connect,
    former: Option<&(i32, String)>,
    patience: Duration,
) -> Result<(Session, (i32, String)), Error> {
    let session = Session::open(connect, statement(patience)).await?;
    if let Some((pid, since)) = former {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid = $1 AND backend_start::TEXT = $2";
        session.client.query(end, &[pid, since]).await?;
    }
    session.client.batch_execute(LOCK_PATIENCE).await?;
    session.client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let this = "SELECT pid, backend_start::TEXT FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let this = session.client.query_one(this, &[]).await?;
    Ok((session, (this.get(0), this.get(1))))
}

/// The database gives a statement up a little earlier than we, which leaves the connection whole.
fn statement(patience: Duration) -> Duration {
    patience * 9 / 10
}

async fn number(session: &Session) -> Result<i64, Error> {
    let sql = "SELECT value FROM meta WHERE key = 'batch'";
    Ok(session.client.query_one(sql, &[]).await?.get(0))
}
