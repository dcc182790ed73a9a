//! One transaction: a batch of works, each applied whole, committed together.
//!
//! A work that is refused (a conflict, something not found) has written nothing and the others go on.
//! A statement that fails takes the transaction with it; the batch is then halved until the one that
//! fails stands alone. Trouble of the database fails the batch as a whole: halving would not help.
//!
//! What each kind of work writes is the same for every database, in the SQL that they share; only how
//! rows get there is a database's own ([`super::transaction`]).

use std::collections::HashSet;

use tidings_core::time::Timestamp;

use self::fanout::{Fanout, Step};
use self::maintain::{Maintained, Upkeep};
use self::rollup::Rollup;
use self::settle::Settled;
use super::Job;
use super::transaction::{Fault, Transaction, Trouble};
use crate::change::{ChangeAnswer, PublishAnswer};
use crate::committed::Committed;
use crate::error::{ReadError, WriteError};
use crate::value::{Row, Value};

mod change;
mod control;
mod direct;
mod expire;
pub(super) mod fanout;
mod gates;
mod index;
pub(super) mod maintain;
pub(super) mod publish;
mod retention;
pub(crate) mod rollup;
pub(super) mod seen;
pub(super) mod settle;

/// What works ask of the queue or do to it, beside what their database does in a way of its own.
#[cfg(any(test, feature = "conformance"))]
pub(crate) const OF_QUEUE: &[&str] = &[
    control::DELETE_OWED,
    gates::WAIT,
    index::QUEUE_RUN,
    index::AGE,
    index::AGE_FREE,
    index::AGED,
    index::AGE_ONE,
    index::YOUNGER,
    fanout::WITHDRAWN,
];

#[cfg(any(test, feature = "conformance"))]
pub(crate) const AGING: [&str; 2] = [index::AGE_FREE, index::AGED];

/// Something to be applied.
#[derive(Debug)]
pub(crate) enum Work {
    Job(Job),
    /// The next slice of a large fan-out.
    Fanout(Box<Fanout>),
    /// A step of maintenance.
    Maintain,
    /// What of it each node does for itself.
    Fold,
}

/// What a work did, to be answered and told after the commit.
#[derive(Debug)]
pub(crate) enum Done {
    Published(PublishAnswer),
    Settled(Settled),
    Changed(ChangeAnswer, Vec<Committed>),
    Controlled(Vec<Committed>),
    Stepped(Step),
    Maintained(Maintained),
    Folded,
}

/// Why a work was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may not be done as things are; nothing of it was written.
    Refused(WriteError),
    /// A statement failed; the transaction is to be rolled back.
    Failed(Trouble),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

/// A row that this version cannot have written.
impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Failed(Trouble::new(Fault::Statement, error))
    }
}

pub(super) type Applied<T> = Result<T, Failure>;

/// A transaction while it is being filled.
pub(super) struct Tx<'t> {
    db: &'t mut dyn Transaction,
    rollup: Rollup,
    upkeep: &'t mut Upkeep,
    /// Events whose fan-out is being written: not to be withdrawn.
    fanouts: &'t HashSet<i64>,
    now: Timestamp,
}

/// Applies works; says what each did.
pub(super) fn fill(
    db: &mut dyn Transaction,
    works: &[Work],
    upkeep: &mut Upkeep,
    fanouts: &HashSet<i64>,
    now: Timestamp,
) -> Result<Vec<Result<Done, WriteError>>, Trouble> {
    if let Some(late) = db.meta().late {
        upkeep.marks.others_have(late);
    }
    let mut tx = Tx { db, rollup: Rollup::default(), upkeep, fanouts, now };
    let mut done = Vec::with_capacity(works.len());
    for work in works {
        match tx.apply(work) {
            Ok(one) => done.push(Ok(one)),
            Err(Failure::Refused(error)) => done.push(Err(error)),
            Err(Failure::Failed(trouble)) => return Err(trouble),
        }
    }
    tx.db.tell_others(works, &done)?;
    tx.upkeep.has_tallies |= tx.rollup.flush(tx.db)?;
    Ok(done)
}

impl Tx<'_> {
    fn apply(&mut self, work: &Work) -> Applied<Done> {
        Ok(match work {
            Work::Job(Job::Publish { publication, planned_at, .. }) => {
                self.refuse_stale(*planned_at)?;
                Done::Published(self.publish(publication)?)
            }
            Work::Job(Job::Settle(settlement)) => Done::Settled(self.settle(settlement)?),
            Work::Job(Job::Change { change, .. }) => {
                let (answer, told) = self.change(change)?;
                Done::Changed(answer, told)
            }
            Work::Job(Job::Control { control, .. }) => Done::Controlled(self.control(control)?),
            Work::Fanout(fanout) => Done::Stepped(self.fan_out(fanout)?),
            Work::Job(Job::Maintain { afresh, .. }) => {
                Done::Maintained(self.maintain_all(*afresh)?)
            }
            Work::Maintain => Done::Maintained(self.maintain()?),
            Work::Fold => {
                self.fold_tallies()?;
                Done::Folded
            }
        })
    }

    /// A publication must have been planned with the catalogue that holds now.
    fn refuse_stale(&self, planned_at: i64) -> Applied<()> {
        if planned_at < self.db.meta().catalogue {
            return Err(Failure::Refused(WriteError::Stale));
        }
        Ok(())
    }

    /// The first row of a query.
    fn row(&mut self, sql: &str, args: &[Value]) -> Applied<Option<Row>> {
        Ok(self.db.rows(sql, args)?.into_iter().next())
    }

    /// The first number of a query: none when it has no row or a null there.
    fn number(&mut self, sql: &str, args: &[Value]) -> Applied<Option<i64>> {
        match self.row(sql, args)? {
            Some(row) => Ok(row.fields().take()?),
            None => Ok(None),
        }
    }
}
