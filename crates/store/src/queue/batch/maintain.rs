//! Maintenance: what is done when the committer has nothing else to do (and, in small shares, when it
//! has), in steps of a few milliseconds, each inside a batch like any other work.

use tidings_core::delivery::{Owed, Status};
use tidings_core::id::EventId;
use tidings_core::settlement::Reason;
use tidings_core::time::{HOUR_MS, Timestamp};

use super::index::{Indexed, Watermarks};
use super::retention::Pass;
use super::{Applied, Tx, rollup};
use crate::committed::Committed;
use crate::queue::reads;
use crate::queue::transaction::{Transaction, Trouble};

/// Rows ended or withdrawn in one step.
pub(super) const STEP: usize = 200;
/// From one adding up of tallies to the next.
const FOLD_EVERY_MS: i64 = 1_000;
/// From the end of one retention pass to the next.
pub(super) const PASS_EVERY_MS: i64 = HOUR_MS;

/// What maintenance remembers between its steps. Rolled back with the batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upkeep {
    pub(super) marks: Watermarks,
    /// The transactions that have to be over before the next run is indexed, of deliveries, events
    /// and what waits in the queue.
    pub(super) barriers: [Option<i64>; 3],
    /// When what waits in the queue has waited long enough to be indexed.
    pub(super) age_at: Option<Timestamp>,
    /// This node has written tallies since it last added them up; when it may do so again.
    pub(super) has_tallies: bool,
    pub(super) fold_at: Timestamp,
    /// When to look again for deliveries that expired unseen.
    pub(super) expire_at: Timestamp,
    /// The retention pass that is under way.
    pub(super) pass: Option<Pass>,
    /// When the next one starts.
    pub(crate) next_pass_at: Timestamp,
}

/// What a step did.
#[derive(Debug, Default)]
pub(crate) struct Maintained {
    pub(crate) told: Vec<Committed>,
    /// Whether there is more to do now.
    pub(crate) more: bool,
    /// The most rows that it may have indexed.
    pub(crate) indexed: i64,
    /// Whether there is when what others have under way is over.
    pub(crate) waits: bool,
}

impl Upkeep {
    /// When there is something to do though nothing is written.
    pub(crate) fn next_at(&self) -> Timestamp {
        let fold_at = self.has_tallies.then_some(self.fold_at);
        let sooner = [self.age_at, fold_at, Some(self.expire_at)];
        sooner.into_iter().flatten().fold(self.next_pass_at, Ord::min)
    }

    /// Whether there are tallies of this node to be added up now.
    pub(crate) fn should_fold(&self, now: Timestamp) -> bool {
        self.has_tallies && self.fold_at <= now
    }

    pub(crate) fn read(db: &mut dyn Transaction) -> Result<Self, Trouble> {
        Ok(Self { marks: Watermarks::read(db)?, ..Self::default() })
    }
}

impl Tx<'_> {
    /// The next step for whoever waits until all is done. `afresh` starts a retention pass whatever the
    /// hour.
    pub(super) fn maintain_all(&mut self, afresh: bool) -> Applied<Maintained> {
        if afresh {
            self.begin_pass();
        }
        let (step, indexed) = self.before_retention()?;
        if indexed != Indexed::All {
            // All the indexes first, for retention finds old rows through them. What has begun without
            // them (a step of the writer's own, in the same batch) begins again.
            self.begin_pass();
        }
        if let Some(step) = step {
            return Ok(step);
        }
        if indexed == Indexed::Waits {
            return Ok(Maintained { more: true, ..Maintained::default() });
        }
        let more = self.retain()?;
        Ok(Maintained { more, ..Maintained::default() })
    }

    fn begin_pass(&mut self) {
        self.upkeep.pass = None;
        self.upkeep.next_pass_at = self.now;
    }

    /// The next step, the most urgent first.
    pub(super) fn maintain(&mut self) -> Applied<Maintained> {
        let (step, indexed) = self.before_retention()?;
        if let Some(step) = step {
            return Ok(step);
        }
        let (more, waits) = (self.retain()?, indexed == Indexed::Waits);
        Ok(Maintained { more, waits, ..Maintained::default() })
    }

    /// What comes before retention, if there is any of it, and how far the indexes are.
    fn before_retention(&mut self) -> Applied<(Option<Maintained>, Indexed)> {
        let more = Maintained { more: true, ..Maintained::default() };
        // Those of a node that is gone, too.
        if self.upkeep.fold_at <= self.now {
            self.fold_tallies()?;
        }
        if self.withdraw_interrupted()? {
            return Ok((Some(more), Indexed::More));
        }
        let ended = match self.end_deliveries()? {
            None => self.expire_waiting()?,
            ended => ended,
        };
        if let Some(told) = ended {
            return Ok((Some(Maintained { told, ..more }), Indexed::More));
        }
        let indexed = [self.index_deliveries()?, self.index_events()?, self.age_queue()?];
        Ok(match indexed {
            _ if indexed.contains(&Indexed::More) => {
                (Some(Maintained { indexed: self.index_run(), ..more }), Indexed::More)
            }
            _ if indexed.contains(&Indexed::Waits) => (None, Indexed::Waits),
            _ => (None, Indexed::All),
        })
    }

    /// Adds up what batches have counted for webhooks.
    pub(super) fn fold_tallies(&mut self) -> Applied<()> {
        let more = rollup::fold(self.db)?;
        self.upkeep.has_tallies = more;
        self.upkeep.fold_at = if more { self.now } else { self.now + FOLD_EVERY_MS };
        Ok(())
    }

    /// Takes back part of a fan-out that was interrupted.
    fn withdraw_interrupted(&mut self) -> Applied<bool> {
        if self.db.meta().standing.is_some_and(|standing| !standing.has_unfinished) {
            return Ok(false);
        }
        for row in self.db.rows("SELECT event FROM unfinished", &[])? {
            let event = row.fields().take()?;
            if !self.fanouts.contains(&event) && self.db.abandoned(EventId::from_i64(event))? {
                self.withdraw(event, STEP)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends some of the deliveries of a webhook that is gone or inactive.
    fn end_deliveries(&mut self) -> Applied<Option<Vec<Committed>>> {
        if self.db.meta().standing.is_some_and(|standing| !standing.has_ending) {
            return Ok(None);
        }
        let Some(row) = self.row("SELECT webhook, upto FROM ending LIMIT 1", &[])? else {
            return Ok(None);
        };
        let mut f = row.fields();
        let (webhook, upto): (i64, i64) = (f.take()?, f.take()?);
        let args = [webhook.into(), upto.into(), (STEP as i64).into()];
        let rows = self.db.rows(reads::OF_WEBHOOK, &args)?;
        let owed = rows.into_iter().map(|row| reads::owed(&mut row.fields()));
        let mut owed: Vec<Owed> = owed.collect::<Result<_, _>>()?;
        // In the order in which settlements lock them.
        owed.sort_unstable_by_key(|owed| owed.id);
        if owed.len() < STEP {
            self.db.send("DELETE FROM ending WHERE webhook = $1", &[webhook.into()])?;
        }
        let mut told = Vec::with_capacity(owed.len());
        for owed in &owed {
            told.push(self.end_owed(owed, Status::Failed, Reason::Inactive)?);
        }
        Ok(Some(told))
    }
}
