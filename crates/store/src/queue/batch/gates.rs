//! Gates: of a job's progress only the latest is owed to a place, at most once in an interval, and
//! nothing of it after the job's end. See [`tidings_core::gate`] for the whole.

use std::borrow::Cow;

use tidings_core::delivery::{Owed, Status};
use tidings_core::gate::{Gate, Step};
use tidings_core::publication::Publication;
use tidings_core::settlement::{Reason, Settlement};
use tidings_core::time::Timestamp;

use super::{Applied, Tx};
use crate::committed::Committed;
use crate::queue::reads;

const CLOSED_UNTIL: &str = "SELECT closed_until FROM gates WHERE webhook = $1 AND job = $2";
const CLOSE: &str = "INSERT INTO gates (webhook, job, closed_until) VALUES ($1, $2, $3) \
     ON CONFLICT (webhook, job) DO UPDATE SET closed_until = excluded.closed_until";
pub(super) const WAIT: &str = "UPDATE queue SET ready_at = $1, not_before = $2 WHERE id = $3";

impl Tx<'_> {
    /// Lets new deliveries through their gates: ends what they supersede, and gives those that must wait
    /// a later moment. A publication that tells of no job comes back as it is.
    pub(super) fn pass_gates<'p>(
        &mut self,
        publication: &'p Publication,
        told: &mut Vec<Committed>,
    ) -> Applied<Cow<'p, Publication>> {
        let mut deliveries = publication.events.iter().flat_map(|planned| &planned.deliveries);
        if deliveries.all(|owed| owed.gate.is_none()) {
            return Ok(Cow::Borrowed(publication));
        }
        let mut publication = publication.clone();
        for owed in publication.events.iter_mut().flat_map(|planned| &mut planned.deliveries) {
            let Some(gate) = owed.gate else { continue };
            self.db.lock_gate(owed.lane.webhook, gate.job)?;
            self.supersede(owed, gate, told)?;
            if let Some(closed_until) = self.closed_until(owed, gate)? {
                owed.ready_at = owed.ready_at.max(closed_until);
                owed.not_before = owed.not_before.max(closed_until);
            }
        }
        Ok(Cow::Owned(publication))
    }

    fn supersede(&mut self, by: &Owed, gate: Gate, told: &mut Vec<Committed>) -> Applied<()> {
        if gate.step == Step::Change {
            return Ok(());
        }
        for older in self.progress_of(by, gate)? {
            if older.gate.is_some_and(|older| gate.step.supersedes(older.step)) {
                told.push(self.end_owed(&older, Status::Cancelled, Reason::Superseded)?);
            }
        }
        Ok(())
    }

    /// Progress of the same job that is owed to the same place, oldest first.
    fn progress_of(&mut self, of: &Owed, gate: Gate) -> Applied<Vec<Owed>> {
        let rows = self.db.rows(reads::PROGRESS, &[of.lane.webhook.into(), gate.job.into()])?;
        let rows = rows.into_iter().map(|row| reads::owed(&mut row.fields()));
        let mut progress: Vec<Owed> = rows.collect::<Result<_, _>>()?;
        progress.sort_unstable_by_key(|owed| owed.id);
        Ok(progress)
    }

    fn closed_until(&mut self, owed: &Owed, gate: Gate) -> Applied<Option<Timestamp>> {
        if gate.step.interval_ms().is_none_or(|ms| ms == 0) {
            return Ok(None);
        }
        let until = self.number(CLOSED_UNTIL, &[owed.lane.webhook.into(), gate.job.into()])?;
        Ok(until.map(Timestamp::from_millis))
    }

    /// After an attempt of progress: writes when the next may be told, and moves what has become owed
    /// meanwhile behind that moment.
    pub(super) fn close_gate(&mut self, settlement: &Settlement) -> Applied<Vec<Committed>> {
        let owed = &settlement.owed;
        let mut told = Vec::new();
        let (Some(gate), Some(attempt)) = (owed.gate, &settlement.attempt) else { return Ok(told) };
        let Some(until) = gate.closed_until(attempt.started_at) else { return Ok(told) };
        self.db.lock_gate(owed.lane.webhook, gate.job)?;
        self.db.send(CLOSE, &[owed.lane.webhook.into(), gate.job.into(), until.into()])?;
        for waiting in self.progress_of(owed, gate)? {
            if waiting.id != owed.id && waiting.attempts == 0 && waiting.not_before < until {
                let later = Owed { ready_at: until, not_before: until, ..waiting.clone() };
                self.db.send(WAIT, &[until.into(), until.into(), waiting.id.into()])?;
                told.push(Committed::Moved(later));
            }
        }
        Ok(told)
    }
}
