//! `tidings replay`: what a webhook did not get, again.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Map, json};

use super::client::{Api, Call, Remote, block_on, path};
use super::output::{Column, Format, Output, plain};
use super::{Usage, input};

/// Send a webhook again what it missed or did not take
///
/// The server does it, at its own pace; Ctrl-C while following stops nothing but the following.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    /// The webhook: wh_…
    #[arg(value_name = "WEBHOOK")]
    webhook: String,
    /// Events accepted at or after: RFC 3339, Unix milliseconds, or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = input::moment_arg)]
    since: Option<i64>,
    /// Events accepted before
    #[arg(long, value_name = "TIME", value_parser = input::moment_arg)]
    until: Option<i64>,
    /// missed, failed, cancelled, expired, success; several with commas. All but success unless given
    #[arg(long, value_delimiter = ',')]
    status: Vec<String>,
    /// Only these types, such as job.*; several with commas
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    event_type: Vec<String>,
    /// Deliveries a second, at most
    #[arg(long)]
    rate: Option<u32>,
    /// Only say how many
    #[arg(long)]
    dry_run: bool,
    /// Watch until it has ended
    #[arg(long, conflicts_with = "dry_run")]
    follow: bool,
    /// The replays that there are
    #[arg(long, conflicts_with_all = ["since", "until", "status", "event_type", "rate", "dry_run", "follow"])]
    list: bool,
    /// Stop this one
    #[arg(long, value_name = "ID", conflicts_with_all = ["list", "since", "until", "status", "event_type", "rate", "dry_run", "follow"])]
    cancel: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

const EXAMPLES: &str = "\
Examples:
  tidings replay wh_… --since 2h --dry-run
  tidings replay wh_… --since 2h --follow
  tidings replay wh_… --since 1d --until 20h --status failed --rate 20
  tidings replay wh_… --list
  tidings replay wh_… --cancel rpl_…";

const COLUMNS: [Column; 6] = [
    Column("id", "id"),
    Column("status", "status"),
    Column("progress %", "progress_percent"),
    Column("deliveries", "deliveries"),
    Column("events", "events"),
    Column("created", "created_at"),
];

/// How often a replay that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// A replay, as far as it is followed.
#[derive(Debug, Deserialize)]
struct Begun {
    id: String,
    status: String,
    error: Option<String>,
    progress_percent: u64,
    deliveries: u64,
    events: u64,
}

impl Replay {
    pub(super) fn run(&self) -> Result<()> {
        let (api, output) = (self.remote.api()?, self.remote.output());
        block_on(self.call(&api, output))
    }

    async fn call(&self, api: &Api, output: Output) -> Result<()> {
        let webhook = self.webhook.as_str();
        if self.list {
            let call = Call::get(path(["webhooks", webhook, "replays"]));
            return output.list(&api.list(&call, u32::MAX).await?, &COLUMNS);
        }
        if let Some(id) = &self.cancel {
            let call = Call::post(path(["webhooks", webhook, "replays", id, "cancel"]));
            return output.one(&api.call(call).await?.data()?);
        }
        let begin = Call::post(path(["webhooks", webhook, "replay"])).json(&self.body()?)?;
        let answer = api.call(begin).await?;
        if !self.follow {
            return output.one(&answer.data()?);
        }
        let begun: Begun = answer.parse()?;
        eprintln!("{} runs; stop it with: tidings replay {webhook} --cancel {0}", begun.id);
        self.watch(api, output, begun).await
    }

    fn body(&self) -> Result<Map<String, serde_json::Value>> {
        let Some(since) = self.since else {
            return Err(Usage("replay needs --since, such as --since 2h".to_owned()).into());
        };
        let several = |list: &[String]| (!list.is_empty()).then(|| json!(list));
        let given = [
            ("since", Some(since.into())),
            ("until", self.until.map(Into::into)),
            ("statuses", several(&self.status)),
            ("event_types", several(&self.event_type)),
            ("rate", self.rate.map(Into::into)),
            ("dry_run", self.dry_run.then_some(true.into())),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(given.collect())
    }

    /// Shows how far it has come until it has ended; its end is the command's.
    async fn watch(&self, api: &Api, output: Output, mut replay: Begun) -> Result<()> {
        let bar = bar();
        let place = || path(["webhooks", &self.webhook, "replays", &replay.id]);
        let place = place();
        let last = loop {
            bar.set_position(replay.progress_percent);
            bar.set_message(format!("{} of {} events", replay.deliveries, replay.events));
            let answer = api.call(Call::get(place.clone())).await?;
            replay = answer.parse()?;
            if replay.status != "running" {
                break answer;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        bar.finish_and_clear();
        if output.format == Format::Json || output.quiet {
            output.one(&last.data()?)?;
        }
        match replay.status.as_str() {
            "completed" => output.done(&format!("{} deliveries queued", replay.deliveries)),
            status => {
                let error = replay.error.unwrap_or_else(|| status.to_owned());
                bail!("{}: {}", replay.id, plain(&error))
            }
        }
    }
}

/// On standard error, and only where somebody sees it.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{spinner} {elapsed_precise} [{bar:32}] {pos} % {msg}";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    ProgressBar::new(100).with_style(style)
}
