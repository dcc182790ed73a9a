//! Deliveries whose time has passed while nothing called for them, for their webhook is paused or its breaker
//! open. The dispatcher ends what it comes upon; this finds the others, so that they are not shown as owed.

use tidings_core::delivery::{Owed, Status};
use tidings_core::settlement::Reason;
use tidings_core::time::MINUTE_MS;

use super::maintain::STEP;
use super::{Applied, Tx};
use crate::committed::Committed;
use crate::queue::reads;

/// From one look to the next.
const EVERY_MS: i64 = MINUTE_MS;
/// The dispatcher comes first, and an attempt that began in time is over by then.
const PATIENCE_MS: i64 = 10 * MINUTE_MS;

impl Tx<'_> {
    /// Ends some of them, when it is time to look and there are any.
    pub(super) fn expire_waiting(&mut self) -> Applied<Option<Vec<Committed>>> {
        if self.upkeep.expire_at > self.now {
            return Ok(None);
        }
        let args = [(self.now - PATIENCE_MS).into(), (STEP as i64).into()];
        let rows = self.db.rows(reads::EXPIRED, &args)?;
        if rows.len() < STEP {
            self.upkeep.expire_at = self.now + EVERY_MS;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let owed = rows.into_iter().map(|row| reads::owed(&mut row.fields()));
        let mut owed: Vec<Owed> = owed.collect::<Result<_, _>>()?;
        // In the order in which settlements lock them.
        owed.sort_unstable_by_key(|owed| owed.id);
        let mut told = Vec::with_capacity(owed.len());
        for owed in &owed {
            told.push(self.end_owed(owed, Status::Expired, Reason::Expired)?);
        }
        Ok(Some(told))
    }
}
