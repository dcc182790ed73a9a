//! What people do with deliveries: send again, cancel.

use tidings_core::delivery::{Lane, Owed, Payload, Status};
use tidings_core::id::{DeliveryId, TenantId};
use tidings_core::settlement::{Attempt, Reason, Settlement};
use tidings_core::time::Timestamp;

use super::rollup::Noted;
use super::settle::End;
use super::{Applied, Failure, Tx};
use crate::catalogue::webhooks;
use crate::change::Control;
use crate::committed::Committed;
use crate::error::{ReadError, WriteError};
use crate::queue::reads;
use crate::value::Fields;

/// An ended delivery, as much of it as it takes to send it again.
struct Ended {
    /// As it was when it ended.
    owed: Owed,
    status: Status,
    completed_at: Timestamp,
    /// The attempt that was folded into its row.
    folded: Option<Attempt>,
}

const ENDED: &str = "SELECT id, tenant, webhook, slot, event, revision, attempts, status, \
     completed_at, last_attempt_at, duration_ms, attempt_revision, signature, response_status, \
     response_headers, response_body FROM deliveries";

/// Reads the columns of [`ENDED`].
fn ended(mut f: Fields) -> Result<Ended, ReadError> {
    let owed = Owed {
        id: f.take()?,
        tenant: f.take()?,
        lane: Lane { webhook: f.take()?, slot: f.take()? },
        event: f.take()?,
        revision: f.take()?,
        ready_at: Timestamp::MAX,
        not_before: Timestamp::MAX,
        expires_at: None,
        attempts: f.take()?,
        attempts_granted: 0,
        gate: None,
        payload: Payload::Stored,
    };
    let (status, completed_at) = (f.take()?, f.take()?);
    let started_at: Option<Timestamp> = f.take()?;
    let folded = match f.take::<Option<u32>>()? {
        None => None,
        Some(duration_ms) => Some(Attempt {
            number: 1,
            started_at: started_at.ok_or(ReadError::Inconsistent("deliveries.last_attempt_at"))?,
            duration_ms,
            revision: f.take()?,
            signature: f.take()?,
            response_status: f.take()?,
            response_headers: f.take()?,
            response_body: f.take()?,
            error: String::new(),
            error_type: "",
        }),
    };
    Ok(Ended { owed, status, completed_at, folded })
}

impl Tx<'_> {
    /// Does what was asked for; tells what changed.
    pub(super) fn control(&mut self, control: &Control) -> Applied<Vec<Committed>> {
        match control {
            Control::RetryNow { tenant, delivery, more } => self.retry(*tenant, *delivery, *more),
            Control::Cancel { tenant, delivery } => self.cancel(*tenant, *delivery),
            Control::EndDeliveries { webhook } => {
                self.run(&webhooks::end_deliveries(*webhook, self.now))?;
                Ok(Vec::new())
            }
        }
    }

    fn retry(&mut self, tenant: TenantId, id: DeliveryId, more: u16) -> Applied<Vec<Committed>> {
        let sql = format!("{ENDED} WHERE id = $1 AND tenant = $2");
        let Some(row) = self.row(&sql, &[id.into(), tenant.into()])? else {
            let owed = self.owed(id)?.is_some_and(|owed| owed.tenant == tenant);
            let error = if owed { WriteError::StillOwed } else { WriteError::NotFound };
            return Err(Failure::Refused(error));
        };
        match self.reopen(ended(row.fields())?, more)? {
            Some(owed) => Ok(vec![Committed::Owed(owed)]),
            None => Err(Failure::Refused(WriteError::NotFound)),
        }
    }

    /// Moves a delivery from the history back into the queue; `None` when its event is gone. Its end
    /// is taken back where it was counted.
    fn reopen(&mut self, ended: Ended, more: u16) -> Applied<Option<Owed>> {
        let Ended { owed, status, completed_at, folded } = ended;
        let sql = "SELECT expires_at FROM events WHERE id = $1";
        let Some(event) = self.row(sql, &[owed.event.into()])? else { return Ok(None) };
        let expires_at: Option<Timestamp> = event.fields().take()?;
        let owed = Owed {
            // Whoever sends again what has expired wants it sent all the same.
            expires_at: expires_at.filter(|&at| at > self.now),
            ready_at: self.now,
            not_before: self.now,
            attempts_granted: owed.attempts.saturating_add(more),
            ..owed
        };
        self.insert_owed(&owed)?;
        if let Some(attempt) = &folded {
            self.insert_attempt(owed.id, attempt, None)?;
        }
        self.forget_delivery(owed.id)?;
        self.note_lead(&owed, Status::Pending, self.now)?;
        let of = (owed.tenant, owed.lane.webhook);
        self.rollup.note(of, completed_at, Noted::Reopened { status });
        self.rollup.note(of, self.now, Noted::OwedAgain { tried: owed.attempts > 0 });
        Ok(Some(owed))
    }

    /// The receiver took a delivery while its webhook was going away, or while something newer took its
    /// place: delivered is what it was, though it has been ended meanwhile.
    pub(super) fn deliver_late(&mut self, settlement: &Settlement) -> Applied<()> {
        let sql = format!("{ENDED} WHERE id = $1 AND reason IN ($2, $3)");
        let reasons = [Reason::Inactive, Reason::Superseded].map(Reason::code);
        let args = [settlement.owed.id.into(), reasons[0].into(), reasons[1].into()];
        let Some(row) = self.row(&sql, &args)? else { return Ok(()) };
        let Some(owed) = self.reopen(ended(row.fields())?, 0)? else { return Ok(()) };
        self.db.send(DELETE_OWED, &[owed.id.into()])?;
        let end = End {
            status: Status::Success,
            reason: Reason::Delivered,
            attempt: settlement.attempt.as_ref(),
            at: settlement.settled_at,
        };
        self.end(&owed, &end)
    }

    fn cancel(&mut self, tenant: TenantId, id: DeliveryId) -> Applied<Vec<Committed>> {
        let owed = self.owed(id)?.filter(|owed| owed.tenant == tenant);
        let Some(owed) = owed else {
            let sql = "SELECT 1 FROM deliveries WHERE id = $1 AND tenant = $2";
            let ended = self.row(sql, &[id.into(), tenant.into()])?;
            let error = if ended.is_some() { WriteError::Conflict } else { WriteError::NotFound };
            return Err(Failure::Refused(error));
        };
        Ok(vec![self.end_owed(&owed, Status::Cancelled, Reason::Cancelled)?])
    }

    /// One row of the queue.
    pub(super) fn owed(&mut self, id: DeliveryId) -> Applied<Option<Owed>> {
        match self.row(reads::ONE, &[id.into()])? {
            Some(row) => Ok(Some(reads::owed(&mut row.fields())?)),
            None => Ok(None),
        }
    }

    /// Ends an owed delivery without an attempt.
    pub(super) fn end_owed(
        &mut self,
        owed: &Owed,
        status: Status,
        reason: Reason,
    ) -> Applied<Committed> {
        self.db.send(DELETE_OWED, &[owed.id.into()])?;
        self.end(owed, &End { status, reason, attempt: None, at: self.now })?;
        Ok(Committed::Ended { lane: owed.lane, id: owed.id })
    }
}

pub(super) const DELETE_OWED: &str = "DELETE FROM queue WHERE id = $1";
