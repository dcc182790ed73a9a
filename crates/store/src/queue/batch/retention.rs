//! Retention: history is kept for so many days, and what nothing refers to any more goes with it.
//!
//! A pass visits the tenants one by one, their oldest deliveries first, then their events, jobs,
//! executions, leads and what they received; at its end the old counts, the seen keys and the gates. It
//! never starts again within itself: what it had to leave (an old delivery that ended today, an old event
//! that is still owed) is looked at by the next pass.
//!
//! On PostgreSQL the history of whoever keeps it longest goes by whole days (`postgres/days.rs`), and only
//! that of others row by row.

use tidings_core::id::{DeliveryId, EventId, InboundId, JobId, LeadId};
use tidings_core::limits::SEEN_KEPT_MS;
use tidings_core::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

use super::maintain::PASS_EVERY_MS;
use super::{Applied, Tx};
use crate::history::inbound;
use crate::leads;

/// Where history is dropped by the day, a day of which something ended late is taken row by row only after
/// so many more: by then most such days have gone as a whole.
const WHOLE_DAYS: i64 = 7;
/// Days that history is kept when the tenant does not say.
const DAYS: i64 = 30;
/// Rows removed in one step.
const STEP: i64 = 200;

/// Where a pass is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pass {
    Deliveries { tenant: i64, after: i64 },
    Events { tenant: i64, after: i64 },
    Jobs { tenant: i64, after: i64 },
    Executions { tenant: i64, after: i64 },
    Minutes { tenant: i64 },
    Leads { tenant: i64 },
    Received { tenant: i64 },
    Hours { after: i64 },
    Seen,
    Gates,
}

impl Tx<'_> {
    /// A step of the pass that is under way or due; tells whether it goes on.
    pub(super) fn retain(&mut self) -> Applied<bool> {
        let pass = match self.upkeep.pass {
            Some(pass) => pass,
            None if self.now < self.upkeep.next_pass_at => return Ok(false),
            None => Pass::Deliveries { tenant: self.tenant_after(0)?.unwrap_or(0), after: 0 },
        };
        self.upkeep.pass = self.retain_step(pass)?;
        if self.upkeep.pass.is_none() {
            self.upkeep.next_pass_at = self.now + PASS_EVERY_MS;
        }
        Ok(self.upkeep.pass.is_some())
    }

    fn retain_step(&mut self, pass: Pass) -> Applied<Option<Pass>> {
        Ok(match pass {
            Pass::Deliveries { tenant, after } => {
                Some(match self.drop_deliveries(tenant, after)? {
                    Some(after) => Pass::Deliveries { tenant, after },
                    None => Pass::Events { tenant, after: 0 },
                })
            }
            Pass::Events { tenant, after } => Some(match self.drop_events(tenant, after)? {
                Some(after) => Pass::Events { tenant, after },
                None => Pass::Jobs { tenant, after: 0 },
            }),
            Pass::Jobs { tenant, after } => {
                Some(match self.drop_untouched("jobs", tenant, after)? {
                    Some(after) => Pass::Jobs { tenant, after },
                    None => Pass::Executions { tenant, after: 0 },
                })
            }
            Pass::Executions { tenant, after } => {
                Some(match self.drop_untouched("executions", tenant, after)? {
                    Some(after) => Pass::Executions { tenant, after },
                    None => Pass::Minutes { tenant },
                })
            }
            Pass::Minutes { tenant } if self.drop_minutes(tenant)? => Some(pass),
            Pass::Minutes { tenant } => Some(Pass::Leads { tenant }),
            Pass::Leads { tenant } if self.drop_leads(tenant)? => Some(pass),
            Pass::Leads { tenant } => Some(Pass::Received { tenant }),
            Pass::Received { tenant } if self.drop_received(tenant)? => Some(pass),
            Pass::Received { tenant } => Some(match self.tenant_after(tenant)? {
                Some(tenant) => Pass::Deliveries { tenant, after: 0 },
                None => Pass::Hours { after: 0 },
            }),
            Pass::Hours { after } => Some(match self.fold_hours(after)? {
                Some(after) => Pass::Hours { after },
                None => Pass::Seen,
            }),
            Pass::Seen if self.drop_seen()? => Some(pass),
            Pass::Seen => Some(Pass::Gates),
            Pass::Gates => self.drop_gates()?.then_some(pass),
        })
    }

    fn tenant_after(&mut self, tenant: i64) -> Applied<Option<i64>> {
        // Not from the tenants: what a deleted tenant leaves is swept as well.
        let sql = "SELECT MIN(tenant) FROM (SELECT MIN(tenant) AS tenant FROM tenant_totals \
             WHERE tenant > $1 UNION ALL \
             SELECT MIN(tenant) FROM events_by_tenant WHERE tenant > $1) x";
        self.number(sql, &[tenant.into()])
    }

    fn days(&mut self, tenant: i64) -> Applied<i64> {
        let sql = "SELECT MAX(retention_days) FROM tenants WHERE id = $1";
        Ok(self.number(sql, &[tenant.into()])?.unwrap_or(DAYS))
    }

    /// Before when this tenant's history goes row by row.
    fn until(&mut self, tenant: i64) -> Applied<Timestamp> {
        let days = self.days(tenant)?;
        let until = self.now - days * DAY_MS;
        let longest = format!("SELECT MAX(COALESCE(retention_days, {DAYS})) FROM tenants");
        if !self.db.is_shared() || days < self.number(&longest, &[])?.unwrap_or(DAYS) {
            return Ok(until);
        }
        // A day of which something is owed does not go as a whole, and who knows for how long.
        let owed = "SELECT MAX(id) FROM queue WHERE id < $1";
        let owed = self.number(owed, &[DeliveryId::floor(until).into()])?;
        let made = owed.map_or(0, |id| DeliveryId::from_i64(id).created_at().as_millis());
        let day_end = Timestamp::from_millis((made.div_euclid(DAY_MS) + 1) * DAY_MS);
        Ok(day_end.min(until).max(until - WHOLE_DAYS * DAY_MS))
    }

    /// Removes old deliveries with their attempts; where to go on, or `None` at the end.
    fn drop_deliveries(&mut self, tenant: i64, after: i64) -> Applied<Option<i64>> {
        let until = self.until(tenant)?;
        let sql = "SELECT i.id, d.completed_at, d.revision FROM deliveries_by_tenant i \
             JOIN deliveries d ON d.id = i.id \
             WHERE i.tenant = $1 AND i.id > $2 AND i.id < $3 ORDER BY i.id LIMIT $4";
        let before = DeliveryId::floor(until);
        let args = [tenant.into(), after.into(), before.into(), STEP.into()];
        let rows = self.db.rows(sql, &args)?;
        let full = rows.len() == STEP as usize;
        let mut last = None;
        for row in rows {
            let mut f = row.fields();
            let (id, completed_at): (DeliveryId, Timestamp) = (f.take()?, f.take()?);
            let is_direct = f.take::<u32>()? == 0;
            if completed_at < until {
                self.forget_delivery(id)?;
                self.db.send("DELETE FROM attempts WHERE delivery = $1", &[id.into()])?;
                if is_direct {
                    self.forget_direct(id)?;
                }
            }
            last = Some(id.as_i64());
        }
        Ok(last.filter(|_| full))
    }

    /// Removes old events that neither the queue nor the history refers to.
    fn drop_events(&mut self, tenant: i64, after: i64) -> Applied<Option<i64>> {
        let until = EventId::floor(self.until(tenant)?);
        let sql = "SELECT i.id, CASE WHEN EXISTS (SELECT 1 FROM queue q WHERE q.event = i.id) \
             OR EXISTS (SELECT 1 FROM deliveries_by_event d WHERE d.event = i.id) \
             THEN 1 ELSE 0 END FROM events_by_tenant i \
             WHERE i.tenant = $1 AND i.id > $2 AND i.id < $3 ORDER BY i.id LIMIT $4";
        let args = [tenant.into(), after.into(), until.into(), STEP.into()];
        let rows = self.db.rows(sql, &args)?;
        let full = rows.len() == STEP as usize;
        let mut last = None;
        for row in rows {
            let mut f = row.fields();
            let (id, needed): (i64, i64) = (f.take()?, f.take()?);
            if needed == 0 {
                let sql = "DELETE FROM events_by_tenant WHERE tenant = $1 AND id = $2";
                self.db.send(sql, &[tenant.into(), id.into()])?;
                self.db.send("DELETE FROM events WHERE id = $1", &[id.into()])?;
            }
            last = Some(id);
        }
        Ok(last.filter(|_| full))
    }

    /// Removes jobs or executions of which nothing was heard for long; where to go on, or `None`.
    fn drop_untouched(&mut self, table: &str, tenant: i64, after: i64) -> Applied<Option<i64>> {
        let until = self.now - self.days(tenant)? * DAY_MS;
        let sql = format!(
            "SELECT id, updated_at FROM {table} WHERE tenant = $1 AND id > $2 AND id < $3 \
             ORDER BY id LIMIT $4"
        );
        let args = [tenant.into(), after.into(), JobId::floor(until).into(), STEP.into()];
        let rows = self.db.rows(&sql, &args)?;
        let full = rows.len() == STEP as usize;
        let mut last = None;
        for row in rows {
            let mut f = row.fields();
            let (id, updated_at): (i64, Timestamp) = (f.take()?, f.take()?);
            if updated_at < until {
                self.db.execute(&format!("DELETE FROM {table} WHERE id = $1"), &[id.into()])?;
                // No job has the id of an execution.
                let sql = "DELETE FROM execution_results WHERE execution = $1";
                self.db.send(sql, &[id.into()])?;
            }
            last = Some(id);
        }
        Ok(last.filter(|_| full))
    }

    /// Removes old minutes of a tenant, whose totals have a row of their own.
    fn drop_minutes(&mut self, tenant: i64) -> Applied<bool> {
        // A day more than the history, so that what is sent again finds the minute of its end.
        let days = self.days(tenant)? + 1;
        let until = (self.now - days * DAY_MS).as_millis().div_euclid(MINUTE_MS);
        let sql = "DELETE FROM tenant_minutes WHERE tenant = $1 AND minute IN (SELECT minute \
             FROM tenant_minutes WHERE tenant = $1 AND minute < $2 ORDER BY minute LIMIT $3)";
        let rows = self.db.execute(sql, &[tenant.into(), until.into(), STEP.into()])?;
        Ok(rows == STEP as usize)
    }

    /// Removes leads of which nothing has been heard for as long as history is kept.
    fn drop_leads(&mut self, tenant: i64) -> Applied<bool> {
        let until = self.now - self.days(tenant)? * DAY_MS;
        let args = [tenant.into(), LeadId::floor(until).into(), until.into(), STEP.into()];
        Ok(self.db.execute(leads::FORGET_OLD, &args)? == STEP as usize)
    }

    /// Removes the marks of what was received so long ago that its event may be gone as well.
    fn drop_received(&mut self, tenant: i64) -> Applied<bool> {
        let until = InboundId::floor(self.now - self.days(tenant)? * DAY_MS);
        let args = [tenant.into(), until.into(), STEP.into()];
        Ok(self.db.execute(inbound::FORGET_OLD, &args)? == STEP as usize)
    }

    /// Adds a webhook's old hours up in hour 0; the webhook, or `None` when there is no further one.
    fn fold_hours(&mut self, after: i64) -> Applied<Option<i64>> {
        let sql = "SELECT MIN(webhook) FROM webhook_hours WHERE webhook > $1";
        let Some(webhook) = self.number(sql, &[after.into()])? else { return Ok(None) };
        let longest = self.number("SELECT MAX(retention_days) FROM tenants", &[])?;
        let days = longest.unwrap_or(0).max(DAYS) + 1;
        let until = (self.now - days * DAY_MS).as_millis().div_euclid(HOUR_MS);
        let args = [webhook.into(), until.into()];
        let old = "SELECT COUNT(*) FROM webhook_hours WHERE webhook = $1 AND hour < $2";
        if self.number(old, &args)?.is_some_and(|hours| hours > 1) {
            self.db.send(FOLD, &args)?;
            self.db.send(
                "DELETE FROM webhook_hours WHERE webhook = $1 AND hour <> -1 AND hour < $2",
                &args,
            )?;
            self.db.send(
                "UPDATE webhook_hours SET hour = 0 WHERE webhook = $1 AND hour = -1",
                &args[..1],
            )?;
        }
        Ok(Some(webhook))
    }

    fn drop_seen(&mut self) -> Applied<bool> {
        let until = self.now - SEEN_KEPT_MS;
        let sql = "DELETE FROM seen WHERE (tenant, kind, key) IN (SELECT tenant, kind, key \
             FROM seen WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
        let rows = self.db.execute(sql, &[until.into(), STEP.into()])?;
        Ok(rows == STEP as usize)
    }

    /// Removes gates that are open again, with all that they said.
    fn drop_gates(&mut self) -> Applied<bool> {
        let sql = "DELETE FROM gates WHERE (webhook, job) IN (SELECT webhook, job FROM gates \
             WHERE closed_until <= $1 ORDER BY closed_until LIMIT $2)";
        Ok(self.db.execute(sql, &[self.now.into(), STEP.into()])? == STEP as usize)
    }
}

/// Sums into hour -1, which nothing else uses, so that hour 0 itself can be one of the summed.
const FOLD: &str = "INSERT INTO webhook_hours SELECT webhook, -1, SUM(accepted), SUM(success), \
     SUM(failed), SUM(cancelled), SUM(expired), SUM(attempts), SUM(attempts_failed), SUM(pending), \
     SUM(retrying), MAX(last_at), SUM(l0), SUM(l1), SUM(l2), SUM(l3), SUM(l4), SUM(l5), SUM(l6), \
     SUM(l7), SUM(l8), SUM(l9), SUM(l10), SUM(l11), SUM(l12), SUM(l13), SUM(l14), SUM(l15) \
     FROM webhook_hours WHERE webhook = $1 AND hour < $2 GROUP BY webhook";
