//! `tidings migrate`: the tables, brought up to date before a server starts.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tidings_store::Store;

use super::output::line;
use crate::clock::Clock;
use crate::config::{self, Settings, Sources};

/// Bring the tables of the store up to date
///
/// The server does the same at its start. Alone it is for who wants to see it done first, or lets
/// another role of the database do it. A store that a newer tidings has written is refused.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Migrate {
    /// A TOML file of settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://tidings@db/tidings TIDINGS_SECRET_KEY=… tidings migrate
  TIDINGS_DATA_DIR=/var/lib/tidings tidings migrate";

impl Migrate {
    pub(super) fn run(&self) -> Result<()> {
        let values = config::read(&Sources { file: self.config.clone(), flags: Vec::new() })?;
        let settings = Settings::parse(&values)?;
        match &settings.database_url {
            Some(url) => drop(Store::migrate_postgres(url)?),
            None => {
                let now = Clock::system().as_fn();
                drop(Store::open_sqlite(&settings.data_dir, now, Box::new(drop))?);
            }
        }
        line("the tables are up to date")
    }
}
