//! `tidings tenants`: the owners of webhooks, events and keys.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::{Api, Call, Remote, block_on, path};
use super::output::{Column, Output};

/// Create, list, change and delete tenants (needs an admin key)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Tenants {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    remote: Remote,
}

const EXAMPLES: &str = "\
Examples:
  tidings tenants create acme
  tidings keys create acme-app --tenant ten_…
  tidings tenants update ten_… --retention-days 90
  tidings tenants list";

#[derive(Debug, Subcommand)]
enum Verb {
    /// A new tenant
    Create {
        name: String,
        /// How long its history is kept
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<u32>,
    },
    /// All tenants
    List,
    /// Change its name or how long its history is kept; the rest stays
    Update {
        id: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<u32>,
        /// As long as the server keeps history
        #[arg(long, conflicts_with = "retention_days")]
        default_retention: bool,
    },
    /// Delete it with its webhooks and keys
    Delete { id: String },
}

const COLUMNS: [Column; 4] = [
    Column("id", "id"),
    Column("name", "name"),
    Column("retention days", "retention_days"),
    Column("created", "created_at"),
];

impl Tenants {
    pub(super) fn run(&self) -> Result<()> {
        let (api, output) = (self.remote.api()?, self.remote.output());
        block_on(self.verb.run(&api, output))
    }
}

impl Verb {
    async fn run(&self, api: &Api, output: Output) -> Result<()> {
        match self {
            Self::Create { name, retention_days } => {
                let mut body = json!({ "name": name });
                if let Some(days) = retention_days {
                    body["retention_days"] = (*days).into();
                }
                let answer = api.call(Call::post(path(["tenants"])).json(&body)?).await?;
                output.one(&answer.data()?)
            }
            Self::List => {
                let items = api.list(&Call::get(path(["tenants"])), u32::MAX).await?;
                output.list(&items, &COLUMNS)
            }
            Self::Update { id, name, retention_days, default_retention } => {
                let mut body = json!({});
                if let Some(name) = name {
                    body["name"] = name.as_str().into();
                }
                if *default_retention || retention_days.is_some() {
                    body["retention_days"] = (*retention_days).into();
                }
                let answer = api.call(Call::patch(path(["tenants", id])).json(&body)?).await?;
                output.one(&answer.data()?)
            }
            Self::Delete { id } => {
                api.call(Call::delete(path(["tenants", id]))).await?;
                output.done(&format!("deleted {id}"))
            }
        }
    }
}
