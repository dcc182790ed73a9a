//! `tidings-bench`: how fast a webhook server delivers, beside the limit of the machine.
//!
//! Everything goes through HTTP, so that any webhook server can be driven, and every role (load,
//! server, receiver) is a process of its own.

mod api;
mod bench;
mod clock;
mod fsync;
mod histogram;
mod marker;
mod net;
mod options;
mod process;
mod progress;
mod report;
mod roles;
mod scenarios;
mod tidings;
mod workers;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use options::Options;
use progress::Progress;
use report::Report;
use scenarios::Scenario;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures how fast a webhook server delivers, beside the limit of this machine.
///
/// The limit is a relay that stores nothing: it accepts a POST, answers 202 and POSTs the body on.
/// It runs in turn with tidings, under the same load and into the same receiver, so the ratio of
/// the two says what durability, signing and retries cost, on any machine.
#[derive(Debug, Parser)]
#[command(name = "tidings-bench", version, after_long_help = LONG_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const LONG_HELP: &str = "\
Examples:
  tidings-bench run --quick                 every scenario, a few minutes
  tidings-bench one single                  one scenario in full
  tidings-bench one single --relay-only     only the limit of this machine
  tidings-bench run | tail -n 1             the figures as JSON, units in their names

Reading the table:
  delivered_per_s      from the first publish to the last receipt, so a backlog counts
  spread_percent       how far apart the rounds were; a smaller difference means nothing
  ratio, to plain      tidings beside the relay, and beside one made of axum and a pooled client
  cpu_us_per_delivery  of the server alone, with the work that it put off until it was idle
  answer_p99_us        until the publish was answered; for tidings that is after its fsync
  missing              accepted and not received: the run fails, with exit status 1

Any other webhook server can be driven with the roles themselves:
  tidings-bench receiver --listen 127.0.0.1:9000
  tidings-bench load --url http://127.0.0.1:4000/api/events --seconds 10
  curl http://127.0.0.1:9000/bench/account
Each has its own --help. For figures worth quoting, build with --release, close what else runs,
and keep --dir on the disk that would hold the data.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure every scenario, one after the other.
    Run {
        #[command(flatten)]
        options: Options,
    },
    /// Measure one scenario.
    One {
        scenario: Scenario,
        #[command(flatten)]
        options: Options,
    },
    /// Measure write + fdatasync of 4 KiB.
    Fsync(fsync::FsyncArgs),
    /// POST on whatever is POSTed, storing nothing.
    #[command(hide = true)]
    Relay(roles::relay::RelayArgs),
    /// The same, made of what is at hand: axum and a pooled client.
    #[command(hide = true)]
    PlainRelay(roles::relay::RelayArgs),
    /// Count what is POSTed to /hook/<n>; leave /hang/<n> without an answer.
    #[command(hide = true)]
    Receiver(roles::receiver::ReceiverArgs),
    /// Publish events.
    #[command(hide = true)]
    Load(roles::load::LoadArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run { options } => measure(Scenario::value_variants(), &options),
        Command::One { scenario, options } => measure(&[scenario], &options),
        Command::Fsync(args) => fsync::run(&args),
        Command::Relay(args) => roles::relay::run(&args),
        Command::PlainRelay(args) => roles::plain_relay::run(&args),
        Command::Receiver(args) => roles::receiver::run(&args),
        Command::Load(args) => roles::load::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; fails when any event was lost.
fn measure(scenarios: &[Scenario], options: &Options) -> Result<()> {
    if !options.relay_only {
        options.tidings()?;
    }
    let report = net::block_on(async {
        tokio::select! {
            report = measured(scenarios, options) => Ok(report),
            // What was started ends with what is dropped here.
            interrupted = interrupted() => interrupted,
        }
    })?;
    print!("{}", report.table());
    println!("{}", report.json(machine(options)));
    if report.failures.is_empty() {
        return Ok(());
    }
    bail!("{}", report.failures.join("\nerror: "))
}

async fn measured(scenarios: &[Scenario], options: &Options) -> Report {
    let mut report = Report::default();
    let mut progress = Progress::new(scenarios.iter().map(|scenario| scenario.steps()).sum());
    for scenario in scenarios {
        scenarios::run(*scenario, options, &mut progress, &mut report).await;
    }
    report
}

async fn interrupted<T>() -> Result<T> {
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

/// What a figure is worthless without.
fn machine(options: &Options) -> serde_json::Value {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "processors": net::processors(),
        "kernel": kernel.trim(),
        "optimised": !cfg!(debug_assertions),
        "connections": options.connections,
        "body_bytes": options.body_bytes,
        "round_seconds": options.seconds(),
        "quick": options.quick,
        "nodes": options.nodes,
        "spread": options.spread,
        "workers": options.workers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
