//! Which store a server of the tests uses: the embedded one, or PostgreSQL when
//! `TIDINGS_TEST_STORE=postgres` says so. Each directory then has a database of its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use super::postgres::PostgresServer;

/// One for all tests of this binary.
static SERVER: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::quick);
static DATABASES: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Mutex::default);

/// Any will do, as long as it stays the same.
pub const SECRET_KEY: &str = "0011223344556677889900112233445566778899001122334455667788990011";

pub fn is_postgres() -> bool {
    match std::env::var("TIDINGS_TEST_STORE") {
        Ok(store) if store == "postgres" => true,
        Ok(store) if store == "sqlite" => false,
        Ok(store) => panic!("TIDINGS_TEST_STORE is {store}: it must be sqlite or postgres"),
        Err(_) => false,
    }
}

/// Whether this pass leaves out what belongs to the embedded file alone: its lock, its disk, its form.
/// It has had its turn in the pass that runs on that file.
pub fn leaves_out(what: &str) -> bool {
    use std::io::Write as _;
    if is_postgres() {
        let line = format!("LEFT OUT on PostgreSQL: {what}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    is_postgres()
}

/// Every file in which the store of a data directory keeps what it has committed.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let kept_in = match database_url(dir) {
        Some(url) => SERVER.files_of(&url),
        None => dir.to_owned(),
    };
    let entries = std::fs::read_dir(kept_in).expect("a directory that we may read");
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect()
}

/// The database that goes with a data directory, when there is to be one.
pub fn database_url(dir: &Path) -> Option<String> {
    is_postgres().then(|| {
        let mut databases = DATABASES.lock().expect("nobody panics here");
        databases.entry(dir.to_owned()).or_insert_with(|| SERVER.database()).clone()
    })
}
