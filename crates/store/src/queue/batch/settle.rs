//! Settlements: what an attempt led to.

use tidings_core::delivery::{Owed, Status};
use tidings_core::id::{DeliveryId, WebhookId};
use tidings_core::settlement::{Attempt, INACTIVE_MESSAGE, Reason, Settlement, Verdict};
use tidings_core::time::Timestamp;

use super::publish::tell_published;
use super::rollup::Noted;
use super::{Applied, Failure, Tx};
use crate::catalogue::webhooks;
use crate::committed::Committed;
use crate::queue::table::Table;

/// How a delivery ended.
pub(super) struct End<'a> {
    pub status: Status,
    pub reason: Reason,
    pub attempt: Option<&'a Attempt>,
    pub at: Timestamp,
}

/// What a settlement changed. Mostly its own row and nothing else, which takes no list.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Told first: what has to wait behind its gate must know it before the gate is told to be free.
    pub(crate) waiting: Vec<Committed>,
    pub(crate) row: Committed,
    /// What it switched off and announced.
    pub(crate) more: Vec<Committed>,
}

impl Settled {
    pub(crate) fn tell(self, told: &mut Vec<Committed>) {
        told.extend(self.waiting);
        told.push(self.row);
        told.extend(self.more);
    }
}

impl Tx<'_> {
    /// Writes a settlement; tells what it changed.
    pub(super) fn settle(&mut self, settlement: &Settlement) -> Applied<Settled> {
        let row = self.settle_row(settlement)?;
        let mut more = Vec::new();
        // Nothing of it counts: whoever owns the lane now finds out for itself.
        if let Committed::Late { lane, .. } = row
            && self.db.is_shared()
            && !self.db.owns(lane)?
        {
            return Ok(Settled { waiting: Vec::new(), row, more });
        }
        let waiting = self.close_gate(settlement)?;
        if let Some(health) = &settlement.health {
            let doc = serde_json::to_string(health).expect("health has string keys only");
            let row = [settlement.owed.lane.webhook.into(), doc.as_str().into()];
            self.db.insert(Table::Health, &row)?;
        }
        if let Some(reason) = settlement.disable {
            more.extend(self.disable(
                settlement.owed.lane.webhook,
                reason,
                settlement.settled_at,
            )?);
        }
        for publication in &settlement.announcements {
            match self.publish(publication) {
                Ok(answer) => tell_published(publication.clone(), &answer, &mut more),
                Err(Failure::Refused(error)) => tracing::warn!(%error, "announcement not written"),
                Err(error) => return Err(error),
            }
        }
        Ok(Settled { waiting, row, more })
    }

    fn settle_row(&mut self, settlement: &Settlement) -> Applied<Committed> {
        let Settlement { owed, attempt, .. } = settlement;
        let of = (owed.tenant, owed.lane.webhook);
        match settlement.verdict {
            Verdict::End { status, reason } => {
                if !self.db.take_owed(owed)? {
                    return self.stale(settlement);
                }
                let attempt = attempt.as_ref();
                self.end(owed, &End { status, reason, attempt, at: settlement.settled_at })?;
                Ok(Committed::Settled { lane: owed.lane, id: owed.id, again: None })
            }
            Verdict::Retry { ready_at, not_before, attempts_granted } => {
                let attempts = owed.attempts + u16::from(attempt.is_some());
                let again =
                    Owed { ready_at, not_before, attempts, attempts_granted, ..owed.clone() };
                if !self.db.move_owed(owed, &again)? {
                    return self.stale(settlement);
                }
                if let Some(attempt) = attempt {
                    self.insert_attempt(owed.id, attempt, Some(not_before))?;
                    self.note_attempt(owed, attempt, settlement.settled_at);
                    if owed.attempts == 0 {
                        self.rollup.note(of, settlement.settled_at, Noted::Retrying);
                    }
                }
                Ok(Committed::Settled { lane: owed.lane, id: owed.id, again: Some(again) })
            }
        }
    }

    /// The row was not as it had been given out: it has ended meanwhile (cancelled by hand, webhook
    /// gone), or this settlement was written before.
    fn stale(&mut self, settlement: &Settlement) -> Applied<Committed> {
        let (lane, id) = (settlement.owed.lane, settlement.owed.id);
        if !self.db.owns(lane)? {
            return Ok(Committed::Late { lane, id });
        }
        if let Some(again) = self.owed(id)? {
            return Ok(Committed::Settled { lane, id, again: Some(again) });
        }
        let delivered = Verdict::End { status: Status::Success, reason: Reason::Delivered };
        if settlement.verdict == delivered {
            self.deliver_late(settlement)?;
        }
        Ok(Committed::Late { lane, id })
    }

    /// Writes the history of a delivery whose queue row has just been deleted.
    pub(super) fn end(&mut self, owed: &Owed, end: &End<'_>) -> Applied<()> {
        let Owed { tenant, lane, .. } = *owed;
        let attempts = owed.attempts + u16::from(end.attempt.is_some());
        let folded = end.attempt.filter(|_| end.status == Status::Success && attempts == 1);
        let error = match end.attempt {
            Some(attempt) => Some(attempt.error.as_str()),
            None => (end.reason == Reason::Inactive).then_some(INACTIVE_MESSAGE),
        };
        let row = [
            owed.id.into(),
            tenant.into(),
            lane.webhook.into(),
            lane.slot.into(),
            owed.event.into(),
            owed.revision.into(),
            end.status.into(),
            end.reason.code().into(),
            attempts.into(),
            owed.attempts_granted.into(),
            end.at.into(),
            end.attempt.map(|attempt| attempt.started_at).into(),
            end.attempt.and_then(|attempt| attempt.response_status).into(),
            error.into(),
            end.attempt.map(|attempt| attempt.error_type).into(),
            folded.map(|attempt| attempt.duration_ms).into(),
            folded.map(|attempt| attempt.revision).into(),
            folded.map(|attempt| attempt.signature.as_str()).into(),
            folded.map(|attempt| attempt.response_headers.as_str()).into(),
            folded.map(|attempt| attempt.response_body.as_str()).into(),
        ];
        self.db.insert(Table::Deliveries, &row)?;
        self.index_late_delivery(owed, end.status)?;
        self.note_lead(owed, end.status, end.at)?;
        if let Some(attempt) = end.attempt {
            if folded.is_none() {
                self.insert_attempt(owed.id, attempt, None)?;
            }
            self.note_attempt(owed, attempt, end.at);
        }
        let tried = owed.attempts > 0;
        let noted = Noted::Ended { status: end.status, tried };
        self.rollup.note((tenant, lane.webhook), end.at, noted);
        Ok(())
    }

    fn note_attempt(&mut self, owed: &Owed, attempt: &Attempt, at: Timestamp) {
        let success = attempt.error.is_empty();
        let noted = Noted::Attempt { duration_ms: attempt.duration_ms, success };
        self.rollup.note((owed.tenant, owed.lane.webhook), at, noted);
    }

    pub(super) fn insert_attempt(
        &mut self,
        delivery: DeliveryId,
        attempt: &Attempt,
        retry_at: Option<Timestamp>,
    ) -> Applied<()> {
        let row = [
            delivery.into(),
            attempt.number.into(),
            attempt.started_at.into(),
            attempt.duration_ms.into(),
            attempt.revision.into(),
            attempt.signature.as_str().into(),
            attempt.response_status.into(),
            attempt.response_headers.as_str().into(),
            attempt.response_body.as_str().into(),
            attempt.error.as_str().into(),
            attempt.error_type.into(),
            retry_at.into(),
        ];
        Ok(self.db.insert(Table::Attempts, &row)?)
    }

    /// Switches a webhook off, in the same transaction as the answer that called for it.
    fn disable(
        &mut self,
        id: WebhookId,
        reason: &'static str,
        at: Timestamp,
    ) -> Applied<Option<Committed>> {
        let Some(row) = self.row(webhooks::ONE, &[id.into()])? else { return Ok(None) };
        let record = webhooks::record(row.fields())?;
        let mut webhook = record.webhook;
        if !webhook.active {
            return Ok(None);
        }
        webhook.active = false;
        webhook.disabled_reason = Some(reason.to_owned());
        webhook.inactive_since = Some(at);
        webhook.revision += 1;
        webhook.updated_at = at;
        for statement in webhooks::update(&webhook, None) {
            self.run(&statement)?;
        }
        Ok(Some(Committed::Disabled { webhook: id, revision: webhook.revision, reason }))
    }
}
