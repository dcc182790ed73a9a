//! `tidings deliveries`: search, look, and step in.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::client::{Api, Call, Remote, block_on, path};
use super::ended::Ended;
use super::input;
use super::output::{Column, Output};

/// Search deliveries, look at their attempts, send again or cancel
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Deliveries {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    remote: Remote,
}

const EXAMPLES: &str = "\
Examples:
  tidings deliveries list --status failed --since 1h
  tidings deliveries list --webhook wh_… -o json
  tidings deliveries tail --status failed,expired
  tidings deliveries attempts dlv_…
  tidings deliveries retry dlv_…";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Newest first
    List(Search),
    /// Print them as they end, until Ctrl-C
    ///
    /// A delivery that is sent again by hand long after it ended is not told again.
    Tail(Ended),
    /// One delivery
    Get { id: String },
    /// Its attempts, as sent and as answered
    Attempts { id: String },
    /// One more attempt now
    Retry { id: String },
    /// Give it up
    Cancel { id: String },
}

/// Which deliveries.
#[derive(Debug, Args)]
struct Search {
    /// Of this webhook
    #[arg(long, value_name = "ID")]
    webhook: Option<String>,
    /// Of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// pending, retrying, success, failed, cancelled, expired; several with commas
    #[arg(long)]
    status: Option<String>,
    /// Created at or after: RFC 3339, Unix milliseconds, or 15m (ago)
    #[arg(long, value_name = "TIME", value_parser = input::moment_arg)]
    since: Option<i64>,
    /// Created before
    #[arg(long, value_name = "TIME", value_parser = input::moment_arg)]
    until: Option<i64>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

pub(super) const COLUMNS: [Column; 7] = [
    Column("id", "id"),
    Column("event", "event_type"),
    Column("webhook", "webhook_id"),
    Column("status", "status"),
    Column("attempts", "attempt_count"),
    Column("last attempt", "last_attempt_at"),
    Column("error", "error_message"),
];

const ATTEMPTS: [Column; 6] = [
    Column("attempt", "attempt_number"),
    Column("at", "attempted_at"),
    Column("ms", "duration_ms"),
    Column("status", "response_status"),
    Column("error", "error"),
    Column("retry at", "retry_at"),
];

impl Deliveries {
    pub(super) fn run(&self) -> Result<()> {
        let (api, output) = (self.remote.api()?, self.remote.output());
        block_on(self.verb.run(&api, output))
    }
}

impl Verb {
    async fn run(&self, api: &Api, output: Output) -> Result<()> {
        let call = match self {
            Self::List(search) => {
                let items = api.list(&search.call(), search.limit).await?;
                return output.list(&items, &COLUMNS);
            }
            Self::Tail(ended) => return ended.follow(api, output).await,
            Self::Attempts { id } => {
                let call = Call::get(path(["deliveries", id, "attempts"]));
                return output.list(&api.call(call).await?.page()?.data, &ATTEMPTS);
            }
            Self::Get { id } => Call::get(path(["deliveries", id])),
            Self::Retry { id } => Call::post(path(["deliveries", id, "retry"])),
            Self::Cancel { id } => Call::post(path(["deliveries", id, "cancel"])),
        };
        output.one(&api.call(call).await?.data()?)
    }
}

impl Search {
    fn call(&self) -> Call {
        Call::get(path(["deliveries"]))
            .query("webhook_id", self.webhook.as_deref())
            .query("event_id", self.event.as_deref())
            .query("status", self.status.as_deref())
            .query("since", self.since)
            .query("until", self.until)
    }
}
