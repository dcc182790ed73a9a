//! The PostgreSQL store: the suite that every backend passes, and what only a server can do.

#![expect(clippy::disallowed_methods, reason = "tests measure real time")]

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/postgres.rs"]
mod server;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use proxy::{Cut, Proxy};
use server::PostgresServer;
use tidings_core::leases::Exchange;
use tidings_core::publication::{IdempotencyKey, Publication};
use tidings_core::time::Timestamp;
use tidings_store::catalogue::moved::Part;
use tidings_store::catalogue::webhooks;
use tidings_store::conformance::{self, Factory, World};
use tidings_store::nodes::{Mark, News};
use tidings_store::{
    Change, Committed, Control, Now, OpenError, Sink, Statement, Store, WriteError,
};

/// One for all tests that only need a database.
static SERVER: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::quick);

/// A store in a database of its own, and the node that opens it.
struct Database(String, &'static str);

impl Database {
    fn new() -> Self {
        Self(SERVER.database(), "a")
    }

    /// Another node of the same.
    fn beside(&self, name: &'static str) -> Self {
        Self(self.0.clone(), name)
    }

    fn name(&self) -> &str {
        let (_, rest) = self.0.split_once(":///").expect("a URL");
        rest.split_once('?').expect("a URL").0
    }

    fn sql(&self, sql: &str) -> String {
        SERVER.sql(self.name(), sql)
    }
}

impl Factory for Database {
    fn open(&self, now: Now, sink: Sink) -> Result<Store, OpenError> {
        Store::open_postgres(&self.0, self.1, now, sink)
    }
}

macro_rules! run {
    ($($claim:ident)*) => {
        $( #[tokio::test]
        async fn $claim() {
            conformance::$claim(&Database::new()).await;
        } )*
    };
}

tidings_store::conformance_suite!(run);

fn quietly(factory: &dyn Factory) -> Result<Store, OpenError> {
    let now: Now = Arc::new(|| Timestamp::from_millis(1_795_305_600_000));
    factory.open(now, Box::new(drop))
}

#[tokio::test]
async fn two_processes_are_not_one_node() {
    let database = Database::new();
    let first = quietly(&database).expect("opens");
    let refused = quietly(&database).expect_err("is refused").to_string();
    assert!(refused.starts_with("another tidings process runs as the node a"), "{refused}");
    let second = quietly(&database.beside("b")).expect("opens");
    assert_eq!((first.node(), second.node()), (0, 1));
    first.close().await;
    quietly(&database).expect("opens once the first is closed");
}

#[tokio::test]
async fn nodes_that_start_at_once_have_numbers_of_their_own_and_a_whole_schema() {
    let database = Database::new();
    let starts = ["a", "b", "c", "d"].into_iter().map(|name| {
        let database = database.beside(name);
        std::thread::spawn(move || quietly(&database))
    });
    let starts: Vec<_> = starts.collect();
    let opened: Vec<_> = starts.into_iter().map(|one| one.join().expect("no panic")).collect();
    let mut numbers: Vec<u16> = opened.iter().flatten().map(Store::node).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!(database.sql("SELECT COUNT(*) FROM schema_version"), "1");
}

#[test]
fn a_newer_schema_is_refused() {
    let database = Database::new();
    drop(quietly(&database).expect("opens"));
    database.sql("UPDATE schema_version SET version = 99");
    let refused = quietly(&database).expect_err("is refused").to_string();
    assert!(refused.contains("newer tidings (schema 99"), "{refused}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let there = "postgres://tidings:hunter2@127.0.0.1:1/nowhere".to_owned();
    let refused = quietly(&Database(there, "a")).expect_err("is refused").to_string();
    let told = "Could not connect to PostgreSQL at 127.0.0.1:1/nowhere: ";
    assert!(refused.starts_with(told) && !refused.contains("hunter2"), "{refused}");
}

/// A receiver may answer it, and PostgreSQL cannot keep it.
#[tokio::test]
async fn a_null_character_is_replaced() {
    let database = Database::new();
    let mut world = World::new(&database);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let mut settlement = world.success(&owed);
    settlement.attempt.as_mut().expect("one").response_body = "a\0b".into();
    world.settle(settlement).await;
    let tenant = tidings_store::catalogue::tenants::DEFAULT;
    let ended = world.store.delivery(tenant, owed.id).await.expect("read").expect("there");
    assert_eq!(ended.response_body, "a\u{fffd}b");
}

#[tokio::test]
async fn a_statement_that_always_fails_stops_nobody_else() {
    let database = Database::new();
    let mut world = World::new(&database);
    let webhook = world.webhook_id();
    database.sql(
        "CREATE FUNCTION poison() RETURNS TRIGGER LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'poison'; END $$; CREATE TRIGGER poison BEFORE INSERT \
         ON deliveries FOR EACH ROW WHEN (NEW.response_status = 418) EXECUTE FUNCTION poison()",
    );
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
    database.sql("DROP TRIGGER poison ON deliveries");
    world.advance(60_000);
    world.store.publish(world.publication(&[])).await.expect("published");
    // It was kept and is written once it can be.
    assert_eq!(world.told().await.len(), 1);
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!(totals.counts.success, 20);
}

#[tokio::test]
async fn a_node_whose_database_was_taken_from_it_comes_to_its_end() {
    let database = Arc::new(Database::new());
    let first = quietly(&*database).expect("opens");
    let waits = Arc::clone(&database);
    let second = std::thread::spawn(move || quietly(&*waits));
    let locks = "FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let waiting = format!("SELECT COUNT(*) {locks} AND NOT granted");
    let since = Instant::now();
    while database.sql(&waiting) == "0" {
        assert!(since.elapsed() < Duration::from_secs(4), "the second does not wait");
    }
    // The connection that writes is the one that holds the lock.
    database.sql(&format!("SELECT pg_terminate_backend(pid) {locks} AND granted"));
    let second = second.join().expect("no panic").expect("it has the database now");
    let refused = first.maintain().await;
    let ended = matches!(refused, Err(WriteError::Unavailable(_) | WriteError::Closed));
    assert!(ended, "{refused:?}");
    assert_eq!(first.lost().await, "another tidings process has taken the place of this node");
    assert_eq!(first.maintain().await, Err(WriteError::Closed));
    second.maintain().await.expect("maintained");
}

#[tokio::test]
async fn a_commit_that_was_made_but_not_answered_is_told_once() {
    let proxy = Proxy::before(SERVER.socket());
    let database = Database::new();
    let url = format!("postgres://tidings@{}/{}", proxy.address(), database.name());
    let factory = Database(url, "a");
    let mut world = World::new(&factory);
    let webhook = world.webhook_id();
    // Nothing but what follows is to be committed.
    world.store.maintain().await.expect("maintained");
    proxy.cut_at_commit(Cut::Answer);
    let publication = world.publication(&[webhook]);
    let refused = world.store.publish(publication.clone()).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    // It is there, and whoever sends is told of it.
    let owed = world.told_owed(1).await.remove(0);
    assert_eq!(owed.id, publication.events[0].deliveries[0].id);
    proxy.cut_at_commit(Cut::Answer);
    let told = world.succeed(&owed).await;
    assert!(matches!(told.as_slice(), [Committed::Settled { again: None, .. }]), "{told:?}");
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.accepted, totals.counts.success), (1, 1));
    assert_eq!((totals.counts.attempts, totals.pending), (1, 0));
    assert_eq!(proxy.cuts(), 2);
}

/// What a batch costs does not grow with it: docs/benchmarks.md tells the figures.
#[tokio::test]
async fn a_batch_takes_two_round_trips() {
    let proxy = Proxy::before(SERVER.socket());
    let database = Database::new();
    let url = format!("postgres://tidings@{}/{}", proxy.address(), database.name());
    let factory = Database(url, "a");
    let mut world = World::new(&factory);
    let webhook = world.webhook_id();
    // Every statement is prepared once.
    let owed = world.publish(&[webhook]).await.remove(0);
    world.succeed(&owed).await;
    world.store.maintain().await.expect("maintained");
    for size in [1, 100] {
        proxy.take_traffic();
        let owed = world.publish(&vec![webhook; size]).await;
        let (statements, round_trips) = proxy.take_traffic();
        println!("{size} published: {statements} statements in {round_trips} round trips");
        assert!(statements <= 10 && round_trips <= 2, "{size}: {statements}, {round_trips}");
        for owed in &owed {
            world.store.settle(Box::new(world.success(owed)));
        }
        let mut settled = 0;
        while settled < size {
            settled += world.told().await.len();
        }
        let (statements, round_trips) = proxy.take_traffic();
        println!("{size} settled: {statements} statements in {round_trips} round trips");
        // Two batches at most: the first settlement may go alone.
        assert!(statements <= 20 && round_trips <= 4, "{size}: {statements}, {round_trips}");
    }
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_made_again_or_refused() {
    let proxy = Proxy::before(SERVER.socket());
    let database = Database::new();
    let url = format!("postgres://tidings@{}/{}", proxy.address(), database.name());
    let factory = Database(url, "a");
    let mut world = World::new(&factory);
    let webhook = world.webhook_id();
    world.store.maintain().await.expect("maintained");
    proxy.cut_at_commit(Cut::Commit);
    let publication = world.publication(&[webhook]);
    let refused = world.store.publish(publication.clone()).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    world.store.publish(publication).await.expect("published the second time");
    let owed = world.told_owed(1).await.remove(0);
    proxy.cut_at_commit(Cut::Commit);
    // A settlement is kept and tried again: the clock must reach that moment.
    world.store.settle(Box::new(world.success(&owed)));
    let since = Instant::now();
    let told = loop {
        world.advance(1_000);
        let nudge = world.store.publish(world.publication(&[])).await;
        match tokio::time::timeout(Duration::from_millis(20), world.told()).await {
            Ok(told) => break told,
            Err(_) => assert!(since.elapsed() < Duration::from_secs(20), "{nudge:?}"),
        }
    };
    assert!(matches!(told.as_slice(), [Committed::Settled { again: None, .. }]), "{told:?}");
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.accepted, totals.counts.success), (1, 1));
}

#[tokio::test]
async fn a_change_of_a_constraint_leaves_its_batch_alone() {
    let database = Database::new();
    let world = World::new(&database);
    let twice = || Change::from(vec![Statement::new("INSERT INTO ending VALUES (7, 7)", vec![])]);
    let both = tokio::join!(world.store.change(twice()), world.store.change(twice()));
    let conflicts = [&both.0, &both.1].into_iter().filter(|r| **r == Err(WriteError::Conflict));
    assert_eq!(conflicts.count(), 1, "{both:?}");
    world.store.publish(world.publication(&[])).await.expect("published");
}

/// A node in a world of its own, and another beside it.
fn two_nodes(database: &Database) -> (World<'_>, Database) {
    (World::new(database), database.beside("b"))
}

#[tokio::test]
async fn what_another_owns_is_not_settled() {
    let database = Database::new();
    let (mut first, beside) = two_nodes(&database);
    let webhook = first.webhook_id();
    let owed = first.publish(&[webhook]).await.remove(0);
    let second = quietly(&beside).expect("opens");
    // The first stands still: its lease ends by the database's clock.
    database.sql("UPDATE nodes SET heartbeat = 1 WHERE name = 'a'");
    let all = Exchange { claim: (0..=255).collect(), ..Exchange::default() };
    let standing = second.exchange(&all, 10_000).await.expect("exchanged");
    assert_eq!(standing.nodes, [1]);
    assert!(standing.shards.iter().all(|shard| shard.holder == Some(1) && shard.was_cut_off));
    // It goes on, and writes down what it has done meanwhile.
    let told = first.succeed(&owed).await;
    assert!(matches!(told.as_slice(), [Committed::Late { .. }]), "{told:?}");
    assert_eq!(second.page(owed.lane, 9).await.expect("read").len(), 1, "it is owed still");
    let totals = first.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.attempts, totals.pending), (0, 1));
}

#[tokio::test]
async fn what_one_commits_the_other_reads_once() {
    let database = Database::new();
    let (mut first, beside) = two_nodes(&database);
    let second = quietly(&beside).expect("opens");
    let mut mark = Mark::default();
    assert_eq!(second.journal(&mut mark).await.expect("read").news, []);
    let webhook = first.webhook_id();
    let owed = first.publish(&[webhook]).await.remove(0);
    let (lane, next) = (owed.lane, owed.ready_at);
    let news = second.journal(&mut mark).await.expect("read").news;
    assert!(news.contains(&News::Waiting { lane, next }), "{news:?}");
    assert_eq!(second.journal(&mut mark).await.expect("read").news, []);
    let cancel = Control::Cancel { tenant: owed.tenant, delivery: owed.id };
    first.store.control(cancel).await.expect("cancelled");
    let news = second.journal(&mut mark).await.expect("read").news;
    assert!(news.contains(&News::Ended { lane, id: owed.id }), "{news:?}");
}

#[tokio::test]
async fn a_publication_of_an_older_catalogue_is_refused() {
    let database = Database::new();
    let (first, beside) = two_nodes(&database);
    let second = quietly(&beside).expect("opens");
    let planned_at = second.catalogue_version().await.expect("read");
    let webhook = first.webhook();
    let made = webhooks::insert(&webhook, Vec::new());
    first.store.change(made.into()).await.expect("made");
    let publication = first.publication(&[]);
    let refused = second.publish_planned(publication.clone(), planned_at).await;
    assert_eq!(refused, Err(WriteError::Stale));
    let since = second.catalogue_since(planned_at).await.expect("read");
    assert_eq!(since, [(planned_at + 1, Part::Webhook(webhook.id))]);
    second.publish_planned(publication, planned_at + 1).await.expect("published");
}

/// One that was partly known was written all the same.
#[tokio::test]
async fn a_large_publication_of_an_older_catalogue_is_refused() {
    let database = Database::new();
    let (first, beside) = two_nodes(&database);
    let second = quietly(&beside).expect("opens");
    let planned_at = second.catalogue_version().await.expect("read");
    let webhook = first.webhook();
    let mut known = first.event(b"{}");
    known.client_id = Some("known".into());
    let known = first.planned(known, &[webhook.id]);
    let mut publication = Publication { events: vec![known], ..first.publication(&[]) };
    first.store.publish(publication.clone()).await.expect("published");
    first.store.change(webhooks::insert(&webhook, Vec::new()).into()).await.expect("made");
    publication.events.extend(first.publication(&[webhook.id; 1_001]).events);
    let refused = second.publish_planned(publication.clone(), planned_at).await;
    assert_eq!(refused, Err(WriteError::Stale));
    second.publish_planned(publication, planned_at + 1).await.expect("published");
    assert_eq!(database.sql("SELECT COUNT(*) FROM queue"), "1002");
}

#[tokio::test]
async fn the_same_key_on_two_nodes_at_once_gets_one_answer() {
    let database = Database::new();
    let (first, beside) = two_nodes(&database);
    let second = quietly(&beside).expect("opens");
    for n in 0..30 {
        let key: Box<str> = format!("POST /events {n}").into();
        let key = Some(IdempotencyKey { key, fingerprint: [7; 16] });
        let one = Publication { key, ..first.publication(&[]) };
        let (a, b) = tokio::join!(first.store.publish(one.clone()), second.publish(one));
        let (a, b) = (a.expect("published"), b.expect("published"));
        assert_eq!(a.events, b.events);
        assert!(a.replayed != b.replayed, "one of them was first");
    }
}
