//! The database goes away, stands still or is restarted under load: publishers are told to come back,
//! nothing that was acknowledged is lost, and the server goes on by itself within seconds.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;

use crate::harness::postgres::PostgresServer;
use crate::harness::store::{SECRET_KEY, leaves_out};
use crate::harness::{Binary, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{register, settled_totals};

const PUBLISHERS: usize = 6;
/// What the log says when trouble begins, and when it is over.
const TROUBLE: &str = "the database takes nothing";
const OVER: &str = "the database takes what is written";

async fn start(url: &str) -> Binary {
    let dir = tempdir().unwrap();
    let variables = [("DATABASE_URL", url), ("TIDINGS_SECRET_KEY", SECRET_KEY)];
    let mut server = Binary::start_with(dir.path(), &variables).await;
    server.announce(TROUBLE);
    server
}

/// What befalls the database.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    ShutDown,
    CutOff,
    StandsStill,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_trouble_under_load_loses_nothing() {
    if leaves_out("a story with a database of its own") {
        return;
    }
    let mut database = PostgresServer::durable();
    let url = database.database();
    let receiver = Receiver::start().await;
    let server = start(&url).await;
    register(&server, &receiver.url(), json!({"max_concurrency": 16})).await;
    let ledger = Ledger::new();
    let load = Load::start(&ledger, &server.client, PUBLISHERS, 100);
    let troubles = [Trouble::ShutDown, Trouble::CutOff, Trouble::StandsStill, Trouble::CutOff];
    for trouble in troubles {
        accepts(&ledger).await;
        drop(ledger.take_refusals());
        match trouble {
            Trouble::ShutDown => database.stop(),
            Trouble::CutOff => database.crash(),
            Trouble::StandsStill => database.pause(),
        }
        refuses(&ledger, trouble).await;
        assert_eq!(server.get("/livez").await.status, 200);
        match trouble {
            Trouble::ShutDown | Trouble::CutOff => database.resume(),
            Trouble::StandsStill => database.go_on(),
        }
        let since = Instant::now();
        accepts(&ledger).await;
        assert!(since.elapsed() < Duration::from_secs(10), "{trouble:?}: {:?}", since.elapsed());
    }
    load.stop().await;

    let totals = settled_totals(&server).await;
    // Each trouble is told when it begins and when it is over. A database that shuts down ends its
    // sessions one by one, so that it may look like two.
    let log = server.log();
    let told = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(told(TROUBLE), told(OVER), "{log}");
    assert!((troubles.len()..=2 * troubles.len()).contains(&told(TROUBLE)), "{log}");
    server.stop().await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    ledger.assert_all_in(&seen);
    // Made, but answered 503 for the answer of the database was lost: at most what was under way.
    let unanswered = seen.0.len() - ledger.count();
    assert!(unanswered <= PUBLISHERS * troubles.len(), "{unanswered}");
    assert_eq!(totals["accepted"], seen.0.len(), "{totals:#}");
    assert_eq!(totals["success"], seen.0.len(), "{totals:#}");
    let again = seen.again().count();
    assert_eq!(again, 0, "a settlement that waits for the database is no reason to send again");
}

async fn accepts(ledger: &Ledger) {
    let enough = ledger.count() + 100;
    eventually("it accepts", || async { (ledger.count() >= enough).then_some(()) }).await;
}

/// Until publishers are told to come back, each properly.
async fn refuses(ledger: &Ledger, trouble: Trouble) {
    let refusals = eventually("it refuses", || async {
        let refusals = ledger.take_refusals();
        (!refusals.is_empty()).then_some(refusals)
    })
    .await;
    for refusal in &refusals {
        let problem = refusal.problem(503);
        let known = ["storage_unavailable", "overloaded"];
        assert!(
            known.contains(&problem["code"].as_str().expect("a text")),
            "{trouble:?} {problem}"
        );
        let seconds: u32 = refusal.header("retry-after").parse().expect("a number of seconds");
        assert!((1..=60).contains(&seconds));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_one_process() {
    if leaves_out("a story with a database of its own") {
        return;
    }
    let database = PostgresServer::quick();
    let url = database.database();
    let dir = tempdir().unwrap();
    let variables = [("DATABASE_URL", url.as_str()), ("TIDINGS_SECRET_KEY", SECRET_KEY)];
    let first = Binary::start_with(dir.path(), &variables).await;
    let (status, told) = Binary::refused_with(dir.path(), &variables).await;
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("another tidings process uses"), "{told}");
    // The first has not noticed; killed, it leaves no lock behind.
    assert_eq!(first.get("/readyz").await.status, 200);
    let figures = first.get("/metrics").await.body;
    let figures = String::from_utf8_lossy(&figures);
    assert!(figures.contains("tidings_database_connections_max 9"), "{figures}");
    first.kill();
    Binary::start_with(dir.path(), &variables).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_named_at_the_start() {
    if leaves_out("a story with a database of its own") {
        return;
    }
    let dir = tempdir().unwrap();
    let url = "postgres://tidings:hunter2@127.0.0.1:1/nowhere";
    let variables = [("DATABASE_URL", url), ("TIDINGS_SECRET_KEY", SECRET_KEY)];
    let (status, told) = Binary::refused_with(dir.path(), &variables).await;
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("Could not connect to PostgreSQL at 127.0.0.1:1/nowhere"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    // Without a key nothing is tried.
    let (_, told) = Binary::refused_with(dir.path(), &variables[..1]).await;
    assert!(told.contains("Missing required settings: TIDINGS_SECRET_KEY"), "{told}");
}
