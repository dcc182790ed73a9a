//! The connection that writes, and a transaction on it.
//!
//! A batch takes two round trips: one that begins it and fetches all that its works will look for, and
//! one that brings its rows in, table by table, and commits them. What is rare (changes, controls,
//! maintenance) asks in between.
//!
//! The connection holds the lock of its node for as long as it lives, so whoever writes for the node is
//! the only one. It is also how a commit without an answer is cleared up: once the lock is had again the
//! former connection is over, and the number of its batch is there or is not.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::columns;
use super::connect::{Connect, told};
use super::fill::{Ended, Filling};
use super::node::{self, Identity, Use};
use super::schema;
use super::session::Session;
use crate::error::OpenError;
use crate::nodes::{Member, Tenure};
use crate::queue::batch::Work;
use crate::queue::transaction::{Commit, Database, Fault, Transaction, Trouble};

/// For one round trip, the disk's sync included. Publishers wait for it when the database stalls.
pub(super) const ROUND_TRIP: Duration = Duration::from_secs(5);
/// The same when all of a store is read, and nobody waits.
const ROUND_TRIP_ALONE: Duration = Duration::from_secs(600);
/// After a connection could not be made, the next is not tried before.
const PAUSE: Duration = Duration::from_millis(200);

/// From then on what this process holds in memory is no longer what is owed.
const TAKEN: &str = "another tidings process has taken the place of this node";

pub(crate) struct Writing {
    /// Of the thread that writes.
    runtime: Rc<Runtime>,
    connect: Arc<Connect>,
    /// `None` while there is trouble.
    session: Option<Session>,
    again_at: Option<Instant>,
    /// Process and start of the last session, there: if it hangs it is ended.
    former: Option<(i32, String)>,
    pub(super) identity: Identity,
    tenure: Arc<Tenure>,
    /// Of the last batch.
    number: i64,
    /// For one round trip.
    patience: Duration,
}

impl Writing {
    pub(super) fn open(
        connect: Arc<Connect>,
        member: &Member,
        tenure: Arc<Tenure>,
    ) -> Result<Self, OpenError> {
        Self::with_patience(connect, Use::Shared(member), tenure, ROUND_TRIP)
    }

    /// For one who reads and writes all of a store while nobody else uses it.
    pub(crate) fn alone(url: &str) -> Result<Self, OpenError> {
        let connect = Arc::new(Connect::parse(url)?);
        let mut writing =
            Self::with_patience(connect, Use::Alone, Arc::default(), ROUND_TRIP_ALONE)?;
        let fold = |tx: &mut dyn Transaction| {
            columns::folds().iter().try_for_each(|sql| tx.execute(sql, &[]).map(drop))
        };
        match writing.commit(&[], fold) {
            Commit::Made(()) => Ok(writing),
            Commit::Failed(Trouble { text, .. }) | Commit::Unknown((), text) => {
                Err(OpenError::Database(text))
            }
        }
    }

    fn with_patience(
        connect: Arc<Connect>,
        usage: Use<'_>,
        tenure: Arc<Tenure>,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| OpenError::Database(e.to_string()))?;
        let opening = async {
            let unreachable =
                |e: Error| OpenError::Unreachable { place: connect.place(), why: told(&e) };
            let opened = Session::open(&connect, statement(patience)).await;
            let mut session = opened.map_err(unreachable)?;
            node::enter(&connect, &session, usage).await?;
            schema::migrate(&mut session.client).await?;
            let identity = node::enrol(&connect, &mut session, usage).await?;
            let former = of_session(&session).await.map_err(unreachable)?;
            let number = number(&session, identity).await.map_err(unreachable)?;
            if let Use::Shared(Member { owns: false, .. }) = usage {
                node::give_back(&session.client, identity.node).await.map_err(unreachable)?;
            } else if let Use::Shared(_) = usage {
                let shards = node::settle_in(&mut session.client, identity.node).await;
                for (shard, epoch) in shards.map_err(unreachable)? {
                    tenure.set(shard, epoch);
                }
            }
            Ok((session, former, identity, number))
        };
        let (session, former, identity, number) = runtime.block_on(opening)?;
        let (session, former) = (Some(session), Some(former));
        let (runtime, again_at) = (Rc::new(runtime), None);
        Ok(Self { runtime, connect, session, again_at, former, identity, tenure, number, patience })
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
        let taking = take(&self.connect, self.former.as_ref(), self.identity, self.patience);
        match self.runtime.block_on(async { timeout(ROUND_TRIP, taking).await }) {
            // Another has had it meanwhile.
            Ok(Ok(None)) => Err(Trouble::new(Fault::Lost, TAKEN)),
            Ok(Ok(Some((session, former)))) => {
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

    /// Whether another process is the node: not our former session, which is only slow to end.
    fn is_taken(&self) -> bool {
        let asking = async {
            let session = Session::open(&self.connect, statement(self.patience)).await?;
            node::is_still(&session.client, self.identity).await
        };
        let asked = self.runtime.block_on(async { timeout(ROUND_TRIP, asking).await });
        matches!(asked, Ok(Ok(false)))
    }

    /// Begins a transaction; on a new connection when the old one had broken while it was idle.
    fn begin(&mut self, nth: i64, works: &[Work]) -> Result<Filling, Trouble> {
        let was_open = self.session.is_some();
        let session = self.session()?;
        let since = Instant::now();
        let (writer, patience) = ((self.identity, Arc::clone(&self.tenure)), self.patience);
        let runtime = Rc::clone(&self.runtime);
        match Filling::begin(runtime, session, writer.clone(), (nth, works), patience) {
            // At once: no answer in time is another matter.
            Err(_) if was_open && since.elapsed() < PAUSE => {}
            result => return result,
        }
        let session = self.session()?;
        Filling::begin(Rc::clone(&self.runtime), session, writer, (nth, works), patience)
    }
}

impl Database for Writing {
    fn commit<T>(
        &mut self,
        works: &[Work],
        fill: impl FnOnce(&mut dyn Transaction) -> Result<T, Trouble>,
    ) -> Commit<T> {
        let number = self.number + 1;
        let mut filling = match self.begin(number, works) {
            Ok(filling) => filling,
            Err(trouble) => return Commit::Failed(trouble),
        };
        // By a panic in here the session is dropped, and with it whatever it had written.
        let filled = match fill(&mut filling) {
            Ok(filled) => filled,
            Err(trouble) => {
                self.session = filling.roll_back();
                return Commit::Failed(trouble);
            }
        };
        match filling.commit() {
            Ended::Made => {
                self.number = number;
                self.session = Some(filling.session);
                if filling.has_news {
                    self.tenure.hint();
                }
                Commit::Made(filled)
            }
            Ended::Failed(trouble) => {
                self.session = filling.roll_back();
                Commit::Failed(trouble)
            }
            Ended::Unknown(text) => {
                // That it asks for, whether it was this one that was made.
                self.number = number;
                filling.session.driver.abort();
                Commit::Unknown(filled, text)
            }
        }
    }

    fn was_committed(&mut self) -> Result<bool, Trouble> {
        let session = self.session()?;
        let asked = async { timeout(ROUND_TRIP, number(&session, self.identity)).await };
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

    fn keeps_house(&self) -> bool {
        self.tenure.keeps_house()
    }

    fn close(self) {
        let Some(Session { client, driver, .. }) = self.session else { return };
        drop(client);
        // It takes its leave, so that whoever comes next does not wait for the lock.
        drop(self.runtime.block_on(async { timeout(ROUND_TRIP, driver).await }));
    }
}

/// A session that holds the lock of the node. A former one of ours may hold it still, if its end has not
/// been noticed there: then it is ended. `None`: another process is the node by now.
async fn take(
    connect: &Connect,
    former: Option<&(i32, String)>,
    identity: Identity,
    patience: Duration,
) -> Result<Option<(Session, (i32, String))>, Error> {
    let session = Session::open(connect, statement(patience)).await?;
    if let Some((pid, since)) = former {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid = $1 AND backend_start::TEXT = $2";
        session.client.query(end, &[pid, since]).await?;
    }
    node::lock(&session.client, identity).await?;
    if !node::is_still(&session.client, identity).await? {
        return Ok(None);
    }
    let this = of_session(&session).await?;
    Ok(Some((session, this)))
}

/// The database gives a statement up a little earlier than we, which leaves the connection whole.
fn statement(patience: Duration) -> Duration {
    patience * 9 / 10
}

async fn of_session(session: &Session) -> Result<(i32, String), Error> {
    let this = "SELECT pid, backend_start::TEXT FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let this = session.client.query_one(this, &[]).await?;
    Ok((this.get(0), this.get(1)))
}

async fn number(session: &Session, identity: Identity) -> Result<i64, Error> {
    let sql = "SELECT number FROM node_batches WHERE node = $1";
    let row = session.client.query_opt(sql, &[&i64::from(identity.node)]).await?;
    Ok(row.map_or(0, |row| row.get(0)))
}
