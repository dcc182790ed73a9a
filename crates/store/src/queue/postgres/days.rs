//! History by day: partitions are made ahead, and dropped as a whole when nothing in them is kept any more.
//!
//! It is done on a connection of its own, apart from the one that writes. Two locks of a table are
//! exclusive: that of `…_rest` while a day is made, and that of the table while a day is dropped. Either is
//! asked for again and again with little patience, so that whoever writes never waits behind a long query
//! for longer than that.
//!
//! A day is in tables of two kinds. What is of a delivery goes when the day's deliveries have ended and
//! their time is over. What is of an event goes after all deliveries of it: an event is kept while something
//! owed, or something in the history, needs it.

use std::time::Duration;

use tidings_core::id::EventId;
use tidings_core::time::{DAY_MS, Timestamp};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::LEAVE;
use super::connect::Connect;
use crate::queue::transaction::{Transaction, Trouble};

/// A table that is in days, and the column with the id that says of which.
#[derive(Debug, Clone, Copy)]
struct Table {
    name: &'static str,
    key: &'static str,
}

const fn table(name: &'static str, key: &'static str) -> Table {
    Table { name, key }
}

const OF_DELIVERY: [Table; 4] = [
    table("deliveries", "id"),
    table("attempts", "delivery"),
    table("deliveries_by_webhook", "id"),
    table("deliveries_by_tenant", "id"),
];
const OF_EVENT: [Table; 3] =
    [table("events", "id"), table("events_by_tenant", "id"), table("deliveries_by_event", "event")];

/// Today's partition and so many more: nobody has to look for days on end.
const AHEAD: i64 = 3;
/// With a retention of years a partition takes several days, so that there are never many more of them:
/// a look-up of an unknown day opens them all, which takes some 2 µs each.
const PARTITIONS: i64 = 40;
/// Days that history is kept when no tenant says.
const DAYS: i64 = 30;

/// Whoever writes waits for a lock so long at most; how often it is asked for, and the pause between.
const LOCK_PATIENCE: &str = "SET LOCAL lock_timeout = '20ms'";
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);
/// For one statement; and for another node that is doing the same.
const PATIENCE: Duration = Duration::from_secs(60);
/// Held while days are made and dropped; the number is arbitrary.
const LOCK: i64 = 0x7469_6469_6e67_0004;
/// Rows deleted at once where there are no days.
const STEP: u64 = 1_000;

/// Some days, counted from 1970: `end` is not one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    first: i64,
    end: i64,
}

impl Span {
    /// The ids of it: from the first to before the second.
    fn ids(self) -> (i64, i64) {
        let floor = |day: i64| EventId::floor(Timestamp::from_millis(day * DAY_MS)).as_i64();
        (floor(self.first), floor(self.end))
    }

    fn of(self, table: Table) -> String {
        format!("{}_{}_{}", table.name, self.first, self.end)
    }

    /// Read from the name of a partition; `None` for the one that takes the rest.
    fn named(name: &str) -> Option<Self> {
        let mut parts = name.rsplit('_').map(|part| part.parse().ok());
        let (end, first) = (parts.next()??, parts.next()??);
        Some(Self { first, end })
    }
}

fn day(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

/// What is to be made so that every day from the first to the last is somewhere.
fn missing(there: &[Span], first: i64, last: i64, width: i64) -> Vec<Span> {
    let (mut made, mut day) = (Vec::new(), first);
    while day <= last {
        if let Some(span) = there.iter().find(|span| (span.first..span.end).contains(&day)) {
            day = span.end;
            continue;
        }
        let next = there.iter().map(|span| span.first).filter(|&first| first > day).min();
        let end = (day + width).min(next.unwrap_or(i64::MAX));
        made.push(Span { first: day, end });
        day = end;
    }
    made
}

/// The days of a partition when history is kept, or spans, so many.
fn width(days: i64) -> i64 {
    (days + PARTITIONS - 1).div_euclid(PARTITIONS).max(1)
}

/// Every table that is in days.
fn tables() -> impl Iterator<Item = Table> {
    OF_EVENT.into_iter().chain(OF_DELIVERY)
}

/// The names of a table's partitions.
fn partitions(table: Table) -> String {
    format!(
        "SELECT c.relname::TEXT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = '{}'::REGCLASS",
        table.name
    )
}

fn spans(names: impl Iterator<Item = String>) -> Vec<Span> {
    let mut spans: Vec<Span> = names.filter_map(|name| Span::named(&name)).collect();
    spans.sort_unstable();
    spans
}

/// What makes a partition. What there is of it is in `…_rest` and moves: nothing, but for the moments
/// before days are made for the first time.
fn making(table: Table, span: Span) -> [String; 5] {
    let (Table { name, key }, part, (from, to)) = (table, span.of(table), span.ids());
    [
        format!("LOCK TABLE ONLY {name} IN SHARE UPDATE EXCLUSIVE MODE"),
        format!("LOCK TABLE {name}_rest IN ACCESS EXCLUSIVE MODE"),
        format!("CREATE TABLE {part} (LIKE {name} INCLUDING DEFAULTS INCLUDING STORAGE)"),
        format!(
            "WITH moved AS (DELETE FROM {name}_rest WHERE {key} >= {from} AND {key} < {to} \
             RETURNING *) INSERT INTO {part} SELECT * FROM moved"
        ),
        format!("ALTER TABLE {name} ATTACH PARTITION {part} FOR VALUES FROM ({from}) TO ({to})"),
    ]
}

/// Makes the days that ids are of, in a transaction of whoever is alone.
pub(crate) fn make(tx: &mut dyn Transaction, first: i64, last: i64) -> Result<(), Trouble> {
    let day_of = |id: i64| day(EventId::from_i64(id).created_at());
    let (first, last) = (day_of(first), day_of(last));
    for table in tables() {
        let names = tx.rows(&partitions(table), &[])?.into_iter();
        let there = spans(names.filter_map(|row| row.fields().take().ok()));
        for span in missing(&there, first, last, width(last - first)) {
            making(table, span).iter().try_for_each(|sql| tx.execute(sql, &[]).map(drop))?;
        }
    }
    Ok(())
}

/// Makes the days ahead: before the first row is written.
pub(super) async fn begin(connect: &Connect, now: Timestamp) -> Result<(), Error> {
    let make = async |keeping: &mut Keeping| keeping.make_ahead().await.map(drop);
    keeping(connect, now, std::future::pending(), make).await
}

/// Makes the days ahead, and drops those of which nothing is kept; until the store is `closed`.
pub(super) async fn keep(
    connect: &Connect,
    now: Timestamp,
    closed: impl Future<Output = ()>,
) -> Result<(), Error> {
    keeping(connect, now, closed, async |keeping: &mut Keeping| keeping.run().await).await
}

async fn keeping(
    connect: &Connect,
    now: Timestamp,
    closed: impl Future<Output = ()>,
    work: impl AsyncFnOnce(&mut Keeping) -> Result<(), Error>,
) -> Result<(), Error> {
    let (client, driver) = connect.open(PATIENCE).await?;
    let cancel = client.cancel_token();
    let mut keeping = Keeping { client, now };
    let kept = async {
        match keeping.lock().await {
            Ok(()) => work(&mut keeping).await,
            // Another is at it, however long it takes. Until then rows find their place in `…_rest`, so
            // nobody waits for it: a start that did was cut off after a minute.
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(()),
            Err(error) => Err(error),
        }
    };
    let kept = tokio::select! {
        kept = kept => kept,
        // What is not done is done at the next start. The connection ends when it is answered.
        () = closed => {
            let _ = timeout(LEAVE, connect.cancel(&cancel)).await;
            Ok(())
        }
    };
    drop(keeping);
    // It has taken its leave: the lock is free.
    let _ = driver.await;
    kept
}

struct Keeping {
    client: Client,
    now: Timestamp,
}

impl Keeping {
    /// One at a time changes the days of a database.
    async fn lock(&self) -> Result<(), Error> {
        self.client.batch_execute("SET lock_timeout = '4s'").await?;
        self.client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
        self.client.batch_execute("SET lock_timeout = 0").await
    }

    async fn run(&mut self) -> Result<(), Error> {
        let until = self.now - self.make_ahead().await? * DAY_MS;
        for span in self.due(&OF_DELIVERY, until).await? {
            self.drop_deliveries(span, until).await?;
        }
        for span in self.due(&OF_EVENT, until).await? {
            self.drop_events(span).await?;
        }
        self.forget_directs().await
    }

    /// Makes today and the days after it; tells for how many days history is kept.
    async fn make_ahead(&mut self) -> Result<i64, Error> {
        let longest = format!("SELECT MAX(COALESCE(retention_days, {DAYS})) FROM tenants");
        let longest: Option<i64> = self.client.query_one(&longest, &[]).await?.get(0);
        let longest = longest.unwrap_or(DAYS);
        let today = day(self.now);
        for table in tables() {
            let there = self.there(table).await?;
            for span in missing(&there, today, today + AHEAD, width(longest)) {
                if !self.patiently(&making(table, span), None).await? {
                    tracing::warn!(table = table.name, "a day of it is made later: it is in use");
                }
            }
        }
        Ok(longest)
    }

    async fn there(&self, table: Table) -> Result<Vec<Span>, Error> {
        let rows = self.client.query(&partitions(table), &[]).await?;
        Ok(spans(rows.iter().map(|row| row.get(0))))
    }

    /// The days of these tables whose time is over, oldest first.
    async fn due(&self, tables: &[Table], until: Timestamp) -> Result<Vec<Span>, Error> {
        let mut all = Vec::new();
        for &table in tables {
            all.extend(self.there(table).await?);
        }
        all.retain(|span| span.end * DAY_MS <= until.as_millis());
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Drops what is of a day's deliveries, unless some are owed or have ended less long ago.
    async fn drop_deliveries(&mut self, span: Span, until: Timestamp) -> Result<(), Error> {
        let (from, to) = span.ids();
        let needed = format!(
            "SELECT EXISTS (SELECT 1 FROM queue WHERE id >= {from} AND id < {to}) \
             OR EXISTS (SELECT 1 FROM deliveries WHERE id >= {from} AND id < {to} \
             AND completed_at > (id >> 22) + 1577836800000 + 3600000 AND completed_at >= {})",
            until.as_millis()
        );
        self.drop_unless(&OF_DELIVERY, span, &needed).await
    }

    /// Drops what is of a day's events, after what is of their deliveries: those of the same day and, past
    /// midnight, of the next; and those that a replay made of them.
    async fn drop_events(&mut self, span: Span) -> Result<(), Error> {
        let theirs = self.there(OF_DELIVERY[0]).await?;
        if theirs.iter().any(|it| it.first <= span.end && it.end > span.first) {
            return Ok(());
        }
        let (from, to) = span.ids();
        let replayed = format!(
            "SELECT EXISTS (SELECT 1 FROM deliveries_by_event b JOIN deliveries d ON d.id = b.id \
             WHERE b.event >= {from} AND b.event < {to} AND b.id - b.event > 15099494400000)"
        );
        if self.is(&replayed).await? {
            return Ok(());
        }
        let needed = format!(
            "SELECT EXISTS (SELECT 1 FROM queue WHERE event >= {from} AND event < {to}) \
             OR EXISTS (SELECT 1 FROM unfinished WHERE event >= {from} AND event < {to})"
        );
        self.drop_unless(&OF_EVENT, span, &needed).await
    }

    /// It is asked first without locks, and again under them: what needs an event or a delivery has read
    /// it in its transaction, and has come to its end by then.
    async fn drop_unless(&mut self, of: &[Table], span: Span, needed: &str) -> Result<(), Error> {
        if self.is(needed).await? {
            return Ok(());
        }
        let names: Vec<&str> = of.iter().map(|table| table.name).collect();
        let parts: Vec<String> = of.iter().map(|&table| span.of(table)).collect();
        let steps = [
            format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", names.join(", ONLY ")),
            format!("DROP TABLE IF EXISTS {}", parts.join(", ")),
        ];
        if !self.patiently(&steps, Some(needed)).await? {
            tracing::info!(day = span.first, "a day is dropped later: it is in use");
        }
        Ok(())
    }

    async fn is(&self, sql: &str) -> Result<bool, Error> {
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }

    /// Runs steps in a transaction, again while their locks cannot be had at once; whether it was done.
    /// After the first step `unless` is asked: then it is not done, and need not be.
    async fn patiently(&mut self, steps: &[String], unless: Option<&str>) -> Result<bool, Error> {
        for _ in 0..TRIES {
            match self.steps(steps, unless).await {
                Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done.map(|()| true),
            }
        }
        Ok(false)
    }

    async fn steps(&mut self, steps: &[String], unless: Option<&str>) -> Result<(), Error> {
        let tx = self.client.transaction().await?;
        tx.batch_execute(LOCK_PATIENCE).await?;
        for (n, step) in steps.iter().enumerate() {
            tx.batch_execute(step).await?;
            if let (0, Some(unless)) = (n, unless)
                && tx.query_one(unless, &[]).await?.get(0)
            {
                return tx.rollback().await;
            }
        }
        tx.commit().await
    }

    /// Deletes what direct deliveries brought along that went with their day.
    async fn forget_directs(&mut self) -> Result<(), Error> {
        let there = self.there(OF_DELIVERY[0]).await?;
        let Some((from, _)) = there.first().map(|span| span.ids()) else { return Ok(()) };
        for name in ["directs", "lead_deliveries"] {
            let sql = format!(
                "DELETE FROM {name} WHERE delivery IN (SELECT x.delivery FROM {name} x \
                 WHERE x.delivery < {from} \
                 AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = x.delivery) \
                 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = x.delivery) \
                 ORDER BY x.delivery LIMIT {STEP})"
            );
            while self.client.execute(&sql, &[]).await? == STEP {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: i64, end: i64) -> Span {
        Span { first, end }
    }

    #[test]
    fn a_span_is_known_by_its_name() {
        assert_eq!(Span::named("deliveries_by_event_20779_20780"), Some(span(20_779, 20_780)));
        assert_eq!(Span::named("deliveries_by_event_rest"), None);
        assert_eq!(span(1, 3).of(OF_DELIVERY[0]), "deliveries_1_3");
    }

    #[test]
    fn every_day_is_somewhere_once() {
        assert_eq!(missing(&[], 10, 11, 1), [span(10, 11), span(11, 12)]);
        assert_eq!(missing(&[span(0, 11)], 10, 11, 1), [span(11, 12)]);
        assert_eq!(missing(&[span(0, 5), span(12, 13)], 9, 14, 10), [span(9, 12), span(13, 23)]);
        assert_eq!(missing(&[span(8, 20)], 9, 14, 1), []);
    }

    #[test]
    fn there_are_never_many() {
        for (days, of) in [(1, 1), (30, 1), (40, 1), (41, 2), (365, 10), (3_650, 92)] {
            assert_eq!(width(days), of, "{days}");
        }
    }
}
