//! The command line: one command, one file.
//!
//! [`serve`] and [`demo`] run a server; everything else is a client of the HTTP API ([`client`]) or
//! needs no server at all. Standard output holds results only; what goes wrong is told on standard
//! error. Exit codes: 0 done, 1 failed, 2 not understood.

mod client;
mod completion;
mod config;
mod dead_letters;
mod deliveries;
mod demo;
mod ended;
mod follow;
mod input;
mod keys;
mod listen;
mod migrate;
mod moving;
mod output;
mod profiles;
mod publish;
mod ready;
mod receiver;
mod replay;
mod serve;
mod sign;
mod signature;
mod tail;
mod tenants;
mod verify;
mod webhooks;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Delivers webhooks: signed, durable, and never lost.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
New here?
  tidings demo                             see deliveries, failures and retries within ten seconds

On this machine, each in a terminal of its own:
  tidings serve --egress-allow 127.0.0.0/8
  tidings listen --register
  tidings publish job.completed '{\"job_id\":\"job_1\"}'

`tidings COMMAND --help` shows examples for each command.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Listen(listen::Listen),
    Publish(publish::Publish),
    Webhooks(webhooks::Webhooks),
    Deliveries(deliveries::Deliveries),
    DeadLetters(dead_letters::DeadLetters),
    Replay(replay::Replay),
    Tail(tail::Tail),
    Profiles(profiles::Profiles),
    Keys(keys::Keys),
    Tenants(tenants::Tenants),
    Sign(sign::Sign),
    Verify(verify::Verify),
    Ready(ready::Ready),
    Config(config::Config),
    Migrate(migrate::Migrate),
    Completion(completion::Completion),
}

impl Command {
    fn run(&self) -> Result<()> {
        match self {
            Self::Serve(command) => command.run(),
            Self::Demo(command) => command.run(),
            Self::Listen(command) => command.run(),
            Self::Publish(command) => command.run(),
            Self::Webhooks(command) => command.run(),
            Self::Deliveries(command) => command.run(),
            Self::DeadLetters(command) => command.run(),
            Self::Replay(command) => command.run(),
            Self::Tail(command) => command.run(),
            Self::Profiles(command) => command.run(),
            Self::Keys(command) => command.run(),
            Self::Tenants(command) => command.run(),
            Self::Sign(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Ready(command) => command.run(),
            Self::Config(command) => command.run(),
            Self::Migrate(command) => command.run(),
            Self::Completion(command) => command.run(),
        }
    }
}

/// The command line was understood and makes no sense: like clap's own errors it exits with 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

const USAGE: u8 = 2;

/// Runs the command; what went wrong is told on standard error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<output::ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidings: {error:#}");
            if error.is::<Usage>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
