//! The API as the commands call it.

mod call;
mod events;
mod failure;
mod http;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_core::limits::PAGE_ITEMS_MAX;
use url::Url;

pub(super) use call::{Call, path};
pub(super) use events::Events;
pub(super) use failure::Failure;

use super::output::{Format, Output};

/// A request may take so long: longer than the server's own deadline for a test delivery.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(150);

/// Which server, and as whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and output")]
pub(super) struct Server {
    /// The server
    #[arg(long, global = true, value_name = "SERVER", env = "TIDINGS_URL")]
    #[arg(default_value = "http://127.0.0.1:4000")]
    pub url: String,
    /// API key
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "TIDINGS_API_KEY",
        hide_env_values = true
    )]
    key: Option<String>,
    /// Tenant to act for, with an admin key
    #[arg(long, global = true, value_name = "ID", env = "TIDINGS_TENANT")]
    tenant: Option<String>,
    /// PEM file of further certificate authorities that the server may use
    #[arg(long, global = true, value_name = "FILE", env = "TIDINGS_CA_FILE")]
    ca_file: Option<PathBuf>,
}

/// Which server, as whom, and how answers are shown.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and output")]
pub(super) struct Remote {
    #[command(flatten)]
    server: Server,
    /// How to print; a table on a terminal, JSON otherwise
    #[arg(short, long, global = true, value_name = "FORMAT")]
    output: Option<Format>,
    /// Print ids only
    #[arg(short, long, global = true)]
    quiet: bool,
}

impl Server {
    pub(super) fn api(&self) -> Result<Api> {
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("--ca-file {}", path.display()))
        };
        let ca_pem = self.ca_file.as_ref().map(read).transpose()?;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(Api {
            key: given(&self.key),
            tenant: given(&self.tenant),
            ca_pem,
            ..Api::new(&self.url)?
        })
    }
}

impl Remote {
    pub(super) fn api(&self) -> Result<Api> {
        self.server.api()
    }

    pub(super) fn output(&self) -> Output {
        Output::new(self.output, self.quiet)
    }
}

/// A client of one server.
#[derive(Debug, Clone)]
pub(super) struct Api {
    base: Url,
    key: Option<String>,
    tenant: Option<String>,
    ca_pem: Option<Vec<u8>>,
}

/// What the server answered.
#[derive(Debug)]
pub(super) struct Answer {
    body: bytes::Bytes,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub data: Vec<Box<RawValue>>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    data: Option<Box<RawValue>>,
}

impl Api {
    /// Without a key.
    pub(super) fn new(url: &str) -> Result<Self> {
        let base = Url::parse(url).with_context(|| format!("--url {url}"))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            bail!("--url {url}: must begin with http:// or https://");
        }
        Ok(Self { base, key: None, tenant: None, ca_pem: None })
    }

    /// The server's URL as it is told.
    pub(super) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Calls the server; an answer from 400 on is a [`Failure`].
    pub(super) async fn call(&self, call: Call) -> Result<Answer> {
        let url = call.url(&self.base);
        let request = call.request(&url, self.key.as_deref(), self.tenant.as_deref())?;
        let sent = http::send(&url, request, self.ca_pem.as_deref());
        let (status, body) = self.in_time(sent).await?;
        if status.is_success() {
            Ok(Answer { body })
        } else {
            Err(Failure::new(status, &body).into())
        }
    }

    /// Whether the server takes requests; why not is a [`Failure`].
    pub(super) async fn ready(&self) -> Result<()> {
        self.call(Call::ready()).await.map(drop)
    }

    /// Opens a stream of server-sent events.
    pub(super) async fn listen(&self, call: Call) -> Result<Events> {
        let url = call.url(&self.base);
        let request = call.request(&url, self.key.as_deref(), self.tenant.as_deref())?;
        let opened = self.in_time(http::open(&url, request, self.ca_pem.as_deref())).await?;
        let status = opened.status();
        if status.is_success() {
            Ok(Events::new(opened.into_body()))
        } else {
            let body = self.in_time(http::read(opened.into_body())).await?;
            Err(Failure::new(status, &body).into())
        }
    }

    /// What comes from the server, with its name when it does not come.
    async fn in_time<T>(&self, coming: impl Future<Output = Result<T>>) -> Result<T> {
        let server = self.url();
        match tokio::time::timeout(REQUEST_TIMEOUT, coming).await {
            Ok(answered) => answered.with_context(|| {
                format!("cannot reach {server} (--url or TIDINGS_URL names another server)")
            }),
            Err(_) => bail!("{server} did not answer within {} s", REQUEST_TIMEOUT.as_secs()),
        }
    }

    /// The items of a list, page after page, at most `limit`.
    pub(super) async fn list(&self, call: &Call, limit: u32) -> Result<Vec<Box<RawValue>>> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let wanted = limit.saturating_sub(u32::try_from(items.len())?);
            let page = call.clone().query("limit", Some(wanted.min(PAGE_ITEMS_MAX)));
            let page = self.call(page.query("cursor", cursor)).await?.page()?;
            items.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() || items.len() >= limit as usize {
                items.truncate(limit as usize);
                return Ok(items);
            }
        }
    }
}

impl Answer {
    /// The answer without its envelope; a flat answer as it is; `null` when there is none.
    pub(super) fn data(&self) -> Result<Box<RawValue>> {
        let whole = if self.body.is_empty() { &b"null"[..] } else { &self.body };
        let whole: Box<RawValue> = serde_json::from_slice(whole).context(NOT_OURS)?;
        let envelope = serde_json::from_str::<Envelope>(whole.get());
        Ok(envelope.ok().and_then(|envelope| envelope.data).unwrap_or(whole))
    }

    /// The answer as a type.
    pub(super) fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.data()?.get()).context(NOT_OURS)
    }

    pub(super) fn page(&self) -> Result<Page> {
        serde_json::from_slice(&self.body).context(NOT_OURS)
    }
}

const NOT_OURS: &str = "the answer is not one of a Tidings server; does --url point to one?";

/// Runs a command that waits for the network.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
