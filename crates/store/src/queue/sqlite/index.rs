//! The sorted indexes: written by maintenance in runs up to a watermark. What comes later with an id
//! below the watermark (a delivery that was retried for a day) is indexed with its own write.

use rusqlite::{Connection, params};
use tidings_core::delivery::{Owed, Status};
use tidings_core::event::Event;
use tidings_core::id::DeliveryId;

use super::batch::{Applied, Tx};

/// Rows indexed in one step: a few milliseconds.
const RUN: usize = 500;

/// The largest ids that the indexes are complete to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watermarks {
    deliveries: i64,
    events: i64,
}

/// The indexes of the deliveries and what leads them.
const TABLES: [&str; 3] = [
    "INSERT INTO deliveries_by_webhook (webhook, id, status) VALUES (?, ?, ?)",
    "INSERT INTO deliveries_by_event (event, id, status) VALUES (?, ?, ?)",
    "INSERT INTO deliveries_by_tenant (tenant, id, status) VALUES (?, ?, ?)",
];

impl Watermarks {
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let read = |key: &str| {
            conn.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0))
        };
        Ok(Self { deliveries: read("deliveries_indexed")?, events: read("events_indexed")? })
    }
}

impl Tx<'_> {
    pub(super) fn index_late_event(&mut self, event: &Event) -> Applied<()> {
        if event.id.as_i64() <= self.upkeep.marks.events {
            self.conn
                .prepare_cached("INSERT INTO events_by_tenant (tenant, id) VALUES (?, ?)")?
                .execute((event.tenant.as_i64(), event.id.as_i64()))?;
        }
        Ok(())
    }

    pub(super) fn index_late_delivery(&mut self, owed: &Owed, status: Status) -> Applied<()> {
        let id = owed.id.as_i64();
        if id <= self.upkeep.marks.deliveries {
            let keys = [owed.lane.webhook.as_i64(), owed.event.as_i64(), owed.tenant.as_i64()];
            for (sql, key) in TABLES.into_iter().zip(keys) {
                self.conn.prepare_cached(sql)?.execute(params![key, id, status.code()])?;
            }
        }
        Ok(())
    }

    /// Takes a delivery out of the history and its indexes; its attempts stay.
    pub(super) fn forget_delivery(&mut self, id: DeliveryId) -> Applied<()> {
        if id.as_i64() <= self.upkeep.marks.deliveries {
            for sql in [
                "DELETE FROM deliveries_by_webhook WHERE id = ?1 \
                 AND webhook = (SELECT webhook FROM deliveries WHERE id = ?1)",
                "DELETE FROM deliveries_by_event WHERE id = ?1 \
                 AND event = (SELECT event FROM deliveries WHERE id = ?1)",
                "DELETE FROM deliveries_by_tenant WHERE id = ?1 \
                 AND tenant = (SELECT tenant FROM deliveries WHERE id = ?1)",
            ] {
                self.conn.prepare_cached(sql)?.execute([id.as_i64()])?;
            }
        }
        self.conn.prepare_cached("DELETE FROM deliveries WHERE id = ?")?.execute([id.as_i64()])?;
        Ok(())
    }

    /// Indexes the next run of deliveries; tells whether there are more.
    pub(super) fn index_deliveries(&mut self) -> Applied<bool> {
        let mut rows: Vec<(i64, [i64; 3], i64)> = self
            .conn
            .prepare_cached(
                "SELECT id, webhook, event, tenant, status FROM deliveries WHERE id > ? \
                 ORDER BY id LIMIT ?",
            )?
            .query_map((self.upkeep.marks.deliveries, RUN as i64), |row| {
                Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?], row.get(4)?))
            })?
            .collect::<Result<_, _>>()?;
        let Some(&(last, ..)) = rows.last() else { return Ok(false) };
        for (n, sql) in TABLES.into_iter().enumerate() {
            rows.sort_unstable_by_key(|&(id, keys, _)| (keys[n], id));
            let mut insert = self.conn.prepare_cached(sql)?;
            for (id, keys, status) in &rows {
                insert.execute((keys[n], id, status))?;
            }
        }
        self.upkeep.marks.deliveries = last;
        self.write_mark("deliveries_indexed", last)?;
        Ok(rows.len() == RUN)
    }

    /// The same for events.
    pub(super) fn index_events(&mut self) -> Applied<bool> {
        let mut rows: Vec<(i64, i64)> = self
            .conn
            .prepare_cached("SELECT tenant, id FROM events WHERE id > ? ORDER BY id LIMIT ?")?
            .query_map((self.upkeep.marks.events, RUN as i64), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        let Some(&(_, last)) = rows.last() else { return Ok(false) };
        rows.sort_unstable();
        let mut insert =
            self.conn.prepare_cached("INSERT INTO events_by_tenant (tenant, id) VALUES (?, ?)")?;
        for row in &rows {
            insert.execute(*row)?;
        }
        drop(insert);
        self.upkeep.marks.events = last;
        self.write_mark("events_indexed", last)?;
        Ok(rows.len() == RUN)
    }

    fn write_mark(&self, key: &str, id: i64) -> Applied<()> {
        self.conn.prepare_cached("UPDATE meta SET value = ? WHERE key = ?")?.execute((id, key))?;
        Ok(())
    }
}
