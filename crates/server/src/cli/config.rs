//! `tidings config`: the settings that `serve` would run with.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::output::line;
use crate::config::{self, Settings, Sources};

/// Print the settings that `serve` would run with, or the documented defaults
///
/// Settings come from flags, then TIDINGS_* variables, then a TOML file, then defaults. What is
/// printed is such a file; secrets are not shown.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Config {
    /// Print every setting with its meaning and default instead
    #[arg(long, conflicts_with = "config")]
    default: bool,
    /// The TOML file to read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  tidings config --default > tidings.toml
  TIDINGS_LISTEN=0.0.0.0:4000 tidings config --config tidings.toml";

impl Config {
    pub(super) fn run(&self) -> Result<()> {
        if self.default {
            return line(config::documented_file().trim_end());
        }
        let values = config::read(&Sources { file: self.config.clone(), flags: Vec::new() })?;
        line(config::effective_file(&values).trim_end())?;
        // What cannot be understood is an error here as it would be at the start.
        Settings::parse(&values)?;
        Ok(())
    }
}
