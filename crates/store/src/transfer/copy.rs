//! Tables copied page by page, and compared row by row.

use super::place::Held;
use super::tables::{Moved, TABLES, Whose};
use super::{Progress, Step, TransferError, reading, whose_args, writing};
use crate::queue::transaction::{Transaction, Trouble};
use crate::value::{Row, Value};

/// Rows of one statement: enough that the round trip to it weighs little.
const ROWS_AT_ONCE: usize = 100;

pub(super) struct Copier<'c> {
    from: &'c mut Held,
    to: &'c mut Held,
    whose: Whose,
    tell: &'c mut dyn FnMut(Progress),
    progress: Progress,
    /// How far the target's indexes are complete: what comes below is indexed along with its copy.
    indexed: Indexed,
}

#[derive(Debug, Clone, Copy)]
struct Indexed {
    deliveries: i64,
    events: i64,
    queue: i64,
}

impl<'c> Copier<'c> {
    pub(super) fn new(
        from: &'c mut Held,
        to: &'c mut Held,
        whose: Whose,
        tell: &'c mut dyn FnMut(Progress),
    ) -> Result<Self, TransferError> {
        let of = from.run(|tx| count(tx, whose)).map_err(reading)?;
        let indexed = to.run(|tx| Indexed::read(tx)).map_err(writing)?;
        let rows = to.run(|tx| count(tx, whose)).map_err(writing)?.min(of);
        let progress = Progress { step: Step::Copying, table: TABLES[0].name, rows, of };
        Ok(Self { from, to, whose, tell, progress, indexed })
    }

    /// Copies what is not there yet.
    pub(super) fn copy(&mut self) -> Result<(), TransferError> {
        let ids = self.from.run(|tx| tx.rows(IDS, &[])).map_err(reading)?;
        if let Some([Value::Int(first), Value::Int(last)]) = ids.first().map(|row| &*row.0) {
            self.to.make_days(*first, *last).map_err(writing)?;
        }
        for table in TABLES {
            self.progress.table = table.name;
            let mut after = self.reached(table)?;
            loop {
                (self.tell)(self.progress);
                let rows = self.from.run(|tx| page(tx, table, &after, self.whose));
                let rows = rows.map_err(reading)?;
                let Some(last) = rows.last() else { break };
                after = last.0[..table.keys].to_vec();
                let (whose, indexed) = (self.whose, self.indexed);
                self.to
                    .run(|tx| {
                        insert(tx, table, &rows)?;
                        indexed.add(tx, table, &rows, whose)
                    })
                    .map_err(writing)?;
                self.progress.rows += rows.len() as u64;
            }
        }
        Ok(())
    }

    /// The key of the last row that is in the target. The tenants are few and begin with one that is
    /// there in any case, so they are copied again.
    fn reached(&mut self, table: &Moved) -> Result<Vec<Value>, TransferError> {
        if table.name == "tenants" {
            return Ok(Vec::new());
        }
        let (sql, args) = (table.last(self.whose), whose_args(self.whose));
        let rows = self.to.run(|tx| tx.rows(&sql, &args)).map_err(writing)?;
        Ok(rows.into_iter().next().map(|row| row.0).unwrap_or_default())
    }

    /// Reads both and compares them; the rows of each table.
    pub(super) fn compare(&mut self) -> Result<Vec<(&'static str, u64)>, TransferError> {
        self.progress = Progress { step: Step::Comparing, rows: 0, ..self.progress };
        let mut counts = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            self.progress.table = table.name;
            let (mut after, mut count) = (Vec::new(), 0);
            loop {
                (self.tell)(self.progress);
                let theirs = self.from.run(|tx| page(tx, table, &after, self.whose));
                let theirs = theirs.map_err(reading)?;
                let ours = self.to.run(|tx| page(tx, table, &after, self.whose));
                let ours = ours.map_err(writing)?;
                if let Some(key) = difference(table, &theirs, &ours) {
                    return Err(TransferError::Differs { table: table.name, key });
                }
                let Some(last) = ours.last() else { break };
                after = last.0[..table.keys].to_vec();
                count += ours.len() as u64;
                self.progress.rows += ours.len() as u64;
            }
            counts.push((table.name, count));
        }
        (self.tell)(self.progress);
        Ok(counts)
    }
}

fn count(tx: &mut dyn Transaction, whose: Whose) -> Result<u64, Trouble> {
    let mut all = 0;
    for table in TABLES {
        let rows = tx.rows(&table.count(whose), &whose_args(whose))?;
        let count = rows.into_iter().next().and_then(|row| row.fields().take::<u64>().ok());
        all += count.unwrap_or(0);
    }
    Ok(all)
}

fn page(
    tx: &mut dyn Transaction,
    table: &Moved,
    after: &[Value],
    whose: Whose,
) -> Result<Vec<Row>, Trouble> {
    let sql = table.page(!after.is_empty(), whose);
    let mut args = after.to_vec();
    args.extend(whose.map(Value::Int));
    args.push(table.page_rows().into());
    let mut rows = tx.rows(&sql, &args)?;
    rows.iter_mut().flat_map(|row| &mut row.0).for_each(make_portable);
    Ok(rows)
}

/// Receivers may answer a character that PostgreSQL cannot keep.
fn make_portable(value: &mut Value) {
    if let Value::Text(text) = value
        && text.contains('\0')
    {
        *text = text.replace('\0', "\u{fffd}").into();
    }
}

fn insert(tx: &mut dyn Transaction, table: &Moved, rows: &[Row]) -> Result<(), Trouble> {
    for some in rows.chunks(ROWS_AT_ONCE) {
        let args: Vec<Value> = some.iter().flat_map(|row| row.0.iter().cloned()).collect();
        tx.execute(&table.insert(some.len()), &args)?;
    }
    Ok(())
}

/// Where two pages differ first.
fn difference(table: &Moved, theirs: &[Row], ours: &[Row]) -> Option<String> {
    let at = theirs.iter().zip(ours).position(|(theirs, ours)| theirs != ours);
    let at = at.or((theirs.len() != ours.len()).then(|| theirs.len().min(ours.len())))?;
    let row = theirs.get(at).or(ours.get(at))?;
    Some(format!("{:?}", &row.0[..table.keys]))
}

impl Indexed {
    fn read(tx: &mut dyn Transaction) -> Result<Self, Trouble> {
        let mut mark = |key: &str| -> Result<i64, Trouble> {
            let rows = tx.rows("SELECT value FROM meta WHERE key = $1", &[key.into()])?;
            Ok(rows.into_iter().next().and_then(|row| row.fields().take().ok()).unwrap_or(0))
        };
        let (deliveries, events) = (mark("deliveries_indexed")?, mark("events_indexed")?);
        Ok(Self { deliveries, events, queue: mark("queue_aged")? })
    }

    /// Indexes those of a page that maintenance will not come past any more.
    fn add(
        self,
        tx: &mut dyn Transaction,
        table: &Moved,
        rows: &[Row],
        whose: Whose,
    ) -> Result<(), Trouble> {
        let (upto, statements) = match table.name {
            "deliveries" => (self.deliveries, &BY_DELIVERY[..]),
            "events" => (self.events, &BY_EVENT[..]),
            "queue" => (self.queue, &OWED[..]),
            _ => return Ok(()),
        };
        let (Some(first), Some(last), Some(tenant)) = (rows.first(), rows.last(), whose) else {
            return Ok(());
        };
        let (Value::Int(first), Value::Int(last)) = (&first.0[0], &last.0[0]) else {
            return Ok(());
        };
        if *first > upto {
            return Ok(());
        }
        let args = [Value::Int(*first), Value::Int(upto.min(*last)), Value::Int(tenant)];
        statements.iter().try_for_each(|sql| tx.execute(sql, &args).map(drop))
    }
}

/// The least and the largest id of the history.
const IDS: &str = "SELECT MIN(first), MAX(last) FROM \
     (SELECT MIN(id) AS first, MAX(id) AS last FROM events UNION ALL \
     SELECT MIN(id), MAX(id) FROM deliveries UNION ALL \
     SELECT MIN(id), MAX(id) FROM queue UNION ALL \
     SELECT MIN(delivery), MAX(delivery) FROM attempts) x";

const BY_DELIVERY: [&str; 3] = [
    "INSERT INTO deliveries_by_webhook (webhook, id, status) SELECT webhook, id, status \
     FROM deliveries WHERE id >= $1 AND id <= $2 AND tenant = $3 ORDER BY webhook, id",
    "INSERT INTO deliveries_by_event (event, webhook, id, status) SELECT event, webhook, id, status \
     FROM deliveries WHERE id >= $1 AND id <= $2 AND tenant = $3 ORDER BY event, webhook, id",
    "INSERT INTO deliveries_by_tenant (tenant, id, status) SELECT tenant, id, status \
     FROM deliveries WHERE id >= $1 AND id <= $2 AND tenant = $3 ORDER BY tenant, id",
];
const OWED: [&str; 1] = ["UPDATE queue SET aged = 1 WHERE id >= $1 AND id <= $2 AND tenant = $3"];
const BY_EVENT: [&str; 1] =
    ["INSERT INTO events_by_tenant (tenant, id) SELECT tenant, id FROM events \
     WHERE id >= $1 AND id <= $2 AND tenant = $3 ORDER BY tenant, id"];
