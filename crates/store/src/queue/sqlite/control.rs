//! What people do with deliveries: send again, cancel.

use rusqlite::{OptionalExtension as _, Row, params, params_from_iter};
use tidings_core::delivery::{Lane, Owed, Payload, Status};
use tidings_core::id::{DeliveryId, EventId, TenantId, WebhookId};
use tidings_core::limits::FANOUT_SLICE;
use tidings_core::settlement::{Attempt, Reason, Settlement};
use tidings_core::time::Timestamp;

use super::batch::{Applied, Failure, Tx};
use super::reads;
use super::rollup::Noted;
use super::settle::End;
use crate::catalogue::webhooks;
use crate::change::{Control, ControlAnswer, RedriveFilter};
use crate::committed::Committed;
use crate::error::WriteError;
use crate::history::Query;

type Controlled = (ControlAnswer, Vec<Committed>);

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

fn ended_row(row: &Row<'_>) -> rusqlite::Result<Ended> {
    let owed = Owed {
        id: DeliveryId::from_i64(row.get(0)?),
        tenant: TenantId::from_i64(row.get(1)?),
        lane: Lane { webhook: WebhookId::from_i64(row.get(2)?), slot: row.get(3)? },
        event: EventId::from_i64(row.get(4)?),
        revision: row.get(5)?,
        ready_at: Timestamp::MAX,
        not_before: Timestamp::MAX,
        expires_at: None,
        attempts: row.get(6)?,
        attempts_granted: 0,
        payload: Payload::Stored,
    };
    let folded = match row.get::<_, Option<u32>>(10)? {
        None => None,
        Some(duration_ms) => Some(Attempt {
            number: 1,
            started_at: Timestamp::from_millis(row.get(9)?),
            duration_ms,
            revision: row.get(11)?,
            signature: row.get(12)?,
            response_status: row.get(13)?,
            response_headers: row.get(14)?,
            response_body: row.get(15)?,
            error: String::new(),
            error_type: "",
        }),
    };
    Ok(Ended {
        owed,
        status: Status::from_code(row.get(7)?).unwrap_or(Status::Failed),
        completed_at: Timestamp::from_millis(row.get(8)?),
        folded,
    })
}

impl Tx<'_> {
    /// Does what was asked for; tells what changed.
    pub(super) fn control(&mut self, control: &Control) -> Applied<Controlled> {
        match control {
            Control::RetryNow { tenant, delivery, more } => self.retry(*tenant, *delivery, *more),
            Control::Cancel { tenant, delivery } => self.cancel(*tenant, *delivery),
            Control::Redrive { tenant, filter, limit, more } => {
                self.redrive(*tenant, filter, *limit, *more)
            }
            Control::EndDeliveries { webhook } => {
                self.run(&webhooks::end_deliveries(*webhook, self.now))?;
                Ok(Controlled::default())
            }
        }
    }

    fn retry(&mut self, tenant: TenantId, id: DeliveryId, more: u16) -> Applied<Controlled> {
        let ended = self
            .conn
            .prepare_cached(&format!("{ENDED} WHERE id = ? AND tenant = ?"))?
            .query_row((id.as_i64(), tenant.as_i64()), ended_row)
            .optional()?;
        let Some(ended) = ended else {
            let owed = reads::owed(self.conn, id)?.is_some_and(|owed| owed.tenant == tenant);
            let error = if owed { WriteError::StillOwed } else { WriteError::NotFound };
            return Err(Failure::Refused(error));
        };
        match self.reopen(ended, more)? {
            Some(owed) => {
                let answer = ControlAnswer { deliveries: 1, next: None };
                Ok((answer, vec![Committed::Owed(owed)]))
            }
            None => Err(Failure::Refused(WriteError::NotFound)),
        }
    }

    fn redrive(
        &mut self,
        tenant: TenantId,
        filter: &RedriveFilter,
        limit: u32,
        more: u16,
    ) -> Applied<Controlled> {
        let limit = limit.min(FANOUT_SLICE as u32);
        let query = redrive_query(tenant, filter, limit);
        let ended: Vec<Ended> = self
            .conn
            .prepare_cached(&query.sql)?
            .query_map(params_from_iter(&query.args), ended_row)?
            .collect::<Result<_, _>>()?;
        let full = ended.len() == limit as usize;
        let last = ended.last().map(|ended| ended.owed.id);
        let mut told = Vec::with_capacity(ended.len());
        for ended in ended {
            told.extend(self.reopen(ended, more)?.map(Committed::Owed));
        }
        let answer = ControlAnswer { deliveries: told.len() as u32, next: last.filter(|_| full) };
        Ok((answer, told))
    }

    /// Moves a delivery from the history back into the queue; `None` when its event is gone. Its end
    /// is taken back where it was counted.
    fn reopen(&mut self, ended: Ended, more: u16) -> Applied<Option<Owed>> {
        let Ended { owed, status, completed_at, folded } = ended;
        let event = owed.event.as_i64();
        if !self.conn.prepare_cached("SELECT 1 FROM events WHERE id = ?")?.exists([event])? {
            return Ok(None);
        }
        let owed = Owed {
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
        let of = (owed.tenant, owed.lane.webhook);
        self.rollup.note(of, completed_at, Noted::Reopened { status });
        self.rollup.note(of, self.now, Noted::OwedAgain { tried: owed.attempts > 0 });
        Ok(Some(owed))
    }

    /// The receiver took a delivery while its webhook was going away: delivered is what it was, though
    /// it has been ended as owed to nobody meanwhile.
    pub(super) fn deliver_late(&mut self, settlement: &Settlement) -> Applied<()> {
        let id = settlement.owed.id.as_i64();
        let ended = self
            .conn
            .prepare_cached(&format!("{ENDED} WHERE id = ? AND reason = ?"))?
            .query_row((id, Reason::Inactive.code()), ended_row)
            .optional()?;
        let Some(ended) = ended else { return Ok(()) };
        let Some(owed) = self.reopen(ended, 0)? else { return Ok(()) };
        self.hot.delete_queue.execute((id, owed.attempts))?;
        let end = End {
            status: Status::Success,
            reason: Reason::Delivered,
            attempt: settlement.attempt.as_ref(),
            at: settlement.settled_at,
        };
        self.end(&owed, &end)
    }

    fn cancel(&mut self, tenant: TenantId, id: DeliveryId) -> Applied<Controlled> {
        let owed = reads::owed(self.conn, id)?.filter(|owed| owed.tenant == tenant);
        let Some(owed) = owed else {
            let ended = self
                .conn
                .prepare_cached("SELECT 1 FROM deliveries WHERE id = ? AND tenant = ?")?
                .exists(params![id.as_i64(), tenant.as_i64()])?;
            let error = if ended { WriteError::Conflict } else { WriteError::NotFound };
            return Err(Failure::Refused(error));
        };
        let told = self.end_owed(&owed, Status::Cancelled, Reason::Cancelled)?;
        Ok((ControlAnswer { deliveries: 1, next: None }, vec![told]))
    }

    /// Ends an owed delivery without an attempt.
    pub(super) fn end_owed(
        &mut self,
        owed: &Owed,
        status: Status,
        reason: Reason,
    ) -> Applied<Committed> {
        self.hot.delete_queue.execute((owed.id.as_i64(), owed.attempts))?;
        self.end(owed, &End { status, reason, attempt: None, at: self.now })?;
        Ok(Committed::Ended { lane: owed.lane, id: owed.id })
    }
}

/// Without statuses it is answered by the index of what did not succeed.
fn redrive_query(tenant: TenantId, filter: &RedriveFilter, limit: u32) -> Query {
    let mut q = Query::default();
    q.push(ENDED).arg(" WHERE tenant = ", tenant);
    if filter.statuses.is_empty() || !filter.statuses.contains(&Status::Success) {
        q.push(" AND status <> 2");
    }
    if !filter.statuses.is_empty() {
        q.list(" AND status IN", &filter.statuses);
    }
    if let Some(webhook) = filter.webhook {
        q.arg(" AND webhook = ", webhook);
    }
    if let Some(event) = filter.event {
        q.arg(" AND event = ", event);
    }
    if let Some(since) = filter.since {
        q.arg(" AND id >= ", DeliveryId::floor(since));
    }
    if let Some(until) = filter.until {
        q.arg(" AND id < ", DeliveryId::floor(until));
    }
    if let Some(after) = filter.after {
        q.arg(" AND id > ", after);
    }
    q.arg(" ORDER BY id LIMIT ", limit);
    q
}
