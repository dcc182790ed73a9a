//! The thread that writes: takes what has gathered, commits it, answers, tells, and again.
//!
//! While it waits for one fsync the next batch gathers, so the batches grow with the load by
//! themselves. The thread outlives whatever befalls a batch: an error, a full disk, a panic.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tidings_core::settlement::Settlement;
use tidings_core::time::{HOUR_MS, Timestamp};

use super::Job;
use super::batch::fanout::{Fanout, is_large};
use super::batch::maintain::Upkeep;
use super::batch::{self, Done, Work};
use super::committer::Committer;
use super::outage::Outage;
use super::transaction::{Commit, Database, Fault, Transaction, Trouble};
use crate::error::WriteError;
use crate::store::Sink;
use crate::transfer;

mod after;
#[cfg(test)]
mod tests;

/// A settlement that could not be written is tried again so much later …
const TROUBLE_MS: i64 = 500;
/// … and one that fails by itself, later still, for it is a fault of ours.
const POISON_MS: i64 = 10_000;
/// Maintenance after a commit comes so much later, so that it has something to do; and again so soon
/// when there is more to do and a load as well.
const MAINTAIN_AFTER_MS: i64 = 1_000;
const MAINTAIN_SHARE_MS: i64 = 50;
/// Rows that are indexed beside a load, for each millisecond of it: the rest waits until there is less.
const INDEXED_PER_MS: i64 = 10;
/// When it waits for what other nodes have under way, a few of their batches later.
const OTHERS_MS: i64 = 10;

/// When other nodes write the same rows in the same moment, a batch is tried again so often before it is
/// halved.
const RACES_MAX: u32 = 3;

pub(crate) struct Writer<D> {
    database: D,
    committer: Arc<Committer>,
    sink: Sink,
    upkeep: Upkeep,
    /// Settlements that could not be written, and when they are tried again. Never given up.
    held: Vec<(Timestamp, Box<Settlement>)>,
    /// Large fan-outs under way; each adds a slice to a batch in its turn.
    fanouts: VecDeque<Box<Fanout>>,
    /// The events of these and of the one in the batch. Not part of the upkeep: what a batch that failed
    /// takes back is not the same as what began or ended meanwhile.
    unfinished: HashSet<i64>,
    maintain_at: Timestamp,
    doubt: Option<Doubt>,
    outage: Outage,
}

/// A batch whose commit was not answered: it may have been made or not. Its publishers have been told
/// that it was not, for they do not wait; what it did is told when it is known to be there.
struct Doubt {
    works: Vec<Work>,
    done: Vec<Result<Done, WriteError>>,
    /// The upkeep as it was before.
    before: Upkeep,
}

impl<D: Database> Writer<D> {
    pub(crate) fn new(
        mut database: D,
        committer: Arc<Committer>,
        sink: Sink,
    ) -> Result<Self, Trouble> {
        let read = |tx: &mut dyn Transaction| {
            transfer::refuse(tx)?;
            Upkeep::read(tx)
        };
        let upkeep = match database.commit(&[], read) {
            // Nothing was written, so there is nothing to be known.
            Commit::Made(upkeep) | Commit::Unknown(upkeep, _) => upkeep,
            Commit::Failed(trouble) => return Err(trouble),
        };
        let maintain_at = (committer.now)();
        Ok(Self {
            database,
            committer,
            sink,
            upkeep,
            held: Vec::new(),
            fanouts: VecDeque::new(),
            unfinished: HashSet::new(),
            maintain_at,
            doubt: None,
            outage: Outage::default(),
        })
    }

    /// Until the store is closed and everything that was submitted is committed.
    pub(crate) fn run(mut self) {
        // If this thread ever dies, nobody may wait for it for ever.
        let _abandon = Abandon(Arc::clone(&self.committer));
        loop {
            let (jobs, closing) = self.committer.take(self.patience());
            let is_last = closing && jobs.is_empty() && self.fanouts.is_empty();
            if is_last {
                self.try_once_more();
            } else {
                self.turn(jobs, closing);
            }
            if self.committer.is_lost() {
                // Not even closed in order: that would write.
                return std::mem::forget(self.database);
            }
            if is_last {
                return self.database.close();
            }
        }
    }

    /// How long it may sleep when nothing is submitted.
    fn patience(&self) -> Duration {
        if !self.fanouts.is_empty() {
            return Duration::ZERO;
        }
        let due = self.held.iter().map(|(due, _)| *due).fold(self.maintain_at, Ord::min);
        let longest = if self.doubt.is_some() { TROUBLE_MS } else { HOUR_MS };
        let wait = due.since((self.committer.now)()).min(longest);
        Duration::from_millis(wait.unsigned_abs())
    }

    fn turn(&mut self, jobs: Vec<Job>, closing: bool) {
        let works = self.gather(jobs, closing);
        if !works.is_empty() || self.doubt.is_some() {
            self.commit(works);
            self.database.rest();
        }
    }

    /// At the end: what could not be written until now. If it fails now it is still owed at the next start.
    fn try_once_more(&mut self) {
        // What is in doubt, first.
        self.commit(Vec::new());
        let held = std::mem::take(&mut self.held).into_iter();
        self.commit(held.map(|(_, settlement)| Work::Job(Job::Settle(settlement))).collect());
    }

    /// What the next transaction holds.
    fn gather(&mut self, mut jobs: Vec<Job>, closing: bool) -> Vec<Work> {
        let now = (self.committer.now)();
        let mut works: Vec<Work> = Vec::with_capacity(jobs.len() + 2);
        // Settlements first: a database may look for all their rows at once.
        works.extend(jobs.extract_if(.., |job| matches!(job, Job::Settle(_))).map(Work::Job));
        let due = self.held.extract_if(.., |(due, _)| *due <= now);
        works.extend(due.map(|(_, settlement)| Work::Job(Job::Settle(settlement))));
        for job in jobs {
            match job {
                Job::Publish { publication, planned_at, answer } if is_large(&publication) => {
                    let room = self.committer.keep(&publication);
                    let fanout = Fanout { publication, planned_at, answer, begun: None, room };
                    self.unfinished.extend(fanout.events());
                    self.fanouts.push_back(Box::new(fanout));
                }
                job => works.push(Work::Job(job)),
            }
        }
        works.extend(self.fanouts.pop_front().map(Work::Fanout));
        if self.maintain_at <= now && !closing {
            if self.database.keeps_house() {
                works.push(Work::Maintain);
            } else {
                self.maintain_at = now + MAINTAIN_AFTER_MS;
                works.extend(self.upkeep.should_fold(now).then_some(Work::Fold));
            }
        }
        works
    }

    /// Commits works; halves them when a statement fails, until the one that fails stands alone.
    fn commit(&mut self, works: Vec<Work>) {
        self.try_commit(works, RACES_MAX);
    }

    fn try_commit(&mut self, mut works: Vec<Work>, races: u32) {
        let now = (self.committer.now)();
        if let Err(trouble) = self.clear_up(now) {
            return self.in_trouble(works, trouble, now);
        }
        if works.is_empty() {
            return;
        }
        let before = self.upkeep.clone();
        let (database, upkeep, unfinished) =
            (&mut self.database, &mut self.upkeep, &self.unfinished);
        let fill = |tx: &mut dyn Transaction| batch::fill(tx, &works, upkeep, unfinished, now);
        let result = catch_unwind(AssertUnwindSafe(|| database.commit(&works, fill)));
        let text = match result {
            Ok(Commit::Made(done)) => {
                self.outage.end(now);
                return self.finish(works, done);
            }
            Ok(Commit::Unknown(done, text)) => return self.doubt(works, done, before, &text),
            Ok(Commit::Failed(trouble @ Trouble { fault: Fault::Lost | Fault::Database, .. })) => {
                self.upkeep = before;
                return self.in_trouble(works, trouble, now);
            }
            Ok(Commit::Failed(Trouble { fault: Fault::Raced, text })) if races > 0 => {
                tracing::debug!(why = text, "another node was faster");
                self.upkeep = before;
                return self.try_commit(works, races - 1);
            }
            Ok(Commit::Failed(Trouble { text, .. })) => text,
            Err(_) => "a panic of the writer".to_owned(),
        };
        self.upkeep = before;
        if works.len() == 1 {
            tracing::error!(error = text, "a batch could not be committed");
            return self.fail(works, &text, now + POISON_MS);
        }
        let tail = works.split_off(works.len() / 2);
        self.commit(works);
        self.commit(tail);
    }

    /// Nothing of these was written, and nothing else would be now; or ever, when what was kept is lost.
    fn in_trouble(&mut self, works: Vec<Work>, trouble: Trouble, now: Timestamp) {
        let Trouble { fault, text } = trouble;
        if fault == Fault::Lost {
            tracing::error!(error = text, "nothing more is written");
            self.fail(works, &text, Timestamp::MAX);
            return self.committer.lose(text);
        }
        self.outage.note(&text, now);
        self.fail(works, &text, now + TROUBLE_MS);
    }

    /// Publishers hear that it is not there, and may ask again: an idempotency key then finds what there
    /// is. The works are kept until it is known what has become of them.
    fn doubt(
        &mut self,
        mut works: Vec<Work>,
        done: Vec<Result<Done, WriteError>>,
        before: Upkeep,
        text: &str,
    ) {
        let text = format!("a commit was not answered: {text}");
        self.outage.note(&text, (self.committer.now)());
        let error = WriteError::Unavailable(text);
        for work in &mut works {
            match work {
                Work::Job(job) => job.refuse(error.clone()),
                Work::Fanout(fanout) => fanout.answer.send(Err(error.clone())),
                Work::Maintain | Work::Fold => {}
            }
        }
        self.doubt = Some(Doubt { works, done, before });
    }

    /// What was in doubt is finished, or failed, before anything else is written.
    fn clear_up(&mut self, now: Timestamp) -> Result<(), Trouble> {
        let Some(doubt) = self.doubt.take() else { return Ok(()) };
        match self.database.was_committed() {
            Ok(true) => {
                self.outage.end(now);
                tracing::info!(works = doubt.works.len(), "the unanswered commit was made");
                self.finish(doubt.works, doubt.done);
                Ok(())
            }
            Ok(false) => {
                self.outage.end(now);
                tracing::info!(works = doubt.works.len(), "the unanswered commit was not made");
                self.upkeep = doubt.before;
                self.fail(doubt.works, "the commit was not made", now);
                Ok(())
            }
            Err(trouble) => {
                self.doubt = Some(doubt);
                Err(trouble)
            }
        }
    }
}

struct Abandon(Arc<Committer>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
