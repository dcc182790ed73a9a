//! Maintenance: what is done when the committer has nothing else to do (and, in small shares, when it
//! has), in steps of a few milliseconds, each inside a batch like any other work.

use std::collections::HashSet;

use rusqlite::Connection;
use tidings_core::delivery::{Owed, Status};
use tidings_core::settlement::Reason;
use tidings_core::time::{HOUR_MS, Timestamp};

use super::batch::{Applied, Tx};
use super::index::Watermarks;
use super::reads;
use super::retention::Pass;
use crate::committed::Committed;

/// Rows ended or withdrawn in one step.
const STEP: usize = 200;
/// From the end of one retention pass to the next.
pub(super) const PASS_EVERY_MS: i64 = HOUR_MS;

/// What maintenance remembers between its steps. Rolled back with the batch.
#[derive(Debug, Clone, Default)]
pub(super) struct Upkeep {
    pub(super) marks: Watermarks,
    /// Events whose fan-out is being written: not to be withdrawn.
    pub(super) fanouts: HashSet<i64>,
    /// The retention pass that is under way.
    pub(super) pass: Option<Pass>,
    /// When the next one starts.
    pub(super) next_pass_at: Timestamp,
}

/// What a step did.
#[derive(Debug, Default)]
pub(super) struct Maintained {
    pub(super) told: Vec<Committed>,
    /// Whether there is more to do now.
    pub(super) more: bool,
}

impl Upkeep {
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { marks: Watermarks::read(conn)?, ..Self::default() })
    }
}

impl Tx<'_> {
    /// The next step, the most urgent first. `afresh` starts a retention pass whatever the hour.
    pub(super) fn maintain(&mut self, afresh: bool) -> Applied<Maintained> {
        if afresh {
            self.upkeep.pass = None;
            self.upkeep.next_pass_at = self.now;
        }
        if self.withdraw_interrupted()? {
            return Ok(Maintained { more: true, ..Maintained::default() });
        }
        if let Some(told) = self.end_deliveries()? {
            return Ok(Maintained { told, more: true });
        }
        let more = self.index_deliveries()? | self.index_events()?;
        if more {
            return Ok(Maintained { more, ..Maintained::default() });
        }
        // After the indexes: retention finds old rows through them.
        let more = self.retain()?;
        Ok(Maintained { more, ..Maintained::default() })
    }

    /// Takes back part of a fan-out that was interrupted.
    fn withdraw_interrupted(&mut self) -> Applied<bool> {
        let events: Vec<i64> = self
            .conn
            .prepare_cached("SELECT event FROM unfinished")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let interrupted = events.into_iter().find(|event| !self.upkeep.fanouts.contains(event));
        let Some(event) = interrupted else { return Ok(false) };
        self.withdraw(event, STEP)?;
        Ok(true)
    }

    /// Ends some of the deliveries of a webhook that is gone or inactive.
    fn end_deliveries(&mut self) -> Applied<Option<Vec<Committed>>> {
        let sql = format!(
            "SELECT {} FROM queue q WHERE q.webhook = ? AND q.id <= ? \
             AND NOT EXISTS (SELECT 1 FROM unfinished u WHERE u.event = q.event) LIMIT ?",
            reads::OWED
        );
        let mut next = self.conn.prepare_cached("SELECT webhook, upto FROM ending LIMIT 1")?;
        let mut rows = next.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (webhook, upto): (i64, i64) = (row.get(0)?, row.get(1)?);
        drop(rows);
        let owed: Vec<Owed> = self
            .conn
            .prepare_cached(&sql)?
            .query_map((webhook, upto, STEP as i64), reads::owed_row)?
            .collect::<Result<_, _>>()?;
        if owed.len() < STEP {
            self.conn.prepare_cached("DELETE FROM ending WHERE webhook = ?")?.execute([webhook])?;
        }
        let mut told = Vec::with_capacity(owed.len());
        for owed in &owed {
            told.push(self.end_owed(owed, Status::Failed, Reason::Inactive)?);
        }
        Ok(Some(told))
    }
}
