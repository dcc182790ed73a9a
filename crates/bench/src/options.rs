//! What a measurement can be told.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Everything in a few minutes: shorter rounds, smaller heaps. For a look, not for a claim.
    #[arg(long)]
    pub quick: bool,
    /// Length of a round [default: 10, with --quick 3].
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Connections that publish.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub connections: usize,
    /// Size of one event as it is published.
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    pub body_bytes: usize,
    /// Events per second where latency is measured.
    #[arg(long, value_name = "PER_S", default_value_t = 200.0)]
    pub rate: f64,
    /// Finished deliveries before `history` measures [default: 1000000, with --quick 50000].
    #[arg(long, value_name = "N")]
    history: Option<u64>,
    /// Pending deliveries in `memory` [default: 1000000, with --quick 50000].
    #[arg(long, value_name = "N")]
    pending: Option<u64>,
    /// Deliveries queued on the hung webhook in `isolation`.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub queued: u64,
    /// The server to measure [default: `tidings` beside this program].
    #[arg(long, value_name = "PATH")]
    tidings: Option<PathBuf>,
    /// Where data is kept while measuring; a real disk [default: beside this program].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Measure the relay alone: the limit of this machine.
    #[arg(long)]
    pub relay_only: bool,
    /// Further fields for every webhook, as in '{"max_concurrency":256}'.
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub webhook_fields: Option<JsonObject>,
    /// Nodes on one database, which `--server-env DATABASE_URL=…` names; where throughput is measured.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub nodes: u64,
    /// Publish through all nodes in turn, as behind a load balancer; otherwise through the first.
    #[arg(long)]
    pub spread: bool,
    /// Workers beside the server, through a `redis-server` that is started for them; where throughput is
    /// measured.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub workers: usize,
    /// Further settings for the server, as in TIDINGS_LOG=warn; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub server_env: Vec<(String, String)>,
}

/// A name of its own, since `Vec` and `Map` mean something else to the argument parser.
pub type JsonObject = Box<Map<String, Value>>;

fn json_object(text: &str) -> Result<JsonObject> {
    Ok(serde_json::from_str(text)?)
}

fn name_and_value(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("it must look like NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Options {
    fn full_or_quick<T>(&self, given: Option<T>, full: T, quick: T) -> T {
        given.unwrap_or(if self.quick { quick } else { full })
    }

    pub fn seconds(&self) -> f64 {
        self.full_or_quick(self.seconds, 10.0, 3.0)
    }

    pub fn history(&self) -> u64 {
        self.full_or_quick(self.history, 1_000_000, 50_000)
    }

    pub fn pending(&self) -> u64 {
        self.full_or_quick(self.pending, 1_000_000, 50_000)
    }

    pub fn tidings(&self) -> Result<PathBuf> {
        let path = match &self.tidings {
            Some(path) => path.clone(),
            None => beside_this_program("tidings")?,
        };
        let hint = "build it (cargo build --release), name it with --tidings, or use --relay-only";
        path.canonicalize().with_context(|| format!("no server at {}: {hint}", path.display()))
    }

    pub fn dir(&self) -> Result<PathBuf> {
        self.dir.clone().map_or_else(|| beside_this_program("bench-data"), Ok)
    }
}

fn beside_this_program(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
