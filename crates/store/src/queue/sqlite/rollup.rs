//! Counts of a batch: noted as it is applied, added up, and written as one row for each tenant and
//! minute, and each webhook and hour, that it touched.

use std::collections::HashMap;
use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection};
use tidings_core::delivery::Status;
use tidings_core::id::{TenantId, WebhookId};
use tidings_core::stats::Counts;
use tidings_core::time::{HOUR_MS, MINUTE_MS, Timestamp};

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
    pub(super) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
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
            hours.entry((webhook, ms.div_euclid(HOUR_MS))).or_default().add(note);
        }
        write_totals(conn, &totals)?;
        write_minutes(conn, &minutes)?;
        write_hours(conn, &hours)?;
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

    fn main(&self) -> [i64; 7] {
        let c = &self.counts;
        [c.accepted, c.success, c.failed, c.cancelled, c.expired, c.attempts, c.attempts_failed]
    }
}

const MAIN: &str = "accepted success failed cancelled expired attempts attempts_failed";
const OWED: &str = "pending retrying";
const LATENCY: &str = "l0 l1 l2 l3 l4 l5 l6 l7 l8 l9 l10 l11 l12 l13 l14 l15";

static TOTALS: LazyLock<String> =
    LazyLock::new(|| upsert("tenant_totals", "tenant", &[MAIN, OWED]));
static MINUTES: LazyLock<String> =
    LazyLock::new(|| upsert("tenant_minutes", "tenant minute", &[MAIN, LATENCY]));
static HOURS: LazyLock<String> =
    LazyLock::new(|| upsert("webhook_hours", "webhook hour", &[MAIN, OWED, LATENCY, "last_at"]));
// Publishing touches two columns of a row and a settlement most of them: with a thousand webhooks in
// a batch it pays to bind no more than two.
static HOURS_ACCEPTED: LazyLock<String> =
    LazyLock::new(|| upsert("webhook_hours", "webhook hour", &["accepted pending"]));

/// An `INSERT … ON CONFLICT DO UPDATE` that adds to every column; `last_at` becomes the later one.
fn upsert(table: &str, keys: &str, columns: &[&str]) -> String {
    let keys: Vec<&str> = keys.split(' ').collect();
    let columns: Vec<&str> = columns.iter().flat_map(|group| group.split(' ')).collect();
    let marks = vec!["?"; keys.len() + columns.len()].join(", ");
    let sets: Vec<String> = columns
        .iter()
        .map(|&column| match column {
            "last_at" => {
                "last_at = MAX(COALESCE(last_at, 0), COALESCE(excluded.last_at, last_at, 0))".into()
            }
            _ => format!("{column} = {column} + excluded.{column}"),
        })
        .collect();
    format!(
        "INSERT INTO {table} ({}, {}) VALUES ({marks}) ON CONFLICT ({}) DO UPDATE SET {}",
        keys.join(", "),
        columns.join(", "),
        keys.join(", "),
        sets.join(", ")
    )
}

/// Binds values one after the other.
struct Binder<'s, 'c>(&'s mut CachedStatement<'c>, usize);

impl Binder<'_, '_> {
    fn all(&mut self, values: impl IntoIterator<Item = i64>) -> rusqlite::Result<()> {
        for value in values {
            self.0.raw_bind_parameter(self.1, value)?;
            self.1 += 1;
        }
        Ok(())
    }
}

fn latency(counts: &Counts) -> impl Iterator<Item = i64> {
    counts.latency.0.into_iter().map(|n| i64::try_from(n).unwrap_or(i64::MAX))
}

fn write_totals(conn: &Connection, rows: &HashMap<i64, Sums>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(&TOTALS)?;
    for (&tenant, sums) in rows {
        let mut bind = Binder(&mut statement, 1);
        bind.all([tenant])?;
        bind.all(sums.main())?;
        bind.all([sums.pending, sums.retrying])?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn write_minutes(conn: &Connection, rows: &HashMap<(i64, i64), Sums>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(&MINUTES)?;
    for (&(tenant, minute), sums) in rows {
        let mut bind = Binder(&mut statement, 1);
        bind.all([tenant, minute])?;
        bind.all(sums.main())?;
        bind.all(latency(&sums.counts))?;
        statement.raw_execute()?;
    }
    Ok(())
}

/// In order of the webhook, so that neighbours in the tree are touched together.
fn write_hours(conn: &Connection, rows: &HashMap<(i64, i64), Sums>) -> rusqlite::Result<()> {
    let mut sorted: Vec<_> = rows.iter().collect();
    sorted.sort_unstable_by_key(|&(key, _)| *key);
    let mut accepted = conn.prepare_cached(&HOURS_ACCEPTED)?;
    let mut whole = conn.prepare_cached(&HOURS)?;
    for (&(webhook, hour), sums) in sorted {
        let n = sums.counts.accepted;
        if sums.counts == (Counts { accepted: n, ..Counts::default() })
            && (sums.pending, sums.retrying) == (n, 0)
        {
            accepted.execute((webhook, hour, n, n))?;
            continue;
        }
        let mut bind = Binder(&mut whole, 1);
        bind.all([webhook, hour])?;
        bind.all(sums.main())?;
        bind.all([sums.pending, sums.retrying])?;
        bind.all(latency(&sums.counts))?;
        let last = bind.1;
        whole.raw_bind_parameter(last, sums.last_at)?;
        whole.raw_execute()?;
    }
    Ok(())
}
