//! What follows a commit: each work is answered, then the sink is told of all; or nothing was written, and
//! settlements are kept.

use tidings_core::time::Timestamp;

use super::{INDEXED_PER_MS, MAINTAIN_AFTER_MS, MAINTAIN_SHARE_MS, OTHERS_MS, Writer};
use crate::committed::Committed;
use crate::error::WriteError;
use crate::queue::Job;
use crate::queue::batch::fanout::{Fanout, Step};
use crate::queue::batch::maintain::Maintained;
use crate::queue::batch::publish::tell_published;
use crate::queue::batch::{Done, Work};
use crate::queue::transaction::Database;

impl<D: Database> Writer<D> {
    /// Nothing of these was written: publishers are told, settlements are kept.
    pub(super) fn fail(&mut self, works: Vec<Work>, text: &str, again: Timestamp) {
        let error = WriteError::Unavailable(text.to_owned());
        for work in works {
            match work {
                Work::Job(Job::Settle(settlement)) => self.held.push((again, settlement)),
                Work::Job(mut job) => job.refuse(error.clone()),
                Work::Fanout(mut fanout) => {
                    self.forget(&fanout);
                    fanout.answer.send(Err(error.clone()));
                    self.maintain_at = self.maintain_at.min(again);
                }
                Work::Maintain => self.maintain_at = again,
                Work::Fold => {}
            }
        }
    }

    /// After the commit: answers each, then tells all.
    pub(super) fn finish(&mut self, works: Vec<Work>, done: Vec<Result<Done, WriteError>>) {
        let mut told = Vec::with_capacity(works.len());
        let load = works.len() > 1;
        let worked = works.iter().any(|work| !matches!(work, Work::Maintain | Work::Fold));
        for (work, done) in works.into_iter().zip(done) {
            self.finish_one(work, done, load, &mut told);
        }
        if worked {
            let soon = (self.committer.now)() + MAINTAIN_AFTER_MS;
            self.maintain_at = self.maintain_at.min(soon);
        }
        if !told.is_empty() {
            (self.sink)(told);
        }
    }

    fn finish_one(
        &mut self,
        work: Work,
        done: Result<Done, WriteError>,
        load: bool,
        told: &mut Vec<Committed>,
    ) {
        match (work, done) {
            (
                Work::Job(Job::Publish { publication, mut answer, .. }),
                Ok(Done::Published(published)),
            ) => {
                tell_published(publication, &published, told);
                answer.send(Ok(published));
            }
            (Work::Job(Job::Settle(_)), Ok(Done::Settled(settled))) => settled.tell(told),
            (Work::Job(Job::Change { mut answer, .. }), Ok(Done::Changed(changed, more))) => {
                told.extend(more);
                answer.send(Ok(changed));
            }
            (Work::Job(Job::Control { mut answer, .. }), Ok(Done::Controlled(more))) => {
                told.extend(more);
                answer.send(Ok(()));
            }
            (Work::Fanout(fanout), done) => self.stepped(fanout, done, told),
            (Work::Job(Job::Maintain { mut answer, .. }), Ok(Done::Maintained(step))) => {
                answer.send(Ok(step.more));
                told.extend(step.told);
            }
            (Work::Fold, Ok(Done::Folded)) => {}
            (Work::Maintain, Ok(Done::Maintained(step))) => self.maintained(step, load, told),
            (Work::Job(mut job), Err(error)) => job.refuse(error),
            (work, done) => unreachable!("{work:?} did {done:?}"),
        }
    }

    fn stepped(
        &mut self,
        mut fanout: Box<Fanout>,
        done: Result<Done, WriteError>,
        told: &mut Vec<Committed>,
    ) {
        if let Ok(Done::Stepped(Step::Written(begun))) = done {
            fanout.begun = Some(begun);
            return self.fanouts.push_back(fanout);
        }
        self.forget(&fanout);
        let Fanout { publication, mut answer, room, .. } = *fanout;
        // First, for whoever is answered may publish again before this thread goes on.
        drop(room);
        answer.send(match done {
            Ok(Done::Stepped(Step::Finished(published))) => {
                tell_published(publication, &published, told);
                Ok(published)
            }
            Ok(done) => unreachable!("a fan-out did {done:?}"),
            Err(error) => Err(error),
        });
    }

    /// From now on maintenance may withdraw what is left of it.
    fn forget(&mut self, fanout: &Fanout) {
        for event in fanout.events() {
            self.unfinished.remove(&event);
        }
    }

    fn maintained(&mut self, step: Maintained, load: bool, told: &mut Vec<Committed>) {
        told.extend(step.told);
        let now = (self.committer.now)();
        self.maintain_at = match (step.more, load) {
            (true, true) => now + MAINTAIN_SHARE_MS.max(step.indexed / INDEXED_PER_MS),
            (true, false) => now,
            (false, _) if step.waits => now + OTHERS_MS,
            (false, _) => self.upkeep.next_at().max(now),
        };
    }
}
