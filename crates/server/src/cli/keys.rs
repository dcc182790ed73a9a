//! `tidings keys`: API keys.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::{Api, Call, Remote, block_on, path};
use super::output::{Column, Output};
use crate::api::auth::Scope;

/// Create, list and revoke API keys (needs an admin key)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Keys {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    remote: Remote,
}

const EXAMPLES: &str = "\
A key belongs to the tenant of --tenant, or to `default`.

Examples:
  tidings keys create ci --scopes events:write
  tidings keys create dashboard --scopes read --tenant ten_…
  tidings keys list
  tidings keys revoke key_…";

#[derive(Debug, Subcommand)]
enum Verb {
    /// A new key, shown this once
    Create {
        /// A name for people
        name: String,
        /// events:write, webhooks:write, deliveries:write, read; all of them if not given
        #[arg(long, value_delimiter = ',', value_parser = scope)]
        scopes: Vec<Scope>,
        /// An admin key, which may act for any tenant
        #[arg(long, conflicts_with = "scopes")]
        admin: bool,
    },
    /// All keys, by their first characters
    List,
    /// The key opens nothing from now on
    Revoke { id: String },
}

const COLUMNS: [Column; 7] = [
    Column("id", "id"),
    Column("name", "name"),
    Column("prefix", "prefix"),
    Column("tenant", "tenant_id"),
    Column("scopes", "scopes"),
    Column("created", "created_at"),
    Column("revoked", "revoked_at"),
];

fn scope(text: &str) -> Result<Scope, String> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(text).ok_or_else(|| format!("must be one of {known}"))
}

impl Keys {
    pub(super) fn run(&self) -> Result<()> {
        let (api, output) = (self.remote.api()?, self.remote.output());
        block_on(self.verb.run(&api, output))
    }
}

impl Verb {
    async fn run(&self, api: &Api, output: Output) -> Result<()> {
        match self {
            Self::Create { name, scopes, admin } => {
                let mut body = json!({ "name": name });
                if !scopes.is_empty() {
                    body["scopes"] = scopes.iter().map(|scope| scope.as_str()).collect();
                }
                if *admin {
                    body["admin"] = true.into();
                }
                let answer = api.call(Call::post(path(["keys"])).json(&body)?).await?;
                output.one(&answer.data()?)
            }
            Self::List => {
                let items = api.list(&Call::get(path(["keys"])), u32::MAX).await?;
                output.list(&items, &COLUMNS)
            }
            Self::Revoke { id } => {
                api.call(Call::delete(path(["keys", id]))).await?;
                output.done(&format!("revoked {id}"))
            }
        }
    }
}
