//! `tidings publish`: one event.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::client::{Call, Remote, block_on, path};
use super::input;

/// Publish an event
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Publish {
    /// What happened, such as job.completed
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// Any JSON; - reads standard input, @FILE a file. It is delivered byte for byte
    #[arg(default_value = "{}", hide_default_value = true)]
    data: String,
    /// Your own id: publishing it again changes nothing
    #[arg(long)]
    id: Option<String>,
    /// Makes the request safe to repeat
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Not before this moment: RFC 3339, Unix milliseconds, or +10m
    #[arg(long, value_name = "TIME", value_parser = input::moment_arg)]
    deliver_at: Option<i64>,
    /// Give up what has not been delivered by then
    #[arg(long, value_name = "TIME", value_parser = input::moment_arg)]
    expires_at: Option<i64>,
    /// Events with one key reach an ordered webhook in their order
    #[arg(long, value_name = "KEY")]
    ordering_key: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

const EXAMPLES: &str = "\
Examples:
  tidings publish job.completed '{\"job_id\":\"job_1\"}'
  tidings publish job.failed @failure.json --id failure-17
  generate-report | tidings publish report.ready -
  tidings publish reminder.due --deliver-at +10m";

#[derive(Serialize)]
struct NewEvent<'a> {
    r#type: &'a str,
    data: &'a RawValue,
    #[serde(flatten)]
    further: serde_json::Map<String, serde_json::Value>,
}

impl Publish {
    pub(super) fn run(&self) -> Result<()> {
        let data = input::json("DATA", &self.data)?;
        let event = NewEvent { r#type: &self.event_type, data: &data, further: self.further() };
        let call = Call::post(path(["events"]))
            .header("idempotency-key", self.idempotency_key.as_deref())
            .json(&event)?;
        let api = self.remote.api()?;
        let answer = block_on(api.call(call))?;
        self.remote.output().one(&answer.data()?)
    }

    fn further(&self) -> serde_json::Map<String, serde_json::Value> {
        let given = [
            ("id", self.id.clone().map(Into::into)),
            ("deliver_at", self.deliver_at.map(Into::into)),
            ("expires_at", self.expires_at.map(Into::into)),
            ("ordering_key", self.ordering_key.clone().map(Into::into)),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}
