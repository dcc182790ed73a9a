//! What is written per database: how a transaction is made, filled and committed.
//!
//! Everything that follows from a publication, a settlement or a change is written once, in
//! [`super::batch`]. A database only has to bring its rows in fast, each in its own way: SQLite with
//! cached statements row by row, for a call costs next to nothing; others may gather rows by table
//! and write them when the batch is complete.

use std::fmt;

use tidings_core::delivery::{Lane, Owed, Status};
use tidings_core::id::{EventId, Id, JobId, TenantId, WebhookId};
use tidings_core::time::Timestamp;

use super::batch::seen::{Found, Kind};
use super::batch::{Done, Work};
use super::table::Table;
use crate::error::WriteError;
use crate::value::{Row, Value};

/// A database as the writer needs it: one connection, one transaction at a time.
pub(crate) trait Database {
    /// Fills a transaction and commits it. `works` are those that `fill` is about to apply: what they
    /// will look for may be fetched beforehand.
    fn commit<T>(
        &mut self,
        works: &[Work],
        fill: impl FnOnce(&mut dyn Transaction) -> Result<T, Trouble>,
    ) -> Commit<T>;

    /// Whether the last commit, which was [`Commit::Unknown`], has been made.
    fn was_committed(&mut self) -> Result<bool, Trouble>;

    /// Between two batches.
    fn rest(&mut self);

    /// Whether this node does what is done once for all nodes.
    fn keeps_house(&self) -> bool {
        true
    }

    fn close(self);
}

/// What a transaction is told when it begins; with one node there is nothing to tell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meta {
    /// The version of the catalogue; 0: any will do.
    pub(crate) catalogue: i64,
    /// Deliveries, events and rows of the queue with ids up to these are indexed by whoever writes them.
    pub(crate) late: Option<[i64; 3]>,
    /// For a batch that maintains, among nodes.
    pub(crate) standing: Option<Standing>,
}

/// How things stand for whoever maintains among nodes, when the batch begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// The ids up to which things are indexed, in the order of [`Meta::late`].
    pub(crate) indexed: [i64; 3],
    /// The number of this transaction, and the least of those under way, which may be this one.
    pub(crate) this: i64,
    pub(crate) oldest: i64,
    /// There are fan-outs that are not finished; webhooks whose deliveries end.
    pub(crate) has_unfinished: bool,
    pub(crate) has_ending: bool,
}

/// How a commit ended.
pub(crate) enum Commit<T> {
    Made(T),
    /// Nothing was written.
    Failed(Trouble),
    /// The connection was lost before the answer, for this reason. Until [`Database::was_committed`]
    /// knows better it may have been made or not.
    Unknown(T, String),
}

/// A transaction while it is being filled.
///
/// The first four are the hot path. A row that is inserted need not be in its table at once; whatever
/// reads here sees it all the same, and a fault of it shows at the latest at the commit.
pub(crate) trait Transaction {
    /// Inserts a row, its cells in the order of the table's columns.
    fn insert(&mut self, table: Table, row: &[Cell<'_>]) -> Result<(), Trouble>;

    /// Deletes the queue row of a delivery, if it is as it was given out; tells whether it was.
    fn take_owed(&mut self, owed: &Owed) -> Result<bool, Trouble>;

    /// The same, giving the row a new place and new numbers of attempts.
    fn move_owed(&mut self, owed: &Owed, again: &Owed) -> Result<bool, Trouble>;

    /// What was remembered under a key.
    fn seen(&mut self, tenant: TenantId, kind: Kind, key: &str) -> Result<Option<Found>, Trouble>;

    /// Runs a statement of the shared SQL; tells how many rows it changed.
    fn execute(&mut self, sql: &str, args: &[Value]) -> Result<usize, Trouble>;

    /// The same, when nobody needs to know.
    fn send(&mut self, sql: &'static str, args: &[Value]) -> Result<(), Trouble>;

    /// Runs a query of the shared SQL.
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, Trouble>;

    /// What it was told when it began.
    fn meta(&self) -> Meta {
        Meta::default()
    }

    /// Whether others write to the same database.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether this node still owns a lane.
    fn owns(&mut self, lane: Lane) -> Result<bool, Trouble> {
        let _ = lane;
        Ok(true)
    }

    /// Whether nobody writes the fan-out of this event any more, unless it is this process.
    fn abandoned(&mut self, event: EventId) -> Result<bool, Trouble> {
        let _ = event;
        Ok(true)
    }

    /// Until its end, no other transaction decides about this job's deliveries to this place.
    fn lock_gate(&mut self, place: WebhookId, job: JobId) -> Result<(), Trouble> {
        let _ = (place, job);
        Ok(())
    }

    /// Tells other nodes, with the commit, what was done.
    fn tell_others(
        &mut self,
        works: &[Work],
        done: &[Result<Done, WriteError>],
    ) -> Result<(), Trouble> {
        let _ = (works, done);
        Ok(())
    }

    /// From here on it can be taken back alone.
    fn savepoint(&mut self) -> Result<(), Trouble>;

    /// Takes back what came since the savepoint, also after a statement that failed; or keeps it.
    fn release(&mut self, keep: bool) -> Result<(), Trouble>;
}

/// A statement or a commit that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    pub(crate) text: String,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The statement's: it violates a constraint.
    Constraint,
    /// Nobody's: another node wrote the same in the same moment. Tried again it finds what is there.
    Raced,
    /// The statement's: it fails wherever it is tried.
    Statement,
    /// The database's: it fails whatever is tried.
    Database,
    /// What is in memory no longer agrees with what is kept: the disk did not take what it was told to
    /// keep, or another process writes there now. The process is to end.
    Lost,
}

impl Trouble {
    pub(crate) fn new(fault: Fault, text: impl fmt::Display) -> Self {
        Self { fault, text: text.to_string() }
    }
}

/// One value of a row that is inserted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

macro_rules! from {
    ($($type:ty, $value:ident => $made:expr;)*) => {
        $( impl<'a> From<$type> for Cell<'a> { fn from($value: $type) -> Self { $made } } )*
    };
}

from! {
    i64, v => Self::Int(v);
    u32, v => Self::Int(i64::from(v));
    u16, v => Self::Int(i64::from(v));
    u8, v => Self::Int(i64::from(v));
    &'a str, v => Self::Text(v);
    &'a [u8], v => Self::Blob(v);
    Timestamp, v => Self::Int(v.as_millis());
    Status, v => Self::Int(v.code());
}

impl<K> From<Id<K>> for Cell<'_> {
    fn from(id: Id<K>) -> Self {
        Self::Int(id.as_i64())
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
