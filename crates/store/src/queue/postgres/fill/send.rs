//! What is pending goes its way, and at the end the commit right behind it.
//!
//! The commit does not wait for the answers of what it commits: a statement that fails makes a rollback
//! of it by itself. So a batch takes two round trips. With a third one for the commit an answer took
//! longer by it, and the processor went from one process to another and back once more.

use futures_util::FutureExt as _;
use tokio_postgres::Error;

use super::Filling;
use crate::queue::postgres::connect::told;
use crate::queue::postgres::pending::{Op, Statement, Text};
use crate::queue::postgres::session::Session;
use crate::queue::transaction::{Fault, Trouble};

/// How a transaction ended.
pub(in crate::queue::postgres) enum Ended {
    Made,
    /// Nothing was written.
    Failed(Trouble),
    /// The connection was lost when the commit may have been there.
    Unknown(String),
}

/// What the commit was answered, if nothing before it has failed.
type Answered = Result<(), Error>;

impl Filling {
    /// Sends all that is left, and commits.
    pub(in crate::queue::postgres) fn commit(&mut self) -> Ended {
        let mut may_be_there = false;
        let sent = self.transmit(Some(&mut may_be_there));
        match sent {
            Ok(Ok(())) => Ended::Made,
            // An answer that it was not made. A session that is being ended may have made it.
            Ok(Err(error)) if error.code().is_some_and(|code| !code.code().starts_with("57")) => {
                Ended::Failed(Trouble::new(Fault::Database, told(&error)))
            }
            Ok(Err(error)) => Ended::Unknown(told(&error)),
            Err(trouble) if may_be_there && self.is_broken => Ended::Unknown(trouble.text),
            Err(trouble) => Ended::Failed(trouble),
        }
    }

    /// Sends what is pending, in one round trip.
    pub(super) fn flush(&mut self) -> Result<(), Trouble> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.transmit(None).map(drop)
    }

    /// With `commit`, that as well; it is set when the commit is on its way.
    fn transmit(&mut self, commit: Option<&mut bool>) -> Result<Answered, Trouble> {
        let ops = std::mem::take(&mut self.pending);
        self.unsent_savepoint = false;
        let node = self.identity.node;
        let statements: Vec<Statement<'_>> = ops.iter().flat_map(Op::statements).collect();
        let sent =
            self.wait(async |session: &mut Session| run(session, node, &statements, commit).await);
        // Whoever happens to read is not the one who is at fault.
        sent.map_err(|trouble| match trouble.fault {
            Fault::Constraint => Trouble { fault: Fault::Raced, ..trouble },
            _ => trouble,
        })
    }
}

async fn run(
    session: &mut Session,
    node: u16,
    statements: &[Statement<'_>],
    commit: Option<&mut bool>,
) -> Result<Answered, Error> {
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        prepared.push(match statement.text {
            Text::Insert(table) => session.insert(table, node).await?,
            Text::Shared(sql) => session.prepare(sql).await?,
        });
    }
    let mut running = Vec::with_capacity(statements.len());
    for (statement, prepared) in statements.iter().zip(&prepared) {
        let mut one = Box::pin(session.client.execute(prepared, &statement.args));
        // Its first poll sends it.
        match (&mut one).now_or_never() {
            Some(done) => drop(done?),
            None => running.push(one),
        }
    }
    let mut committing = None;
    if let Some(is_sent) = commit {
        *is_sent = true;
        let mut one = Box::pin(session.client.batch_execute("COMMIT"));
        match (&mut one).now_or_never() {
            Some(done) => return Ok(done),
            None => committing = Some(one),
        }
    }
    for one in running {
        one.await?;
    }
    match committing {
        Some(one) => Ok(one.await),
        None => Ok(Ok(())),
    }
}
