//! Counts of a batch: noted as it is applied, added up, and written as one row for each tenant and
//! minute that it touched, and one [tally](tally) of all webhooks and hours. The lanes of direct deliveries
//! are counted for their tenant alone: nobody asks for the figures of an origin, and there is no end to
//! origins.

use std::collections::{BTreeMap, HashMap};

use tidings_core::delivery::Status;
use tidings_core::direct::is_lane;
use tidings_core::id::{TenantId, WebhookId};
use tidings_core::time::{HOUR_MS, MINUTE_MS, Timestamp};

use crate::queue::table::Table;
use crate::queue::transaction::{Cell, Fault, Transaction, Trouble};
use crate::tally::{self, Hour, Sums};
use crate::value::Value;

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

impl Note {
    /// Its tenant and minute.
    fn minute(&self) -> (i64, i64) {
        (self.tenant.as_i64(), self.at.as_millis().div_euclid(MINUTE_MS))
    }

    /// Its webhook and hour.
    fn hour(&self) -> Hour {
        (self.webhook.as_i64(), self.at.as_millis().div_euclid(HOUR_MS))
    }
}

/// Neighbours mostly have the same key, and are looked up as one.
fn added_up(notes: &[Note], key: impl Fn(&Note) -> (i64, i64)) -> HashMap<(i64, i64), Sums> {
    let mut sums: HashMap<_, Sums> = HashMap::new();
    for same in notes.chunk_by(|one, next| key(one) == key(next)) {
        let sums = sums.entry(key(&same[0])).or_default();
        same.iter().for_each(|note| add(sums, note));
    }
    sums
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

    /// Writes what was noted; whether webhooks were among it.
    pub(super) fn flush(&mut self, db: &mut dyn Transaction) -> Result<bool, Trouble> {
        if self.noted.is_empty() {
            return Ok(false);
        }
        let minutes = added_up(&self.noted, Note::minute);
        let mut totals: HashMap<i64, Sums> = HashMap::new();
        for (&(tenant, _), sums) in &minutes {
            totals.entry(tenant).or_default().merge(sums);
        }
        for (&tenant, sums) in &totals {
            write(sums, db, Table::TenantTotals, [tenant])?;
        }
        for (&(tenant, minute), sums) in &minutes {
            write(sums, db, Table::TenantMinutes, [tenant, minute])?;
        }
        self.noted.retain(|note| !is_lane(note.webhook));
        let hours = added_up(&self.noted, Note::hour);
        self.noted.clear();
        if hours.is_empty() {
            return Ok(false);
        }
        let bytes = tally::write(hours.iter().map(|(hour, sums)| (*hour, sums)));
        db.send(TALLY, &[Value::Blob(bytes.into())])?;
        Ok(true)
    }
}

const TALLY: &str = "INSERT INTO tallies (counts) VALUES ($1)";
/// Those added up in one step, so that a batch stays short.
const FOLDED_AT_ONCE: i64 = 1_000;
const FOLD: &str = "DELETE FROM tallies WHERE id IN (SELECT id FROM tallies ORDER BY id LIMIT $1) \
     RETURNING counts";
/// Among nodes each takes what no other is taking.
const FOLD_FREE: &str = "DELETE FROM tallies WHERE id = ANY (ARRAY(SELECT id FROM tallies ORDER BY id \
     LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING counts";

/// Adds tallies up in the rows of their webhooks; whether there may be more.
pub(crate) fn fold(db: &mut dyn Transaction) -> Result<bool, Trouble> {
    let sql = if db.is_shared() { FOLD_FREE } else { FOLD };
    let tallies = db.rows(sql, &[FOLDED_AT_ONCE.into()])?;
    let is_more = tallies.len() == FOLDED_AT_ONCE as usize;
    let mut hours: BTreeMap<Hour, Sums> = BTreeMap::new();
    for row in tallies {
        let read = row.fields().take::<Vec<u8>>().and_then(|bytes| tally::read(&bytes));
        for (hour, sums) in read.map_err(|error| Trouble::new(Fault::Statement, error))? {
            hours.entry(hour).or_default().merge(&sums);
        }
    }
    // In the order of the webhooks, so that neighbours in the tree are touched together.
    for ((webhook, hour), sums) in &hours {
        write(sums, db, Table::WebhookHours, [*webhook, *hour])?;
    }
    Ok(is_more)
}

fn add(sums: &mut Sums, note: &Note) {
    match note.what {
        Noted::Accepted => {
            sums.counts.accepted += 1;
            sums.pending += 1;
        }
        Noted::Attempt { duration_ms, success } => {
            sums.counts.attempts += 1;
            sums.counts.attempts_failed += i64::from(!success);
            sums.counts.latency.add(duration_ms);
            sums.last_at = sums.last_at.max(Some(note.at.as_millis()));
        }
        Noted::Retrying => {
            sums.pending -= 1;
            sums.retrying += 1;
        }
        Noted::Ended { status, tried } => {
            *ended(sums, status) += 1;
            *owed(sums, tried) -= 1;
        }
        Noted::Reopened { status } => *ended(sums, status) -= 1,
        Noted::OwedAgain { tried } => *owed(sums, tried) += 1,
    }
}

fn owed(sums: &mut Sums, tried: bool) -> &mut i64 {
    if tried { &mut sums.retrying } else { &mut sums.pending }
}

fn ended(sums: &mut Sums, status: Status) -> &mut i64 {
    match status {
        Status::Success => &mut sums.counts.success,
        Status::Cancelled => &mut sums.counts.cancelled,
        Status::Expired => &mut sums.counts.expired,
        Status::Failed | Status::Pending | Status::Retrying => &mut sums.counts.failed,
    }
}

/// Adds sums to a row, in the order of the table's columns.
fn write<const KEYS: usize>(
    sums: &Sums,
    db: &mut dyn Transaction,
    table: Table,
    key: [i64; KEYS],
) -> Result<(), Trouble> {
    let mut row = Row::default();
    row.extend(key);
    let c = &sums.counts;
    row.extend([c.accepted, c.success, c.failed, c.cancelled, c.expired]);
    row.extend([c.attempts, c.attempts_failed]);
    if table != Table::TenantMinutes {
        row.extend([sums.pending, sums.retrying]);
    }
    if table == Table::WebhookHours {
        row.push(sums.last_at.into());
    }
    if table != Table::TenantTotals {
        row.extend(c.latency.0.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)));
    }
    db.insert(table, row.cells())
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
