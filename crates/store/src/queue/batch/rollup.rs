//! Counts of a batch: noted as it is applied, added up, and written as one row for each tenant and
//! minute, and each webhook and hour, that it touched. The lanes of direct deliveries are counted for
//! their tenant alone: nobody asks for the figures of an origin, and there is no end to origins.

use std::collections::HashMap;

use tidings_core::delivery::Status;
use tidings_core::direct::is_lane;
use tidings_core::id::{TenantId, WebhookId};
use tidings_core::stats::Counts;
use tidings_core::time::{HOUR_MS, MINUTE_MS, Timestamp};

use crate::queue::table::Table;
use crate::queue::transaction::{Cell, Transaction, Trouble};

/// What a batch has counted so far. A list, so that a change that is rolled back alone can take its
/// part away again.
#[derive(Debug, Default)]
pub(super) struct Rollup {
    noted: Vec<Note>,
}

#[derive(Debug, Clone, Copy)]
struct Note {
    tenant: TenantId,
    webhook: WebhookId,
    at: Timestamp,
    what: Noted,
}

/// One thing to count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Noted {
    /// A delivery became owed.
    Accepted,
    Attempt {
        duration_ms: u32,
        success: bool,
    },
    /// The first attempt did not end it: it was pending and is retrying.
    Retrying,
    /// It ended; `tried`: it was retrying before, not pending.
    Ended {
        status: Status,
        tried: bool,
    },
    /// What had ended is owed again: the end is taken back where it was counted.
    Reopened {
        status: Status,
    },
    /// And counts as owed now.
    OwedAgain {
        tried: bool,
    },
}

/// The sums of one row.
#[derive(Debug, Default)]
struct Sums {
    counts: Counts,
    pending: i64,
    retrying: i64,
    last_at: Option<i64>,
}

impl Rollup {
    pub(super) fn note(&mut self, of: (TenantId, WebhookId), at: Timestamp, what: Noted) {
        self.noted.push(Note { tenant: of.0, webhook: of.1, at, what });
    }

    /// Where it stands, for [`Self::rewind`].
    pub(super) fn mark(&self) -> usize {
        self.noted.len()
    }

    pub(super) fn rewind(&mut self, mark: usize) {
        self.noted.truncate(mark);
    }

    /// Writes what was noted.
    pub(super) fn flush(&mut self, db: &mut dyn Transaction) -> Result<(), Trouble> {
        if self.noted.is_empty() {
            return Ok(());
        }
        let mut totals: HashMap<i64, Sums> = HashMap::new();
        let mut minutes: HashMap<(i64, i64), Sums> = HashMap::new();
        let mut hours: HashMap<(i64, i64), Sums> = HashMap::new();
        for note in &self.noted {
            let (tenant, webhook) = (note.tenant.as_i64(), note.webhook.as_i64());
            let ms = note.at.as_millis();
            totals.entry(tenant).or_default().add(note);
            minutes.entry((tenant, ms.div_euclid(MINUTE_MS))).or_default().add(note);
            if !is_lane(note.webhook) {
                hours.entry((webhook, ms.div_euclid(HOUR_MS))).or_default().add(note);
            }
        }
        for (&tenant, sums) in &totals {
            sums.write(db, Table::TenantTotals, [tenant])?;
        }
        for (&(tenant, minute), sums) in &minutes {
            sums.write(db, Table::TenantMinutes, [tenant, minute])?;
        }
        // In order of the webhook, so that neighbours in the tree are touched together.
        let mut hours: Vec<_> = hours.into_iter().collect();
        hours.sort_unstable_by_key(|&(key, _)| key);
        for ((webhook, hour), sums) in hours {
            sums.write_hour(db, webhook, hour)?;
        }
        self.noted.clear();
        Ok(())
    }
}

impl Sums {
    fn add(&mut self, note: &Note) {
        match note.what {
            Noted::Accepted => {
                self.counts.accepted += 1;
                self.pending += 1;
            }
            Noted::Attempt { duration_ms, success } => {
                self.counts.attempts += 1;
                self.counts.attempts_failed += i64::from(!success);
                self.counts.latency.add(duration_ms);
                self.last_at = self.last_at.max(Some(note.at.as_millis()));
            }
            Noted::Retrying => {
                self.pending -= 1;
                self.retrying += 1;
            }
            Noted::Ended { status, tried } => {
                *self.ended(status) += 1;
                *self.owed(tried) -= 1;
            }
            Noted::Reopened { status } => *self.ended(status) -= 1,
            Noted::OwedAgain { tried } => *self.owed(tried) += 1,
        }
    }

    fn owed(&mut self, tried: bool) -> &mut i64 {
        if tried { &mut self.retrying } else { &mut self.pending }
    }

    fn ended(&mut self, status: Status) -> &mut i64 {
        match status {
            Status::Success => &mut self.counts.success,
            Status::Cancelled => &mut self.counts.cancelled,
            Status::Expired => &mut self.counts.expired,
            Status::Failed | Status::Pending | Status::Retrying => &mut self.counts.failed,
        }
    }

    /// Whether nothing was counted but what was published.
    fn only_accepted(&self) -> bool {
        let accepted = self.counts.accepted;
        self.counts == (Counts { accepted, ..Counts::default() })
            && (self.pending, self.retrying) == (accepted, 0)
    }

    fn write_hour(&self, db: &mut dyn Transaction, webhook: i64, hour: i64) -> Result<(), Trouble> {
        if self.only_accepted() {
            let accepted = self.counts.accepted.into();
            let row = [webhook.into(), hour.into(), accepted, accepted];
            return db.insert(Table::WebhookHoursAccepted, &row);
        }
        self.write(db, Table::WebhookHours, [webhook, hour])
    }

    /// Adds them to a row, in the order of the table's columns.
    fn write<const KEYS: usize>(
        &self,
        db: &mut dyn Transaction,
        table: Table,
        key: [i64; KEYS],
    ) -> Result<(), Trouble> {
        let mut row = Row::default();
        row.extend(key);
        let c = &self.counts;
        row.extend([c.accepted, c.success, c.failed, c.cancelled, c.expired]);
        row.extend([c.attempts, c.attempts_failed]);
        if table != Table::TenantMinutes {
            row.extend([self.pending, self.retrying]);
        }
        if table == Table::WebhookHours {
            row.push(self.last_at.into());
        }
        if table != Table::TenantTotals {
            row.extend(c.latency.0.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)));
        }
        db.insert(table, row.cells())
    }
}

/// A row of counts, on the stack.
struct Row {
    cells: [Cell<'static>; 32],
    len: usize,
}

impl Default for Row {
    fn default() -> Self {
        Self { cells: [Cell::Null; 32], len: 0 }
    }
}

impl Row {
    fn push(&mut self, cell: Cell<'static>) {
        self.cells[self.len] = cell;
        self.len += 1;
    }

    fn extend(&mut self, counts: impl IntoIterator<Item = i64>) {
        counts.into_iter().for_each(|count| self.push(count.into()));
    }

    fn cells(&self) -> &[Cell<'static>] {
        &self.cells[..self.len]
    }
}
