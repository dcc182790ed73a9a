//! `tidings completion`: completion for shells.

use anyhow::Result;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completion {
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  tidings completion bash > ~/.local/share/bash-completion/completions/tidings
  tidings completion zsh > \"${fpath[1]}/_tidings\"
  tidings completion fish > ~/.config/fish/completions/tidings.fish";

impl Completion {
    pub(super) fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        let mut command = super::Cli::command();
        clap_complete::generate(self.shell, &mut command, "tidings", &mut script);
        super::output::line(String::from_utf8(script)?.trim_end())
    }
}
