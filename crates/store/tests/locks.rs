//! What nodes on one database lock, and in which order: none waits for one that waits for it.

#![expect(clippy::disallowed_methods, reason = "tests measure real time")]

#[path = "support/postgres.rs"]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use server::PostgresServer;
use tidings_core::gate::{Gate, Step};
use tidings_core::id::JobId;
use tidings_core::publication::Publication;
use tidings_store::conformance::{self, Factory, World};
use tidings_store::{Change, Committed, Now, OpenError, Sink, Store};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// A database of which PostgreSQL breaks no ring of locks in time: a round trip is given up before.
struct Database(PostgresServer, String);

impl Database {
    fn new() -> Self {
        let server = PostgresServer::quick();
        let url = server.database();
        server.sql("postgres", "ALTER DATABASE test_0 SET deadlock_timeout = '1h'");
        Self(server, url)
    }

    fn node(&self, name: &str, now: Now, sink: Sink) -> Result<Store, OpenError> {
        let store = Store::open_postgres(&self.1, name, now, sink)?;
        store.tenure().expect("one of several").share(true);
        Ok(store)
    }

    /// Someone else.
    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.1, NoTls).await.expect("connects");
        tokio::spawn(connection);
        client
    }

    /// Until so many wait for a lock.
    async fn until_waiting(&self, count: usize) {
        let waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted";
        let since = Instant::now();
        while self.0.sql("test_0", waiting) != count.to_string() {
            assert!(since.elapsed() < Duration::from_secs(4), "there are not {count} who wait");
            tokio::task::yield_now().await;
        }
    }
}

impl Factory for Database {
    fn open(&self, now: Now, sink: Sink) -> Result<Store, OpenError> {
        self.node("a", now, sink)
    }
}

const JOB: JobId = JobId::from_i64(77);

fn progress(mut publication: Publication) -> Change {
    let step = Step::Progress { interval_ms: 5_000 };
    publication.events[0].deliveries[0].gate = Some(Gate { job: JOB, step });
    Change { publications: vec![publication], ..Change::default() }
}

/// One has a delivery of progress settled, the other has newer progress take its place.
#[tokio::test]
async fn gates_are_locked_before_rows() {
    let database = Database::new();
    let mut first = World::new(&database);
    let now = first.now();
    let second = database.node("b", Arc::new(move || now), Box::new(drop)).expect("opens");
    let webhook = first.webhook_id();
    first.store.change(progress(first.publication(&[webhook]))).await.expect("committed");
    let owed = first.told_owed(1).await.remove(0);
    // Someone holds the gate, so that both come to it in this order.
    let gate = webhook.as_i64() ^ JOB.as_i64().rotate_left(32);
    let client = database.client().await;
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock({gate})");
    client.batch_execute(&lock).await.expect("locked");
    let newer = progress(first.publication(&[webhook]));
    let newer = tokio::spawn(async move { second.change(newer).await });
    database.until_waiting(1).await;
    first.store.settle(Box::new(first.success(&owed)));
    database.until_waiting(2).await;
    client.batch_execute("COMMIT").await.expect("free");
    newer.await.expect("no panic").expect("committed");
    let told = first.told().await;
    let is_late = matches!(told.as_slice(), [Committed::Moved(_), Committed::Late { .. }]);
    assert!(is_late, "{told:?}");
}

/// Those that are moved are not locked after those that are taken.
#[tokio::test]
async fn rows_are_locked_in_the_order_of_their_ids() {
    let database = Database::new();
    let mut world = World::new(&database);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook; 3]).await;
    let [zeroth, lower, higher] = [&owed[0], &owed[1], &owed[2]];
    let lock = "SELECT FROM queue WHERE id = $1 FOR UPDATE NOWAIT";
    let (before, other) = (database.client().await, database.client().await);
    for (client, row) in [(&before, zeroth), (&other, lower)] {
        client.batch_execute("BEGIN").await.expect("begun");
        client.execute(lock, &[&row.id.as_i64()]).await.expect("locked");
    }
    // While one batch waits the next gathers.
    world.store.settle(Box::new(world.success(zeroth)));
    database.until_waiting(1).await;
    world.store.settle(Box::new(world.success(higher)));
    world.store.settle(Box::new(world.failure(lower, 1_000)));
    before.batch_execute("COMMIT").await.expect("free");
    world.told().await;
    database.until_waiting(1).await;
    let locked = other.execute(lock, &[&higher.id.as_i64()]).await;
    let locked = locked.map_err(|error| error.code().cloned());
    assert_ne!(locked, Err(Some(SqlState::LOCK_NOT_AVAILABLE)), "it was locked first");
    other.batch_execute("COMMIT").await.expect("free");
    assert_eq!(world.told().await.len(), 2);
}

/// What marks rows of others never waits for them, and comes again for what it left.
#[tokio::test]
async fn who_marks_what_waits_does_not_wait() {
    let database = Database::new();
    let mut world = World::new(&database);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook; 3]).await;
    let (house, other) = (database.client().await, database.client().await);
    let [first, second, last] = [0, 1, 2].map(|n| owed[n].id.as_i64());
    let lock = format!("BEGIN; SELECT FROM queue WHERE id = {second} FOR UPDATE");
    other.batch_execute(&lock).await.expect("locked");
    house.batch_execute("SET lock_timeout = '1s'").await.expect("set");
    let marked = "SELECT COUNT(*), (SELECT value FROM meta WHERE key = 'queue_aged') \
         FROM queue WHERE aged = 1";
    for (count, mark) in [(2_i64, second - 1), (3, last)] {
        for sql in conformance::postgres_aging() {
            house.execute(sql, &[&(first - 1), &last]).await.expect("nobody is waited for");
        }
        let row = house.query_one(marked, &[]).await.expect("read");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (count, mark));
        other.batch_execute("ROLLBACK").await.expect("free");
    }
}
