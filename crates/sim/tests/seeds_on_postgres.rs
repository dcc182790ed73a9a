//! Some seeds on PostgreSQL. In a process of their own: programs that are started beside a simulation hold
//! its files, and with them the lock of its store, for a moment.

#[path = "../../store/tests/support/postgres.rs"]
mod server;

use server::PostgresServer;
use tidings_sim::{Place, Summary, run};

/// Some of each kind; a commit takes twenty times as long as in the embedded store.
const SEEDS: std::ops::Range<u64> = 0..8;

fn live(seed: u64, place: Place) -> Summary {
    run(seed, place).unwrap_or_else(|violation| panic!("{violation}"))
}

/// The model holds there as well, and the same story is told to its last attempt.
#[test]
fn a_seed_is_lived_through_alike() {
    let server = PostgresServer::quick();
    for seed in SEEDS {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let here = live(seed, Place::Directory(dir.path().to_owned()));
        assert_eq!(live(seed, Place::Database(server.database())), here, "seed {seed}");
    }
}
