//! The embedded store: the suite that every backend passes, and what only a file can do.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;
use tidings_core::direct::{self, Kind};
use tidings_core::id::TenantId;
use tidings_core::time::Timestamp;
use tidings_store::conformance::{self, Factory, World};
use tidings_store::{Change, Now, OpenError, Sink, Statement, Store, WriteError};

const TENANT: TenantId = TenantId::from_i64(1);

/// A store in a directory of its own, which goes with the test.
struct Embedded(TempDir);

impl Embedded {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("tidings.db")
    }
}

impl Factory for Embedded {
    fn open(&self, now: Now, sink: Sink) -> Result<Store, OpenError> {
        Store::open_sqlite(self.0.path(), now, sink)
    }
}

macro_rules! run {
    ($($claim:ident)*) => {
        $( #[tokio::test]
        async fn $claim() {
            conformance::$claim(&Embedded::new()).await;
        } )*
    };
}

tidings_store::conformance_suite!(run);

fn quietly(store: &Embedded) -> Result<Store, OpenError> {
    let now: Now = Arc::new(|| Timestamp::from_millis(1_795_305_600_000));
    store.open(now, Box::new(drop))
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let dir = Embedded::new();
    let first = quietly(&dir).expect("opens");
    let refused = quietly(&dir).expect_err("is refused").to_string();
    assert!(refused.starts_with("another tidings process uses "), "{refused}");
    assert!(refused.contains(&*dir.0.path().to_string_lossy()), "{refused}");
    first.close().await;
    quietly(&dir).expect("opens once the first is closed");
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = Embedded::new();
    drop(quietly(&dir).expect("opens"));
    let conn = Connection::open(dir.database()).expect("opens");
    conn.pragma_update(None, "user_version", 99).expect("written");
    drop(conn);
    let refused = quietly(&dir).expect_err("is refused");
    assert!(matches!(refused, OpenError::NewerSchema { found: 99, .. }), "{refused}");
}

/// What each version added is taken away again, and comes back.
#[tokio::test]
async fn an_older_file_moves_up() {
    let dir = Embedded::new();
    drop(quietly(&dir).expect("opens"));
    let conn = Connection::open(dir.database()).expect("opens");
    let back = "DROP INDEX queue_by_expiry; DROP TABLE tallies; DROP TABLE leads; DROP TABLE lead_deliveries; DROP TABLE inbound; DROP TABLE replays; DROP TABLE deliveries_by_event; CREATE TABLE deliveries_by_event \
         (event INTEGER NOT NULL, id INTEGER NOT NULL, status INTEGER NOT NULL, PRIMARY KEY (event, id)) \
         STRICT, WITHOUT ROWID; DROP TABLE directs; DROP TABLE jobs; DROP TABLE executions; \
         DROP TABLE execution_results; DROP TABLE gates; DROP INDEX queue_by_job; \
         ALTER TABLE queue DROP COLUMN job; ALTER TABLE queue DROP COLUMN progress_interval; \
         DROP TABLE changed; DELETE FROM meta WHERE key IN ('catalogue', 'queue_aged'); \
         DROP INDEX queue_retried_by_tenant; DROP INDEX queue_retried_by_webhook; \
         DROP INDEX queue_aged_by_tenant; DROP INDEX queue_aged_by_webhook; \
         ALTER TABLE queue DROP COLUMN aged; \
         PRAGMA user_version = 1";
    conn.execute_batch(back).expect("written");
    drop(conn);
    let mut world = World::new(&dir);
    let direct = direct::lane(TENANT, Kind::Lead, "https://a.example:443", None).webhook;
    let owed = world.publish(&[direct]).await.remove(0);
    assert!(world.store.direct(owed.id).await.expect("read").is_some());
}

#[tokio::test]
async fn closing_leaves_one_file_in_order() {
    let dir = Embedded::new();
    let mut world = World::new(&dir);
    let webhook = world.webhook_id();
    world.publish(&[webhook]).await;
    world.store.close().await;
    assert!(!dir.0.path().join("tidings.db-wal").exists());
    let conn = Connection::open(dir.database()).expect("opens");
    let check: String =
        conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(check, "ok");
}

/// A statement on the writer's own connection. What a PRAGMA returns is an error of the change, but
/// it has taken effect.
async fn pragma(store: &Store, sql: &'static str) {
    drop(store.change(Change::from(vec![Statement::new(sql, Vec::new())])).await);
}

#[tokio::test]
async fn a_full_disk_refuses_publications_and_keeps_settlements() {
    let dir = Embedded::new();
    let mut world = World::new(&dir);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook; 50]).await;
    pragma(&world.store, "PRAGMA max_page_count = 1").await;
    let mut stored = 0;
    let error = loop {
        let mut publication = world.publication(&[webhook]);
        let event = world.event(&[b'x'; 20_000]);
        publication.events = vec![world.planned(event, &[webhook])];
        match world.store.publish(publication).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, WriteError::Unavailable(text) if text.contains("full")), "{error}");
    world.told_owed(stored).await;
    // Settlements that need pages wait; a refused publication does not hold them.
    let settlements = owed.iter().map(|owed| {
        let mut settlement = world.success(owed);
        settlement.attempt.as_mut().expect("one").response_body = "y".repeat(1_000);
        Box::new(settlement)
    });
    settlements.for_each(|settlement| world.store.settle(settlement));
    let refused = world.store.publish(big(&world)).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    pragma(&world.store, "PRAGMA max_page_count = 1000000").await;
    world.advance(60_000);
    world.store.publish(big(&world)).await.expect("there is room again");
    let mut settled = 0;
    while settled < owed.len() {
        let told = world.told().await;
        settled += told
            .iter()
            .filter(|one| matches!(one, tidings_store::Committed::Settled { again: None, .. }))
            .count();
    }
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.success, totals.pending), (50, stored as i64));
}

fn big(world: &World<'_>) -> tidings_core::publication::Publication {
    let mut publication = world.publication(&[]);
    publication.events = vec![world.planned(world.event(&[b'x'; 20_000]), &[])];
    publication
}

#[tokio::test]
async fn a_statement_that_always_fails_stops_nobody_else() {
    let dir = Embedded::new();
    let mut world = World::new(&dir);
    let webhook = world.webhook_id();
    let trigger = "CREATE TRIGGER poison BEFORE INSERT ON deliveries WHEN NEW.response_status = 418 \
         BEGIN SELECT RAISE(ABORT, 'poison'); END";
    let change = Change::from(vec![Statement::new(trigger, Vec::new())]);
    world.store.change(change).await.expect("made");
    let owed = world.publish(&[webhook; 20]).await;
    for (n, owed) in owed.iter().enumerate() {
        let mut settlement = world.success(owed);
        if n == 7 {
            settlement.attempt.as_mut().expect("one").response_status = Some(418);
        }
        world.store.settle(Box::new(settlement));
    }
    let mut settled = 0;
    while settled < 19 {
        settled += world.told().await.len();
    }
    let drop_it = Change::from(vec![Statement::new("DROP TRIGGER poison", Vec::new())]);
    world.store.change(drop_it).await.expect("made");
    world.advance(60_000);
    world.store.publish(world.publication(&[])).await.expect("published");
    // It was kept and is written once it can be.
    assert_eq!(world.told().await.len(), 1);
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!(totals.counts.success, 20);
}

#[tokio::test]
async fn an_interrupted_fanout_is_withdrawn() {
    let dir = Embedded::new();
    let mut world = World::new(&dir);
    let webhook = world.webhook_id();
    let kept = world.publish(&[webhook]).await.remove(0);
    let mut webhooks = vec![webhook; 900];
    webhooks[450] = direct::lane(TENANT, Kind::Lead, "https://a.example:443", None).webhook;
    let owed = world.publish(&webhooks).await;
    world.store.close().await;
    // As a crash between two slices leaves it: rows are there, nothing is counted.
    let conn = Connection::open(dir.database()).expect("opens");
    let (first, last) = (owed[0].id.as_i64(), owed[899].id.as_i64());
    conn.execute("INSERT INTO unfinished VALUES (?, ?, ?)", (owed[0].event.as_i64(), first, last))
        .expect("written");
    drop(conn);
    let world = world.reopen();
    let page = world.store.page(kept.lane, 1_000).await.expect("read");
    assert_eq!(page.len(), 1, "its rows are not given out");
    world.store.maintain().await.expect("maintained");
    assert_eq!(world.rows_owed().await, 1);
    assert_eq!(world.store.event(owed[0].event).await, Ok(None));
    assert_eq!(world.store.direct(owed[450].id).await, Ok(None));
    assert!(world.store.event(kept.event).await.expect("read").is_some());
}

#[tokio::test]
async fn a_panic_of_the_writer_hangs_nobody() {
    let dir = Embedded::new();
    let other = Embedded::new();
    let world = World::new(&other);
    let now: Now = Arc::new(|| Timestamp::from_millis(1_795_305_600_000));
    let store = dir.open(now, Box::new(|_| panic!("a sink that panics"))).expect("opens");
    let first = store.publish(world.publication(&[world.webhook_id()])).await;
    assert!(first.is_ok(), "it was committed: {first:?}");
    let second = store.publish(world.publication(&[])).await;
    assert_eq!(second, Err(WriteError::Closed));
    store.close().await;
}
