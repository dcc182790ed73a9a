//! History by day on PostgreSQL: days are made ahead, go as a whole, and keep what is still needed.

#[path = "support/postgres.rs"]
mod server;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use server::PostgresServer;
use tidings_core::delivery::Owed;
use tidings_core::id::{DeliveryId, EventId, TenantId};
use tidings_core::time::{DAY_MS, HOUR_MS, Timestamp};
use tidings_store::catalogue::tenants::{self, TenantRecord};
use tidings_store::conformance::{self, Factory, World};
use tidings_store::transfer::{Place, Transfer};
use tidings_store::{Change, Now, OpenError, Sink, Store};
use tokio_postgres::NoTls;

static SERVER: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::quick);

/// The world's first day, counted from 1970.
const FIRST: i64 = 20_779;
/// What an operator counts: seven tables are in days.
const TABLES: usize = 7;

struct Database(String);

impl Database {
    fn new() -> Self {
        Self(SERVER.database())
    }

    fn sql(&self, sql: &str) -> String {
        let (_, rest) = self.0.split_once(":///").expect("a URL");
        SERVER.sql(rest.split_once('?').expect("a URL").0, sql)
    }

    /// The partitions of one day, by the tables' names in their order.
    fn day(&self, day: i64) -> Vec<String> {
        let sql = format!(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '%\\_{day}\\_%' ORDER BY 1"
        );
        self.sql(&sql).lines().map(str::to_owned).collect()
    }
}

impl Factory for Database {
    fn open(&self, now: Now, sink: Sink) -> Result<Store, OpenError> {
        Store::open_postgres(&self.0, "a", now, sink)
    }
}

const TENANT: TenantId = tenants::DEFAULT;

async fn delivered(world: &mut World<'_>) -> Owed {
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    world.succeed(&owed).await;
    owed
}

async fn is_there(world: &World<'_>, owed: &Owed) -> (bool, bool) {
    let delivery = world.store.delivery(TENANT, owed.id).await.expect("read");
    let event = world.store.event(owed.event).await.expect("read");
    (delivery.is_some(), event.is_some())
}

#[tokio::test]
async fn days_are_made_ahead() {
    let database = Database::new();
    let world = World::new(&database);
    for day in FIRST..FIRST + 4 {
        assert_eq!(database.day(day).len(), TABLES, "{day}");
    }
    assert_eq!(database.day(FIRST + 4).len(), 0);
    world.advance(DAY_MS);
    world.store.keep_days().await.expect("kept");
    assert_eq!(database.day(FIRST + 4).len(), TABLES);
}

#[tokio::test]
async fn a_day_goes_as_a_whole() {
    let database = Database::new();
    let mut world = World::new(&database);
    let first = delivered(&mut world).await;
    world.advance(DAY_MS);
    let second = delivered(&mut world).await;
    world.advance(29 * DAY_MS + HOUR_MS);
    world.store.keep_days().await.expect("kept");
    assert_eq!(database.day(FIRST).len(), TABLES, "its last hours are not thirty days old");
    world.advance(DAY_MS);
    world.store.keep_days().await.expect("kept");
    // Past midnight there may be deliveries of its events.
    assert_eq!(database.day(FIRST), named(&["deliveries_by_event", "events", "events_by_tenant"]));
    assert_eq!(is_there(&world, &first).await, (false, true));
    assert_eq!(is_there(&world, &second).await, (true, true));
    world.advance(DAY_MS);
    world.store.keep_days().await.expect("kept");
    assert_eq!(database.day(FIRST).len(), 0);
    assert_eq!(is_there(&world, &first).await, (false, false));
}

fn named(tables: &[&str]) -> Vec<String> {
    tables.iter().map(|table| format!("{table}_{FIRST}_{}", FIRST + 1)).collect()
}

#[tokio::test]
async fn rows_of_a_tenant_who_keeps_less_go_before_their_day() {
    let database = Database::new();
    let mut world = World::new(&database);
    let short = TenantRecord {
        id: world.id(),
        name: "short".into(),
        retention_days: Some(7),
        created_at: world.now(),
    };
    world.store.change(Change::from(tenants::insert(&short))).await.expect("made");
    let kept = delivered(&mut world).await;
    let webhook = world.webhook_id();
    let mut publication = world.publication(&[webhook]);
    publication.tenant = short.id;
    let planned = &mut publication.events[0];
    planned.deliveries[0].tenant = short.id;
    Arc::make_mut(&mut planned.event).tenant = short.id;
    world.store.publish(publication).await.expect("published");
    let theirs = world.told_owed(1).await.remove(0);
    world.succeed(&theirs).await;
    world.advance(8 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(world.store.delivery(short.id, theirs.id).await, Ok(None));
    assert_eq!(world.store.event(theirs.event).await, Ok(None));
    assert_eq!(is_there(&world, &kept).await, (true, true));
    assert_eq!(database.day(FIRST).len(), TABLES);
}

/// What is owed keeps its event, for however long; what came after it goes.
#[tokio::test]
async fn an_old_delivery_that_is_owed_keeps_its_event() {
    let database = Database::new();
    let mut world = World::new(&database);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let again = world.retry(&owed, 1).await;
    let ended = delivered(&mut world).await;
    world.advance(DAY_MS);
    let next = delivered(&mut world).await;
    world.advance(60 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(database.day(FIRST).len(), TABLES);
    assert_eq!(is_there(&world, &owed).await, (true, true));
    assert_eq!(world.store.attempts(TENANT, owed.id).await.expect("read").len(), 1);
    assert_eq!(is_there(&world, &ended).await, (false, false), "row by row");
    assert_eq!(is_there(&world, &next).await, (false, false), "its day is gone");
    assert_eq!(database.day(FIRST + 1).len(), 0);
    // It ends at last, and is history for thirty days from then on.
    world.succeed(&again).await;
    world.advance(29 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(is_there(&world, &owed).await, (true, true));
    world.advance(2 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(is_there(&world, &owed).await, (false, false));
    assert_eq!(database.day(FIRST).len(), 0);
}

/// A replay makes a new delivery of an old event.
#[tokio::test]
async fn a_delivery_made_later_keeps_the_event() {
    let database = Database::new();
    let mut world = World::new(&database);
    let first = delivered(&mut world).await;
    world.advance(20 * DAY_MS);
    world.store.keep_days().await.expect("kept");
    let again = Owed { id: world.id(), ..first.clone() };
    let change = Change { owed: vec![again.clone()], ..Change::default() };
    world.store.change(change).await.expect("owed");
    let again = world.told_owed(1).await.remove(0);
    world.succeed(&again).await;
    world.store.maintain().await.expect("indexed");
    world.advance(15 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(is_there(&world, &first).await, (false, true));
    assert_eq!(is_there(&world, &again).await, (true, true));
    world.advance(17 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(is_there(&world, &again).await, (false, false));
    assert_eq!(database.day(FIRST).len(), 0);
}

#[tokio::test]
async fn several_nodes_make_the_same_days_at_once() {
    let database = Database::new();
    let opened = ["a", "b", "c", "d"].map(|name| {
        let url = database.0.clone();
        std::thread::spawn(move || {
            let now: Now = Arc::new(|| Timestamp::from_millis(FIRST * DAY_MS));
            Store::open_postgres(&url, name, now, Box::new(drop)).expect("opens")
        })
    });
    let stores = opened.map(|one| one.join().expect("no panic"));
    let kept = stores.iter().map(Store::keep_days);
    for kept in futures_util::future::join_all(kept).await {
        kept.expect("kept");
    }
    assert_eq!(database.day(FIRST).len(), TABLES);
    assert_eq!(database.day(FIRST + 3).len(), TABLES);
}

/// A clock may be ahead, and a row of long ago may end today: each finds a place, and moves to its day
/// when there is one.
#[tokio::test]
async fn a_row_without_a_day_is_kept_all_the_same() {
    let database = Database::new();
    let mut world = World::new(&database);
    world.advance(10 * DAY_MS);
    let owed = delivered(&mut world).await;
    assert_eq!(database.sql("SELECT COUNT(*) FROM deliveries_rest"), "1");
    assert_eq!(is_there(&world, &owed).await, (true, true));
    world.store.keep_days().await.expect("kept");
    assert_eq!(database.sql("SELECT COUNT(*) FROM deliveries_rest"), "0");
    assert_eq!(
        database.sql(&format!("SELECT COUNT(*) FROM deliveries_{0}_{1}", FIRST + 10, FIRST + 11)),
        "1"
    );
    assert_eq!(is_there(&world, &owed).await, (true, true));
}

/// The tables of an older version become the first partition, with what is in them.
#[tokio::test]
async fn an_older_database_moves_up() {
    let database = Database::new();
    database.sql(&conformance::postgres_schema(9));
    let id = EventId::floor(Timestamp::from_millis(FIRST * DAY_MS)).as_i64();
    database.sql(&format!(
        "INSERT INTO events SELECT {id} + n, 1, NULL, 'a', n, NULL, NULL, NULL, '{{}}' FROM generate_series(1, 9) n; \
         INSERT INTO deliveries SELECT {id} + n, 1, 7, 0, {id} + n, 1, 2, 0, 1, 0, {}, 0, 200, NULL, NULL, 7, 1, '', '', '' \
         FROM generate_series(1, 9) n; \
         INSERT INTO attempts VALUES ({id} + 1, 1, 0, 7, 1, '', 500, '', '', '', 'http', NULL)",
        FIRST * DAY_MS
    ));
    let file = |table: &str| database.sql(&format!("SELECT pg_relation_filenode('{table}')"));
    let before = ["events", "deliveries", "attempts"].map(file);
    let mut world = World::new(&database);
    let first = database.day(0);
    assert_eq!(first.len(), TABLES, "{first:?}");
    let after = ["events", "deliveries", "attempts"].map(|table| {
        let named = first.iter().find(|name| name.starts_with(&format!("{table}_0_")));
        file(named.expect("a partition"))
    });
    assert_eq!(before, after, "nothing was copied");
    let old = world.store.delivery(TENANT, DeliveryId::from_i64(id + 9)).await.expect("read");
    assert!(old.is_some());
    world.store.maintain().await.expect("indexed");
    world.advance(HOUR_MS);
    delivered(&mut world).await;
    // By the clock of the database the bound is two days ahead of today, whenever that is.
    world.advance(40 * 365 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(database.day(0).len(), 0);
}

struct Embedded(PathBuf);

impl Factory for Embedded {
    fn open(&self, now: Now, sink: Sink) -> Result<Store, OpenError> {
        Store::open_sqlite(&self.0, now, sink)
    }
}

/// What is taken over finds its days, and goes with them.
#[tokio::test]
async fn what_was_moved_here_is_in_days() {
    let source = tempfile::tempdir().expect("a directory");
    let embedded = Embedded(source.path().to_owned());
    let mut world = World::new(&embedded);
    let first = delivered(&mut world).await;
    world.advance(5 * DAY_MS);
    let second = delivered(&mut world).await;
    world.store.close().await;
    let database = Database::new();
    let transfer = Transfer {
        from: Place::Sqlite(source.path().to_owned()),
        to: Place::Postgres(database.0.clone()),
        tenant: None,
        id: 7,
        now: world.now(),
    };
    let moved = std::thread::spawn(move || transfer.run(&|_, _| true, &mut |_| {}).map(drop));
    moved.join().expect("no panic").expect("moved");
    assert_eq!(database.sql("SELECT COUNT(*) FROM events_rest"), "0");
    let world = World::new(&database);
    assert_eq!(is_there(&world, &first).await, (true, true));
    world.advance(33 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(is_there(&world, &first).await, (false, false));
    assert_eq!(is_there(&world, &second).await, (true, true));
    assert_eq!(database.day(FIRST).len(), 0);
}

/// Two nodes have counted in rows of their own; who takes the store over finds their sums.
#[tokio::test]
async fn counts_of_several_nodes_are_moved_as_their_sum() {
    let database = Database::new();
    let mut first = World::new(&database);
    let beside = Beside(database.0.clone());
    let mut second = World::new(&beside);
    let webhook = first.webhook();
    let made = tidings_store::catalogue::webhooks::insert(&webhook, Vec::new());
    first.store.change(made.into()).await.expect("made");
    let ours = first.publish(&[webhook.id, webhook.id]).await;
    first.succeed(&ours[0]).await;
    // What the second is owed is sent by the first, whose shards they are.
    let theirs = second.publish(&[webhook.id; 3]).await;
    first.fail(&theirs[0]).await;
    let rows = |table| format!("SELECT COUNT(DISTINCT node) FROM {table}");
    for table in ["tenant_totals", "tenant_minutes", "webhook_hours"] {
        assert_eq!(database.sql(&rows(table)), "2", "{table}");
    }
    let before = totals(&first.store, webhook.id).await;
    first.store.close().await;
    second.store.close().await;
    let target = tempfile::tempdir().expect("a directory");
    let transfer = Transfer {
        from: Place::Postgres(database.0.clone()),
        to: Place::Sqlite(target.path().to_owned()),
        tenant: None,
        id: 7,
        now: first.now(),
    };
    let moved = std::thread::spawn(move || transfer.run(&|_, _| true, &mut |_| {}).map(drop));
    moved.join().expect("no panic").expect("moved, and compared row by row");
    let embedded = Embedded(target.path().to_owned());
    let after = World::new(&embedded);
    assert_eq!(totals(&after.store, webhook.id).await, before);
    assert!(before.contains("accepted: 5"), "{before}");
}

struct Beside(String);

impl Factory for Beside {
    fn open(&self, now: Now, sink: Sink) -> Result<Store, OpenError> {
        Store::open_postgres(&self.0, "b", now, sink)
    }
}

async fn totals(store: &Store, webhook: tidings_core::id::WebhookId) -> String {
    let (tenant, webhook) =
        (store.tenant_totals(TENANT).await, store.webhook_totals(webhook).await);
    format!("{:?} {:?}", tenant.expect("read"), webhook.expect("read"))
}

/// Whoever opens it next, on the thread that would have to drive the keeper's connection, waits for that lock.
#[tokio::test]
async fn whoever_keeps_days_has_left_when_the_store_is_closed() {
    let database = Database::new();
    let world = World::new(&database);
    let (client, connection) = tokio_postgres::connect(&database.0, NoTls).await.expect("connects");
    tokio::spawn(connection);
    // Someone reads, so that no day can be made.
    client.batch_execute("BEGIN; SELECT FROM attempts_rest").await.expect("read");
    world.advance(DAY_MS);
    let store = world.store.clone();
    let keeping = tokio::spawn(async move { store.keep_days().await });
    // By the lower half of its number.
    let locks = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND objid = 1852243972 AND database = \
         (SELECT oid FROM pg_database WHERE datname = current_database())";
    while database.sql(locks) == "0" {
        assert!(!keeping.is_finished(), "it keeps the days for as long as someone reads");
        tokio::task::yield_now().await;
    }
    world.store.close().await;
    assert_eq!(database.sql(locks), "0");
    keeping.await.expect("no panic").expect("left");
}
