//! Connections to PostgreSQL that are ended from outside: nobody who asks is to notice.

#![expect(clippy::disallowed_methods, reason = "tests measure real time")]

#[path = "support/postgres.rs"]
mod server;

use std::time::{Duration, Instant};

use server::{PostgresServer, send};
use tidings_store::conformance::{Factory, World};
use tidings_store::{Now, OpenError, Sink, Store};
use tokio::task::yield_now;

struct Database(PostgresServer, String);

impl Database {
    fn new() -> Self {
        let server = PostgresServer::quick();
        let url = server.database();
        Self(server, url)
    }

    fn sql(&self, sql: &str) -> String {
        self.0.sql("test_0", sql)
    }

    /// The processes there that are ours.
    fn ours(&self) -> Vec<u32> {
        let ours = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'tidings'";
        self.sql(ours).lines().map(|pid| pid.parse().expect("a process")).collect()
    }

    fn end(&self, processes: &[u32]) {
        for pid in processes {
            self.sql(&format!("SELECT pg_terminate_backend({pid})"));
        }
    }
}

impl Factory for Database {
    fn open(&self, now: Now, sink: Sink) -> Result<Store, OpenError> {
        Store::open_postgres(&self.1, "a", now, sink)
    }
}

#[tokio::test]
async fn connections_that_broke_while_idle_are_not_noticed() {
    let database = Database::new();
    let mut world = World::new(&database);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    world.store.lanes().await.expect("read");
    for _ in 0..3 {
        let ours = database.ours();
        database.end(&ours);
        let since = Instant::now();
        while database.ours().iter().any(|pid| ours.contains(pid)) {
            assert!(since.elapsed() < Duration::from_secs(10), "they do not end");
        }
        world.store.publish(world.publication(&[])).await.expect("published");
        world.store.lanes().await.expect("read");
        world.store.tenants().await.expect("read");
    }
    world.succeed(&owed).await;
}

/// Its last word is the answer to a question that it has not heard.
#[tokio::test]
async fn what_is_asked_of_a_connection_that_is_about_to_end_is_asked_again() {
    let database = Database::new();
    let world = World::new(&database);
    world.store.lanes().await.expect("read");
    let ours = database.ours();
    ours.iter().for_each(|&pid| send("-STOP", pid));
    database.end(&ours);
    let go_on = async {
        // The question is on its way when everyone else has had a turn or two.
        for _ in 0..10 {
            yield_now().await;
        }
        ours.iter().for_each(|&pid| send("-CONT", pid));
    };
    let (lanes, ()) = tokio::join!(world.store.lanes(), go_on);
    lanes.expect("read");
}
