//! `tidings profiles`: what receivers may expect, listed, shown, tried and checked. Needs no server.

mod attempt;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::value::to_raw_value;
use tidings_core::retry::RetryPolicy;
use tidings_wire::profile::Profile;

use super::Usage;
use super::output::{Column, Format, Output, line};
use crate::api::profiles::{ProfileView, RetryPreview};
use crate::config::{self, Sources};
use crate::profiles::{Known, Profiles as AllProfiles, read_file};

/// List, show, try and check profiles: what receivers expect on the wire
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Profiles {
    #[command(subcommand)]
    verb: Verb,
    /// Directory of profiles of your own
    #[arg(long, global = true, value_name = "DIR")]
    profiles: Option<String>,
    /// The TOML file of settings that names it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  tidings profiles list
  tidings profiles show emp > profiles/acme.toml
  tidings profiles check profiles/acme.toml
  tidings profiles try emp --event event.json --secret s3cret
  tidings profiles try acme --profiles profiles --event event.json --attempt 2";

#[derive(Debug, Subcommand)]
enum Verb {
    /// All profiles
    List {
        /// How to print; a table on a terminal, JSON otherwise
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// The file of a profile, and when its attempts are made
    Show {
        /// Its name
        name: String,
    },
    /// Print the request that would go out
    Try(attempt::Try),
    /// Say all that is wrong with files of your own
    Check {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

const COLUMNS: [Column; 7] = [
    Column("name", "name"),
    Column("body", "body"),
    Column("signature", "signature_header"),
    Column("events", "events"),
    Column("attempts", "/retry_config/max_attempts"),
    Column("timeout ms", "timeout_ms"),
    Column("own", "own"),
];

impl Profiles {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verb {
            Verb::List { output } => self.list(Output::new(*output, false)),
            Verb::Show { name } => show(known(&self.read()?, name)?),
            Verb::Try(attempt) => attempt.run(&self.read()?),
            Verb::Check { files } => check(files),
        }
    }

    fn list(&self, output: Output) -> Result<()> {
        let profiles = self.read()?;
        let views = profiles.all().into_iter().map(|known| to_raw_value(&ProfileView::from(known)));
        output.list(&views.collect::<Result<Vec<_>, _>>()?, &COLUMNS)
    }

    /// The profiles that `serve` would know with the same settings.
    fn read(&self) -> Result<AllProfiles> {
        let flags = self.profiles.iter().map(|dir| ("profiles", dir.clone())).collect();
        let values = config::read(&Sources { file: self.config.clone(), flags })?;
        match values.get("profiles").filter(|dir| !dir.is_empty()) {
            Some(dir) => {
                AllProfiles::with_dir(dir.as_ref()).map_err(|e| anyhow::anyhow!(e.join("\n")))
            }
            None => Ok(AllProfiles::default()),
        }
    }
}

fn known<'p>(profiles: &'p AllProfiles, name: &str) -> Result<&'p Known> {
    profiles.known(name).ok_or_else(|| Usage(format!("`{name}` {}", profiles.unknown(name))).into())
}

/// The file, with the attempts in a comment behind it: what is printed is a profile file again.
fn show(known: &Known) -> Result<()> {
    let policy = RetryPolicy::from(&known.profile.retry);
    let preview = RetryPreview::of(&policy, &known.profile);
    line(known.text.trim_end())?;
    line("\n# If every attempt fails, they are made so long after the first (ms):")?;
    let shown =
        |moments: &[i64]| moments.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match &preview.retry_preview_latest_ms {
        None => line(format!("# {}", shown(&preview.retry_preview_ms))),
        Some(latest) => {
            line(format!("#   at the earliest {}", shown(&preview.retry_preview_ms)))?;
            line(format!("#   at the latest   {}", shown(latest)))
        }
    }
}

fn check(files: &[PathBuf]) -> Result<()> {
    let mut wrong = Vec::new();
    for path in files {
        match read_file(path) {
            Ok((profile, _)) if Profile::builtin(&profile.name).is_some() => {
                let name = &profile.name;
                wrong.push(format!(
                    "{}: `{name}` comes with Tidings: choose another name",
                    path.display()
                ));
            }
            Ok((profile, _)) => line(format!("{}: {} is sound", path.display(), profile.name))?,
            Err(errors) => wrong.extend(errors),
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// The text of a file, or of standard input for `-`.
fn read(path: &str) -> Result<Vec<u8>> {
    match path {
        "-" => super::input::stdin(),
        path => std::fs::read(path).with_context(|| format!("cannot read {path}")),
    }
}
