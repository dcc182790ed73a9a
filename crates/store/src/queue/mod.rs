//! The seam between Tidings and a database: whole transactions and nothing smaller.
//!
//! A backend takes jobs, commits them in batches in the order that [`tidings_core::batch`] chooses,
//! answers each after its commit, and tells the sink. It also runs the shared queries.
//!
//! In reading order: [`committer`] (what waits) → [`writer`] (the thread) → [`batch`] (a transaction,
//! and what each kind of work writes) → [`transaction`] (what a database brings to it) → [`sqlite`],
//! [`postgres`].

use std::borrow::Cow;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use tidings_core::publication::Publication;
use tidings_core::settlement::Settlement;
use tokio::sync::{oneshot, watch};

use crate::change::{Change, ChangeAnswer, Control, PublishAnswer};
use crate::error::{ReadError, WriteError};
use crate::store::Connections;
use crate::value::{Row, Value};

pub(crate) mod batch;
mod committer;
mod outage;
pub(crate) mod postgres;
pub(crate) mod reads;
pub(crate) mod sqlite;
mod table;
pub(crate) mod transaction;
mod writer;

/// Boxed once per query, which is noise beside the query itself.
pub(crate) type Reading<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Row>, ReadError>> + Send + 'a>>;

/// Who reads. Each has connections of its own, so that nobody's query delays the dispatcher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// People and the API, with little patience: their query is interrupted.
    People,
    /// The dispatcher and the sender.
    Dispatcher,
}

/// A database that keeps the queue.
pub(crate) trait Queue: Debug + Send + Sync {
    /// Takes a job; never blocks. A job that cannot be taken is answered at once.
    fn submit(&self, job: Job);
    /// Runs a shared query: `$1`, `$2` … in order of first appearance.
    fn rows(&self, reader: Reader, sql: Cow<'static, str>, args: Vec<Value>) -> Reading<'_>;
    /// Why nothing more can be written, once the disk has lost what it was told to keep.
    fn lost(&self) -> watch::Receiver<Option<String>>;
    /// Where it is, for people; never with a password.
    fn place(&self) -> String;
    /// To a server: none for a file.
    fn connections(&self) -> Option<Connections>;
    /// What makes several nodes one: none for a file.
    fn side(&self) -> Option<&postgres::side::Side> {
        None
    }
    /// Makes what history needs ahead of time, and drops of it as a whole what is over: nothing for a
    /// file.
    fn keep_days(&self) -> Pin<Box<dyn Future<Output = Result<(), ReadError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// One thing to be committed, whole.
#[derive(Debug)]
pub(crate) enum Job {
    Publish {
        publication: Publication,
        /// The version of the catalogue that it was planned with.
        planned_at: i64,
        answer: Answer<PublishAnswer>,
    },
    Settle(Box<Settlement>),
    Change {
        change: Change,
        answer: Answer<ChangeAnswer>,
    },
    Control {
        control: Control,
        answer: Answer<()>,
    },
    /// A step of maintenance now; answers whether there is more. `afresh`: with a new retention pass.
    Maintain {
        afresh: bool,
        answer: Answer<bool>,
    },
}

/// Where the answer to a job goes. Whoever asked may have gone; that is no error.
#[derive(Debug)]
pub(crate) struct Answer<T>(Option<oneshot::Sender<Result<T, WriteError>>>);

impl<T> Answer<T> {
    pub(crate) fn new(sender: oneshot::Sender<Result<T, WriteError>>) -> Self {
        Self(Some(sender))
    }

    /// The first answer counts: nobody hears another.
    pub(crate) fn send(&mut self, result: Result<T, WriteError>) {
        drop(self.0.take().map(|sender| sender.send(result)));
    }
}

impl Job {
    /// Answers that it was not done. A settlement has nobody to answer to.
    pub(crate) fn refuse(&mut self, error: WriteError) {
        match self {
            Self::Publish { answer, .. } => answer.send(Err(error)),
            Self::Change { answer, .. } => answer.send(Err(error)),
            Self::Control { answer, .. } => answer.send(Err(error)),
            Self::Maintain { answer, .. } => answer.send(Err(error)),
            Self::Settle(_) => {}
        }
    }
}
