//! The sorted indexes: written by maintenance in runs up to a watermark. What comes later with an id
//! below the watermark (a delivery that was retried for a day) is indexed with its own write.

use tidings_core::delivery::{Owed, Status};
use tidings_core::event::Event;
use tidings_core::id::DeliveryId;

use super::{Applied, Tx};
use crate::queue::table::Table;
use crate::queue::transaction::{Meta, Transaction, Trouble};
use crate::value::Value;

/// Rows indexed in one step, a few milliseconds. In an index a webhook's rows lie together, so a step touches
/// a page for each webhook that it meets: with a thousand of them and 500 rows in a step a delivery cost
/// 51.1 µs, with 2,000 46.3.
const RUN: i64 = 2_000;
/// Among nodes: 2,000 of them held up publishers on PostgreSQL for 20 ms at a time, and took a quarter of
/// their rate.
const RUN_AMONG_NODES: i64 = 500;

const DELIVERIES_RUN: &str = "SELECT MAX(id), COUNT(*) FROM \
     (SELECT id FROM deliveries WHERE id > $1 ORDER BY id LIMIT $2) x";
const EVENTS_RUN: &str = "SELECT MAX(id), COUNT(*) FROM \
     (SELECT id FROM events WHERE id > $1 ORDER BY id LIMIT $2) x";
/// Rows of the queue that have waited since before `$2`.
pub(super) const QUEUE_RUN: &str = "SELECT MAX(id), COUNT(*) FROM \
     (SELECT id FROM queue WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) x";
pub(super) const AGE: &str = "UPDATE queue SET aged = 1 WHERE id > $1 AND id <= $2";
/// The same among nodes. What another has locked is going, or moving, and is left for the next step: whoever
/// waited here, with rows of others locked, could be waited for by them.
pub(super) const AGE_FREE: &str = "UPDATE queue SET aged = 1 WHERE id = ANY (ARRAY(SELECT id FROM queue \
     WHERE id > $1 AND id <= $2 AND aged IS NULL ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))";
/// The mark moves up to the first that was left.
pub(super) const AGED: &str = "UPDATE meta SET value = GREATEST(value, COALESCE((SELECT id - 1 FROM queue \
     WHERE id > $1 AND id <= $2 AND aged IS NULL ORDER BY id LIMIT 1), $2)) WHERE key = 'queue_aged'";
pub(super) const AGE_ONE: &str = "UPDATE queue SET aged = 1 WHERE id = $1";
pub(super) const YOUNGER: &str = "SELECT 1 FROM queue WHERE id > $1 LIMIT 1";
/// From then on a row of the queue is in the indexes of what waits. Most rows are gone by then, and
/// cost nothing here.
const AGED_MS: i64 = 5_000;

/// What it takes to index among nodes; in the SQL of the database that has several.
struct Among {
    nth: usize,
    indexed: &'static str,
    late: &'static str,
    run: &'static str,
    /// Only what is older than [`AGED_MS`].
    is_aged: bool,
    /// Brings in the rows of a run that are not there yet.
    index: &'static str,
}

/// What came late put itself into the indexes in its own transaction, into all of them or none, so one look
/// tells; what is seen in the table and not in the index will never be put there by another. `ON CONFLICT
/// DO NOTHING` cost twice as much: 8.3 µs a row, for its look before each insert and its mark in the log
/// after it, against 4.5.
const DELIVERIES: Among = Among {
    nth: 0,
    indexed: "deliveries_indexed",
    late: "deliveries_late",
    run: DELIVERIES_RUN,
    is_aged: false,
    index: "WITH run AS MATERIALIZED (SELECT tenant, webhook, event, id, status FROM deliveries d \
         WHERE d.id > $1 AND d.id <= $2 AND NOT EXISTS (SELECT 1 FROM deliveries_by_webhook i \
         WHERE i.webhook = d.webhook AND i.id = d.id)), \
         by_webhook AS (INSERT INTO deliveries_by_webhook (webhook, id, status) \
         SELECT webhook, id, status FROM run ORDER BY webhook, id), \
         by_event AS (INSERT INTO deliveries_by_event (event, webhook, id, status) \
         SELECT event, webhook, id, status FROM run ORDER BY event, webhook, id) \
         INSERT INTO deliveries_by_tenant (tenant, id, status) \
         SELECT tenant, id, status FROM run ORDER BY tenant, id",
};

const EVENTS: Among = Among {
    nth: 1,
    indexed: "events_indexed",
    late: "events_late",
    run: EVENTS_RUN,
    is_aged: false,
    index: "INSERT INTO events_by_tenant (tenant, id) SELECT tenant, id FROM events e \
         WHERE e.id > $1 AND e.id <= $2 AND NOT EXISTS (SELECT 1 FROM events_by_tenant i \
         WHERE i.tenant = e.tenant AND i.id = e.id) ORDER BY tenant, id",
};

const QUEUE: Among = Among {
    nth: 2,
    indexed: "queue_aged",
    late: "queue_late",
    run: QUEUE_RUN,
    is_aged: true,
    index: AGE_FREE,
};

/// How far a step of indexing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indexed {
    All,
    /// There is another run.
    More,
    /// What others have under way comes first.
    Waits,
}

impl Indexed {
    fn when(is_full_run: bool) -> Self {
        if is_full_run { Self::More } else { Self::All }
    }
}

/// The largest ids that the indexes are complete to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watermarks {
    deliveries: i64,
    events: i64,
    queue: i64,
}

impl Watermarks {
    pub(super) fn read(db: &mut dyn Transaction) -> Result<Self, Trouble> {
        let mut read = |key: &str| -> Result<i64, Trouble> {
            let rows = db.rows("SELECT value FROM meta WHERE key = $1", &[key.into()])?;
            let mark = rows.into_iter().next().and_then(|row| row.fields().take().ok());
            Ok(mark.unwrap_or(0))
        };
        let (deliveries, events) = (read("deliveries_indexed")?, read("events_indexed")?);
        Ok(Self { deliveries, events, queue: read("queue_aged")? })
    }
}

impl Watermarks {
    /// Another node has brought the indexes this far, or is about to.
    pub(super) fn others_have(&mut self, [deliveries, events, queue]: [i64; 3]) {
        (self.deliveries, self.events, self.queue) = (deliveries, events, queue);
    }
}

impl Tx<'_> {
    /// A row that comes into the queue where all have been marked: one that is sent again.
    pub(super) fn index_late_owed(&mut self, owed: &Owed) -> Applied<()> {
        if owed.id.as_i64() <= self.upkeep.marks.queue {
            self.db.send(AGE_ONE, &[owed.id.into()])?;
        }
        Ok(())
    }

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

    /// Indexes the next run of deliveries.
    pub(super) fn index_deliveries(&mut self) -> Applied<Indexed> {
        if self.db.is_shared() {
            return self.index_among_nodes(&DELIVERIES);
        }
        let mark = self.upkeep.marks.deliveries;
        let Some((last, rows)) = self.run_after(&DELIVERIES, mark)? else {
            return Ok(Indexed::All);
        };
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
        Ok(Indexed::when(rows == RUN))
    }

    /// The same for events.
    pub(super) fn index_events(&mut self) -> Applied<Indexed> {
        if self.db.is_shared() {
            return self.index_among_nodes(&EVENTS);
        }
        let mark = self.upkeep.marks.events;
        let Some((last, rows)) = self.run_after(&EVENTS, mark)? else { return Ok(Indexed::All) };
        let sql = "INSERT INTO events_by_tenant (tenant, id) SELECT tenant, id FROM events \
             WHERE id > $1 AND id <= $2 ORDER BY tenant, id";
        self.db.send(sql, &[mark.into(), last.into()])?;
        self.upkeep.marks.events = last;
        self.write_mark("events_indexed", last)?;
        Ok(Indexed::when(rows == RUN))
    }

    /// The same for what has waited in the queue; and says when there may be more of it.
    pub(super) fn age_queue(&mut self) -> Applied<Indexed> {
        let mark = self.upkeep.marks.queue;
        let indexed = if self.db.is_shared() {
            self.index_among_nodes(&QUEUE)?
        } else if let Some((last, rows)) = self.run_after(&QUEUE, mark)? {
            self.db.send(AGE, &[mark.into(), last.into()])?;
            self.upkeep.marks.queue = last;
            self.write_mark("queue_aged", last)?;
            Indexed::when(rows == RUN)
        } else {
            Indexed::All
        };
        if self.upkeep.age_at.is_none_or(|at| at <= self.now) {
            let waits = self.row(YOUNGER, &[self.upkeep.marks.queue.into()])?.is_some();
            self.upkeep.age_at = waits.then_some(self.now + AGED_MS);
        }
        Ok(indexed)
    }

    /// The same when others write as well. What is under way may have an id of the run and not be seen
    /// yet. So first the end of the run is announced: whoever writes an id before it from then on
    /// indexes it itself; then the end of all that began before is waited for; then the run is indexed.
    ///
    /// All that matters began before the first batch that came after the announcement: who had no number
    /// then has read what was announced. With no other node in the middle of something the run is indexed
    /// in that batch, and the next one is announced with it.
    fn index_among_nodes(&mut self, of: &Among) -> Applied<Indexed> {
        let Meta { late: Some(late), standing: Some(standing), .. } = self.db.meta() else {
            return Ok(Indexed::All);
        };
        let (indexed, late) = (standing.indexed[of.nth], late[of.nth]);
        if late <= indexed {
            return Ok(if self.announce(of, indexed)? { Indexed::Waits } else { Indexed::All });
        }
        let barrier = *self.upkeep.barriers[of.nth].get_or_insert(standing.this);
        if standing.oldest < barrier {
            return Ok(Indexed::Waits);
        }
        self.db.send(of.index, &[indexed.into(), late.into()])?;
        if of.is_aged {
            self.db.send(AGED, &[indexed.into(), late.into()])?;
        } else {
            self.write_mark(of.indexed, late)?;
        }
        self.announce(of, late)?;
        Ok(Indexed::More)
    }

    /// Announces the end of the run after this id; whether there is one.
    fn announce(&mut self, of: &Among, after: i64) -> Applied<bool> {
        self.upkeep.barriers[of.nth] = None;
        let Some((last, _)) = self.run_after(of, after)? else { return Ok(false) };
        self.write_mark(of.late, last)?;
        Ok(true)
    }

    /// The most rows of a step.
    pub(super) fn index_run(&self) -> i64 {
        if self.db.is_shared() { RUN_AMONG_NODES } else { RUN }
    }

    /// The last id of a run and how many it has; `None` when there is none.
    fn run_after(&mut self, of: &Among, mark: i64) -> Applied<Option<(i64, i64)>> {
        if of.is_aged {
            return self.aged_after(of, mark);
        }
        let Some(row) = self.row(of.run, &[mark.into(), self.index_run().into()])? else {
            return Ok(None);
        };
        let mut f = row.fields();
        let last: Option<i64> = f.take()?;
        let rows = f.take()?;
        Ok(last.map(|last| (last, rows)))
    }

    /// The same of the queue. The mark moves on though nothing is there, every few seconds: PostgreSQL
    /// would read past everything that came and went behind it, until a vacuum comes.
    fn aged_after(&mut self, of: &Among, mark: i64) -> Applied<Option<(i64, i64)>> {
        let until = self.now - AGED_MS;
        if DeliveryId::from_i64(mark).created_at() + AGED_MS > until {
            return Ok(None);
        }
        let end = DeliveryId::floor(until);
        let args = [mark.into(), end.into(), self.index_run().into()];
        let Some(row) = self.row(of.run, &args)? else { return Ok(None) };
        let mut f = row.fields();
        let (last, rows): (Option<i64>, i64) = (f.take()?, f.take()?);
        Ok(Some((last.filter(|_| rows == self.index_run()).unwrap_or(end.as_i64() - 1), rows)))
    }

    /// Never backwards, also when two nodes believe for a moment that it is theirs to write.
    fn write_mark(&mut self, key: &str, id: i64) -> Applied<()> {
        let args: [Value; 2] = [id.into(), key.into()];
        Ok(self.db.send("UPDATE meta SET value = $1 WHERE key = $2 AND value < $1", &args)?)
    }
}
