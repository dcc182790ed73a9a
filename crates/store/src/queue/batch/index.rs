//! The sorted indexes: written by maintenance in runs up to a watermark. What comes later with an id
//! below the watermark (a delivery that was retried for a day) is indexed with its own write.

use tidings_core::delivery::{Owed, Status};
use tidings_core::event::Event;
use tidings_core::id::DeliveryId;

use super::{Applied, Tx};
use crate::queue::table::Table;
use crate::queue::transaction::{Transaction, Trouble};
use crate::value::Value;

/// Rows indexed in one step: a few milliseconds.
const RUN: i64 = 500;

/// The largest ids that the indexes are complete to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watermarks {
    deliveries: i64,
    events: i64,
}

impl Watermarks {
    pub(super) fn read(db: &mut dyn Transaction) -> Result<Self, Trouble> {
        let mut read = |key: &str| -> Result<i64, Trouble> {
            let rows = db.rows("SELECT value FROM meta WHERE key = $1", &[key.into()])?;
            let mark = rows.into_iter().next().and_then(|row| row.fields().take().ok());
            Ok(mark.unwrap_or(0))
        };
        Ok(Self { deliveries: read("deliveries_indexed")?, events: read("events_indexed")? })
    }
}

impl Tx<'_> {
    pub(super) fn index_late_event(&mut self, event: &Event) -> Applied<()> {
        if event.id.as_i64() <= self.upkeep.marks.events {
            self.db.insert(Table::EventsByTenant, &[event.tenant.into(), event.id.into()])?;
        }
        Ok(())
    }

    pub(super) fn index_late_delivery(&mut self, owed: &Owed, status: Status) -> Applied<()> {
        if owed.id.as_i64() <= self.upkeep.marks.deliveries {
            let (webhook, id, status) = (owed.lane.webhook.into(), owed.id.into(), status.into());
            self.db.insert(Table::DeliveriesByWebhook, &[webhook, id, status])?;
            let event = owed.event.into();
            self.db.insert(Table::DeliveriesByEvent, &[event, webhook, id, status])?;
            self.db.insert(Table::DeliveriesByTenant, &[owed.tenant.into(), id, status])?;
        }
        Ok(())
    }

    /// Takes a delivery out of the history and its indexes; its attempts stay.
    pub(super) fn forget_delivery(&mut self, id: DeliveryId) -> Applied<()> {
        if id.as_i64() <= self.upkeep.marks.deliveries {
            for sql in [
                "DELETE FROM deliveries_by_webhook WHERE id = $1 \
                 AND webhook = (SELECT webhook FROM deliveries WHERE id = $1)",
                "DELETE FROM deliveries_by_event WHERE id = $1 \
                 AND event = (SELECT event FROM deliveries WHERE id = $1) \
                 AND webhook = (SELECT webhook FROM deliveries WHERE id = $1)",
                "DELETE FROM deliveries_by_tenant WHERE id = $1 \
                 AND tenant = (SELECT tenant FROM deliveries WHERE id = $1)",
            ] {
                self.db.send(sql, &[id.into()])?;
            }
        }
        Ok(self.db.send("DELETE FROM deliveries WHERE id = $1", &[id.into()])?)
    }

    /// Indexes the next run of deliveries; tells whether there are more.
    pub(super) fn index_deliveries(&mut self) -> Applied<bool> {
        let mark = self.upkeep.marks.deliveries;
        let run = "SELECT MAX(id), COUNT(*) FROM \
             (SELECT id FROM deliveries WHERE id > $1 ORDER BY id LIMIT $2) x";
        let Some((last, rows)) = self.run_after(run, mark)? else { return Ok(false) };
        for sql in [
            "INSERT INTO deliveries_by_webhook (webhook, id, status) SELECT webhook, id, status \
             FROM deliveries WHERE id > $1 AND id <= $2 ORDER BY webhook, id",
            "INSERT INTO deliveries_by_event (event, webhook, id, status) \
             SELECT event, webhook, id, status FROM deliveries WHERE id > $1 AND id <= $2 \
             ORDER BY event, webhook, id",
            "INSERT INTO deliveries_by_tenant (tenant, id, status) SELECT tenant, id, status \
             FROM deliveries WHERE id > $1 AND id <= $2 ORDER BY tenant, id",
        ] {
            self.db.send(sql, &[mark.into(), last.into()])?;
        }
        self.upkeep.marks.deliveries = last;
        self.write_mark("deliveries_indexed", last)?;
        Ok(rows == RUN)
    }

    /// The same for events.
    pub(super) fn index_events(&mut self) -> Applied<bool> {
        let mark = self.upkeep.marks.events;
        let run = "SELECT MAX(id), COUNT(*) FROM \
             (SELECT id FROM events WHERE id > $1 ORDER BY id LIMIT $2) x";
        let Some((last, rows)) = self.run_after(run, mark)? else { return Ok(false) };
        let sql = "INSERT INTO events_by_tenant (tenant, id) SELECT tenant, id FROM events \
             WHERE id > $1 AND id <= $2 ORDER BY tenant, id";
        self.db.send(sql, &[mark.into(), last.into()])?;
        self.upkeep.marks.events = last;
        self.write_mark("events_indexed", last)?;
        Ok(rows == RUN)
    }

    /// The last id of a run and how many it has; `None` when there is none.
    fn run_after(&mut self, sql: &str, mark: i64) -> Applied<Option<(i64, i64)>> {
        let Some(row) = self.row(sql, &[mark.into(), RUN.into()])? else { return Ok(None) };
        let mut f = row.fields();
        let last: Option<i64> = f.take()?;
        let rows = f.take()?;
        Ok(last.map(|last| (last, rows)))
    }

    fn write_mark(&mut self, key: &str, id: i64) -> Applied<()> {
        let args: [Value; 2] = [id.into(), key.into()];
        Ok(self.db.send("UPDATE meta SET value = $1 WHERE key = $2", &args)?)
    }
}
