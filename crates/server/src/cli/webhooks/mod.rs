//! `tidings webhooks`: register and manage.

mod form;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;

use super::client::{Api, Call, Remote, block_on, path};
use super::output::{Column, Format, Output, plain};
use form::Form;

/// Register and manage webhooks
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Webhooks {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    remote: Remote,
}

const EXAMPLES: &str = "\
Examples:
  tidings webhooks create https://example.com/hook --events 'job.*'
  tidings webhooks list
  tidings webhooks test wh_…
  tidings webhooks update wh_… --max-concurrency 10
  tidings webhooks list --quiet | xargs -n1 tidings webhooks pause";

#[derive(Debug, Subcommand)]
enum Verb {
    /// All webhooks
    List {
        /// At most so many
        #[arg(long, default_value_t = 250)]
        limit: u32,
    },
    /// Register a URL; shows its secret, this once
    Create {
        /// Where to deliver
        #[arg(value_name = "URL")]
        target: String,
        #[command(flatten)]
        form: Form,
    },
    /// One webhook with all its settings
    Get {
        /// The webhook: wh_…
        id: String,
    },
    /// Change what is given, leave the rest
    Update {
        /// The webhook: wh_…
        id: String,
        /// Where to deliver
        #[arg(long, value_name = "URL")]
        target: Option<String>,
        #[command(flatten)]
        form: Form,
    },
    /// Delete it; what is queued for it ends as failed, its history stays
    Delete {
        /// The webhook: wh_…
        id: String,
    },
    /// Send one signed test request now and show what the receiver says
    Test {
        /// The webhook: wh_…
        id: String,
    },
    /// Make a new secret, shown this once; the old one stays valid for an overlap
    RotateSecret {
        /// The webhook: wh_…
        id: String,
        /// How long the old one stays valid, such as 24h; 0s switches at once
        #[arg(long, value_name = "SPAN", value_parser = super::input::span_arg)]
        overlap: Option<i64>,
        /// Your own new secret
        #[arg(long)]
        secret: Option<String>,
    },
    /// Let its deliveries wait
    Pause {
        /// The webhook: wh_…
        id: String,
    },
    /// Deliver again what waited
    Resume {
        /// The webhook: wh_…
        id: String,
    },
    /// Its figures since it was registered
    Stats {
        /// The webhook: wh_…
        id: String,
    },
    /// Success rate, latency and breaker of the last 24 hours
    Health {
        /// The webhook: wh_…
        id: String,
    },
}

const COLUMNS: [Column; 6] = [
    Column("id", "id"),
    Column("url", "url"),
    Column("events", "events"),
    Column("profile", "profile"),
    Column("active", "active"),
    Column("name", "name"),
];

impl Webhooks {
    pub(super) fn run(&self) -> Result<()> {
        let (api, output) = (self.remote.api()?, self.remote.output());
        block_on(self.verb.run(&api, output))
    }
}

impl Verb {
    async fn run(&self, api: &Api, output: Output) -> Result<()> {
        let call = match self {
            Self::List { limit } => {
                let items = api.list(&Call::get(path(["webhooks"])), *limit).await?;
                return output.list(&items, &COLUMNS);
            }
            Self::Delete { id } => {
                api.call(Call::delete(path(["webhooks", id]))).await?;
                return output.done(&format!("deleted {id}"));
            }
            Self::Test { id } => return test(api, output, id).await,
            Self::Create { target, form } => {
                Call::post(path(["webhooks"])).json(&form.body(Some(target))?)?
            }
            Self::Update { id, target, form } => {
                Call::patch(path(["webhooks", id])).json(&form.body(target.as_deref())?)?
            }
            Self::RotateSecret { id, overlap, secret } => rotate(id, *overlap, secret.as_deref())?,
            Self::Get { id } => Call::get(path(["webhooks", id])),
            Self::Pause { id } => Call::post(path(["webhooks", id, "pause"])),
            Self::Resume { id } => Call::post(path(["webhooks", id, "resume"])),
            Self::Stats { id } => Call::get(path(["webhooks", id, "stats"])),
            Self::Health { id } => Call::get(path(["webhooks", id, "health"])),
        };
        output.one(&api.call(call).await?.data()?)
    }
}

fn rotate(id: &str, overlap_ms: Option<i64>, secret: Option<&str>) -> Result<Call> {
    let mut body = serde_json::Map::new();
    body.extend(overlap_ms.map(|ms| ("overlap_ms".to_owned(), ms.into())));
    body.extend(secret.map(|secret| ("secret".to_owned(), secret.into())));
    Call::post(path(["webhooks", id, "rotate-secret"])).json(&body)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tested {
    success: bool,
    response: Option<TestResponse>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestResponse {
    status: u16,
    #[serde(default)]
    body: Option<String>,
}

/// The answer is 200 whatever the receiver said; the exit code says what it said.
async fn test(api: &Api, output: Output, id: &str) -> Result<()> {
    let answer = api.call(Call::post(path(["webhooks", id, "test"]))).await?;
    if output.format == Format::Json {
        output.one(&answer.data()?)?;
    }
    let tested: Tested = answer.parse()?;
    let said = tested.response.map(|response| {
        let body = response.body.filter(|body| !body.is_empty());
        let body = body.map(|body| format!(": {}", plain(&body))).unwrap_or_default();
        format!("the receiver answered {}{body}", response.status)
    });
    if !tested.success {
        let error = tested.error.map(|error| plain(&error).into_owned());
        bail!("the test failed: {}", error.or(said).unwrap_or_default());
    }
    output.done(&said.unwrap_or_default())
}
