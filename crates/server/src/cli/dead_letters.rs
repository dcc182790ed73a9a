//! `tidings dead-letters`: what was given up, and again.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::client::{Api, Call, Remote, block_on, path};
use super::output::Output;
use super::{Usage, deliveries, input};

/// See what was given up, and send it again
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DeadLetters {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    remote: Remote,
}

const EXAMPLES: &str = "\
Examples:
  tidings dead-letters list --webhook wh_…
  tidings dead-letters redrive --webhook wh_… --since 24h --dry-run
  tidings dead-letters redrive dlv_… dlv_…
  tidings dead-letters redrive --all";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Newest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Send again what the filter finds
    Redrive {
        /// These only
        #[arg(conflicts_with_all = ["webhook", "event", "since", "until", "all"])]
        ids: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// Everything: without it ids or a filter are needed
        #[arg(long)]
        all: bool,
        /// Only say how many
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
struct Filter {
    /// Of this webhook
    #[arg(long, value_name = "ID")]
    webhook: Option<String>,
    /// Of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Created at or after: RFC 3339, Unix milliseconds, or 15m (ago)
    #[arg(long, value_name = "TIME", value_parser = input::moment_arg)]
    since: Option<i64>,
    /// Created before
    #[arg(long, value_name = "TIME", value_parser = input::moment_arg)]
    until: Option<i64>,
}

impl DeadLetters {
    pub(super) fn run(&self) -> Result<()> {
        let (api, output) = (self.remote.api()?, self.remote.output());
        block_on(self.verb.run(&api, output))
    }
}

impl Verb {
    async fn run(&self, api: &Api, output: Output) -> Result<()> {
        match self {
            Self::List { filter, limit } => {
                let call = Call::get(path(["dead-letters"]))
                    .query("webhook_id", filter.webhook.as_deref())
                    .query("event_id", filter.event.as_deref())
                    .query("since", filter.since)
                    .query("until", filter.until);
                output.list(&api.list(&call, *limit).await?, &deliveries::COLUMNS)
            }
            Self::Redrive { ids, filter, all, dry_run } => {
                let mut body = filter.body();
                if !ids.is_empty() {
                    body.insert("delivery_ids".to_owned(), json!(ids));
                }
                if body.is_empty() && !all {
                    let wrong = "redrive needs ids, --webhook, --event, --since, --until, or --all";
                    return Err(Usage(wrong.to_owned()).into());
                }
                body.insert("dry_run".to_owned(), (*dry_run).into());
                let call = Call::post(path(["dead-letters", "redrive"])).json(&body)?;
                output.one(&api.call(call).await?.data()?)
            }
        }
    }
}

impl Filter {
    fn body(&self) -> Map<String, serde_json::Value> {
        let given = [
            ("webhook_id", self.webhook.clone().map(Into::into)),
            ("event_id", self.event.clone().map(Into::into)),
            ("since", self.since.map(Into::into)),
            ("until", self.until.map(Into::into)),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}
