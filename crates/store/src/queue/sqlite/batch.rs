//! One transaction: a batch of works, each applied whole, committed together.
//!
//! A work that is refused (a conflict, something not found) has written nothing and the others go on.
//! A statement that fails takes the transaction with it; the batch is then halved until the one that
//! fails stands alone. Trouble of the disk fails the batch as a whole: halving would not help.

use rusqlite::{CachedStatement, Connection, ErrorCode, TransactionBehavior};
use tidings_core::delivery::Owed;
use tidings_core::time::Timestamp;

use super::fanout::{Fanout, Step};
use super::maintain::{Maintained, Upkeep};
use super::rollup::Rollup;
use crate::change::{ChangeAnswer, ControlAnswer, PublishAnswer};
use crate::committed::Committed;
use crate::error::WriteError;
use crate::queue::Job;

/// Something to be applied.
#[derive(Debug)]
pub(super) enum Work {
    Job(Job),
    /// The next slice of a large fan-out.
    Fanout(Box<Fanout>),
    /// A step of maintenance.
    Maintain,
}

/// What a work did, to be answered and told after the commit.
#[derive(Debug)]
pub(super) enum Done {
    Published(PublishAnswer),
    /// What the settlement changed: its own row, and what it announced.
    Settled(Vec<Committed>),
    Changed(ChangeAnswer),
    Controlled(ControlAnswer, Vec<Committed>),
    Stepped(Step),
    Maintained(Maintained),
}

/// Why a work was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may not be done as things are; nothing of it was written.
    Refused(WriteError),
    /// A statement failed; the transaction is to be rolled back.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

pub(super) type Applied<T> = Result<T, Failure>;

/// A transaction while it is being filled.
pub(super) struct Tx<'c> {
    pub(super) conn: &'c Connection,
    pub(super) hot: Hot<'c>,
    pub(super) rollup: Rollup,
    pub(super) upkeep: &'c mut Upkeep,
    pub(super) now: Timestamp,
}

/// The statements of the hot path, looked up once for a batch and not once for a row.
pub(super) struct Hot<'c> {
    pub(super) insert_event: CachedStatement<'c>,
    pub(super) insert_queue: CachedStatement<'c>,
    pub(super) delete_queue: CachedStatement<'c>,
    pub(super) move_queue: CachedStatement<'c>,
    pub(super) insert_delivery: CachedStatement<'c>,
    pub(super) insert_attempt: CachedStatement<'c>,
}

impl<'c> Hot<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert_event: conn.prepare_cached(
                "INSERT INTO events (id, tenant, client_id, type, timestamp, ordering_key, \
                 deliver_at, expires_at, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            insert_queue: conn.prepare_cached(
                "INSERT INTO queue (id, tenant, webhook, slot, event, revision, ready_at, \
                 not_before, expires_at, attempts, granted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            delete_queue: conn.prepare_cached("DELETE FROM queue WHERE id = ? AND attempts = ?")?,
            move_queue: conn.prepare_cached(
                "UPDATE queue SET ready_at = ?, not_before = ?, attempts = ?, granted = ? \
                 WHERE id = ? AND attempts = ?",
            )?,
            insert_delivery: conn.prepare_cached(
                "INSERT INTO deliveries (id, tenant, webhook, slot, event, revision, status, reason, \
                 attempts, granted, completed_at, last_attempt_at, response_status, error, \
                 error_type, duration_ms, attempt_revision, signature, response_headers, \
                 response_body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            // OR REPLACE: an attempt whose first settlement was withdrawn by a crash of ours is
            // numbered again.
            insert_attempt: conn.prepare_cached(
                "INSERT OR REPLACE INTO attempts (delivery, number, started_at, duration_ms, \
                 revision, signature, response_status, response_headers, response_body, error, \
                 error_type, retry_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
        })
    }
}

/// Applies and commits works; answers what each did.
pub(super) fn commit(
    conn: &mut Connection,
    works: &[Work],
    upkeep: &mut Upkeep,
    now: Timestamp,
) -> rusqlite::Result<Vec<Result<Done, WriteError>>> {
    // Dropped on an error, and by a panic that unwinds, it rolls back.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = fill(&tx, works, upkeep, now).and_then(|done| tx.commit().map(|()| done));
    // A failed COMMIT can leave the transaction open.
    if result.is_err() && !conn.is_autocommit() {
        drop(conn.execute_batch("ROLLBACK"));
    }
    result
}

fn fill(
    conn: &Connection,
    works: &[Work],
    upkeep: &mut Upkeep,
    now: Timestamp,
) -> rusqlite::Result<Vec<Result<Done, WriteError>>> {
    let hot = Hot::prepare(conn)?;
    let mut tx = Tx { conn, hot, rollup: Rollup::default(), upkeep, now };
    let mut done = Vec::with_capacity(works.len());
    for work in works {
        match tx.apply(work) {
            Ok(one) => done.push(Ok(one)),
            Err(Failure::Refused(error)) => done.push(Err(error)),
            Err(Failure::Sql(error)) => return Err(error),
        }
    }
    tx.rollup.flush(conn)?;
    Ok(done)
}

impl Tx<'_> {
    fn apply(&mut self, work: &Work) -> Applied<Done> {
        Ok(match work {
            Work::Job(Job::Publish { publication, .. }) => {
                Done::Published(self.publish(publication)?)
            }
            Work::Job(Job::Settle(settlement)) => Done::Settled(self.settle(settlement)?),
            Work::Job(Job::Change { change, .. }) => Done::Changed(self.change(change)?),
            Work::Job(Job::Control { control, .. }) => {
                let (answer, told) = self.control(control)?;
                Done::Controlled(answer, told)
            }
            Work::Fanout(fanout) => Done::Stepped(self.fan_out(fanout)?),
            Work::Job(Job::Maintain { afresh, .. }) => Done::Maintained(self.maintain(*afresh)?),
            Work::Maintain => Done::Maintained(self.maintain(false)?),
        })
    }
}

/// Whether the database is in trouble, rather than one statement wrong.
pub(super) fn is_trouble(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        None | Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::Unknown
        )
    )
}

/// A row handed to the dispatcher, its event along with it.
pub(super) fn owed_with(owed: &Owed, event: &std::sync::Arc<tidings_core::event::Event>) -> Owed {
    use tidings_core::delivery::Payload;
    Owed { payload: Payload::Held(std::sync::Arc::clone(event)), ..owed.clone() }
}
