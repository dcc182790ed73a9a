//! `tidings ready`: whether the server takes requests, for health checks where there is no other client.

use anyhow::Result;
use clap::Args;

use super::client::{Server, block_on};
use super::output::line;

/// Ask whether the server takes requests: exit code 0 if it does, else 1
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Ready {
    #[command(flatten)]
    server: Server,
}

const EXAMPLES: &str = "\
It needs no key. It asks what load balancers and probes ask: GET /readyz.

Examples:
  tidings ready
  tidings ready --url https://tidings.example.com";

impl Ready {
    pub(super) fn run(&self) -> Result<()> {
        block_on(self.server.api()?.ready())?;
        line("ready")
    }
}
