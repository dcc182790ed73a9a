//! `tidings migrate`: the tables, brought up to date before a server starts; and a store, or a tenant of
//! it, moved to another store.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tidings_store::Store;
use tidings_store::transfer::{self, Place};

use super::output::line;
use super::{Usage, moving};
use crate::clock::Clock;
use crate::config::{self, Settings, Sources, Values};

/// Bring the tables of the store up to date, or move a store to another
///
/// The server brings its tables up to date at its start. Alone it is for who wants to see it done first, or
/// lets another role of the database do it. A store that a newer tidings has written is refused.
///
/// With --from, everything (or one tenant) is taken over from another store: ids, history, and what is
/// owed. No server may use either of the two. Neither can be used until the move is complete; killed or
/// interrupted, the same command goes on. At the end both are compared row by row. A store that was moved
/// as a whole stays as it was, and closed: --abandon opens it again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Migrate {
    /// A TOML file of settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Move from this store: sqlite:DIRECTORY or postgres://…
    #[arg(long, value_name = "STORE")]
    from: Option<Place>,
    /// Move to this store; without it, to the one of the settings
    #[arg(long, value_name = "STORE", requires = "from")]
    to: Option<Place>,
    /// Move this tenant only, by its name or its id
    #[arg(long, value_name = "NAME", requires = "from")]
    tenant: Option<String>,
    /// Give up the move from --from: that store can be used again
    #[arg(long, requires = "from", conflicts_with_all = ["to", "tenant"])]
    abandon: bool,
}

const EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://tidings@db/tidings TIDINGS_SECRET_KEY=… tidings migrate
  TIDINGS_DATA_DIR=/var/lib/tidings tidings migrate
  tidings migrate --from sqlite:/var/lib/tidings --to postgres://tidings@db/tidings
  tidings migrate --from sqlite:/var/lib/tidings --abandon

Secrets are moved as they are sealed, so the key must be the same: it is TIDINGS_SECRET_KEY, or the one in
the directory of --from.";

impl Migrate {
    pub(super) fn run(&self) -> Result<()> {
        let values = config::read(&Sources { file: self.config.clone(), flags: Vec::new() })?;
        match &self.from {
            None => update(&values),
            Some(from) if self.abandon => {
                let had = transfer::abandon(from)?;
                line(if had { "the store can be used again" } else { "it was not being moved" })
            }
            Some(from) => {
                let to = self.to.clone().map_or_else(|| place(&values), Ok)?;
                moving::run(&values, from, &to, self.tenant.as_deref())
            }
        }
    }
}

fn update(values: &Values) -> Result<()> {
    let settings = Settings::parse(values)?;
    match &settings.database_url {
        Some(url) => drop(Store::migrate_postgres(url)?),
        None => {
            let now = Clock::system().as_fn();
            drop(Store::open_sqlite(&settings.data_dir, now, Box::new(drop))?);
        }
    }
    line("the tables are up to date")
}

/// The store of the settings.
fn place(values: &Values) -> Result<Place> {
    let given = |name| values.get(name).filter(|text| !text.is_empty());
    match given("database_url") {
        Some(url) => Ok(url.parse().map_err(|error| Usage(format!("database_url {error}")))?),
        None => Ok(Place::Sqlite(given("data_dir").map(PathBuf::from).unwrap_or_default())),
    }
}
