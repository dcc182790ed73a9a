//! The beginning of a transaction: locks, and all that its works will look for, in one round trip.
//!
//! Two nodes must not wait for each other, for that ends after a second with one of them beginning anew. So
//! all batches lock in one order, before they do anything else: gates by their keys, then rows of the queue
//! by their ids. What they meet after that (progress that is superseded, or moved behind its interval) is
//! behind a gate of theirs.

use futures_util::future::{try_join, try_join5};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};

use super::Filling;
use crate::queue::batch::seen::Found;
use crate::queue::postgres::columns;
use crate::queue::postgres::session::{Args, Session};
use crate::queue::postgres::sought::Sought;
#[cfg(any(test, feature = "conformance"))]
use crate::queue::reads;
use crate::queue::transaction::{Meta, Standing, Trouble};

/// In the order of the array.
const GATES: &str = "SELECT pg_advisory_xact_lock(key) FROM UNNEST($1::BIGINT[]) AS t (key)";
/// For a batch with several kinds of them: 0.9 µs a row.
const ROWS: &str = "SELECT FROM queue WHERE id = ANY ($1::BIGINT[]) ORDER BY id FOR UPDATE";
/// A settlement counts only while this node owns the shard, since the epoch that it knows of. The shard
/// is read and not locked: what another owner commits in the same moment meets the number of attempts.
///
/// `= ANY (ARRAY[…])` says no more than `=`, and leaves no choice: only an index can be asked by it, and no
/// join goes the other way. With `=` a queue that PostgreSQL took for empty, as it mostly is, was read whole
/// for each row of the batch.
const TAKE: &str = "DELETE FROM queue q USING UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], \
     $4::BIGINT[]) AS t (id, attempts, shard, epoch) JOIN shards s \
     ON s.id = ANY (ARRAY[t.shard]) AND s.epoch = t.epoch \
     WHERE q.id = ANY (ARRAY[t.id]) AND q.attempts = t.attempts RETURNING q.id";
const MOVE: &str = "UPDATE queue q SET ready_at = t.ready_at, not_before = t.not_before, \
     attempts = t.more, granted = t.granted FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], \
     $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[]) \
     AS t (id, attempts, shard, epoch, ready_at, not_before, more, granted) \
     JOIN shards s ON s.id = ANY (ARRAY[t.shard]) AND s.epoch = t.epoch \
     WHERE q.id = ANY (ARRAY[t.id]) AND q.attempts = t.attempts RETURNING q.id";
const SEEN: &str = "SELECT t.nth, s.fingerprint, s.answer \
     FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) WITH ORDINALITY AS t (tenant, kind, key, nth) \
     JOIN seen s ON s.tenant = ANY (ARRAY[t.tenant]) AND s.kind = t.kind AND s.key = t.key";
/// The number of the batch. Written first, it gives the transaction a number as well: whoever waits for
/// all that is under way can see it from then on, so what `late` says must be read after it.
const NUMBER: &str = "INSERT INTO node_batches (node, number) VALUES ($1, $2) \
     ON CONFLICT (node) DO UPDATE SET number = excluded.number";
/// In the order of [`Meta`].
const META: &str = "SELECT (SELECT value FROM meta WHERE key = 'catalogue'), \
     (SELECT value FROM meta WHERE key = 'deliveries_late'), \
     (SELECT value FROM meta WHERE key = 'events_late'), \
     (SELECT value FROM meta WHERE key = 'queue_late')";
/// In the order of [`Standing`]. A step of maintenance asked for all of it one by one, a dozen round trips in
/// the middle of a batch and forty times a second under load.
const STANDING: &str = "SELECT (SELECT value FROM meta WHERE key = 'deliveries_indexed'), \
     (SELECT value FROM meta WHERE key = 'events_indexed'), \
     (SELECT value FROM meta WHERE key = 'queue_aged'), pg_current_xact_id()::TEXT::BIGINT, \
     pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT, \
     EXISTS (SELECT 1 FROM unfinished), EXISTS (SELECT 1 FROM ending)";

/// What every batch looks for.
#[cfg(any(test, feature = "conformance"))]
pub(crate) const HOT: &[&str] = &[ROWS, TAKE, MOVE, SEEN, reads::PAGES];

/// What the database said, in the order in which it was asked.
struct Told {
    taken: Vec<Row>,
    moved: Vec<Row>,
    seen: Vec<Row>,
    meta: Row,
    standing: Vec<Row>,
}

impl Filling {
    /// Begins the node's `nth` batch.
    pub(super) fn fetch(&mut self, nth: i64, sought: Sought) -> Result<(), Trouble> {
        let this = [i64::from(self.identity.node), nth];
        let told =
            self.wait(async |session: &mut Session| ask_all(session, this, &sought).await)?;
        let [catalogue, late @ ..]: [i64; 4] = std::array::from_fn(|n| told.meta.get(n));
        let standing = told.standing.first().map(|row| Standing {
            indexed: std::array::from_fn(|n| row.get(n)),
            this: row.get(3),
            oldest: row.get(4),
            has_unfinished: row.get(5),
            has_ending: row.get(6),
        });
        self.meta = Meta { catalogue, late: Some(late), standing };
        self.settled.extend(told.taken.iter().chain(&told.moved).map(|row| row.get::<_, i64>(0)));
        self.gates.extend(sought.gates);
        let mut keys: Vec<_> = sought.keys.into_iter().map(|key| (key, None)).collect();
        for row in told.seen {
            let nth = usize::try_from(row.get::<_, i64>(0)).expect("counted from 1");
            keys[nth - 1].1 = Some(Found { fingerprint: row.get(1), answer: row.get(2) });
        }
        self.seen = keys.into_iter().collect();
        Ok(())
    }
}

async fn ask_all(session: &mut Session, this: [i64; 2], sought: &Sought) -> Result<Told, Error> {
    let [number, gates, rows, take, move_, seen, meta, standing] = [
        session.prepare(NUMBER).await?,
        session.prepare(GATES).await?,
        session.prepare(ROWS).await?,
        session.prepare(TAKE).await?,
        session.prepare(MOVE).await?,
        session.prepare(SEEN).await?,
        session.prepare(META).await?,
        session.prepare(STANDING).await?,
    ];
    let keys = sought.key_columns();
    let (takes, moves) = (columns::args(&sought.takes), columns::args(&sought.moves));
    let (keys, this) =
        (columns::args(&keys), this.each_ref().map(|int| int as &(dyn ToSql + Sync)));
    let gate_keys: [&(dyn ToSql + Sync); 1] = [&sought.gates];
    let row_ids: [&(dyn ToSql + Sync); 1] = [&sought.rows];
    let client = &session.client;
    // Each is sent when it is first polled, which is in this order: one round trip for all.
    let begin = try_join(client.batch_execute("BEGIN"), client.execute(&number, &this));
    let locked = try_join(
        ask(client, &gates, &gate_keys, !sought.gates.is_empty()),
        ask(client, &rows, &row_ids, !sought.rows.is_empty()),
    );
    let settled = try_join(
        ask(client, &take, &takes, !sought.takes[0].is_empty()),
        ask(client, &move_, &moves, !sought.moves[0].is_empty()),
    );
    let seen = ask(client, &seen, &keys, !sought.keys.is_empty());
    let meta =
        try_join(client.query_one(&meta, &[]), ask(client, &standing, &[], sought.maintains));
    let (_, _, (taken, moved), seen, (meta, standing)) =
        try_join5(begin, locked, settled, seen, meta).await?;
    Ok(Told { taken, moved, seen, meta, standing })
}

async fn ask(
    client: &Client,
    statement: &tokio_postgres::Statement,
    args: &Args<'_>,
    wanted: bool,
) -> Result<Vec<Row>, Error> {
    if wanted { client.query(statement, args).await } else { Ok(Vec::new()) }
}
