//! The command line: one command, one file.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Delivers webhooks: signed, durable, and never lost.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
}

/// Runs the command; what went wrong is told on standard error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(serve) => serve.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidings: {error:#}");
            ExitCode::FAILURE
        }
    }
}
